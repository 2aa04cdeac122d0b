"""CopyObject: a new row over the same bytes, whatever their size, where both buckets are on one back end.

Between back ends the bytes are streamed into one blob of the destination's. UploadPartCopy always streams
(core/uploads.py).
"""

from __future__ import annotations

from app import runtime
from app.core import intake
from app.core.content import chunks, open_content
from app.core.objects import NewObject, Stored, publish
from app.core.store import COPY_MAX_BYTES, Store
from app.domain.digests import Digests
from app.domain.errors import InternalError, InvalidRequest
from app.domain.payload import Expected
from app.domain.types import Checksum, Condition, Content, Version
from app.storage.base import CHUNK_MAX_BYTES, ObjectStorage

PARTS_PAGE = 1_000


def copy_object(
    store: Store, new: NewObject, source: Version, condition: Condition | None, algorithm: str | None
) -> Stored:
    """Publish the source's content under another key: same ETag, same parts, same checksum.

    With another checksum `algorithm` the bytes are read once to compute it. `source` carries its inline bytes. What is
    streamed to another back end is one piece there, and its ETag the MD5 of it.
    Raises: InvalidRequest (over 5 GiB), InternalError (the source is not what its row says), and what
    `MetadataStore.publish` raises.
    """
    if source.size_bytes > COPY_MAX_BYTES:
        raise InvalidRequest(
            f"The specified copy source is larger than the maximum allowable size for a copy source: {COPY_MAX_BYTES}"
        )
    if store.placement is not None:
        storage = store.storage_for(new.bucket)
        if not _is_on(store, storage, source.content):
            return _stream(store, storage, new, source, condition, algorithm)
    checksum = source.checksum
    if algorithm is not None and (checksum is None or checksum.algorithm != algorithm):
        checksum = _compute(store, source, algorithm)
    published = publish(store, new, source.size_bytes, source.etag, source.content, checksum, condition, is_fresh=False)
    return Stored(published, source.etag, source.size_bytes, checksum)


def _is_on(store: Store, storage: ObjectStorage, content: Content) -> bool:
    """Whether all bytes are on a back end, or in the row. While a bucket is moved, its parts may be on several."""
    holder = store.storage.holder
    if content.manifest is None:
        return content.blob is None or holder(content.blob) is storage
    for run in content.manifest.runs:
        first, end = run.first_number, run.first_number + run.count
        while first < end:
            page = store.metadata.parts(content.manifest.upload_id, first, end - 1, PARTS_PAGE)
            if not page or any(holder(part.blob) is not storage for part in page):
                return False
            first = page[-1].number + 1
    return True


def _stream(
    store: Store,
    storage: ObjectStorage,
    new: NewObject,
    source: Version,
    condition: Condition | None,
    algorithm: str | None,
) -> Stored:
    """The source's bytes as an object of their own."""
    payload = SourcePayload(store, source, 0, source.size_bytes)
    try:
        received = intake.take_in(
            store,
            storage,
            payload,
            max_bytes=COPY_MAX_BYTES,
            inline_max_bytes=store.limits.inline_max_bytes,
            algorithm=algorithm or source.checksum_algorithm,
        )
    finally:
        payload.close()
    etag, checksum = received.md5_hex, received.checksum
    was = source.checksum
    is_other = was is not None and (was.algorithm, was.type) == (checksum.algorithm, checksum.type) and was != checksum
    is_other = is_other or (source.content.blob is not None and source.etag != etag)
    if is_other or received.size_bytes != source.size_bytes:
        intake.give_up(store, received.content.blob)
        raise InternalError("The bytes of the copy source are not those that were stored.")
    published = publish(store, new, received.size_bytes, etag, received.content, checksum, condition)
    return Stored(published, etag, received.size_bytes, checksum)


def _compute(store: Store, version: Version, algorithm: str) -> Checksum:
    digests = Digests((algorithm,), sha256=False)
    payload = SourcePayload(store, version, 0, version.size_bytes)
    try:
        while piece := payload.receive(CHUNK_MAX_BYTES):
            runtime.offload(digests.update, piece)
    finally:
        payload.close()
    return Checksum(algorithm, digests.checksum(algorithm))


class SourcePayload:
    """A range of a stored version as the body of a new part. Whoever makes it closes it."""

    def __init__(self, store: Store, version: Version, start: int, length: int) -> None:
        self.size_bytes: int | None = length
        self.expected = Expected()
        self.is_held_back = self.is_ended = self.is_whole = False
        self._chunks = chunks(open_content(store, version, start, length))
        self._chunk = memoryview(b"")

    def receive(self, max_bytes: int) -> bytes:
        return next(self._chunks, b"")

    def wait(self) -> bool:
        if not self._chunk:
            self._chunk = memoryview(self.receive(CHUNK_MAX_BYTES))
            self.is_ended = not self._chunk
        return not self.is_ended

    def read_into(self, room: memoryview) -> int | None:
        chunk = self._chunk[: len(room)]
        room[: len(chunk)] = chunk
        self._chunk = self._chunk[len(chunk) :]
        return len(chunk) or None

    def decode(self, received: bytes) -> bytes:
        return received

    def finish(self) -> dict[str, str]:
        return {}

    def close(self) -> None:
        self._chunks.close()


def described_as(new: NewObject, source: Version, *, attributes: bool, tags: bool) -> NewObject:
    """The new object with the source's attributes or tags where the directive is COPY."""
    if attributes:
        own = new.attributes
        kept = source.attributes._replace(storage_class=own.storage_class, website_redirect=own.website_redirect)
        new = new._replace(attributes=kept)
    return new._replace(tags=source.tags) if tags else new
