"""The nouns of the store: buckets, versions, uploads, parts, and the questions asked about them.

Plain frozen values; nothing here does I/O. Times are integers in milliseconds since the epoch, sizes are bytes,
ETags are kept without quotes, texts that came in a header are latin-1 decoded (one character a byte, replayed exactly).
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, NewType, Protocol, TypeVar

from app.domain.acl import Acl

# One blob of a storage back end. Opaque to everybody but the back end that made it.
BlobRef = NewType("BlobRef", str)

NULL_VERSION = "null"

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class FileSpan:
    """The bytes [offset, offset + length) of an open file. Whoever sends the body closes `fd`."""

    fd: int
    offset: int
    length: int


# What a response carries. An iterator is closed (`close()`, if it has one) by whoever sends it.
Body = bytes | FileSpan | Iterator[bytes]


# -- People ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. The anonymous principal has an empty `id` and no access key."""

    id: str  # canonical user id: 64 hexadecimal digits
    name: str = ""
    access_key: str = ""
    is_root: bool = False

    @property
    def is_anonymous(self) -> bool:
        return not self.id


ANONYMOUS = Principal(id="")


# -- Buckets -----------------------------------------------------------------------------------------------------


class Versioning(enum.StrEnum):
    UNVERSIONED = ""
    ENABLED = "Enabled"
    SUSPENDED = "Suspended"


@dataclass(frozen=True, slots=True)
class Bucket:
    """`id` is never used again, so rows of a deleted bucket cannot show up under a new one of the same name.

    `documents` are the bucket's configurations by kind ("acl", "ownership_controls", "tagging", later "policy", …),
    each the text that `put_document` was given. `generation` grows with every change to the bucket or its documents.
    """

    id: int
    name: str
    owner_id: str
    region: str
    created_ms: int
    versioning: Versioning = Versioning.UNVERSIONED
    generation: int = 0
    documents: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewBucket:
    name: str
    owner_id: str
    region: str
    created_ms: int
    documents: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BucketQuery:
    """Buckets of one owner by name: `prefix` and names > `after` only, at most `limit`."""

    owner_id: str
    prefix: str = ""
    after: str = ""
    limit: int = 10_000
    region: str | None = None


# -- Objects -----------------------------------------------------------------------------------------------------


class Checksum(NamedTuple):
    """`value` is base64; a composite one ends in "-N" as S3 sends it. `algorithm` is S3's name: "CRC64NVME", "SHA256", …"""

    algorithm: str
    value: str
    type: str = "FULL_OBJECT"  # or "COMPOSITE"


class Attributes(NamedTuple):
    """What a client stores beside the bytes and gets back as it was."""

    headers: tuple[tuple[str, str], ...] = ()  # Content-Type, Cache-Control, …: canonical name, value as received
    user_metadata: tuple[tuple[str, str], ...] = ()  # name without "x-amz-meta-", lower case
    storage_class: str = "STANDARD"
    website_redirect: str | None = None


Tags = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class PartRun:
    """`count` parts, numbered consecutively from `first_number`, of `size_bytes` each."""

    first_number: int
    count: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """The parts of an upload, in order, as an object's content. Several versions may share one (CopyObject)."""

    upload_id: str
    runs: tuple[PartRun, ...]

    @property
    def parts_count(self) -> int:
        return sum(run.count for run in self.runs)


class Content(NamedTuple):
    """Where a version's bytes are: exactly one of the three, and none for a delete marker.

    `inline` of a version that was read without its bytes is None while `is_inline` is true.
    """

    blob: BlobRef | None = None
    manifest: Manifest | None = None
    is_inline: bool = False
    inline: bytes | None = None


class NewVersion(NamedTuple):
    """A version to be published. The engine chooses "null" in place of `version_id` unless versioning is enabled."""

    bucket: str
    key: str
    version_id: str
    owner_id: str
    created_ms: int
    size_bytes: int
    etag: str
    content: Content
    attributes: Attributes = Attributes()
    tags: Tags = ()
    acl: Acl | None = None  # None: private to the owner
    checksum: Checksum | None = None
    # The upload this version completes, at the revision of its part list that was validated: the fence of Complete.
    completes: Completion | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    upload_id: str
    revision: int


