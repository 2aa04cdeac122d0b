"""Short words for what the contract's tests do to a store.

Every call gets its own op id, every version, blob and upload a fresh name, and time moves only when a test says so.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import TypeVar

from app.domain.errors import S3Error
from app.domain.types import (
    NULL_VERSION,
    BlobRef,
    BucketQuery,
    BucketUsage,
    Completion,
    Condition,
    Content,
    Manifest,
    NewBucket,
    NewVersion,
    Part,
    PartRun,
    Published,
    Removal,
    Removed,
    Upload,
    UploadQuery,
    Usage,
    Version,
    Versioning,
    VersionQuery,
)
from app.metadata.base import GARBAGE_SLICE_MAX, MetadataStore

OWNER = "a" * 64
OTHER = "b" * 64
REGION = "us-east-1"
START_MS = 1_700_000_000_000
SWEEP_STEPS_MAX = 500

T = TypeVar("T")


class Scene:
    def __init__(self, store: MetadataStore) -> None:
        self.store = store
        self.owners = {OWNER, OTHER}  # whose buckets are counted
        self.now_ms = START_MS
        self._numbers: Iterator[int] = itertools.count(1)

    def counted(self) -> Usage:
        """What the store holds, by counting rows."""
        buckets = [each.name for owner in self.owners for each in self.store.list_buckets(BucketQuery(owner)).entries]
        rows: list[Version] = []
        while page := self.store.scan_versions(rows[-1].sequence if rows else 0, 1_000):
            rows += page
        kept = [row for row in rows if not row.is_delete_marker]
        usages = []
        for name in buckets:
            own = [row for row in kept if row.bucket == name]
            current = sum(row.is_current for row in own)
            usages.append(BucketUsage(name, current, len(own), sum(row.size_bytes for row in own)))
        return Usage(
            buckets=len(buckets),
            uploads_open=sum(len(self.store.list_uploads(UploadQuery(name)).entries) for name in buckets),
            objects=sum(row.is_current for row in kept),
            versions=len(kept),
            size_bytes=sum(row.size_bytes for row in kept),
            largest=tuple(sorted(usages, key=lambda each: (-each.size_bytes, each.bucket))),
        )

    # -- names ---------------------------------------------------------------------------------------------------

    def op(self) -> str:
        return f"{next(self._numbers):032x}"

    def version_id(self) -> str:
        return f"v{next(self._numbers):031x}"

    def blob(self) -> BlobRef:
        return BlobRef(f"b{next(self._numbers):031x}")

    def later(self, by_ms: int = 1_000) -> int:
        """Let time pass; gives the new time."""
        self.now_ms += by_ms
        return self.now_ms

    # -- buckets -------------------------------------------------------------------------------------------------

    def bucket(self, versioning: Versioning = Versioning.UNVERSIONED, *, name: str = "", owner: str = OWNER) -> str:
        """A fresh bucket's name."""
        name = name or f"bucket-{next(self._numbers)}"
        self.store.create_bucket(NewBucket(name, owner, REGION, self.now_ms), self.op())
        if versioning is not Versioning.UNVERSIONED:
            self.store.set_versioning(name, versioning, self.op())
        return name

    def enable(self, bucket: str) -> None:
        self.store.set_versioning(bucket, Versioning.ENABLED, self.op())

    def suspend(self, bucket: str) -> None:
        self.store.set_versioning(bucket, Versioning.SUSPENDED, self.op())

    def delete_bucket(self, bucket: str) -> None:
        self.store.delete_bucket(bucket, self.op(), self.now_ms)

    # -- objects -------------------------------------------------------------------------------------------------

    def new(self, bucket: str, key: str, content: Content | None = None, etag: str | None = None) -> NewVersion:
        """A version to publish; without `content` it has a blob of its own."""
        content = content or Content(blob=self.blob())
        size_bytes = len(content.inline) if content.inline is not None else 10
        return NewVersion(
            bucket, key, self.version_id(), OWNER, self.now_ms, size_bytes, etag or etag_of(content), content
        )

    def put(
        self,
        bucket: str,
        key: str,
        content: Content | None = None,
        *,
        etag: str | None = None,
        condition: Condition | None = None,
    ) -> Published:
        return self.store.publish(self.new(bucket, key, content, etag), condition, self.op())

    def put_blob(self, bucket: str, key: str) -> BlobRef:
        """Publish a version over a fresh blob and give the blob."""
        blob = self.blob()
        self.put(bucket, key, Content(blob=blob))
        return blob

    def removal(self, bucket: str, key: str, version_id: str | None = None) -> Removal:
        return Removal(bucket, key, version_id, self.version_id(), OWNER, self.now_ms)

    def delete(
        self, bucket: str, key: str, version_id: str | None = None, condition: Condition | None = None
    ) -> Removed:
        return self.store.remove(self.removal(bucket, key, version_id), condition, self.op())

    def current(self, bucket: str, key: str) -> Version | None:
        return self.store.look_up(bucket, key).version

    def version(self, bucket: str, key: str, version_id: str) -> Version | None:
        return self.store.look_up(bucket, key, version_id).version

    def versions(self, bucket: str, key: str) -> list[Version]:
        """The rows of one key, newest first."""
        page = self.store.list_versions(VersionQuery(bucket, prefix=key))
        return [row for row in page.entries if row.key == key]

    def ids(self, bucket: str, key: str) -> list[str]:
        return [row.version_id for row in self.versions(bucket, key)]

    # -- uploads -------------------------------------------------------------------------------------------------

    def upload(self, bucket: str, key: str, upload_id: str = "") -> str:
        """Begin an upload and give its id."""
        upload_id = upload_id or f"u{next(self._numbers):031x}"
        self.store.create_upload(Upload(upload_id, bucket, key, OWNER, OWNER, self.now_ms), self.op())
        return upload_id

    def part(self, number: int, size_bytes: int = 5, blob: BlobRef | None = None) -> Part:
        blob = blob or self.blob()
        return Part(number, size_bytes, hashlib.md5(blob.encode()).hexdigest(), self.now_ms, blob)

    def put_parts(self, bucket: str, key: str, upload_id: str, numbers: Sequence[int]) -> list[BlobRef]:
        parts = [self.part(number) for number in numbers]
        for part in parts:
            self.store.put_part(bucket, key, upload_id, part, self.op())
        return [part.blob for part in parts]

    def completing(self, bucket: str, key: str, upload_id: str, runs: Sequence[PartRun]) -> NewVersion:
        """The version that completes an upload, at the revision its part list has now."""
        revision = self.store.upload(bucket, key, upload_id).revision
        manifest = Manifest(upload_id, tuple(runs))
        size_bytes = sum(run.count * run.size_bytes for run in runs)
        etag = f"{hashlib.md5(upload_id.encode()).hexdigest()}-{manifest.parts_count}"
        return NewVersion(
            bucket, key, self.version_id(), OWNER, self.now_ms, size_bytes, etag, Content(manifest=manifest),
            completes=Completion(upload_id, revision),
        )  # fmt: skip

    def complete(self, bucket: str, key: str, upload_id: str, runs: Sequence[PartRun]) -> Published:
        return self.store.publish(self.completing(bucket, key, upload_id, runs), None, self.op())

    def multipart(self, bucket: str, key: str, parts_count: int = 3) -> tuple[Manifest, list[BlobRef]]:
        """Publish an object of so many parts; gives its manifest and its blobs."""
        upload_id = self.upload(bucket, key)
        blobs = self.put_parts(bucket, key, upload_id, range(1, parts_count + 1))
        runs = (PartRun(1, parts_count, 5),)
        self.complete(bucket, key, upload_id, runs)
        return Manifest(upload_id, runs), blobs

    # -- garbage -------------------------------------------------------------------------------------------------

    def sweep(self, before_ms: int | None = None) -> list[BlobRef]:
        """Do what the sweep does to all garbage older than `before_ms` (default: all of it).

        Gives the blobs it deleted, sorted; all tests' blobs sort by the order in which they were made.
        """
        if before_ms is None:
            before_ms = self.later() + 1
        deleted: list[BlobRef] = []
        for _ in range(SWEEP_STEPS_MAX):
            rows = self.store.garbage(before_ms, 10)
            if not rows:
                return sorted(set(deleted))
            deleted += self.drain(rows[0].id)
        raise AssertionError("the garbage never ends")

    def drain(self, garbage_id: int) -> list[BlobRef]:
        """Condemn and forget one piece of garbage, slice by slice, until it is done with; gives its blobs."""
        deleted: list[BlobRef] = []
        for _ in range(SWEEP_STEPS_MAX):
            blobs = self.store.condemn(garbage_id, self.now_ms)
            assert len(blobs) <= GARBAGE_SLICE_MAX
            if not blobs:
                return deleted
            self.store.forget(garbage_id, blobs)
            deleted += blobs
        raise AssertionError("this piece of garbage is never done with")


def etag_of(content: Content) -> str:
    return hashlib.md5(repr((content.blob, content.manifest, content.inline)).encode()).hexdigest()


def inline(body: bytes) -> Content:
    return Content(is_inline=True, inline=body)


def null_id(versioning: Versioning, version_id: str) -> str:
    """The id that a version gets in a bucket of this state."""
    return version_id if versioning is Versioning.ENABLED else NULL_VERSION


def task(call: Callable[..., object], *args: object) -> Callable[[], object]:
    """A call to race with calls of other kinds."""
    return partial(call, *args)


def race(calls: Sequence[Callable[[], T]]) -> list[T | S3Error]:
    """Run the calls in threads that start together; gives each one's answer, or the S3 error it raised."""
    barrier = Barrier(len(calls))

    def run(call: Callable[[], T]) -> T | S3Error:
        barrier.wait()
        try:
            return call()
        except S3Error as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))
