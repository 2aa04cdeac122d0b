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
        self.lent = 0  # about: two threads may count at once

    @property
    def are_scarce(self) -> bool:
        return self.lent > PLENTY_MAX

    def take(self) -> memoryview:
        """BUFFER_BYTES of memory that begin at a page, holding anything."""
        self.lent += 1
        try:
            return self._free.pop()
        except IndexError:
            return memoryview(mmap.mmap(-1, BUFFER_BYTES))

    def give_back(self, buffer: memoryview) -> None:
        self.lent -= 1
        if len(self._free) < FREE_MAX:
            self._free.append(buffer)

    def lose(self) -> None:
        """A buffer will not come back: somebody may still be writing to it."""
        self.lent -= 1
