"""What a request came to, for whoever counts and logs it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from app.domain.errors import InternalError
from app.domain.types import ANONYMOUS, Described, Principal


@dataclass(slots=True)
class Outcome:
    """What is known of a request when it ends; `record` gets it once the last byte is sent or given up."""

    request_id: str
    method: str
    operation: str = "Unknown"
    bucket: str = ""
    key: str = ""
    principal: Principal = ANONYMOUS
    remote_address: str = ""
    status: int = 500
    code: str = ""
    bytes_in: int = 0
    bytes_out: int = 0
    started: float = field(default_factory=time.perf_counter)


@dataclass(slots=True)
class Handled(Outcome):
    """With what else is counted of a request that was not answered from memory.

    `has_bucket`: its bucket was looked up and is there. `object_bytes`: of the object that it wrote.
    """

    has_bucket: bool = False
    object_bytes: int | None = None
    traceparent: str = ""  # the header, where somebody traces


class Recorder(Protocol):
    def __call__(self, outcome: Outcome, seconds: float) -> None: ...


class Counts(Protocol):
    """Who counts requests: app.observe.requests has the meaning of each."""

    values: memoryview[float]

    def begun(self) -> None: ...
    def over(self) -> None: ...
    def whole(self, request: Handled, seconds: float, sent_bytes: int) -> None: ...
    def first(self, request: Handled, seconds: float) -> int: ...
    def last(self, place: int, seconds: float, sent_bytes: int) -> None: ...
    def repeat_place(self, request: Handled, sent_bytes: int) -> int: ...
    def again(self, repeat_place: int, seconds: float, sent_bytes: int) -> None: ...


class Ending:
    """The end of a request: whoever sends its answer says when the first byte is about to go out, and calls it at the end.

    What is counted is counted before the client can know that its request has ended. Without `counts` nothing is.
    """

    __slots__ = ("_counts", "_is_begun", "_place", "_record", "outcome")

    def __init__(self, outcome: Handled, counts: Counts | None, record: Recorder) -> None:
        self.outcome = outcome
        self._counts = counts
        self._record = record
        self._is_begun = False
        self._place = 0  # of an answer that goes out in pieces
        if counts is not None:
            counts.begun()

    def begin(self, whole_bytes: int | None) -> None:
        """The answer's first byte is about to be sent; `whole_bytes`: all of the body with it, and this many; None: not all."""
        counts = self._counts
        if counts is None or self._is_begun:
            return
        self._is_begun = True
        seconds = time.perf_counter() - self.outcome.started
        if whole_bytes is None:
            self._place = counts.first(self.outcome, seconds)
        else:
            counts.whole(self.outcome, seconds, whole_bytes)

    def __call__(self, sent_bytes: int) -> None:
        """The answer has ended, well or not; `sent_bytes`: of its body."""
        outcome = self.outcome
        outcome.bytes_out = sent_bytes
        seconds = time.perf_counter() - outcome.started
        if self._counts is not None:
            self._count_end(self._counts, seconds, sent_bytes)
        self._record(outcome, seconds)

    def _count_end(self, counts: Counts, seconds: float, sent_bytes: int) -> None:
        if self._place:
            counts.last(self._place, seconds, sent_bytes)
        elif not self._is_begun:
            # It could not be sent, and the server answers so in its place.
            self.outcome.status, self.outcome.code = InternalError.status, InternalError.code
            counts.whole(self.outcome, seconds, 0)
        counts.over()


class Repeat(NamedTuple):
    """A whole answer of 200, which is counted. Whoever sends it calls `finish` in the end."""

    described: Described
    body: bytes
    outcome: Outcome
    record: Recorder
    seconds: float  # until now

    def finish(self, sent_bytes: int, *, has_waited: bool = False) -> None:
        """`sent_bytes`: of the body. `has_waited`: the system did not take all at once."""
        outcome = self.outcome
        outcome.bytes_out = sent_bytes
        self.record(outcome, time.perf_counter() - outcome.started if has_waited else self.seconds)