class Version(NamedTuple):
    """One row: an object's version or a delete marker. Order among a key's versions is `sequence`, never a clock."""

    bucket: str
    key: str
    version_id: str
    sequence: int
    is_current: bool
    is_delete_marker: bool
    owner_id: str
    modified_ms: int
    size_bytes: int = 0
    etag: str = ""
    content: Content = Content()
    attributes: Attributes = Attributes()
    tags: Tags = ()
    acl: Acl | None = None
    checksum: Checksum | None = None

    @property
    def storage_class(self) -> str:
        return self.attributes.storage_class

    @property
    def checksum_algorithm(self) -> str | None:
        return self.checksum.algorithm if self.checksum is not None else None

    @property
    def checksum_type(self) -> str | None:
        return self.checksum.type if self.checksum is not None else None


@dataclass(slots=True)
class Lookup:
    """A bucket and one of its versions as one snapshot saw them. `version` is None where the key or the id is unknown.

    `described` is for whoever answers from it: the version's descriptions once made, by what was asked for, and kept as
    long as this is.
    """

    bucket: Bucket
    version: Version | None
    described: dict[str, Described] | None = field(default=None, compare=False, repr=False)


class Described(NamedTuple):
    """The header section of an answer that shows a whole version: around the request's id, the empty line included."""

    before: bytes
    behind: bytes
    place: int  # where such an answer is counted; 0: nowhere


class Published(NamedTuple):
    version_id: str
    sequence: int
    modified_ms: int
    versioning: Versioning  # of the bucket at the commit: it decides whether the answer names the version


class Removal(NamedTuple):
    """DeleteObject: of one version when `version_id` is given, else of the current object."""

    bucket: str
    key: str
    version_id: str | None
    marker_id: str  # the id of a delete marker, should one be added
    owner_id: str  # … and its owner
    created_ms: int


class Removed(NamedTuple):
    """What DeleteObject did. `version_id` is the marker that was added, or the version that was removed, if any."""

    versioning: Versioning
    version_id: str | None = None
    is_delete_marker: bool = False  # a marker was added, or what was removed was one


@dataclass(frozen=True, slots=True)
class Condition:
    """Conditions on the current object, decided inside the commit.

    `if_match` holds ETags without quotes, or ("*",). A current delete marker counts as no object.
    """

    if_none_match_any: bool = False
    if_match: tuple[str, ...] | None = None
    if_match_size_bytes: int | None = None
    if_match_modified_s: int | None = None


@dataclass(frozen=True, slots=True)
class VersionChange:
    """A change that leaves ETag and Last-Modified alone. None keeps what is there.

    `sequence` is the row the caller was authorised for: another one under the same name is not changed.
    """

    tags: Tags | None = None
    acl: Acl | None = None
    sequence: int | None = None


# -- Multipart uploads -------------------------------------------------------------------------------------------


class UploadState(enum.StrEnum):
    OPEN = "open"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True)
class Upload:
    upload_id: str
    bucket: str
    key: str
    owner_id: str
    initiator_id: str
    created_ms: int
    attributes: Attributes = Attributes()
    tags: Tags = ()
    acl: Acl | None = None
    checksum_algorithm: str | None = None
    checksum_type: str | None = None
    state: UploadState = UploadState.OPEN
    revision: int = 0  # grows with every change to the part list
    completed: CompletedUpload | None = None


@dataclass(frozen=True, slots=True)
class CompletedUpload:
    """Kept as long as the object's parts are, so that a repeated Complete gets the same answer."""

    etag: str
    version_id: str
    versioning: Versioning
    runs: tuple[PartRun, ...]
    checksum: Checksum | None = None


@dataclass(frozen=True, slots=True)
class Part:
    number: int
    size_bytes: int
    etag: str  # hexadecimal MD5
    modified_ms: int
    blob: BlobRef
    checksum: Checksum | None = None


