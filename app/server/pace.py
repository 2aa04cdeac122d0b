"""How slow a client may be: never silent for too long, and a least number of bytes in every window of waiting."""

from __future__ import annotations


class TooSlow(Exception):
    """The client used up its time."""


class Pace:
    """Counts time spent waiting for one client in one direction. Our own slowness is not the client's fault.

    A window begins anew when it is used up, so a fast start buys no slow rest; the first window is the grace.
    """

    __slots__ = ("_asked_bytes", "_moved_bytes", "_silent_s", "_stall_s", "_waited_s", "_window_s")

    def __init__(self, stall_ms: int, window_ms: int, rate_min_bytes_per_s: int) -> None:
        self._stall_s = stall_ms / 1_000
        self._window_s = window_ms / 1_000
        self._asked_bytes = rate_min_bytes_per_s * self._window_s
        self._silent_s = 0.0
        self._waited_s = 0.0
        self._moved_bytes = 0

    def wait_s(self) -> float:
        """How long to wait at most before `note` is told of the wait."""
        return max(0.001, min(self._stall_s - self._silent_s, self._window_s - self._waited_s))

    def note(self, waited_s: float, moved_bytes: int) -> None:
        """A wait has ended, with or without bytes. Raises: TooSlow."""
        self._silent_s = 0.0 if moved_bytes else self._silent_s + waited_s
        self._waited_s += waited_s
        self._moved_bytes += moved_bytes
        if self._silent_s >= self._stall_s:
            raise TooSlow
        if self._waited_s >= self._window_s:
            if self._moved_bytes < self._asked_bytes:
                raise TooSlow
            self._waited_s, self._moved_bytes = 0.0, 0
