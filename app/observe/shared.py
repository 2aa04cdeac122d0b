"""What is dear to make, made once for all who ask for it at the same time, and readings that are kept for a moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from app import runtime

T = TypeVar("T")

WAIT_STEP_S = 0.005
WAIT_MAX_S = 10.0  # for somebody else's; who has waited for so long makes his own
KEPT_FOR = 20  # times as long as a dear reading took
CHEAP_S = 0.01


class Shared(Generic[T]):
    """On the hub. One is made at a time for each kind that is asked for; kinds are few.

    Whoever comes while one is being made gets that one: it is of the time since he came, or of the moment before.
    """

    def __init__(self) -> None:
        self._under_way: dict[str, _Making[T]] = {}

    def get(self, kind: str, make: Callable[[], T]) -> T:
        """What `make` gives here or has given to somebody else. Raises: what `make` raises."""
        making = self._under_way.get(kind)
        if making is not None:
            outcome = _outcome_of(making)
            if outcome is not None:
                return outcome.given()
        making = self._under_way[kind] = _Making()
        try:
            result = make()
            making.outcome = _Outcome(result, None)
            return result
        except Exception as error:
            making.outcome = _Outcome(None, error)
            raise
        finally:
            if self._under_way.get(kind) is making:
                del self._under_way[kind]


class _Making(Generic[T]):
    outcome: _Outcome[T] | None = None


@dataclass(frozen=True, slots=True)
class _Outcome(Generic[T]):
    result: T | None
    error: Exception | None

    def given(self) -> T:
        if self.error is not None:
            raise self.error
        return cast("T", self.result)


def _outcome_of(making: _Making[T]) -> _Outcome[T] | None:
    """Wait for it; None where that took too long."""
    until_s = time.monotonic() + WAIT_MAX_S
    while making.outcome is None and time.monotonic() < until_s:
        runtime.sleep(WAIT_STEP_S)
    return making.outcome


class Kept(Generic[T]):
    """A reading from threads. One that is cheap is made each time. A dear one is kept for KEPT_FOR times the processor time
    that it took, of which it so takes a twentieth at most."""

    def __init__(
        self,
        read: Callable[[], T],
        clock_s: Callable[[], float] = time.monotonic,
        cost_s: Callable[[], float] = time.thread_time,
    ) -> None:
        """`cost_s` is the calling thread's processor time: how long others let it wait says nothing of the reading."""
        self._read = read
        self._clock_s = clock_s
        self._cost_s = cost_s
        self._lock = threading.Lock()
        self._until_s = 0.0
        self._value: tuple[T] | tuple[()] = ()

    def __call__(self) -> T:
        """Raises: what `read` raises, which is not kept."""
        with self._lock:
            if self._value and self._clock_s() < self._until_s:
                return self._value[0]
            began_s = self._cost_s()
            value = self._read()
            took_s = self._cost_s() - began_s
            self._value = (value,)
            self._until_s = self._clock_s() + (KEPT_FOR * took_s if took_s > CHEAP_S else 0.0)
            return value
