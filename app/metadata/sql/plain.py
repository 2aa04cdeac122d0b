"""The short way through a transaction of what most writes are: objects without versions and without conditions.

It takes a publish of inline bytes or of a blob into a bucket whose versioning is not enabled, and a delete from one that
never had versions, where the key has no row or the current object with the id "null" and no other. Then there is
nothing to decide: the row that is there goes, the new one comes. Everything else is left to the mutation of the same
name in objects.py, whose plan statement is the truth; this does in these cases what it would do, in fewer and shorter
statements, whose values are bound by position. The transaction has begun, so that what is read here stays true.

No request has a savepoint here. All that can be refused is refused before anything is changed, and should a statement
break behind that, the writer does the whole group again on the long way.
"""

from __future__ import annotations

from typing import Any, Final

import apsw

from app.domain.types import NULL_VERSION, NewVersion, Published, Removal, Removed, Versioning
from app.metadata.sql.refusals import s3_error
from app.metadata.sql.schema import HIDDEN
from app.metadata.sql.usage import COUNT_PLAIN

Bound = tuple[Any, ...]

_BUCKET: Final = "SELECT id, versioning FROM buckets WHERE name = ?1"
# Whether the key has rows beside a current object, and that object.
_ROW: Final = f"""
SELECT EXISTS (SELECT 1 FROM versions WHERE bucket_id = ?1 AND key = ?2 AND {HIDDEN}),
row.sequence, row.version_id, row.modified_ms, row.is_inline, row.blob, row.upload_id, row.size_bytes
FROM (SELECT 1) LEFT JOIN versions AS row
ON row.bucket_id = ?1 AND row.key = ?2 AND row.is_current AND NOT row.is_marker
"""  # noqa: S608 - constants
_CONDEMNED: Final = "SELECT 1 FROM condemned WHERE blob = ?1"
_DROP_BYTES: Final = "DELETE FROM inline_data WHERE sequence = ?1"
_DROP_ROW: Final = "DELETE FROM versions WHERE sequence = ?1"
_GARBAGE: Final = "INSERT INTO garbage (id, kind, ref, created_ms) VALUES (?1, ?2, ?3, ?4)"
_INSERT: Final = """
INSERT INTO versions (sequence, bucket_id, modified_ms, key, owner_id, size_bytes, etag, is_inline, blob, attributes, tags,
acl, checksum_algorithm, checksum_value, checksum_type, version_id, is_current, is_marker)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, 'null', 1, 0)
"""
_INSERT_BYTES: Final = "INSERT INTO inline_data (sequence, bytes) VALUES (?1, ?2)"
_LOG: Final = "INSERT INTO changes (sequence, op_id, kind, bucket, key, version_id, committed_ms) VALUES (?1, ?2, ?3, ?4, ?5, 'null', ?6)"
_COUNT: Final = "UPDATE plan SET sequence = ?1"


class _Bucket:
    """A bucket of the transaction, and what the transaction adds to it: not yet in its row of `bucket_usage`."""

    __slots__ = ("id", "objects", "size_bytes", "versioning")

    def __init__(self, id_: int, versioning: Versioning) -> None:
        self.id = id_
        self.versioning = versioning
        self.objects = self.size_bytes = 0


