"""Condemning one content, which may be held in many buckets, without a commit that spans them (layout.py)."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable

from app.metadata.kv import layout
from app.metadata.kv.feed import Feed
from app.metadata.kv.keyspace import Conflict
from app.metadata.kv.rows import Age, ContentRow, Hold, dump_content, load_content, load_hold


class Verdict(enum.Enum):
    CONDEMNED = enum.auto()
    IN_USE = enum.auto()  # a row refers to it, or younger garbage waits for it


class Contents(Feed):
    def _content(self, content: bytes) -> ContentRow:
        value = self._value(layout.content_scope(content), content)
        return load_content(value) if value else ContentRow()

    def _condemn_content(self, content: bytes, age: Age | None, now_ms: int) -> Verdict:
        """Give a content up unless it is in use, now or by the time it is done. Repeating it goes on where it was."""
        return self._retried(lambda: self._try_condemn(content, age, now_ms))

    def _try_condemn(self, content: bytes, age: Age | None, now_ms: int) -> Verdict:
        tx = self._in(layout.content_scope(content))
        value = tx.get(content)
        row = load_content(value) if value else ContentRow()
        if self._is_in_use(row, content, age):
            if row.condemned_ms is None:
                self._lift_fences(content, row)
            return Verdict.IN_USE
        if row.condemned_ms is not None:
            return Verdict.CONDEMNED
        for holder in row.holders:
            self._fence_off(holder, content, age)
        tx.put(content, dump_content(dataclasses.replace(row, condemned_ms=now_ms)))
        tx.put(layout.CONDEMNED + layout.number(now_ms) + content, b"")
        tx.commit()
        return Verdict.CONDEMNED

    def _is_in_use(self, row: ContentRow, content: bytes, age: Age | None) -> bool:
        return any(_is_used(self._hold(holder, content), age) for holder in row.holders)

    def _hold(self, bucket_id: int, content: bytes) -> Hold:
        return load_hold(self._value(layout.bucket_scope(bucket_id), layout.HOLD + content))

    def _fence_off(self, bucket_id: int, content: bytes, age: Age | None) -> None:
        tx = self._in(layout.bucket_scope(bucket_id))
        hold = load_hold(tx.get(layout.HOLD + content))
        if _is_used(hold, age):
            raise Conflict
        if not hold.is_fenced:
            self._put_hold(tx, content, dataclasses.replace(hold, is_fenced=True))
            tx.commit()

    def _lift_fences(self, content: bytes, row: ContentRow) -> None:
        """Take back what an attempt that met a row at last, or died, left behind."""
        fenced = [holder for holder in row.holders if self._hold(holder, content).is_fenced]
        if not fenced:
            return
        tx = self._in(layout.content_scope(content))
        value = tx.get(content)
        if value is None or load_content(value) != row:
            raise Conflict
        # Any attempt that trusts in these fences read the record before this and fails at its own commit.
        tx.put(content, dump_content(dataclasses.replace(row, epoch=row.epoch + 1)))
        tx.commit()
        for holder in fenced:
            self._change_hold(holder, content, lambda hold: dataclasses.replace(hold, is_fenced=False))

    def _change_hold(self, bucket_id: int, content: bytes, change: Callable[[Hold], Hold]) -> None:
        def attempt() -> None:
            tx = self._in(layout.bucket_scope(bucket_id))
            hold = load_hold(tx.get(layout.HOLD + content))
            self._put_hold(tx, content, change(hold))
            tx.commit()

        self._retried(attempt)


def _is_used(hold: Hold, age: Age | None) -> bool:
    """Whether rows refer, or garbage waits: for an orphan any, for a piece of garbage any younger than itself."""
    if hold.count or hold.garbage is None:
        return bool(hold.count)
    return age is None or hold.garbage > age
