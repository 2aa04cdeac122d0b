"""Memory for parts on their way to a storage service: bounded for each worker, whoever holds it.

A writer that waits for its client says so (`rest`). When another needs the memory, the bytes of whoever rests longest go
to a file without a name, in the directory for temporary files. So no client that stands still keeps others from writing,
and while there is enough for all nothing touches a disk.
"""

from __future__ import annotations

import mmap
import threading
import time
from collections.abc import Callable
from typing import Protocol

from app.domain.errors import SlowDown

PART_BYTES = 8 << 20  # S3 asks for 5 MiB, other services for multiples of 256 KiB; 10,000 of these are 78 GiB
CAPACITY_BYTES = PART_BYTES + (1 << 16)  # what a writer holds before it knows that more than a part comes
PARTS_MAX = 8
WAIT_MAX_S = 10.0
FREE_MAX = 2  # whole buffers that are kept for the next writers


class Resting(Protocol):
    def spill(self) -> None:
        """Put what is held into a file and give the memory back, unless this writer works again. Raises: OSError."""


class PartMemory:
    """One per back end and process. Any thread may call."""

    def __init__(
        self,
        limit_bytes: int = PARTS_MAX * CAPACITY_BYTES,
        *,
        wait_max_s: float = WAIT_MAX_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit_bytes = limit_bytes
        self._wait_max_s = wait_max_s
        self._monotonic = monotonic
        self._changed = threading.Condition()
        self._used_bytes = 0
        self._resting: dict[int, Resting] = {}  # by `id`; who rests longest is first
        self._free: list[memoryview] = []

    @property
    def used_bytes(self) -> int:
        return self._used_bytes

    def take(self, size_bytes: int) -> memoryview:
        """Memory that holds anything. Waits for it; whoever calls holds none. Raises: SlowDown."""
        deadline_s = self._monotonic() + self._wait_max_s
        while True:
            buffer = self.take_at_once(size_bytes)
            if buffer is not None:
                return buffer
            with self._changed:
                left_s = deadline_s - self._monotonic()
                if left_s <= 0:
                    raise SlowDown("The storage service is slow to take what comes. Please reduce your request rate.")
                if not self._resting and self._used_bytes + size_bytes > self._limit_bytes:
                    self._changed.wait(left_s)

    def take_at_once(self, size_bytes: int) -> memoryview | None:
        """As `take`, None where no memory is free and nobody rests who could give his."""
        while not self._claim(size_bytes):
            with self._changed:
                if not self._resting:
                    return None
                victim = self._resting.pop(next(iter(self._resting)))
            try:
                victim.spill()
            except OSError:
                pass  # there is no room for a file either; he keeps his bytes and goes on when his client does
        try:
            return self._make(size_bytes)
        except BaseException:
            self._return(size_bytes)
            raise

    def give_back(self, buffer: memoryview) -> None:
        """Nobody else may use the buffer any more."""
        if len(buffer) == CAPACITY_BYTES and len(self._free) < FREE_MAX:
            self._free.append(buffer)
        self._return(len(buffer))

    def lose(self, buffer: memoryview) -> None:
        """As `give_back` where somebody may still look at the buffer: it is used for nothing else."""
        self._return(len(buffer))

    def rest(self, writer: Resting) -> None:
        """This writer holds memory and waits for its client."""
        with self._changed:
            self._resting[id(writer)] = writer
            self._changed.notify_all()

    def wake(self, writer: Resting) -> None:
        with self._changed:
            self._resting.pop(id(writer), None)

    def _claim(self, size_bytes: int) -> bool:
        with self._changed:
            has_room = self._used_bytes + size_bytes <= self._limit_bytes
            if has_room:
                self._used_bytes += size_bytes
            return has_room

    def _make(self, size_bytes: int) -> memoryview:
        if size_bytes == CAPACITY_BYTES:
            try:
                return self._free.pop()
            except IndexError:
                pass
        return mapped(size_bytes)

    def _return(self, size_bytes: int) -> None:
        with self._changed:
            self._used_bytes -= size_bytes
            self._changed.notify_all()


def mapped(size_bytes: int) -> memoryview:
    """Memory apart from the heap: given up, it is the system's again at once, whichever thread had it."""
    return memoryview(mmap.mmap(-1, size_bytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
