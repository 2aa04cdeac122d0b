"""A back end or engine that dies at a chosen call, as a process would that is killed there."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeVar, cast

from app.domain.types import BlobRef

T = TypeVar("T")


class Crash(BaseException):
    """The end of a process: no `except Exception` sees it."""


class Countdown:
    """Counts the calls of everything that shares it; the one numbered `fail_at` (from 1) dies.

    `after`: it dies when the call has had its effect, else before. `error` makes it fail instead of die.
    """

    def __init__(self, fail_at: int, *, after: bool = False, error: Callable[[], BaseException] = Crash) -> None:
        self.calls = 0
        self._fail_at = fail_at
        self._after = after
        self._error = error

    @property
    def has_failed(self) -> bool:
        return 0 < self._fail_at <= self.calls

    def run(self, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
        self.calls += 1
        if self.calls != self._fail_at:
            return call(*args, **options)
        if self._after:
            call(*args, **options)
        raise self._error()


def faulty(target: T, countdown: Countdown, methods: Collection[str]) -> T:
    """`target` as it is, but for calls of `methods`, which the countdown counts."""
    return cast("T", _Faulty(target, countdown, methods))


class _Faulty:
    def __init__(self, target: Any, countdown: Countdown, methods: Collection[str]) -> None:
        self._target = target
        self._countdown = countdown
        self._methods = methods

    def holder(self, ref: BlobRef) -> Any:
        """What the target keeps itself is asked for here."""
        found = self._target.holder(ref)
        return self if found is self._target else found

    def members(self) -> dict[str, Any]:
        return {name: self if each is self._target else each for name, each in self._target.members().items()}

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if name not in self._methods:
            return value
        return lambda *args, **options: self._countdown.run(value, *args, **options)