# -- Listings ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ListQuery:
    """Current objects of a bucket in key order (I6), delete markers left out, at most `limit` entries and prefixes.

    With a delimiter, keys that hold it behind the prefix are rolled up into one common prefix, up to and including it.
    Only keys > `after` count. An `after` that is itself a common prefix of this query passes over all keys under it.
    A limit of 0 gives an empty page that is not truncated. `with_owners`: whether the entries of a brief page need
    their `owner_id`, which may cost a read for each; a whole row always has it.
    """

    bucket: str
    prefix: str = ""
    delimiter: str = ""
    after: str = ""
    limit: int = 1000
    with_owners: bool = True


@dataclass(frozen=True, slots=True)
class VersionQuery:
    """As `ListQuery`, over every version. With `after_version_id` the page goes on inside key `after`, behind that version."""

    bucket: str
    prefix: str = ""
    delimiter: str = ""
    after: str = ""
    after_version_id: str | None = None
    limit: int = 1000


@dataclass(frozen=True, slots=True)
class UploadQuery:
    """As `ListQuery`, over open uploads; within a key by creation and id. `after_upload_id` goes on inside key `after`."""

    bucket: str
    prefix: str = ""
    delimiter: str = ""
    after: str = ""
    after_upload_id: str | None = None
    limit: int = 1000


class Listed(Protocol):
    """What a listing shows of a current object: a `Version`, or an engine's own narrower row."""

    @property
    def key(self) -> str: ...
    @property
    def modified_ms(self) -> int: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def etag(self) -> str: ...
    @property
    def checksum_algorithm(self) -> str | None: ...
    @property
    def checksum_type(self) -> str | None: ...
    @property
    def storage_class(self) -> str: ...
    @property
    def owner_id(self) -> str: ...


class ListedVersion(Listed, Protocol):
    """What a listing of versions shows of one."""

    @property
    def version_id(self) -> str: ...
    @property
    def is_current(self) -> bool: ...
    @property
    def is_delete_marker(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Page(Generic[T_co]):
    """Entries and common prefixes of one page, each in order; together they number at most the query's limit.

    `is_truncated` is exact. `last` is the last key or common prefix of the page: the `after` of the next one.
    `last_id` is the version or upload id that goes with it, when the page ended on an entry and the listing has ids.
    """

    entries: tuple[T_co, ...]
    common_prefixes: tuple[str, ...] = ()
    is_truncated: bool = False
    last: str = ""
    last_id: str | None = None


# -- Garbage -----------------------------------------------------------------------------------------------------


class GarbageKind(enum.StrEnum):
    BLOB = "blob"  # a blob that lost a reference
    MANIFEST = "manifest"  # an upload whose object lost a reference, or that was aborted: its parts
    UNLISTED = "unlisted"  # parts that a Complete left out of its list
    BUCKET = "bucket"  # pending uploads of a deleted bucket


@dataclass(frozen=True, slots=True)
class Garbage:
    id: int
    kind: GarbageKind
    ref: str  # a BlobRef, an upload id, or a bucket's id
    created_ms: int


# -- The change log ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    """One committed mutation. Written only while a consumer is registered, unless the engine needs `op_id` to be safe."""

    sequence: int
    op_id: str
    kind: str  # "publish", "remove", "update_version", "create_bucket", …
    bucket: str
    key: str
    version_id: str
    committed_ms: int


@dataclass(frozen=True, slots=True)
class BucketUsage:
    """`objects` are current ones, `versions` these and noncurrent ones but no delete markers, `size_bytes` theirs together."""

    bucket: str
    objects: int
    versions: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What all buckets hold together, of one moment, and some of the buckets, those with most bytes first."""

    buckets: int
    uploads_open: int
    objects: int
    versions: int
    size_bytes: int
    largest: tuple[BucketUsage, ...] = ()


@dataclass(frozen=True, slots=True)
class Health:
    """One component's word on itself. `detail` is for an operator and holds no secret."""

    ok: bool
    detail: str = ""
