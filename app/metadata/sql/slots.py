"""Generations of keys and buckets, in a file that every process with the database maps: what makes a cache never stale.

    <database>.slots    SLOTS native 64-bit numbers; a key's slot is its hash

Whoever has the turn to write makes the slots of what it changes odd before COMMIT, and the next even number after it. A
cached read counts only while its slots are even and what they were *before* the read. So a change that was acknowledged
has moved every slot it concerns, and one that is being committed sends everybody to the database. A writer that dies in
between leaves odd slots behind: there reads go to the database until the next write.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable
from typing import Final
from zlib import crc32

from app.metadata.sql.mutation import Mutation, Params

SLOTS: Final = 65_536
_MASK: Final = SLOTS - 1
_BYTES: Final = 8  # of one slot

# What a change of this kind may alter of that which `look_up` and `bucket` find. Kinds that are not here alter nothing.
KINDS_OF_KEYS: Final = frozenset({"publish", "remove", "update_version"})
KINDS_OF_BUCKETS: Final = frozenset({"create_bucket", "delete_bucket", "set_versioning", "put_document"})


class Slots:
    """One process's map. Made after fork; `close` at its end."""

    def __init__(self, path: str) -> None:
        """Raises: OSError, where there is no such directory or no room on the disk."""
        self._map = _map(f"{path}.slots")
        self.values = memoryview(self._map).cast("q")

    def begin(self, slots: Iterable[int]) -> None:
        """Before COMMIT, by whoever has the turn to write."""
        values = self.values
        for slot in slots:
            values[slot] |= 1

    def end(self, slots: Iterable[int]) -> None:
        """After it, whether it was done or undone; not where nobody knows."""
        values = self.values
        for slot in slots:
            values[slot] = (values[slot] | 1) + 1

    def close(self) -> None:
        self.values.release()
        self._map.close()


def slot_of_bucket(bucket: str) -> int:
    return crc32(bucket.encode("utf-8", "surrogatepass")) & _MASK


def slot_of_key(bucket: str, key: str) -> int:
    return crc32(f"{bucket}\0{key}".encode("utf-8", "surrogatepass")) & _MASK


def slot_of(mutation: Mutation, params: Params) -> int | None:
    """The slot that a mutation moves; None for one that alters nothing of what is cached."""
    if mutation.kind in KINDS_OF_KEYS:
        return slot_of_key(str(params["bucket"]), str(params["key"]))
    if mutation.kind in KINDS_OF_BUCKETS:
        return slot_of_bucket(str(params["bucket"]))
    return None


def _map(path: str) -> mmap.mmap:
    size_bytes = SLOTS * _BYTES
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(fd).st_blocks * 512 < size_bytes:
            # A page for which a full disk has no room would be a SIGBUS.
            os.posix_fallocate(fd, 0, size_bytes)
        return mmap.mmap(fd, size_bytes)
    finally:
        os.close(fd)
