"""Multipart uploads in a key-value store. Upload and parts live in the scope of the bucket they were begun in."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import islice

from app.domain.errors import NoSuchUpload
from app.domain.types import Part, Upload, UploadState
from app.metadata.kv import layout
from app.metadata.kv.keyspace import Conflict, Transaction
from app.metadata.kv.plumbing import Plumbing
from app.metadata.kv.rows import (
    UploadRow,
    dump_part,
    dump_upload,
    load_bucket,
    load_content,
    load_hold,
    load_part,
    load_upload,
)


class Uploads(Plumbing):
    def create_upload(self, upload: Upload, op_id: str) -> None:
        def attempt() -> None:
            tx, row = self._change_in(upload.bucket)
            key = layout.UPLOAD + upload.upload_id.encode()
            if tx.get(key) is not None:
                return  # ids are made afresh for every request, so this is the same one once more
            self._register(layout.upload_content(upload.upload_id), row.bucket.id, home=row.bucket.id)
            tx.put(key, dump_upload(UploadRow(upload)))
            for index in layout.open_upload(upload.key, upload.created_ms, upload.upload_id):
                tx.put(index, upload.upload_id.encode())
            self._log(tx, row, op_id, "create_upload", upload.key)
            tx.commit()

        self._retried(attempt)

    def upload(self, bucket: str, key: str, upload_id: str) -> Upload:
        row, _ = self._read_bucket(bucket)
        value = self._value(layout.bucket_scope(row.bucket.id), layout.UPLOAD + upload_id.encode())
        found = load_upload(value, bucket) if value else None
        if found is None or found.is_aborted or found.upload.key != key:
            raise NoSuchUpload(UploadId=upload_id)
        if found.upload.state is UploadState.COMPLETED and not self._is_held(layout.upload_content(upload_id)):
            raise NoSuchUpload(UploadId=upload_id)
        return found.upload

    def _is_held(self, content: bytes) -> bool:
        """Whether a row of any bucket refers to a content now."""
        value = self._value(layout.content_scope(content), content)
        holders = load_content(value).holders if value else ()
        return any(
            load_hold(self._value(layout.bucket_scope(holder), layout.HOLD + content)).count for holder in holders
        )

    def put_part(self, bucket: str, key: str, upload_id: str, part: Part, op_id: str) -> None:
        def attempt() -> None:
            tx, row = self._change_in(bucket)
            upload = self._open_upload(tx, bucket, key, upload_id)
            place, content = layout.part(upload_id, part.number), layout.blob_content(part.blob)
            old = tx.get(place)
            self._register(content, row.bucket.id)
            counts = Counter({content: 1})
            if old is not None:
                counts[layout.blob_content(load_part(old).blob)] -= 1
            self._count(tx, row.bucket, counts, part.modified_ms)
            tx.put(place, dump_part(part))
            changed = dataclasses.replace(upload, revision=upload.revision + 1)
            tx.put(layout.UPLOAD + upload_id.encode(), dump_upload(UploadRow(changed)))
            self._log(tx, row, op_id, "put_part", key)
            tx.commit()

        self._retried(attempt)

    def _open_upload(self, tx: Transaction, bucket: str, key: str, upload_id: str) -> Upload:
        value = tx.get(layout.UPLOAD + upload_id.encode())
        row = load_upload(value, bucket) if value else None
        if row is None or row.is_aborted or row.upload.key != key or row.upload.state is not UploadState.OPEN:
            raise NoSuchUpload(UploadId=upload_id)
        return row.upload

    def parts(self, upload_id: str, first: int, last: int, limit: int) -> Sequence[Part]:
        content = layout.upload_content(upload_id)
        value = self._value(layout.content_scope(content), content)
        home = load_content(value).home if value else None
        if home is None:
            return []
        rows = self._keyspace.scan(layout.bucket_scope(home), *layout.parts_between(upload_id, first, last), limit)
        return [load_part(entry.value) for _, entry in rows]

    def abort_upload(self, bucket: str, key: str, upload_id: str, op_id: str, now_ms: int) -> None:
        def attempt() -> None:
            tx, row = self._change_in(bucket)
            upload = self._open_upload(tx, bucket, key, upload_id)
            tx.put(layout.UPLOAD + upload_id.encode(), dump_upload(UploadRow(upload, is_aborted=True)))
            for index in layout.open_upload(upload.key, upload.created_ms, upload_id):
                tx.delete(index)
            # As if the last object over these parts had gone: a hold of 0 with garbage.
            content = layout.upload_content(upload_id)
            hold = load_hold(tx.get(layout.HOLD + content))
            garbage = self._add_garbage(tx, row.bucket, "manifest", upload_id, now_ms)
            self._put_hold(tx, content, dataclasses.replace(hold, garbage=garbage))
            self._log(tx, row, op_id, "abort_upload", key)
            tx.commit()

        self._retried(attempt)

    def stale_uploads(self, before_ms: int, limit: int) -> Sequence[Upload]:
        lists = [self._stale_in(bucket_id, before_ms, limit) for bucket_id in self._scope_ids()]
        return [upload for *_, upload in islice(merge(*lists), max(limit, 0))]

    def _stale_in(self, bucket_id: int, before_ms: int, limit: int) -> list[tuple[int, int, str, Upload]]:
        scope = layout.bucket_scope(bucket_id)
        value = self._value(scope, layout.BUCKET)
        bucket = load_bucket(value) if value else None
        if bucket is None or bucket.is_deleted:
            return []
        found = []
        end = layout.OPEN_BY_AGE + layout.number(max(before_ms, 0))
        for _, entry in self._keyspace.scan(scope, layout.OPEN_BY_AGE, end, limit):
            value = self._value(scope, layout.UPLOAD + entry.value)
            row = load_upload(value, bucket.bucket.name) if value else None
            if row is not None and row.upload.state is UploadState.OPEN and not row.is_aborted:
                found.append((row.upload.created_ms, bucket_id, row.upload.upload_id, row.upload))
        return found

    def scan_parts(self, after: tuple[str, int], limit: int) -> Sequence[tuple[str, Part]]:
        return list(islice(self._all_parts(after, limit), max(limit, 0)))

    def _all_parts(self, after: tuple[str, int], limit: int) -> Iterator[tuple[str, Part]]:
        start = layout.upload_content(after[0])
        shards = [
            self._walk(scope, start, layout.behind(layout.UPLOAD), page=min(max(limit, 1), 1_000))
            for scope in layout.content_scopes()
        ]
        for content, entry in merge(*shards, key=lambda row: row[0]):
            upload_id, home = content[1:].decode(), load_content(entry.value).home
            if home is None:
                raise Conflict  # an upload's record is made with its home
            first = after[1] + 1 if upload_id == after[0] else 0
            between = layout.parts_between(upload_id, first, layout.PART_NUMBER_MAX)
            for _, row in self._walk(layout.bucket_scope(home), *between):
                yield upload_id, load_part(row.value)
