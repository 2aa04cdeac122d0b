"""Requests to a storage service: repeated within bounds, and their failures told in S3's words.

A vendor's own retries are switched off, so that what is here is the whole truth: at most ATTEMPTS_MAX attempts, pauses
that grow, and no new attempt once DEADLINE_S have passed. Every request may be repeated, for references are fresh (I1).
"""

from __future__ import annotations

import enum
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, Protocol, TypeVar

from app.domain.errors import BlobMissing, InternalError, S3Error, ServiceUnavailable, SlowDown

T = TypeVar("T")

ATTEMPTS_MAX = 4
FIRST_PAUSE_S = 0.1
PAUSE_FACTOR = 3  # 0.1 s, 0.3 s, 0.9 s, each half as long again or half as short
DEADLINE_S = 20.0
CONNECT_TIMEOUT_S = 3.0  # for the vendor's client, as is the next
READ_TIMEOUT_S = 10.0

_log = logging.getLogger("bleepstore.storage")


class Kind(enum.Enum):
    """What is wrong with a request. AWAY, THROTTLED and WRONG may pass, so they are tried again."""

    THROTTLED = "throttled"  # the service asks for fewer requests
    FULL = "full"  # no room, or over a quota
    AWAY = "away"  # no connection, a time-out, a status of 500 and above
    REFUSED = "refused"  # credentials, permissions, a bucket that is missing or elsewhere: for the operator
    MISSING = "missing"  # there is no such object
    SHORT = "short"  # the object is shorter than the range asked for
    WRONG = "wrong"  # a checksum or a length does not fit


_MAY_PASS = frozenset({Kind.THROTTLED, Kind.AWAY, Kind.WRONG})
_BUSY = "The storage service asks for fewer requests. Please reduce your request rate."
_ANSWERS: dict[Kind, tuple[type[S3Error], str]] = {
    Kind.THROTTLED: (SlowDown, _BUSY),
    Kind.FULL: (SlowDown, "The storage service has no room. Please free space, or try again later."),
    Kind.AWAY: (ServiceUnavailable, "The storage service does not answer. Please try again."),
    Kind.REFUSED: (ServiceUnavailable, "The storage service refuses our requests. The operator has to look at it."),
    Kind.MISSING: (BlobMissing, "A blob is missing."),
    Kind.SHORT: (InternalError, "A blob is shorter than its row says."),
    Kind.WRONG: (InternalError, "The storage service did not give or take the bytes as they are."),
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """One failure. `code` is the vendor's word for it, `advice` tells an operator what to do; neither holds a secret."""

    kind: Kind
    code: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.code}: {self.advice}" if self.advice else self.code


def kind_of_status(status: int) -> Kind | None:
    """What an HTTP status means where the service has no word of its own; None where that depends on the service."""
    return _KINDS_OF_STATUS.get(status) or (Kind.AWAY if status >= 500 else None)


_KINDS_OF_STATUS = {408: Kind.AWAY, 416: Kind.SHORT, 429: Kind.THROTTLED, 507: Kind.FULL}


class UpstreamError(Exception):
    """For an adapter that sees itself that something is wrong: a checksum that differs, a body that ends early."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(str(trouble))
        self.trouble = trouble


class Watch(Protocol):
    """Who counts. `op` is a word of ours, `outcome` "ok" or a Kind's value; called from any thread."""

    def request(self, op: str, outcome: str, seconds: float) -> None:
        """One attempt has ended."""

    def retry(self, op: str) -> None:
        """An attempt that failed is about to be repeated."""


class NoWatch:
    def request(self, op: str, outcome: str, seconds: float) -> None:
        """Nobody counts."""

    def retry(self, op: str) -> None:
        """Nobody counts."""


class Calls:
    """One back end's requests. `classify` says what a vendor's exception means, None for one that is not the vendor's."""

    def __init__(
        self,
        back_end: str,
        classify: Callable[[Exception], Trouble | None],
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.watch: Watch = NoWatch()
        self._back_end = back_end
        self._classify = classify
        self.sleep = sleep
        self.monotonic = monotonic

    def run(self, op: str, request: Callable[..., T], *args: object, attempts_max: int = ATTEMPTS_MAX) -> T:
        """What `request(*args)` gives at the first attempt that succeeds. `op` is one word: "put", "get", "delete" …

        Raises: the S3 error of the last Trouble; other exceptions of `request` as they are.
        """
        attempts = Attempts(self, op, attempts_max)
        while True:
            try:
                return self.once(op, request, *args)
            except Exception as error:
                attempts.after(error)

    def once(self, op: str, request: Callable[..., T], *args: object) -> T:
        """One attempt, counted. Raises: what `request` raises."""
        began_s = self.monotonic()
        outcome = "ok"
        try:
            return request(*args)
        except Exception as error:
            trouble = self.trouble(error)
            outcome = "error" if trouble is None else trouble.kind.value
            raise
        finally:
            self.watch.request(op, outcome, self.monotonic() - began_s)

    def trouble(self, error: Exception) -> Trouble | None:
        return error.trouble if isinstance(error, UpstreamError) else self._classify(error)

    def refuse(self, op: str, trouble: Trouble, attempts: int) -> NoReturn:
        """Tell the operator once, and raise what the client is told: nothing of the vendor's text."""
        kind = trouble.kind
        _log.log(
            logging.INFO if kind is Kind.MISSING else logging.WARNING,
            "storage.request_failed",
            extra={
                "back_end": self._back_end, "operation": op, "outcome": kind.value, "reason": str(trouble),
                "attempts": attempts,
            },
        )  # fmt: skip
        made, message = _ANSWERS[kind]
        raise made(message) from None


class Attempts:
    """Those of one request, or of a download since it last got on."""

    def __init__(self, calls: Calls, op: str, attempts_max: int = ATTEMPTS_MAX) -> None:
        self._calls = calls
        self._op = op
        self._attempts_max = attempts_max
        self.renew()

    def renew(self) -> None:
        self._made = 0
        self._began_s = self._calls.monotonic()

    def after(self, error: Exception) -> None:
        """Wait until the next attempt. Raises: the S3 error, where there is to be none; `error` that is not the vendor's."""
        calls = self._calls
        trouble = calls.trouble(error)
        if trouble is None:
            raise error
        self._made += 1
        pause_s = FIRST_PAUSE_S * PAUSE_FACTOR ** (self._made - 1) * random.uniform(0.5, 1.5)
        is_late = calls.monotonic() + pause_s - self._began_s >= DEADLINE_S
        if trouble.kind not in _MAY_PASS or self._made >= self._attempts_max or is_late:
            calls.refuse(self._op, trouble, self._made)
        calls.sleep(pause_s)
        calls.watch.retry(self._op)


def describe(error: BaseException) -> str:
    """An exception's name for an operator; its text might hold a signed URL."""
    return type(error).__name__
