"""A small store with a clock that tests hold: real bytes, real rows, nothing that waits."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence

from app.core.store import Limits, Store
from app.domain.digests import checksum_of, multipart_etag
from app.domain.multipart import runs_of
from app.domain.types import (
    BlobRef,
    Checksum,
    Completion,
    Content,
    Manifest,
    NewBucket,
    NewVersion,
    Part,
    Published,
    Removal,
    Upload,
    Version,
)
from app.metadata.base import MetadataStore
from app.metadata.kv.memory import MemoryStore
from app.storage.base import ObjectStorage
from app.storage.memory import MemoryStorage
from tests.contract.storage_contract import FAR_FUTURE_MS, put, read_all

OWNER = "a" * 64
BUCKET = "bucket"
ALL_PARTS = (1, 10_000, 10_000)
START_MS = 1_800_000_000_000  # years after any file that a test makes: only its own clock makes something old


class World:
    """In memory unless engines are given: the metadata open and empty. Whoever gives them closes them."""

    def __init__(self, metadata: MetadataStore | None = None, storage: ObjectStorage | None = None) -> None:
        self.clock_ms = START_MS
        self.storage = storage or MemoryStorage(now_ms=self.now_ms)
        self.metadata = metadata or MemoryStore()
        self.storage.open()
        self.store = Store(self.metadata, self.storage, self.now_ms, Limits())
        self._numbers = itertools.count(1)
        self.metadata.create_bucket(NewBucket(BUCKET, OWNER, "us-east-1", self.clock_ms), self.op())

    def now_ms(self) -> int:
        return self.clock_ms

    def later(self, seconds: float) -> None:
        self.clock_ms += int(seconds * 1_000)

    def op(self) -> str:
        return f"op-{next(self._numbers)}"

    # -- objects -------------------------------------------------------------------------------------------------

    def blob(self, data: bytes) -> BlobRef:
        return put(self.storage, data)

    def put(self, key: str, data: bytes, checksum: Checksum | None = None) -> BlobRef:
        """Publish an object over a blob of its own."""
        blob = self.blob(data)
        self.publish(key, Content(blob=blob), len(data), md5(data), checksum)
        return blob

    def put_inline(self, key: str, data: bytes) -> None:
        content = Content(is_inline=True, inline=data)
        self.publish(key, content, len(data), md5(data), Checksum("CRC32", checksum_of("CRC32", data)))

    def publish(
        self,
        key: str,
        content: Content,
        size_bytes: int,
        etag: str,
        checksum: Checksum | None = None,
        completes: Completion | None = None,
    ) -> Published:
        new = NewVersion(
            BUCKET, key, f"v{next(self._numbers)}", OWNER, self.clock_ms, size_bytes, etag, content,
            checksum=checksum, completes=completes,
        )  # fmt: skip
        return self.metadata.publish(new, None, self.op())

    def copy(self, source: str, key: str) -> Published:
        """A zero-copy copy."""
        version = self.version(source)
        return self.publish(key, version.content, version.size_bytes, version.etag)

    def delete(self, key: str) -> None:
        removal = Removal(BUCKET, key, None, f"m{next(self._numbers)}", OWNER, self.clock_ms)
        self.metadata.remove(removal, None, self.op())

    def version(self, key: str) -> Version:
        version = self.metadata.look_up(BUCKET, key).version
        assert version is not None, f"{key} is not there"
        return version

    # -- uploads -------------------------------------------------------------------------------------------------

    def upload(self, key: str, bodies: Sequence[bytes]) -> str:
        """An open upload with these parts; gives its id."""
        upload_id = f"u{next(self._numbers)}"
        self.metadata.create_upload(Upload(upload_id, BUCKET, key, OWNER, OWNER, self.clock_ms), self.op())
        for number, data in enumerate(bodies, start=1):
            part = Part(number, len(data), md5(data), self.clock_ms, self.blob(data))
            self.metadata.put_part(BUCKET, key, upload_id, part, self.op())
        return upload_id

    def complete(self, key: str, upload_id: str, numbers: Sequence[int] | None = None) -> None:
        """Publish an upload's parts, or those numbered."""
        rows = self.metadata.parts(upload_id, *ALL_PARTS)
        parts = [part for part in rows if numbers is None or part.number in numbers]
        manifest = Manifest(upload_id, runs_of([(part.number, part.size_bytes) for part in parts]))
        revision = self.metadata.upload(BUCKET, key, upload_id).revision
        self.publish(
            key, Content(manifest=manifest), sum(part.size_bytes for part in parts),
            multipart_etag([part.etag for part in parts]), completes=Completion(upload_id, revision),
        )  # fmt: skip

    # -- what is there -------------------------------------------------------------------------------------------

    def read(self, key: str) -> bytes:
        content = self.version(key).content
        if content.blob is not None:
            return read_all(self.storage.read(content.blob))
        assert content.manifest is not None
        parts = self.metadata.parts(content.manifest.upload_id, *ALL_PARTS)
        return b"".join(read_all(self.storage.read(part.blob)) for part in parts)

    def blobs(self) -> set[BlobRef]:
        return {each.ref for each in self.storage.scan(FAR_FUTURE_MS)}

    def garbage_count(self) -> int:
        return len(self.metadata.garbage(FAR_FUTURE_MS, 1_000))


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()
