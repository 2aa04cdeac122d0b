"""Giving bytes up in a key-value store. layout.py says how a content is condemned across scopes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import merge
from itertools import islice

from app.domain.types import BlobRef, Garbage, GarbageKind, UploadState
from app.metadata.base import GARBAGE_SLICE_MAX
from app.metadata.kv import layout
from app.metadata.kv.contents import Contents, Verdict
from app.metadata.kv.keyspace import Conflict, Transaction
from app.metadata.kv.rows import (
    Age,
    load,
    load_content,
    load_hold,
    load_part,
    load_upload,
)

PARTS_SLICE = min(25, GARBAGE_SLICE_MAX)  # part, hold and slice row of each, and all in one commit (BATCH_MAX)


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of garbage. `home` is the bucket in whose scope its parts are, where it is about parts."""

    kind: GarbageKind
    ref: str
    age: Age
    home: int

    @property
    def id(self) -> int:
        return self.age[1]


class Sweeping(Contents):
    def garbage(self, before_ms: int, limit: int) -> Sequence[Garbage]:
        lists = [self._garbage_in(bucket_id, before_ms, limit) for bucket_id in self._scope_ids()]
        found = []
        for _, id_ in islice(merge(*lists), max(limit, 0)):
            piece = self._piece(id_)
            if piece is not None:
                found.append(Garbage(id_, piece.kind, piece.ref, piece.age[0]))
        return found

    def _garbage_in(self, bucket_id: int, before_ms: int, limit: int) -> list[Age]:
        tag = layout.GARBAGE_BY_AGE
        end = tag + layout.number(max(before_ms, 0))
        rows = self._keyspace.scan(layout.bucket_scope(bucket_id), tag, end, limit)
        return [(int.from_bytes(key[1:9], "big"), int.from_bytes(key[9:], "big")) for key, _ in rows]

    def _piece(self, garbage_id: int) -> Piece | None:
        bucket_id = layout.bucket_of(garbage_id)
        value = self._value(layout.bucket_scope(bucket_id), layout.GARBAGE + layout.number(garbage_id))
        if value is None:
            return None
        kind, ref, created_ms = load(value)
        home = bucket_id
        if kind in (GarbageKind.MANIFEST, GarbageKind.UNLISTED):
            home = self._content(layout.upload_content(ref)).home or bucket_id
        return Piece(GarbageKind(kind), ref, (created_ms, garbage_id), home)

    # -- one piece of garbage ------------------------------------------------------------------------------------

    def condemn(self, garbage_id: int, now_ms: int) -> Sequence[BlobRef]:
        piece = self._piece(garbage_id)
        if piece is None:
            return []
        if piece.kind is GarbageKind.BLOB:
            return self._condemn_blob(piece, now_ms)
        if piece.kind is GarbageKind.MANIFEST:
            verdict = self._condemn_content(layout.upload_content(piece.ref), piece.age, now_ms)
            if verdict is Verdict.IN_USE:
                self._done(piece)
                return []
        return self._condemn_parts(piece, now_ms)

    def _condemn_blob(self, piece: Piece, now_ms: int) -> list[BlobRef]:
        if self._condemn_content(layout.blob_content(piece.ref), piece.age, now_ms) is Verdict.CONDEMNED:
            return [BlobRef(piece.ref)]
        self._done(piece)
        return []

    def _condemn_parts(self, piece: Piece, now_ms: int) -> list[BlobRef]:
        """The slice that is under way; else the next one, cut from the parts that are left."""
        while True:
            blobs = self._slice(piece, now_ms)
            if blobs:
                return blobs
            upload_id = self._next_upload(piece, now_ms)
            if upload_id is None:
                self._done(piece)
                return []
            self._retried(partial(self._cut, piece, upload_id))

    def _slice(self, piece: Piece, now_ms: int) -> list[BlobRef]:
        scope, tag = layout.bucket_scope(piece.home), layout.SLICE + layout.number(piece.id)
        blobs: list[BlobRef] = []
        for key, _ in self._keyspace.scan(scope, tag, layout.behind(tag), GARBAGE_SLICE_MAX):
            ref = key[len(tag) :].decode()
            if self._condemn_content(layout.blob_content(ref), piece.age, now_ms) is Verdict.CONDEMNED:
                blobs.append(BlobRef(ref))
            else:
                self._let_go(piece, ref)
        return blobs

    def _next_upload(self, piece: Piece, now_ms: int) -> str | None:
        """The upload whose parts come next; None when none are left."""
        if piece.kind is not GarbageKind.BUCKET:
            return piece.ref if self._parts_left(piece, piece.ref, 1) else None
        scope = layout.bucket_scope(piece.home)
        for _, entry in self._under(scope, layout.OPEN_BY_KEY, page=PARTS_SLICE):
            upload_id = entry.value.decode()
            self._condemn_content(layout.upload_content(upload_id), piece.age, now_ms)
            if self._parts_left(piece, upload_id, 1):
                return upload_id
            self._remove_upload(piece.home, upload_id)
        return None

    def _parts_left(self, piece: Piece, upload_id: str, limit: int) -> list[tuple[bytes, bytes]]:
        """Up to `limit` parts that this garbage is about, as key and value."""
        scope = layout.bucket_scope(piece.home)
        rows: Iterator[tuple[bytes, bytes]] = (
            (key, entry.value)
            for key, entry in self._walk(scope, *layout.parts_between(upload_id, 1, layout.PART_NUMBER_MAX))
        )
        if piece.kind is GarbageKind.UNLISTED:
            listed = self._listed(piece)
            rows = (row for row in rows if load_part(row[1]).number not in listed)
        return list(islice(rows, limit))

    def _listed(self, piece: Piece) -> frozenset[int]:
        value = self._value(layout.bucket_scope(piece.home), layout.UPLOAD + piece.ref.encode())
        completed = load_upload(value, "").upload.completed if value else None
        runs = completed.runs if completed else ()
        return frozenset(n for run in runs for n in range(run.first_number, run.first_number + run.count))

    def _cut(self, piece: Piece, upload_id: str) -> None:
        """Turn the next parts into a slice: their rows go, and their blobs wait to be condemned one by one."""
        tx = self._in(layout.bucket_scope(piece.home))
        for key, value in self._parts_left(piece, upload_id, PARTS_SLICE):
            if tx.get(key) != value:
                raise Conflict
            tx.delete(key)
            content = layout.blob_content(load_part(value).blob)
            hold = load_hold(tx.get(layout.HOLD + content))
            garbage = hold.garbage
            if hold.count == 1:
                garbage = piece.age
                tx.put(layout.SLICE + layout.number(piece.id) + content[1:], b"")
            self._put_hold(tx, content, dataclasses.replace(hold, count=hold.count - 1, garbage=garbage))
        tx.commit()

    # -- what is done with ---------------------------------------------------------------------------------------

    def forget(self, garbage_id: int, blobs: Sequence[BlobRef]) -> None:
        piece = self._piece(garbage_id)
        if piece is None:
            return
        if piece.kind is GarbageKind.BLOB:
            if piece.ref in blobs:
                self._done(piece)
            return
        for blob in blobs:
            self._let_go(piece, blob)

    def _let_go(self, piece: Piece, ref: str) -> None:
        """A blob of a slice is deleted, or in use after all."""

        def attempt() -> None:
            tx = self._in(layout.bucket_scope(piece.home))
            self._leave_hold(tx, layout.blob_content(ref), piece.age)
            tx.delete(layout.SLICE + layout.number(piece.id) + ref.encode())
            tx.commit()

        self._retried(attempt)

    def _done(self, piece: Piece) -> None:
        """Drop the piece itself, and the upload that it was about, if that is gone altogether."""

        def attempt() -> None:
            tx = self._in(layout.bucket_scope(layout.bucket_of(piece.id)))
            self._drop_garbage(tx, piece.age)
            if piece.kind is GarbageKind.BLOB:
                self._leave_hold(tx, layout.blob_content(piece.ref), piece.age)
            if piece.kind is GarbageKind.MANIFEST:
                self._leave_hold(tx, layout.upload_content(piece.ref), piece.age)
            tx.commit()

        if piece.kind is GarbageKind.MANIFEST:
            content = self._content(layout.upload_content(piece.ref))
            if content.condemned_ms is not None:
                self._remove_upload(piece.home, piece.ref)
        self._retried(attempt)
        for bucket_id in {piece.home, layout.bucket_of(piece.id)}:
            self._retired(bucket_id)

    def _retired(self, bucket_id: int) -> None:
        self._retried(lambda: self._retire(bucket_id))

    def _leave_hold(self, tx: Transaction, content: bytes, age: Age) -> None:
        """This garbage no longer waits for the content; another piece, come since, may."""
        hold = load_hold(tx.get(layout.HOLD + content))
        if hold.garbage == age:
            self._put_hold(tx, content, dataclasses.replace(hold, garbage=None))

    def _remove_upload(self, bucket_id: int, upload_id: str) -> None:
        def attempt() -> None:
            tx = self._in(layout.bucket_scope(bucket_id))
            value = tx.get(layout.UPLOAD + upload_id.encode())
            if value is not None:
                upload = load_upload(value, "").upload
                tx.delete(layout.UPLOAD + upload_id.encode())
                if upload.state is UploadState.OPEN:
                    for index in layout.open_upload(upload.key, upload.created_ms, upload_id):
                        tx.delete(index)
                tx.commit()

        self._retried(attempt)

    # -- orphans -------------------------------------------------------------------------------------------------

    def condemn_orphans(self, blobs: Sequence[BlobRef], now_ms: int) -> Sequence[BlobRef]:
        return [
            blob
            for blob in self.unreferenced(blobs)
            if self._condemn_content(layout.blob_content(blob), None, now_ms) is Verdict.CONDEMNED
        ]

    def unreferenced(self, blobs: Sequence[BlobRef]) -> Sequence[BlobRef]:
        contents = [(blob, layout.blob_content(blob)) for blob in blobs]
        return [blob for blob, content in contents if not self._is_in_use(self._content(content), content, None)]

    def expire_condemned(self, before_ms: int, limit: int) -> int:
        count = 0
        for scope in layout.content_scopes():
            end = layout.CONDEMNED + layout.number(max(before_ms, 0))
            for key, _ in self._keyspace.scan(scope, layout.CONDEMNED, end, limit - count):
                self._retried(partial(self._expire, scope, key))
                count += 1
        return count

    def _expire(self, scope: bytes, key: bytes) -> None:
        content = key[9:]
        tx = self._in(scope)
        value = tx.get(content)
        for holder in load_content(value).holders if value else ():
            self._change_hold(holder, content, lambda hold: dataclasses.replace(hold, is_fenced=False))
        tx.delete(content)
        tx.delete(key)
        tx.commit()
