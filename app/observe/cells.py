"""Numbers that survive their process: a file of named cells, mapped into memory.

    0    8 bytes    MAGIC
    8    double     where the next record begins; set last, so that a record is there as a whole or not at all
    16   records    double: length of the key in bytes; double: how many values
                    key: a JSON list of texts and numbers, filled up with blanks to a multiple of 8
                    values: doubles, zero at first

Everything is a double of 8 bytes at a multiple of 8, so nobody ever sees half of a value, and adding to one is a read and a
write in memory: a killed process loses nothing that it had added. One process writes a file, and in it one thread each
value; any process reads it. Records never move and are never removed.
"""

from __future__ import annotations

import json
import mmap
import os
import threading
from collections.abc import Iterator, Sequence
from typing import Final

MAGIC: Final = b"BLEEPM01"
FILE_MAX_BYTES: Final = 8 << 20  # of addresses; memory is taken as records are made
TAKEN_AT_ONCE_BYTES: Final = 1 << 16
VALUES_MAX: Final = 128  # of one record

Key = tuple[str | int, ...]

_WORD: Final = 8
_NEXT: Final = 1  # where the header says where the next record begins
_FIRST: Final = 2
_LOST: Final = "lost"


class Cells:
    """The file of this process, or its own memory where `path` is None. What a predecessor counted is counted on."""

    def __init__(self, path: str | None = None) -> None:
        """Raises: OSError, where there is no room for a file."""
        self._making = threading.Lock()
        self._file = -1
        self._taken_bytes = 0
        if path is None:
            self._memory = mmap.mmap(-1, FILE_MAX_BYTES)
        else:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._take(TAKEN_AT_ONCE_BYTES)
            os.ftruncate(self._file, FILE_MAX_BYTES)
            self._memory = mmap.mmap(self._file, FILE_MAX_BYTES)
        self.values: memoryview[float] = memoryview(self._memory).cast("d")
        if self._memory[:_WORD] != MAGIC:
            self.values[_NEXT] = float(_FIRST)
            self._memory[:_WORD] = MAGIC
        self._places = {key: (place, width) for key, place, width in _records(self.values, self._memory)}
        self._lost = self.place((_LOST,), VALUES_MAX)

    def place(self, key: Key, width: int) -> int:
        """Where in `values` a record's `width` values begin; made when it is first asked for. From any thread.

        Without room it is where nobody reads: counts are lost, and nothing else.
        """
        with self._making:
            found, known_width = self._places.get(key, (None, width))
            if found is not None and known_width == width:
                return found
            made = self._make(key, width)
            if made is None:
                return self._lost
            self._places[key] = made, width
            return made

    def count(self) -> int:
        """How many records there are."""
        return len(self._places)

    def read(self) -> Iterator[tuple[Key, list[float]]]:
        """What this process and its predecessors counted."""
        for key, place, width in _records(self.values, self._memory):
            yield key, list(self.values[place : place + width])

    def _make(self, key: Key, width: int) -> int | None:
        text = json.dumps(key, separators=(",", ":")).encode()
        text += b" " * (-len(text) % _WORD)
        begin = int(self.values[_NEXT])
        place = begin + 2 + len(text) // _WORD
        if not self._take((place + width) * _WORD):
            return None
        # What lies here is of a predecessor that died while it made this record.
        self.values[begin], self.values[begin + 1] = float(len(text)), float(width)
        self._memory[(begin + 2) * _WORD : place * _WORD] = text
        self._memory[place * _WORD : (place + width) * _WORD] = bytes(width * _WORD)
        self.values[_NEXT] = float(place + width)
        return place

    def _take(self, size_bytes: int) -> bool:
        """Have the file system keep room for so many bytes: touching memory that has none would end the process."""
        if size_bytes > FILE_MAX_BYTES:
            return False
        while self._file >= 0 and self._taken_bytes < size_bytes:
            try:
                os.posix_fallocate(self._file, self._taken_bytes, TAKEN_AT_ONCE_BYTES)
            except OSError:
                if not self._taken_bytes:
                    raise
                return False
            self._taken_bytes += TAKEN_AT_ONCE_BYTES
        return True


def read(path: str) -> Iterator[tuple[Key, list[float]]]:
    """The records of a file, while another process may add to them; none where it is not made yet."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if os.fstat(file).st_size < FILE_MAX_BYTES:
            return
        memory = mmap.mmap(file, FILE_MAX_BYTES, access=mmap.ACCESS_READ)
    finally:
        os.close(file)
    if memory[:_WORD] == MAGIC:
        values: memoryview[float] = memoryview(memory).cast("d")
        for key, place, width in _records(values, memory):
            yield key, list(values[place : place + width])


def _records(values: Sequence[float], memory: mmap.mmap) -> Iterator[tuple[Key, int, int]]:
    """Key, place and width of each."""
    begin, end = _FIRST, int(values[_NEXT])
    while begin < end:
        length, width = int(values[begin]), int(values[begin + 1])
        place = begin + 2 + length // _WORD
        yield tuple(json.loads(memory[(begin + 2) * _WORD : place * _WORD].decode())), place, width
        begin = place + width
