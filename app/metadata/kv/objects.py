"""Versions in a key-value store: look-up, publish, change, remove."""

from __future__ import annotations

import dataclasses
from collections import Counter

from app.domain.errors import (
    ConditionalRequestConflict,
    MethodNotAllowed,
    NoSuchKey,
    NoSuchUpload,
    NoSuchVersion,
    SlowDown,
)
from app.domain.types import (
    NULL_VERSION,
    CompletedUpload,
    Completion,
    Condition,
    Content,
    Lookup,
    NewVersion,
    Published,
    Removal,
    Removed,
    UploadState,
    Version,
    VersionChange,
    Versioning,
)
from app.metadata.kv import layout
from app.metadata.kv.history import History, check_condition, content_of
from app.metadata.kv.keyspace import Transaction
from app.metadata.kv.plumbing import Plumbing
from app.metadata.kv.rows import UploadRow, dump_upload, load_upload

READS_MAX = 100  # of one look-up, while writers keep changing what it reads


class Objects(Plumbing):
    def look_up(self, bucket: str, key: str, version_id: str | None = None, *, inline: bool = False) -> Lookup:
        for _ in range(READS_MAX):
            row, entry = self._read_bucket(bucket)
            # Reads only: nothing is committed, so nothing is checked.
            history = History(self._in(layout.bucket_scope(row.bucket.id)), row, key)
            version = history.head if version_id is None else history.named(version_id)
            if version and inline and version.content.is_inline:
                body = history.tx.get(layout.INLINE + layout.number(version.sequence))
                if body is None:
                    continue  # replaced since its row was read
                version = version._replace(content=Content(is_inline=True, inline=body))
            # The bucket has not changed, so it and the row were true together at some moment in between.
            again = self._keyspace.get(history.tx.scope, layout.BUCKET)
            if again and again.token == entry.token:
                return Lookup(row.bucket, version)
        raise SlowDown

    # -- publish -------------------------------------------------------------------------------------------------

    def publish(self, new: NewVersion, condition: Condition | None, op_id: str) -> Published:
        return self._retried(lambda: self._publish(new, condition, op_id))

    def _publish(self, new: NewVersion, condition: Condition | None, op_id: str) -> Published:
        tx, row = self._change_in(new.bucket)
        history = History(tx, row, new.key)
        versioning = row.bucket.versioning
        is_enabled = versioning is Versioning.ENABLED
        upload = self._fenced_upload(tx, new, new.completes) if new.completes else None
        old = history.named(new.version_id if is_enabled else NULL_VERSION)
        if old is not None and is_enabled:
            # Ids are made afresh for every request, so this is the same one once more.
            return Published(old.version_id, old.sequence, old.modified_ms, versioning)
        check_condition(condition, history.head)
        version = self._version(new, history, new.version_id if is_enabled else NULL_VERSION)
        counts = Counter[bytes]()
        self._drop(history, old, counts)
        history.add(version, new.content.inline)
        self._refer(version.content, row.bucket.id, counts)
        self._count(tx, row.bucket, counts, new.created_ms)
        if upload and new.completes:
            self._close(tx, upload, new, version, versioning)
            if self._has_unlisted(tx, new):
                self._add_garbage(tx, row.bucket, "unlisted", new.completes.upload_id, new.created_ms)
        self._log(tx, row, op_id, "publish", new.key, version.version_id)
        tx.commit()
        return Published(version.version_id, version.sequence, version.modified_ms, versioning)

    def _version(self, new: NewVersion, history: History, version_id: str) -> Version:
        last = history.head
        return Version(
            new.bucket, new.key, version_id, self._sequence(history.row.bucket, last.sequence if last else 0), True,
            False, new.owner_id, max(new.created_ms, last.modified_ms if last else 0), new.size_bytes, new.etag,
            new.content._replace(inline=None),
            new.attributes, new.tags, new.acl, new.checksum,
        )  # fmt: skip

    def _refer(self, content: Content, bucket_id: int, counts: Counter[bytes]) -> None:
        """Count a reference, after registering the bucket with the content (layout.py). Raises: BlobCondemned."""
        id_ = content_of(content)
        if id_ is not None:
            self._register(id_, bucket_id)
            counts[id_] += 1

    def _drop(self, history: History, old: Version | None, counts: Counter[bytes]) -> None:
        if old is None:
            return
        history.drop(old)
        id_ = content_of(old.content)
        if id_ is not None:
            counts[id_] -= 1

    def _fenced_upload(self, tx: Transaction, new: NewVersion, completion: Completion) -> UploadRow:
        """The upload to complete, whose row the commit checks. Raises: NoSuchUpload, ConditionalRequestConflict."""
        value = tx.get(layout.UPLOAD + completion.upload_id.encode())
        row = load_upload(value, new.bucket) if value else None
        if row is None or row.is_aborted or row.upload.key != new.key or row.upload.state is not UploadState.OPEN:
            raise NoSuchUpload(UploadId=completion.upload_id)
        if row.upload.revision != completion.revision:
            raise ConditionalRequestConflict
        return row

    def _close(
        self, tx: Transaction, row: UploadRow, new: NewVersion, version: Version, versioning: Versioning
    ) -> None:
        upload, manifest = row.upload, new.content.manifest
        completed = CompletedUpload(
            new.etag, version.version_id, versioning, manifest.runs if manifest else (), new.checksum
        )
        upload = dataclasses.replace(upload, state=UploadState.COMPLETED, completed=completed)
        tx.put(layout.UPLOAD + upload.upload_id.encode(), dump_upload(UploadRow(upload)))
        for key in layout.open_upload(upload.key, upload.created_ms, upload.upload_id):
            tx.delete(key)

    def _has_unlisted(self, tx: Transaction, new: NewVersion) -> bool:
        """Whether there may be parts outside the manifest; the upload's row fences the part list meanwhile."""
        manifest = new.content.manifest
        if manifest is None:
            return True
        parts = tx.scan(*layout.parts_between(manifest.upload_id, 1, layout.PART_NUMBER_MAX), manifest.parts_count + 1)
        return len(parts) != manifest.parts_count

    # -- change and remove ---------------------------------------------------------------------------------------

    def update_version(
        self, bucket: str, key: str, version_id: str | None, change: VersionChange, op_id: str
    ) -> Version:
        def attempt() -> Version:
            tx, row = self._change_in(bucket)
            history = History(tx, row, key)
            version = history.object if version_id is None else history.named(version_id)
            if version is None:
                raise NoSuchVersion(Key=key, VersionId=version_id) if version_id else NoSuchKey(Key=key)
            if change.sequence not in (None, version.sequence):
                raise NoSuchVersion(Key=key, VersionId=version.version_id)
            if version.is_delete_marker:
                raise MethodNotAllowed
            changed = version._replace(
                tags=version.tags if change.tags is None else change.tags,
                acl=version.acl if change.acl is None else change.acl,
            )
            history.put(changed)
            self._log(tx, row, op_id, "update_version", key, changed.version_id)
            tx.commit()
            return changed

        return self._retried(attempt)

    def remove(self, removal: Removal, condition: Condition | None, op_id: str) -> Removed:
        return self._retried(lambda: self._remove(removal, condition, op_id))

    def _remove(self, removal: Removal, condition: Condition | None, op_id: str) -> Removed:
        tx, row = self._change_in(removal.bucket)
        history = History(tx, row, removal.key)
        versioning = row.bucket.versioning
        is_enabled = versioning is Versioning.ENABLED
        adds_marker = removal.version_id is None and versioning is not Versioning.UNVERSIONED
        if removal.version_id is not None:
            old = history.named(removal.version_id)
        else:
            old = history.named(removal.marker_id if is_enabled else NULL_VERSION)
            if old is not None and is_enabled:
                return Removed(versioning, old.version_id, True)  # the same request once more
        if condition is not None and condition != Condition():
            if history.object is None:
                raise NoSuchKey(Key=removal.key)
            check_condition(condition, history.head)
        if old is None and not adds_marker:
            return Removed(versioning)
        counts = Counter[bytes]()
        marker = self._marker(removal, history) if adds_marker else None
        self._drop(history, old, counts)
        if marker is not None:
            history.add(marker, None)
            old = marker
        self._count(tx, row.bucket, counts, removal.created_ms)
        assert old is not None
        self._log(tx, row, op_id, "remove", removal.key, old.version_id)
        tx.commit()
        return Removed(versioning, old.version_id, old.is_delete_marker)

    def _marker(self, removal: Removal, history: History) -> Version:
        bucket, last = history.row.bucket, history.head
        return Version(
            removal.bucket, removal.key,
            removal.marker_id if bucket.versioning is Versioning.ENABLED else NULL_VERSION,
            self._sequence(bucket, last.sequence if last else 0), True, True, removal.owner_id,
            max(removal.created_ms, last.modified_ms if last else 0),
        )  # fmt: skip
