"""The contract of a metadata engine.

An engine keeps rows: buckets with their documents, versions, uploads and their parts, garbage, the change log, leases.
Every method is one atomic step that checks its own preconditions (I3, I7) and is safe to repeat with the same `op_id`.
A refusal is an S3 error and certain: nothing changed. `OutcomeUnknown` says that the change may or may not have
happened (I9). Methods may block; an engine that runs under gevent keeps the hub free itself (I8). Keys are ordered by
their UTF-8 bytes in every answer (I6). All reads see every commit that was acknowledged before they began.

The shared tests in tests/contract/ hold every engine to this text.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal, overload

from app import runtime
from app.domain.errors import S3Error, ServiceUnavailable
from app.domain.types import (
    BlobRef,
    Bucket,
    BucketQuery,
    Change,
    Condition,
    Garbage,
    GarbageKind,
    Health,
    Listed,
    ListedVersion,
    ListQuery,
    Lookup,
    NewBucket,
    NewVersion,
    Page,
    Part,
    Published,
    Removal,
    Removed,
    Upload,
    UploadQuery,
    Usage,
    Version,
    VersionChange,
    Versioning,
    VersionQuery,
)

GARBAGE_SLICE_MAX = 100  # rows that one step of the sweep may touch
CHANGES_PAGE_MAX = 1_000
CONCURRENT_REMOVALS = 64  # of one `remove_all`, in an engine that does them one by one


class OutcomeUnknown(ServiceUnavailable):
    """The commit may or may not have happened: keep the bytes and let the sweep decide (I9)."""


class BlobCondemned(ServiceUnavailable):
    """The bytes that were to be published have been given up by the sweep (I3). The client may try again."""


class MetadataStore(ABC):
    """`shared`: several processes may use the same data. `inline_max_bytes`: the largest body a row may carry."""

    name: str
    shared: bool
    inline_max_bytes: int

    # -- life ----------------------------------------------------------------------------------------------------

    def migrate(self) -> None:  # noqa: B027  # an engine without a layout on disk has nothing to do
        """Bring what is stored to this version's layout. Once at a start, while nobody else uses the data.

        Repeating is fine, and so is being killed on the way. Raises: ServiceUnavailable for a newer layout than this.
        """

    @abstractmethod
    def open(self) -> None:
        """Make ready for use. Called after fork, once per process; an engine may start its own threads here."""

    @abstractmethod
    def close(self) -> None:
        """Give back what `open` took. Safety never depends on it being called."""

    @abstractmethod
    def check(self) -> Health:
        """Whether writes would be accepted now. Answers within a second."""

    # -- buckets -------------------------------------------------------------------------------------------------

    @abstractmethod
    def create_bucket(self, new: NewBucket, op_id: str) -> Bucket:
        """Raises: BucketAlreadyOwnedByYou, BucketAlreadyExists (another owner's)."""

    @abstractmethod
    def delete_bucket(self, name: str, op_id: str, now_ms: int) -> None:
        """Delete a bucket without versions or markers; its pending uploads become garbage.

        Raises: NoSuchBucket, BucketNotEmpty.
        """

    @abstractmethod
    def bucket(self, name: str) -> Bucket:
        """Raises: NoSuchBucket."""

    @abstractmethod
    def list_buckets(self, query: BucketQuery) -> Page[Bucket]:
        """Buckets by name. Their `documents` are empty."""

    @abstractmethod
    def set_versioning(self, name: str, versioning: Versioning, op_id: str) -> None:
        """Raises: NoSuchBucket."""

    @abstractmethod
    def put_document(self, name: str, kind: str, body: str | None, op_id: str) -> None:
        """Set one of the bucket's documents, or delete it where `body` is None (absent already: fine).

        Raises: NoSuchBucket.
        """

    # -- objects -------------------------------------------------------------------------------------------------

    @abstractmethod
    def look_up(self, bucket: str, key: str, version_id: str | None = None, *, inline: bool = False) -> Lookup:
        """The bucket with the current version of `key` (a delete marker included), or with the version named.

        With `inline`, the bytes of an inline version come in the same snapshot. Raises: NoSuchBucket.
        """

    def known(self, bucket: str, key: str, *, inline: bool) -> Lookup | None:
        """What `look_up` would find now, where that is known in this process without asking anybody; never waits.

        The same object each time, for as long as nothing about it changes.
        """
        return None

    @abstractmethod
    def publish(self, new: NewVersion, condition: Condition | None, op_id: str) -> Published:
        """Make a version visible in one commit (I3): the current one becomes noncurrent, or garbage where "null" is replaced.

        `modified_ms` is `new.created_ms`, but never less than the key's last one. With `new.completes` the upload
        becomes COMPLETED in the same commit and parts outside the manifest become garbage; a completed upload is
        refused as NoSuchUpload, a changed part list as ConditionalRequestConflict.
        Raises: NoSuchBucket, PreconditionFailed, NoSuchKey (if_match without a current object), NoSuchUpload,
        ConditionalRequestConflict, BlobCondemned.
        """

    @abstractmethod
    def update_version(
        self, bucket: str, key: str, version_id: str | None, change: VersionChange, op_id: str
    ) -> Version:
        """Change tags or ACL of the current version or the one named; gives the version as it now is.

        Raises: NoSuchBucket, NoSuchKey, NoSuchVersion (a row with another `change.sequence` too), MethodNotAllowed (a delete marker, named by its id).
        """

    @abstractmethod
    def remove(self, removal: Removal, condition: Condition | None, op_id: str) -> Removed:
        """Delete the current object or one version.

        Without `version_id`: unversioned, the "null" row goes; enabled, a marker is added; suspended, a marker with
        the id "null" replaces the "null" row. With it, that row goes, and the newest remaining one becomes current;
        an absent row is no error and writes nothing.
        Raises: NoSuchBucket, PreconditionFailed, NoSuchKey (a condition, and no current object).
        """

    def remove_all(self, removals: Sequence[tuple[Removal, Condition | None, str]]) -> Sequence[Removed | S3Error]:
        """`remove` of each, with its condition and op id: in the order given what it gives or what it raises.

        Each is a step of its own. An engine overrides this where many cost less than as many single ones. Raises: what
        is no S3 error.
        """

        def outcome(removal: Removal, condition: Condition | None, op_id: str) -> Removed | S3Error:
            try:
                return self.remove(removal, condition, op_id)
            except S3Error as error:
                return error

        return runtime.gather([partial(outcome, *each) for each in removals], CONCURRENT_REMOVALS)

    @overload
    def list_current(self, query: ListQuery) -> Page[Version]: ...
    @overload
    def list_current(self, query: ListQuery, *, brief: Literal[True]) -> Page[Listed]: ...
    @abstractmethod
    def list_current(self, query: ListQuery, *, brief: bool = False) -> Page[Version] | Page[Listed]:
        """Whole rows, or with `brief` what a listing shows of them, which is cheaper. Raises: NoSuchBucket."""

    @overload
    def list_versions(self, query: VersionQuery) -> Page[Version]: ...
    @overload
    def list_versions(self, query: VersionQuery, *, brief: Literal[True]) -> Page[ListedVersion]: ...
    @abstractmethod
    def list_versions(self, query: VersionQuery, *, brief: bool = False) -> Page[Version] | Page[ListedVersion]:
        """Versions and delete markers: keys ascending, newest first within a key. `last_id` is a version id.

        An `after_version_id` that no longer exists goes on behind key `after`. Raises: NoSuchBucket.
        """

    # -- multipart uploads ---------------------------------------------------------------------------------------

    @abstractmethod
    def create_upload(self, upload: Upload, op_id: str) -> None:
        """Raises: NoSuchBucket."""

    @abstractmethod
    def upload(self, bucket: str, key: str, upload_id: str) -> Upload:
        """An open upload, or a completed one whose parts are still an object's. Raises: NoSuchBucket, NoSuchUpload."""

    @abstractmethod
    def put_part(self, bucket: str, key: str, upload_id: str, part: Part, op_id: str) -> None:
        """Set a part of an open upload; the one it replaces becomes garbage.

        Raises: NoSuchBucket, NoSuchUpload, BlobCondemned.
        """

    @abstractmethod
    def parts(self, upload_id: str, first: int, last: int, limit: int) -> Sequence[Part]:
        """Parts numbered first to last, ascending, at most `limit`. An unknown upload has none."""

    @abstractmethod
    def abort_upload(self, bucket: str, key: str, upload_id: str, op_id: str, now_ms: int) -> None:
        """The upload is gone at once; its parts become garbage. Raises: NoSuchBucket, NoSuchUpload (completed too)."""

    @abstractmethod
    def list_uploads(self, query: UploadQuery) -> Page[Upload]:
        """Open uploads. Raises: NoSuchBucket."""

    @abstractmethod
    def stale_uploads(self, before_ms: int, limit: int) -> Sequence[Upload]:
        """Open uploads created before `before_ms`, oldest first."""

    # -- garbage (specs/crash-only.md draws the life of a blob) --------------------------------------------------

    @abstractmethod
    def garbage(self, before_ms: int, limit: int) -> Sequence[Garbage]:
        """What was given up before `before_ms`, oldest first."""

    @abstractmethod
    def condemn(self, garbage_id: int, now_ms: int) -> Sequence[BlobRef]:
        """Up to GARBAGE_SLICE_MAX blobs of one piece of garbage that may now be deleted; from here on no publish accepts them.

        What a row refers to again is dropped from the garbage instead. Repeating gives the same blobs until `forget`.
        An empty answer means that this piece of garbage is done with.
        """

    @abstractmethod
    def forget(self, garbage_id: int, blobs: Sequence[BlobRef]) -> None:
        """The blobs are deleted: drop the rows that led to them."""

    @abstractmethod
    def condemn_orphans(self, blobs: Sequence[BlobRef], now_ms: int) -> Sequence[BlobRef]:
        """Of these (at most GARBAGE_SLICE_MAX), the ones to which nothing refers, not even garbage; now condemned."""

    @abstractmethod
    def unreferenced(self, blobs: Sequence[BlobRef]) -> Sequence[BlobRef]:
        """As `condemn_orphans`, without condemning: for fsck."""

    @abstractmethod
    def expire_condemned(self, before_ms: int, limit: int) -> int:
        """Forget that blobs were condemned before `before_ms`; gives how many. Later than any publish could take."""

    # -- moving bytes between back ends --------------------------------------------------------------------------

    @abstractmethod
    def move_blob(self, version: Version, new: BlobRef, now_ms: int) -> bool:
        """Let a row, as it was read, refer to a copy of its blob; the old one becomes garbage. Whether it now does.

        False: the row is gone or refers to something else, and nothing changed. Nothing else of the row changes, nor its
        place in any order, and the change feed does not hear of it. Repeating is harmless. Raises: BlobCondemned.
        """

    @abstractmethod
    def move_part(self, upload_id: str, part: Part, new: BlobRef, now_ms: int) -> bool:
        """As `move_blob`, of a part as it was read: for its upload, and for every object whose content it is.

        False also for an upload that was aborted. A Complete that is under way is not disturbed.
        """

    @abstractmethod
    def remember_backend(self, name: str) -> None:
        """From now on `backends` has this name, for ever. Repeating is fine."""

    @abstractmethod
    def backends(self) -> Sequence[str]:
        """The names of all back ends that this store has had beside its main one, ascending."""

    # -- for fsck, export and the change feed --------------------------------------------------------------------

    @abstractmethod
    def scan_versions(self, after_sequence: int, limit: int, *, inline: bool = False) -> Sequence[Version]:
        """Every row of every bucket by sequence."""

    @abstractmethod
    def scan_parts(self, after: tuple[str, int], limit: int) -> Sequence[tuple[str, Part]]:
        """Every part by (upload id, number) behind `after`; each with its upload id."""

    @abstractmethod
    def verify(self) -> Sequence[str]:
        """Problems the engine finds in its own data, one sentence each; an empty answer is a clean bill."""

    @abstractmethod
    def usage(self, largest: int) -> Usage:
        """What the buckets hold, with so many of the largest. Every commit that was acknowledged is counted.

        Whether this reads counters or counts rows is the engine's: callers keep an answer for longer than it took.
        """

    def file_bytes(self) -> Mapping[str, int]:
        """How large the engine's files are: "database", and "wal" for a log beside it. Empty where it has none."""
        return {}

    @abstractmethod
    def register_consumer(self, name: str) -> int:
        """From now on changes are kept for this consumer; gives the sequence it starts behind. Repeating keeps the mark."""

    @abstractmethod
    def unregister_consumer(self, name: str) -> None: ...

    @abstractmethod
    def changes(self, after_sequence: int, limit: int) -> Sequence[Change]:
        """Committed changes in order, at most CHANGES_PAGE_MAX."""

    @abstractmethod
    def acknowledge(self, consumer: str, sequence: int) -> None:
        """The consumer has everything up to `sequence`. Rows that all have passed are trimmed in time."""

    # -- leases --------------------------------------------------------------------------------------------------

    @abstractmethod
    def lease(self, name: str, holder: str, now_ms: int, ttl_ms: int) -> bool:
        """Take or renew a lease; false while another holder's is in force. A ttl of 0 gives it up."""


__all__ = [
    "CHANGES_PAGE_MAX",
    "GARBAGE_SLICE_MAX",
    "BlobCondemned",
    "GarbageKind",
    "MetadataStore",
    "OutcomeUnknown",
]