class Lane:
    """The short way of one transaction. It counts sequences itself: `settle` writes the last one into the plan row."""

    def __init__(self, connection: apsw.Connection, sequence: int, now_ms: int, *, is_logging: bool) -> None:
        self._execute = connection.cursor().execute
        self._sequence = self._settled = sequence
        self._now_ms = now_ms
        self._is_logging = is_logging
        self._buckets: dict[str, _Bucket] = {}

    def settle(self) -> None:
        """Before COMMIT, and before a statement that reads the plan row."""
        if self._sequence != self._settled:
            self._execute(_COUNT, (self._sequence,))
            self._settled = self._sequence
            for bucket in self._buckets.values():
                if bucket.objects or bucket.size_bytes:
                    self._execute(COUNT_PLAIN, (bucket.id, bucket.objects, bucket.size_bytes))
                    bucket.objects = bucket.size_bytes = 0

    def resume(self, sequence: int | None, *, is_logging: bool) -> None:
        """After a mutation by its own statements, which has given out this sequence and may have changed a bucket."""
        if sequence is not None:
            self._sequence = self._settled = sequence
        self._is_logging = is_logging
        self._buckets.clear()

    def publish(self, new: NewVersion, columns: Bound, op_id: str) -> Published | Exception | None:
        """`columns`: those of the row that `new` decides. None: no case for this way, nothing was changed.

        Whatever it raises leaves the transaction in a state that must not be committed.
        """
        bucket = self._bucket(new.bucket)
        if bucket is None:
            return s3_error("no_such_bucket")
        bucket_id, versioning = bucket.id, bucket.versioning
        if versioning is Versioning.ENABLED:
            return None
        execute, key, content = self._execute, new.key, new.content
        has_hidden, doomed, version_id, modified_ms, is_inline, blob, upload_id, gone_bytes = execute(
            _ROW, (bucket_id, key)
        ).get
        if has_hidden or (doomed is not None and version_id != NULL_VERSION):
            return None
        if content.blob is not None and execute(_CONDEMNED, (content.blob,)).get is not None:
            return s3_error("blob_condemned")
        sequence = self._sequence + 1
        now_ms = new.created_ms
        if doomed is None:
            modified_ms = now_ms
            bucket.objects += 1
            bucket.size_bytes += new.size_bytes
        else:
            bucket.size_bytes += new.size_bytes - gone_bytes
            # A clock that goes back does not take a key back.
            modified_ms = max(now_ms, modified_ms)
            ref = blob or upload_id
            if ref is not None and ref != content.blob:
                execute(_GARBAGE, (sequence * 2, "manifest" if blob is None else "blob", ref, now_ms))
            self._drop(doomed, is_inline)
        execute(_INSERT, (sequence, bucket_id, modified_ms, *columns))
        if content.inline is not None:
            execute(_INSERT_BYTES, (sequence, content.inline))
        if self._is_logging:
            execute(_LOG, (sequence, op_id, "publish", new.bucket, key, self._now_ms))
        self._sequence = sequence
        return Published(NULL_VERSION, sequence, modified_ms, versioning)

    def remove(self, removal: Removal, op_id: str) -> Removed | Exception | None:
        """As `publish`."""
        bucket = self._bucket(removal.bucket)
        if bucket is None:
            return s3_error("no_such_bucket")
        bucket_id = bucket.id
        if bucket.versioning is not Versioning.UNVERSIONED:
            return None
        execute, key = self._execute, removal.key
        has_hidden, doomed, version_id, _, is_inline, blob, upload_id, gone_bytes = execute(_ROW, (bucket_id, key)).get
        if has_hidden or (doomed is not None and version_id != NULL_VERSION):
            return None
        if doomed is None:
            return _NOTHING_REMOVED
        sequence = self._sequence + 1
        ref = blob or upload_id
        if ref is not None:
            execute(_GARBAGE, (sequence * 2, "manifest" if blob is None else "blob", ref, removal.created_ms))
        self._drop(doomed, is_inline)
        bucket.objects -= 1
        bucket.size_bytes -= gone_bytes
        if self._is_logging:
            execute(_LOG, (sequence, op_id, "remove", removal.bucket, key, self._now_ms))
        self._sequence = sequence
        return _NULL_REMOVED

    def _bucket(self, name: str) -> _Bucket | None:
        bucket = self._buckets.get(name)
        if bucket is None:
            found = self._execute(_BUCKET, (name,)).get
            if found is not None:
                bucket = self._buckets[name] = _Bucket(found[0], Versioning(found[1]))
        return bucket

    def _drop(self, sequence: int, is_inline: int) -> None:
        if is_inline:
            # The bytes go with their last reference; whoever reads them has a snapshot (I4).
            self._execute(_DROP_BYTES, (sequence,))
        self._execute(_DROP_ROW, (sequence,))


_NOTHING_REMOVED: Final = Removed(Versioning.UNVERSIONED)
_NULL_REMOVED: Final = Removed(Versioning.UNVERSIONED, NULL_VERSION)
