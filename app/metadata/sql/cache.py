"""What point reads found, as long as nobody has changed it: buckets, and current versions with small objects' bytes.

Bounded in bytes, the least recently used goes first. An entry holds the slots it depends on with their values from before
the read (app.metadata.sql.slots); it is used only while these are what they were.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from app.domain.types import Bucket, Lookup
from app.metadata.sql.slots import Slots, slot_of_bucket, slot_of_key

ENTRY_BYTES: Final = 2_048  # of an entry beside the object's bytes, about
BUCKETS_MAX: Final = 1_024
SHARE_MAX: Final = 16  # no entry takes more than this part of the cache


class _Entry(NamedTuple):
    lookup: Lookup
    is_whole: bool
    key_slot: int
    key_generation: int
    bucket_slot: int
    bucket_generation: int


class Stamp(NamedTuple):
    """The slots of a read that is about to begin."""

    key_slot: int
    key_generation: int
    bucket_slot: int
    bucket_generation: int


class PointCache:
    """One process's, used in one thread."""

    def __init__(self, slots: Slots, max_bytes: int) -> None:
        self._values = slots.values
        self._max_bytes = max_bytes
        self._entries: OrderedDict[tuple[str, str], _Entry] = OrderedDict()
        self._buckets: OrderedDict[str, tuple[Bucket, int, int]] = OrderedDict()
        self.size_bytes = 0

    def get(self, bucket: str, key: str, *, inline: bool) -> Lookup | None:
        """What a read now would find; None where only the database knows."""
        found = self._entries.get((bucket, key))
        if found is None:
            return None
        lookup, is_whole, key_slot, key_generation, bucket_slot, bucket_generation = found
        values = self._values
        if values[key_slot] != key_generation or values[bucket_slot] != bucket_generation:
            self._drop(bucket, key)
            return None
        if inline and not is_whole:
            return None
        self._entries.move_to_end((bucket, key))
        return lookup

    def stamp(self, bucket: str, key: str) -> Stamp:
        """Before a read. What it finds may be kept with this."""
        key_slot, bucket_slot = slot_of_key(bucket, key), slot_of_bucket(bucket)
        return Stamp(key_slot, self._values[key_slot], bucket_slot, self._values[bucket_slot])

    def keep(self, bucket: str, key: str, lookup: Lookup, stamp: Stamp, *, inline: bool) -> None:
        """Keep what was read after `stamp` was taken, unless somebody was writing then."""
        if lookup.version is None or (stamp.key_generation | stamp.bucket_generation) & 1:
            return
        size_bytes = _size_of(lookup)
        if size_bytes * SHARE_MAX > self._max_bytes:
            return
        self._drop(bucket, key)
        is_whole = inline or not lookup.version.content.is_inline
        self._entries[bucket, key] = _Entry(lookup, is_whole, *stamp)
        self.size_bytes += size_bytes
        while self.size_bytes > self._max_bytes:
            _, oldest = self._entries.popitem(last=False)
            self.size_bytes -= _size_of(oldest.lookup)

    def get_bucket(self, name: str) -> Bucket | None:
        found = self._buckets.get(name)
        if found is None:
            return None
        bucket, slot, generation = found
        if self._values[slot] == generation:
            return bucket
        del self._buckets[name]
        return None

    def stamp_bucket(self, name: str) -> tuple[int, int]:
        slot = slot_of_bucket(name)
        return slot, self._values[slot]

    def keep_bucket(self, bucket: Bucket, stamp: tuple[int, int]) -> None:
        slot, generation = stamp
        if generation & 1:
            return
        self._buckets[bucket.name] = (bucket, slot, generation)
        if len(self._buckets) > BUCKETS_MAX:
            self._buckets.popitem(last=False)

    def _drop(self, bucket: str, key: str) -> None:
        dropped = self._entries.pop((bucket, key), None)
        if dropped is not None:
            self.size_bytes -= _size_of(dropped.lookup)


def _size_of(lookup: Lookup) -> int:
    version = lookup.version
    inline = None if version is None else version.content.inline
    return ENTRY_BYTES + (0 if inline is None else len(inline))
