"""A sorted collection of keys that stays quick to change when it is large: a list of short sorted lists."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator

CHUNK_MAX = 1_024


class SortedKeys:
    def __init__(self) -> None:
        self._chunks: list[list[bytes]] = []
        self._firsts: list[bytes] = []  # the first key of each chunk

    def add(self, key: bytes) -> None:
        """`key` is not there yet."""
        if not self._chunks:
            self._chunks.append([key])
            self._firsts.append(key)
            return
        index = max(bisect_right(self._firsts, key) - 1, 0)
        chunk = self._chunks[index]
        insort(chunk, key)
        self._firsts[index] = chunk[0]
        if len(chunk) > CHUNK_MAX:
            half = len(chunk) // 2
            self._chunks[index : index + 1] = [chunk[:half], chunk[half:]]
            self._firsts.insert(index + 1, chunk[half])

    def remove(self, key: bytes) -> None:
        """`key` is there."""
        index = bisect_right(self._firsts, key) - 1
        chunk = self._chunks[index]
        del chunk[bisect_left(chunk, key)]
        if chunk:
            self._firsts[index] = chunk[0]
        else:
            del self._chunks[index], self._firsts[index]

    def from_(self, start: bytes) -> Iterator[bytes]:
        """Keys >= start, ascending. Not to be changed meanwhile."""
        index = max(bisect_right(self._firsts, start) - 1, 0)
        for chunk in self._chunks[index : index + 1]:
            yield from chunk[bisect_left(chunk, start) :]
        for position in range(index + 1, len(self._chunks)):
            yield from self._chunks[position]
