"""A row's blob replaced by a copy of it that lies elsewhere, in a key-value store."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from functools import partial

from app.domain.errors import NoSuchBucket
from app.domain.types import BlobRef, Part, UploadState, Version
from app.metadata.kv import layout
from app.metadata.kv.history import History
from app.metadata.kv.keyspace import Transaction
from app.metadata.kv.plumbing import Plumbing
from app.metadata.kv.rows import dump, dump_part, load, load_bucket, load_content, load_part, load_upload


class Moving(Plumbing):
    def remember_backend(self, name: str) -> None:
        def attempt() -> None:
            tx = self._in(layout.CATALOGUE)
            value = tx.get(layout.BACKENDS)
            names = set(load(value) if value else ())
            if name not in names:
                tx.put(layout.BACKENDS, dump(sorted({*names, name})))
                tx.commit()

        self._retried(attempt)

    def backends(self) -> Sequence[str]:
        value = self._value(layout.CATALOGUE, layout.BACKENDS)
        names: list[str] = load(value) if value else []
        return names

    def move_blob(self, version: Version, new: BlobRef, now_ms: int) -> bool:
        return self._retried(partial(self._move_blob, version, new, now_ms))

    def _move_blob(self, version: Version, new: BlobRef, now_ms: int) -> bool:
        try:
            tx, row = self._change_in(version.bucket)
        except NoSuchBucket:
            return False
        history = History(tx, row, version.key)
        there = history.named(version.version_id)
        old = version.content.blob
        if there is None or there.sequence != version.sequence or old is None:
            return False
        if there.content.blob != old:
            return there.content.blob == new
        if old == new:
            return True
        counts = self._exchange(old, new, row.bucket.id)
        self._count(tx, row.bucket, counts, now_ms)
        history.put(there._replace(content=there.content._replace(blob=new)))
        tx.commit()
        return True

    def move_part(self, upload_id: str, part: Part, new: BlobRef, now_ms: int) -> bool:
        content = layout.upload_content(upload_id)
        value = self._value(layout.content_scope(content), content)
        home = load_content(value).home if value else None
        return home is not None and self._retried(partial(self._move_part, home, upload_id, part, new, now_ms))

    def _move_part(self, home: int, upload_id: str, part: Part, new: BlobRef, now_ms: int) -> bool:
        tx = self._in(layout.bucket_scope(home))
        value = tx.get(layout.BUCKET)
        if value is None:
            return False
        row = load_bucket(value)
        # With parts of the upload in it, the scope of a deleted bucket lives on; versions elsewhere may have them.
        if not self._has_parts(tx, upload_id, is_deleted=row.is_deleted):
            return False
        place = layout.part(upload_id, part.number)
        value = tx.get(place)
        there = load_part(value) if value else None
        if there is None or there.blob != part.blob:
            return there is not None and there.blob == new
        if part.blob == new:
            return True
        self._count(tx, row.bucket, self._exchange(part.blob, new, home), now_ms)
        tx.put(place, dump_part(dataclasses.replace(there, blob=new)))
        tx.commit()
        return True

    def _has_parts(self, tx: Transaction, upload_id: str, *, is_deleted: bool) -> bool:
        """Whether an upload's parts are anybody's: its row is checked by the commit, and an abort writes it."""
        value = tx.get(layout.UPLOAD + upload_id.encode())
        upload = load_upload(value, "") if value else None
        if upload is None or upload.is_aborted:
            return False
        return upload.upload.state is UploadState.COMPLETED or not is_deleted

    def _exchange(self, old: BlobRef, new: BlobRef, bucket_id: int) -> Counter[bytes]:
        """Raises: BlobCondemned."""
        content = layout.blob_content(new)
        self._register(content, bucket_id)
        return Counter({content: 1, layout.blob_content(old): -1})
