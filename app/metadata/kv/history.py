"""All rows of one object key within a transaction (layout.py: c, m, v, i, q, d)."""

from __future__ import annotations

from app.domain.errors import NoSuchKey, PreconditionFailed
from app.domain.types import Condition, Content, Version
from app.metadata.kv import layout
from app.metadata.kv.keyspace import Conflict, Transaction
from app.metadata.kv.rows import BucketRow, dump, dump_version, load, load_version


class History:
    """`head` is the key's newest row, a delete marker included, and is checked by the commit with everything else read.

    Each change of which row is newest writes the head, so two changes of one key always meet there.
    """

    def __init__(self, tx: Transaction, row: BucketRow, key: str) -> None:
        self.tx = tx
        self.row = row
        self.key = key
        self._end = layout.ended(key)
        value = tx.get(layout.CURRENT + self._end) or tx.get(layout.MARKER + self._end)
        self.head = load_version(value, row.bucket.name, is_current=True) if value else None

    @property
    def object(self) -> Version | None:
        return self.head if self.head and not self.head.is_delete_marker else None

    def named(self, version_id: str) -> Version | None:
        value = self.tx.get(self._by_id(version_id))
        if value is None:
            return None
        sequence: int = load(value)
        if self.head and self.head.sequence == sequence:
            return self.head
        value = self.tx.get(self._by_sequence(sequence))
        return load_version(value, self.row.bucket.name, is_current=False) if value else None

    def add(self, version: Version, inline: bytes | None) -> None:
        """A new newest row."""
        sequence = layout.number(version.sequence)
        self.tx.put(self._by_sequence(version.sequence), dump_version(version))
        self.tx.put(self._by_id(version.version_id), dump(version.sequence))
        self.tx.put(layout.BY_SEQUENCE + sequence, self.key.encode())
        if inline is not None:
            self.tx.put(layout.INLINE + sequence, inline)
        self._set_head(version)

    def put(self, version: Version) -> None:
        """Change a row in place."""
        self.tx.put(self._by_sequence(version.sequence), dump_version(version))
        if version.is_current:
            self._set_head(version)

    def drop(self, version: Version) -> None:
        """Take a row away. Where it was the newest, the next one is put in its place."""
        sequence = layout.number(version.sequence)
        self.tx.delete(self._by_sequence(version.sequence))
        self.tx.delete(self._by_id(version.version_id))
        self.tx.delete(layout.BY_SEQUENCE + sequence)
        if version.content.is_inline:
            self.tx.delete(layout.INLINE + sequence)
        if self.head and version.sequence == self.head.sequence:
            self._set_head(self._next(version.sequence))

    def _next(self, sequence: int) -> Version | None:
        """The row that follows in age. None can come in between while the head stands; that it stays is checked."""
        start = self._by_sequence(sequence) + b"\x00"
        rows = self.tx.scan(start, layout.behind(layout.VERSION + self._end), 1)
        if not rows:
            return None
        value = self.tx.get(rows[0][0])
        if value is None:
            raise Conflict
        return load_version(value, self.row.bucket.name, is_current=True)

    def _set_head(self, version: Version | None) -> None:
        place = None if version is None else layout.MARKER if version.is_delete_marker else layout.CURRENT
        for tag in (layout.CURRENT, layout.MARKER):
            if version is not None and tag == place:
                self.tx.put(tag + self._end, dump_version(version))
            elif self.tx.get(tag + self._end) is not None:
                self.tx.delete(tag + self._end)
        self.head = version

    def _by_sequence(self, sequence: int) -> bytes:
        return layout.VERSION + self._end + layout.newest_first(sequence)

    def _by_id(self, version_id: str) -> bytes:
        return layout.BY_ID + self._end + version_id.encode()


def content_of(content: Content) -> bytes | None:
    """The shared content that a version refers to; None for inline bytes and delete markers."""
    if content.blob is not None:
        return layout.blob_content(content.blob)
    return layout.upload_content(content.manifest.upload_id) if content.manifest else None


def check_condition(condition: Condition | None, head: Version | None) -> None:
    """Raises: PreconditionFailed, NoSuchKey (`if_match` without a current object)."""
    if condition is None:
        return
    current = head if head and not head.is_delete_marker else None
    if current is None:
        if condition.if_match is not None:
            raise NoSuchKey
        if condition.if_match_size_bytes is not None or condition.if_match_modified_s is not None:
            raise PreconditionFailed
        return
    tags = condition.if_match
    holds = (
        not condition.if_none_match_any
        and (tags is None or "*" in tags or current.etag in tags)
        and condition.if_match_size_bytes in (None, current.size_bytes)
        and condition.if_match_modified_s in (None, current.modified_ms // 1000)
    )
    if not holds:
        raise PreconditionFailed
