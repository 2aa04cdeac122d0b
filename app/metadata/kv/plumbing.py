"""What all parts of the key-value store stand on: retries, the bucket of a request, sequences, holds, the outbox."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from random import random
from typing import TypeVar

from app.domain.errors import NoSuchBucket, SlowDown
from app.domain.types import Bucket
from app.metadata.base import BlobCondemned
from app.metadata.kv import layout
from app.metadata.kv.keyspace import Conflict, Entry, Keyspace, Transaction
from app.metadata.kv.rows import (
    Age,
    BucketRow,
    ContentRow,
    Hold,
    dump,
    dump_bucket,
    dump_content,
    dump_hold,
    load,
    load_bucket,
    load_content,
    load_hold,
)

ATTEMPTS_MAX = 100  # of one mutation, before the client is asked to slow down
PAUSE_MAX_S = 0.02  # between two attempts
SEQUENCE_BLOCK = 256
SCAN_PAGE = 1_000

T = TypeVar("T")


class Plumbing:
    """`clock_ms` stamps changes for the feed; nothing else here looks at a clock."""

    def __init__(
        self,
        keyspace: Keyspace,
        *,
        inline_max_bytes: int,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = keyspace.name
        self.shared = keyspace.shared
        self.inline_max_bytes = min(inline_max_bytes, keyspace.value_max_bytes)
        self._keyspace = keyspace
        self._clock_ms = clock_ms
        self._sleep = sleep
        self._blocks: dict[int, tuple[int, int]] = {}  # bucket id -> the sequences [next, end) reserved here
        self._blocks_lock = threading.Lock()

    # -- attempts ------------------------------------------------------------------------------------------------

    def _retried(self, attempt: Callable[[], T]) -> T:
        """Run an attempt until its commit meets no conflict. Raises: SlowDown after ATTEMPTS_MAX."""
        for count in range(ATTEMPTS_MAX):
            try:
                return attempt()
            except Conflict:
                self._sleep(min(PAUSE_MAX_S, 0.0005 * count) * random())
        raise SlowDown

    def _in(self, scope: bytes) -> Transaction:
        return Transaction(self._keyspace, scope)

    def _value(self, scope: bytes, key: bytes) -> bytes | None:
        entry = self._keyspace.get(scope, key)
        return entry.value if entry else None

    def _walk(self, scope: bytes, start: bytes, end: bytes, page: int = SCAN_PAGE) -> Iterator[tuple[bytes, Entry]]:
        """Every entry with start <= key < end, read page by page."""
        while True:
            rows = self._keyspace.scan(scope, start, end, page)
            yield from rows
            if len(rows) < page:
                return
            start = rows[-1][0] + b"\x00"

    def _under(self, scope: bytes, prefix: bytes, page: int = SCAN_PAGE) -> Iterator[tuple[bytes, Entry]]:
        return self._walk(scope, prefix, layout.behind(prefix), page)

    # -- buckets -------------------------------------------------------------------------------------------------

    def _bucket_id(self, name: str) -> int:
        value = self._value(layout.CATALOGUE, layout.NAME + name.encode())
        if value is None:
            raise NoSuchBucket(BucketName=name)
        id_: int = load(value)[0]
        return id_

    def _read_bucket(self, name: str) -> tuple[BucketRow, Entry]:
        """Raises: NoSuchBucket."""
        entry = self._keyspace.get(layout.bucket_scope(self._bucket_id(name)), layout.BUCKET)
        row = load_bucket(entry.value) if entry else None
        if entry is None or row is None or row.is_deleted:
            raise NoSuchBucket(BucketName=name)
        return row, entry

    def _change_in(self, name: str) -> tuple[Transaction, BucketRow]:
        """Begin a change in a bucket's scope; its commit holds only if the bucket is still as it was read.

        A fence that somebody put up to see whether the bucket is empty is lifted by this change.
        """
        tx = self._in(layout.bucket_scope(self._bucket_id(name)))
        value = tx.get(layout.BUCKET)
        row = load_bucket(value) if value else None
        if row is None or row.is_deleted:
            raise NoSuchBucket(BucketName=name)
        if row.is_fenced:
            row = dataclasses.replace(row, is_fenced=False)
            tx.put(layout.BUCKET, dump_bucket(row))
        return tx, row

    def _scope_ids(self) -> list[int]:
        """The ids of all buckets that hold something, deleted ones with garbage included; ascending."""
        rows = self._under(layout.CATALOGUE, layout.SCOPE)
        return [int.from_bytes(key[len(layout.SCOPE) :], "big") for key, _ in rows]

    # -- sequences -----------------------------------------------------------------------------------------------

    def _sequence(self, bucket: Bucket, above: int = 0) -> int:
        """A number never given before, greater than `above`; also the ids of garbage."""
        while True:
            with self._blocks_lock:
                next_, end = self._blocks.get(bucket.id, (0, 0))
                if above < next_ < end:
                    self._blocks[bucket.id] = (next_ + 1, end)
                    return next_
            # Not under the lock, for this may wait. A block that another's takes the place of is never used.
            block = self._reserve(bucket.id)
            with self._blocks_lock:
                self._blocks[bucket.id] = max(block, self._blocks.get(bucket.id, block))

    def _reserve(self, bucket_id: int) -> tuple[int, int]:
        def attempt() -> tuple[int, int]:
            tx = self._in(layout.bucket_scope(bucket_id))
            value = tx.get(layout.NEXT_SEQUENCE)
            first: int = load(value) if value else (bucket_id << layout.SEQUENCE_BITS) + 1
            tx.put(layout.NEXT_SEQUENCE, dump(first + SEQUENCE_BLOCK))
            tx.commit()
            return first, first + SEQUENCE_BLOCK

        return self._retried(attempt)

    # -- contents ------------------------------------------------------------------------------------------------

    def _register(self, content: bytes, bucket_id: int, *, home: int | None = None) -> None:
        """Enter a bucket in a content's record before it refers to it. Raises: BlobCondemned."""

        def attempt() -> None:
            tx = self._in(layout.content_scope(content))
            value = tx.get(content)
            if value is None and content.startswith(layout.UPLOAD) and home is None:
                raise BlobCondemned  # swept so long ago that even its record is gone
            row = load_content(value) if value else ContentRow(home=home)
            if row.condemned_ms is not None:
                raise BlobCondemned
            if bucket_id not in row.holders:
                tx.put(content, dump_content(dataclasses.replace(row, holders=(*row.holders, bucket_id))))
                tx.commit()

        self._retried(attempt)

    def _count(self, tx: Transaction, bucket: Bucket, deltas: Mapping[bytes, int], given_up_ms: int) -> None:
        """Change how many rows of this bucket refer to contents; the last one to go leaves garbage.

        Raises: BlobCondemned, where a content that is to be referred to is fenced.
        """
        for content, delta in deltas.items():
            hold = load_hold(tx.get(layout.HOLD + content))
            if hold.is_fenced and delta >= 0:
                raise BlobCondemned
            count = hold.count + delta
            assert count >= 0
            garbage = hold.garbage
            if count and garbage:
                self._drop_garbage(tx, garbage)
                garbage = None
            if not count and delta < 0:
                kind = "blob" if content.startswith(b"b") else "manifest"
                garbage = self._add_garbage(tx, bucket, kind, content[1:].decode(), given_up_ms)
            self._put_hold(tx, content, Hold(count, garbage, hold.is_fenced))

    def _put_hold(self, tx: Transaction, content: bytes, hold: Hold) -> None:
        if hold.is_empty:
            tx.delete(layout.HOLD + content)
        else:
            tx.put(layout.HOLD + content, dump_hold(hold))

    def _add_garbage(self, tx: Transaction, bucket: Bucket, kind: str, ref: str, created_ms: int) -> Age:
        id_ = self._sequence(bucket)
        tx.put(layout.GARBAGE + layout.number(id_), dump([kind, ref, created_ms]))
        tx.put(layout.GARBAGE_BY_AGE + layout.number(created_ms) + layout.number(id_), b"")
        return created_ms, id_

    def _drop_garbage(self, tx: Transaction, age: Age) -> None:
        created_ms, id_ = age
        tx.delete(layout.GARBAGE + layout.number(id_))
        tx.delete(layout.GARBAGE_BY_AGE + layout.number(created_ms) + layout.number(id_))

    # -- the outbox ----------------------------------------------------------------------------------------------

    def _log(self, tx: Transaction, row: BucketRow, op_id: str, kind: str, key: str = "", version_id: str = "") -> None:
        """Note the change in the bucket's outbox, while there is a consumer of the feed."""
        if not row.feeds:
            return
        value = tx.get(layout.OUTBOX_HEAD)
        head, last_ms = load(value) if value else (0, 0)
        # Never before the bucket's last one, whatever the clock did: the log sorts what it moves by this.
        now_ms = max(self._clock_ms(), last_ms)
        tx.put(layout.OUTBOX_HEAD, dump([head + 1, now_ms]))
        tx.put(layout.OUTBOX + layout.number(head + 1), dump([op_id, kind, row.bucket.name, key, version_id, now_ms]))
