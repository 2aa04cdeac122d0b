"""Reading a version's bytes, wherever they are."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from app import runtime
from app.core.store import Store
from app.core.verified import read_whole
from app.domain import multipart
from app.domain.errors import BlobMissing, InternalError
from app.domain.types import BlobRef, Body, Checksum, FileSpan, Manifest, Part, Version
from app.storage.base import CHUNK_MAX_BYTES

PARTS_PAGE = 100  # part rows read ahead while a large object is sent


def open_content(store: Store, version: Version, start: int, length: int) -> Body:
    """The bytes [start, start + length) of a version, in chunks of at most CHUNK_MAX_BYTES where they are many.

    The first blob is opened before this returns, so that a missing one raises before any header is sent.
    Raises: BlobMissing.
    """
    content = version.content
    if content.is_inline:
        if content.inline is None:
            raise InternalError
        return content.inline[start : start + length]
    if length == 0:
        return b""
    if content.blob is not None:
        opened = _open_blob(store, content.blob, version.size_bytes, version.etag, version.checksum, start, length)
        return opened.body if isinstance(opened.body, bytes | FileSpan) else Chunks(opened, iter(()))
    if content.manifest is None:
        raise InternalError
    bodies = _part_bodies(store, content.manifest, start, length)
    return Chunks(next(bodies), bodies)


def chunks(body: Body) -> Chunks:
    """Any body in pieces of at most CHUNK_MAX_BYTES."""
    return Chunks(Opened(body), iter(()))


def close(body: Body) -> None:
    """Give back what a body holds; for whoever does not send it."""
    if isinstance(body, FileSpan):
        os.close(body.fd)
    elif not isinstance(body, bytes):
        close_iterator = getattr(body, "close", None)
        if close_iterator is not None:
            close_iterator()


class Opened(NamedTuple):
    """A body, and the threads in which its bytes are waited for."""

    body: Body
    threads: runtime.Threads = runtime.DISK


class Chunks:
    """One body after another as one iterator. Waiting for bytes happens in threads (I8)."""

    def __init__(self, first: Opened, rest: Iterator[Opened]) -> None:
        self._body, self._threads = first
        self._rest = rest
        self._offset = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        while True:
            chunk = self._chunk()
            if chunk:
                return chunk
            spent, self._body = self._body, b""
            close(spent)
            self._body, self._threads = next(self._rest)
            self._offset = 0

    def _chunk(self) -> bytes:
        body = self._body
        if isinstance(body, FileSpan):
            count = min(CHUNK_MAX_BYTES, body.length - self._offset)
            chunk: bytes = self._threads.offload(os.pread, body.fd, count, body.offset + self._offset) if count else b""
            if count and not chunk:
                raise InternalError("A blob is shorter than its row says.")
            self._offset += len(chunk)
            return chunk
        if isinstance(body, bytes):
            self._body = b""
            return body
        piece: bytes = self._threads.offload(next, body, b"")
        return piece

    def close(self) -> None:
        body, self._body = self._body, b""
        close(body)
        close_rest = getattr(self._rest, "close", None)
        if close_rest is not None:
            close_rest()


def _open_blob(
    store: Store, ref: BlobRef, size_bytes: int, etag: str, checksum: Checksum | None, start: int, length: int
) -> Opened:
    """Some bytes of a blob of which a row says the rest; whole, they are compared with that. Raises: BlobMissing."""
    storage = store.storage.holder(ref)
    body = None if storage.verifies_reads else storage.read_at_once(ref, start, length)
    if body is None and length == size_bytes:
        body = storage.threads.offload(read_whole, storage, ref, length, etag, checksum)
    elif body is None:
        body = storage.threads.offload(storage.read, ref, start, length)
    return Opened(body, storage.threads)


def _part_bodies(store: Store, manifest: Manifest, start: int, length: int) -> Iterator[Opened]:
    """One body per part that the range touches, opened when its turn comes.

    Rows of parts that Complete did not list may still lie between; only numbers of the manifest are asked for.
    """
    for stretch in multipart.locate(manifest.runs, start, length):
        skip_bytes, left_bytes = stretch.skip_bytes, stretch.length_bytes
        for part in _rows(store, manifest.upload_id, stretch.first_number, stretch.last_number):
            count = min(part.size_bytes - skip_bytes, left_bytes)
            yield _open_part(store, manifest.upload_id, part, skip_bytes, count)
            skip_bytes, left_bytes = 0, left_bytes - count


def _open_part(store: Store, upload_id: str, part: Part, start: int, length: int) -> Opened:
    """Raises: BlobMissing."""
    try:
        return _open_blob(store, part.blob, part.size_bytes, part.etag, part.checksum, start, length)
    except BlobMissing:
        # A part that was moved to another back end long since its row was read; the row says where it is now.
        now = store.metadata.parts(upload_id, part.number, part.number, 1)
        if not now or now[0].blob == part.blob:
            raise
        return _open_blob(store, now[0].blob, part.size_bytes, part.etag, part.checksum, start, length)


def _rows(store: Store, upload_id: str, first: int, last: int) -> Iterator[Part]:
    """Parts first to last, every one of them, read a page at a time. Raises: BlobMissing when a row is gone."""
    while first <= last:
        page = store.metadata.parts(upload_id, first, last, PARTS_PAGE)
        if not page:
            raise BlobMissing
        for part in page:
            if part.number != first:
                raise BlobMissing
            yield part
            first += 1


def part_rows(store: Store, manifest: Manifest, numbers: Sequence[int]) -> list[Part]:
    """The rows of some of a manifest's parts, ascending as `numbers` are."""
    if not numbers:
        return []
    wanted = set(numbers)
    rows: list[Part] = []
    first, last = numbers[0], numbers[-1]
    while first <= last:
        page = store.metadata.parts(manifest.upload_id, first, last, 1000)
        rows.extend(row for row in page if row.number in wanted)
        if len(page) < 1000:
            break
        first = page[-1].number + 1
    return rows
