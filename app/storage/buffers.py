"""Memory for bytes on their way to a file: whole pages, used again and again.

Direct I/O asks for memory that begins at a page, and the faults of fresh pages cost more than filling them does.
"""

from __future__ import annotations

import mmap

BUFFER_BYTES = 1 << 20
FREE_MAX = 8  # kept for the next writers
PLENTY_MAX = 24  # lent to more writers than these, a writer that waits gives its own back


class Buffers:
    """One per process. Any thread may take and give; a buffer has one user at a time."""

    def __init__(self) -> None:
        self._free: list[memoryview] = []
        self._lent: set[int] = set()  # what has been taken, by `id`: threads may change a set at once, not a number

    @property
    def lent(self) -> int:
        return len(self._lent)

    @property
    def are_scarce(self) -> bool:
        return len(self._lent) > PLENTY_MAX

    def take(self) -> memoryview:
        """BUFFER_BYTES of memory that begin at a page, holding anything."""
        try:
            buffer = self._free.pop()
        except IndexError:
            buffer = memoryview(mmap.mmap(-1, BUFFER_BYTES, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        self._lent.add(id(buffer))
        return buffer

    def give_back(self, buffer: memoryview) -> None:
        self._lent.discard(id(buffer))
        if len(self._free) < FREE_MAX:
            self._free.append(buffer)

    def lose(self, buffer: memoryview) -> None:
        """A buffer will not come back: somebody may still be writing to it."""
        self._lent.discard(id(buffer))
