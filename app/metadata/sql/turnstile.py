"""Whose turn it is to write: two file locks, so that nobody waits twice.

    lock `next`; lock `turn`; unlock `next`; write; unlock `turn`

A process that has just written queues at `next` behind whoever stands there already, so every waiter is at most one
turn away. SQLite's busy handler polls instead, and one lock alone lets the last writer win again and again.
"""

from __future__ import annotations

import fcntl
import os


class Turnstile:
    """One process's place at the turnstile of a database. Made after fork; a lock dies with its process."""

    def __init__(self, path: str) -> None:
        self._next = _open_lock(f"{path}.next")
        self._turn = _open_lock(f"{path}.turn")
        self.is_held = False

    def enter(self) -> None:
        """Wait for the turn, however long the others take."""
        assert not self.is_held
        fcntl.flock(self._next, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._turn, fcntl.LOCK_EX)
            self.is_held = True
        finally:
            fcntl.flock(self._next, fcntl.LOCK_UN)

    def leave(self) -> None:
        if self.is_held:
            self.is_held = False
            fcntl.flock(self._turn, fcntl.LOCK_UN)

    def close(self) -> None:
        self.leave()
        for lock in (self._next, self._turn):
            os.close(lock)


def _open_lock(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
