"""Attempts at a storage service, their bounds, and what is said about failures."""

from __future__ import annotations

import logging

import pytest

from app.domain.errors import BlobMissing, InternalError, S3Error, ServiceUnavailable, SlowDown
from app.storage.remote_calls import ATTEMPTS_MAX, DEADLINE_S, Calls, Kind, Trouble
from tests.unit.storage.service import VendorError


class Clock:
    """Time that passes by sleeping, and by `costs_s` for every request."""

    def __init__(self, costs_s: float = 0.0) -> None:
        self.now_s = 0.0
        self.slept: list[float] = []
        self.costs_s = costs_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


class Count:
    def __init__(self) -> None:
        self.outcomes: list[tuple[str, str]] = []
        self.retries = 0

    def request(self, op: str, outcome: str, seconds: float) -> None:
        self.outcomes.append((op, outcome))

    def retry(self, op: str) -> None:
        self.retries += 1


def classify(error: Exception) -> Trouble | None:
    return Trouble(error.kind, "Code", "look there") if isinstance(error, VendorError) else None


def attempt(kinds: list[Kind], clock: Clock, count: Count) -> str:
    """Run a request that fails with these, in order, and then succeeds."""
    calls = Calls("tested", classify, sleep=clock.sleep, monotonic=lambda: clock.now_s)
    calls.watch = count
    left = list(kinds)

    def request() -> str:
        clock.now_s += clock.costs_s
        if left:
            raise VendorError(left.pop(0))
        return "done"

    return calls.run("put", request)


@pytest.mark.parametrize("kind", [Kind.THROTTLED, Kind.AWAY, Kind.WRONG])
def test_what_may_pass_is_tried_again_after_pauses_that_grow(kind: Kind) -> None:
    clock, count = Clock(), Count()
    assert attempt([kind] * (ATTEMPTS_MAX - 1), clock, count) == "done"
    assert [outcome for _, outcome in count.outcomes] == [kind.value] * (ATTEMPTS_MAX - 1) + ["ok"]
    assert count.retries == len(clock.slept) == ATTEMPTS_MAX - 1
    assert clock.slept == sorted(clock.slept)
    assert 0.05 <= clock.slept[0] <= 0.15


@pytest.mark.parametrize(
    ("kind", "answer", "attempts"),
    [
        (Kind.THROTTLED, SlowDown, ATTEMPTS_MAX),
        (Kind.AWAY, ServiceUnavailable, ATTEMPTS_MAX),
        (Kind.WRONG, InternalError, ATTEMPTS_MAX),
        (Kind.FULL, SlowDown, 1),
        (Kind.REFUSED, ServiceUnavailable, 1),
        (Kind.MISSING, BlobMissing, 1),
        (Kind.SHORT, InternalError, 1),
    ],
)
def test_every_kind_has_its_answer_and_its_bound(
    kind: Kind, answer: type[S3Error], attempts: int, caplog: pytest.LogCaptureFixture
) -> None:
    clock, count = Clock(), Count()
    with caplog.at_level(logging.INFO, "bleepstore.storage"), pytest.raises(answer) as raised:
        attempt([kind] * 99, clock, count)
    assert len(count.outcomes) == attempts
    assert "secret" not in raised.value.message
    (record,) = caplog.records
    assert (record.getMessage(), vars(record)["reason"]) == ("storage.request_failed", "Code: look there")
    assert vars(record)["attempts"] == attempts


def test_no_attempt_begins_after_the_deadline() -> None:
    clock, count = Clock(costs_s=DEADLINE_S / 2), Count()
    with pytest.raises(ServiceUnavailable):
        attempt([Kind.AWAY] * 99, clock, count)
    assert len(count.outcomes) == 2
    assert clock.now_s < DEADLINE_S + clock.costs_s


def test_what_is_not_the_vendors_is_not_repeated() -> None:
    def request() -> None:
        raise ZeroDivisionError

    calls = Calls("tested", classify, sleep=lambda seconds: None)
    calls.watch = count = Count()
    with pytest.raises(ZeroDivisionError):
        calls.run("put", request)
    assert count.outcomes == [("put", "error")]
