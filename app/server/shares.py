"""How many connections each worker holds, in memory that all of them see.

With one listener the kernel wakes every worker, and the first takes what comes: sixteen connections fell sixteen to none.
So a worker that holds more than another lets that one go first.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable

SLOTS_MAX = 64
_NOBODY = -1
_BYTES = 8  # of one slot


class Shares:
    """Made by the master before the first fork; it gives each worker a slot and takes it back."""

    def __init__(self) -> None:
        self._held = memoryview(mmap.mmap(-1, SLOTS_MAX * _BYTES)).cast("q")
        for slot in range(SLOTS_MAX):
            self._held[slot] = _NOBODY

    def take(self, taken: Iterable[int]) -> int:
        """The least slot that is not among the taken ones. Raises: ValueError when all are."""
        slot = min(set(range(SLOTS_MAX)).difference(taken))
        self._held[slot] = 0
        return slot

    def give_back(self, slot: int) -> None:
        self._held[slot] = _NOBODY

    def note(self, slot: int, connections: int) -> None:
        self._held[slot] = connections

    def is_ahead(self, slot: int) -> bool:
        """Whether some other worker holds fewer connections: by more than an eighth, where they are many."""
        held = self._held
        ours = held[slot]
        return any(theirs >= 0 and theirs + theirs // 8 < ours for theirs in held)
