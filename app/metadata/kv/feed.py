"""The change feed of a key-value store: outboxes of buckets, moved into one log (layout.py says why and how)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from heapq import merge
from typing import Any

from app.domain.types import Change
from app.metadata.base import CHANGES_PAGE_MAX
from app.metadata.kv import layout
from app.metadata.kv.keyspace import Transaction
from app.metadata.kv.plumbing import Plumbing
from app.metadata.kv.rows import FeedRow, dump, dump_bucket, dump_feed, load, load_bucket, load_feed

MOVE_MAX = 40  # changes moved, or trimmed, in one commit
ROUNDS_MAX = 1_000  # of moving or trimming in one call


class Feed(Plumbing):
    def register_consumer(self, name: str) -> int:
        self._collect()

        def attempt() -> int:
            tx = self._in(layout.CATALOGUE)
            feed = load_feed(tx.get(layout.FEED))
            if name not in feed.consumers:
                feed = dataclasses.replace(feed, consumers={**feed.consumers, name: feed.head})
                tx.put(layout.FEED, dump_feed(feed))
                tx.commit()
            return feed.consumers[name]

        mark = self._retried(attempt)
        self._tell_buckets()
        return mark

    def unregister_consumer(self, name: str) -> None:
        def attempt() -> None:
            tx = self._in(layout.CATALOGUE)
            feed = load_feed(tx.get(layout.FEED))
            consumers = {other: mark for other, mark in feed.consumers.items() if other != name}
            tx.put(layout.FEED, dump_feed(dataclasses.replace(feed, consumers=consumers)))
            tx.commit()

        self._retried(attempt)
        self._tell_buckets()
        self._collect()
        self._trim()

    def changes(self, after_sequence: int, limit: int) -> Sequence[Change]:
        self._collect()
        start = layout.LOG + layout.number(after_sequence + 1)
        end = layout.behind(layout.LOG)
        rows = self._keyspace.scan(layout.CATALOGUE, start, end, min(limit, CHANGES_PAGE_MAX))
        return [Change(int.from_bytes(key[1:], "big"), *load(entry.value)) for key, entry in rows]

    def acknowledge(self, consumer: str, sequence: int) -> None:
        def attempt() -> None:
            tx = self._in(layout.CATALOGUE)
            feed = load_feed(tx.get(layout.FEED))
            mark = feed.consumers.get(consumer)
            if mark is not None and mark < sequence:
                consumers = {**feed.consumers, consumer: min(sequence, feed.head)}
                tx.put(layout.FEED, dump_feed(dataclasses.replace(feed, consumers=consumers)))
                tx.commit()

        self._retried(attempt)
        self._trim()

    def _tell_buckets(self) -> None:
        """Set in every bucket whether changes are kept. A commit under way read its record before this and conflicts."""

        def attempt(bucket_id: int) -> None:
            tx = self._in(layout.bucket_scope(bucket_id))
            value = tx.get(layout.BUCKET)
            row = load_bucket(value) if value else None
            feeds = self._has_consumers()
            if row is not None and row.feeds != feeds:
                tx.put(layout.BUCKET, dump_bucket(dataclasses.replace(row, feeds=feeds)))
                tx.commit()

        for bucket_id in self._scope_ids():
            self._retried(partial(attempt, bucket_id))

    def _has_consumers(self) -> bool:
        return bool(load_feed(self._value(layout.CATALOGUE, layout.FEED)).consumers)

    # -- from the outboxes to the log ----------------------------------------------------------------------------

    def _collect(self) -> None:
        """Move everything that the buckets' outboxes hold into the log; without a consumer, throw it away."""
        for _ in range(ROUNDS_MAX):
            boxes = {}
            for bucket_id in self._scope_ids():
                rows = self._keyspace.scan(
                    layout.bucket_scope(bucket_id), layout.OUTBOX, layout.behind(layout.OUTBOX), MOVE_MAX
                )
                if rows:
                    boxes[bucket_id] = [(int.from_bytes(key[1:], "big"), load(entry.value)) for key, entry in rows]
            if not boxes:
                return
            self._retried(partial(self._move, boxes))

    def _move(self, boxes: dict[int, list[tuple[int, list[Any]]]]) -> None:
        tx = self._in(layout.CATALOGUE)
        feed = load_feed(tx.get(layout.FEED))
        boxes = dict(list(boxes.items())[:MOVE_MAX])
        lists = [[(change[-1], id_, number, change) for number, change in rows] for id_, rows in boxes.items()]
        oldest = [item[1:] for item in merge(*lists)][:MOVE_MAX]
        moved: dict[int, int] = {}
        news: list[list[Any]] = []
        for bucket_id, number, change in oldest:
            if bucket_id not in moved:
                value = tx.get(layout.CURSOR + layout.number(bucket_id))
                moved[bucket_id] = load(value) if value else 0
            if number > moved[bucket_id]:  # else it was moved by somebody who did not get to removing it
                moved[bucket_id] = number
                news.append(change)
        if news and feed.consumers:
            for bucket_id, number in moved.items():
                tx.put(layout.CURSOR + layout.number(bucket_id), dump(number))
            self._append(tx, feed, news)
            tx.commit()
        for bucket_id in moved:
            outbox = self._in(layout.bucket_scope(bucket_id))
            for id_, number, _ in oldest:
                if id_ == bucket_id:
                    outbox.delete(layout.OUTBOX + layout.number(number))
            outbox.commit()
            self._retire(bucket_id)

    def _append(self, tx: Transaction, feed: FeedRow, changes: Sequence[Sequence[Any]]) -> None:
        for number, (op_id, kind, bucket, key, version_id, now_ms) in enumerate(changes, feed.head + 1):
            tx.put(layout.LOG + layout.number(number), dump([op_id, kind, bucket, key, version_id, now_ms]))
        tx.put(layout.FEED, dump_feed(dataclasses.replace(feed, head=feed.head + len(changes))))

    def _trim(self) -> None:
        """Drop what every consumer has passed."""

        def attempt() -> bool:
            tx = self._in(layout.CATALOGUE)
            feed = load_feed(tx.get(layout.FEED))
            passed = min(feed.consumers.values(), default=feed.head)
            last = min(passed, feed.first + MOVE_MAX - 1)
            for number in range(feed.first, last + 1):
                tx.delete(layout.LOG + layout.number(number))
            if last >= feed.first:
                tx.put(layout.FEED, dump_feed(dataclasses.replace(feed, first=last + 1)))
                tx.commit()
            return last < passed

        for _ in range(ROUNDS_MAX):
            if not self._retried(attempt):
                return

    # -- scopes that are no longer needed ------------------------------------------------------------------------

    def _retire(self, bucket_id: int) -> None:
        """Let go of a deleted bucket's scope when neither garbage, uploads nor unread changes are left in it."""
        tx = self._in(layout.bucket_scope(bucket_id))
        value = tx.get(layout.BUCKET)
        if value is None or not load_bucket(value).is_deleted:
            return
        for tag in (layout.UPLOAD, layout.GARBAGE, layout.SLICE, layout.OUTBOX):
            if tx.scan(tag, layout.behind(tag), 1):
                return
        for key in (layout.BUCKET, layout.NEXT_SEQUENCE, layout.OUTBOX_HEAD):
            tx.delete(key)
        tx.commit()
        self._forget_scope(bucket_id)

    def _forget_scope(self, bucket_id: int) -> None:
        tx = self._in(layout.CATALOGUE)
        tx.delete(layout.SCOPE + layout.number(bucket_id))
        tx.delete(layout.CURSOR + layout.number(bucket_id))
        tx.commit()
        self._blocks.pop(bucket_id, None)
