"""Rows as JSON. Short field names: a listing reads a thousand of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.domain import acl
from app.domain.types import (
    Attributes,
    BlobRef,
    Bucket,
    Checksum,
    CompletedUpload,
    Content,
    Manifest,
    Part,
    PartRun,
    Tags,
    Upload,
    UploadState,
    Version,
    Versioning,
)

Fields = dict[str, Any]  # a JSON object: only in this file, between text and types


def dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def load(value: bytes) -> Any:
    return json.loads(value)


# -- buckets -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BucketRow:
    """`is_fenced`: somebody looks whether it is empty. `feeds`: every commit goes to the outbox."""

    bucket: Bucket
    is_fenced: bool = False
    is_deleted: bool = False
    feeds: bool = False


def dump_bucket(row: BucketRow) -> bytes:
    bucket = row.bucket
    return dump(
        [
            bucket.id, bucket.name, bucket.owner_id, bucket.region, bucket.created_ms, bucket.versioning.value,
            bucket.generation, dict(bucket.documents), row.is_fenced, row.is_deleted, row.feeds,
        ]
    )  # fmt: skip


def load_bucket(value: bytes) -> BucketRow:
    id_, name, owner_id, region, created_ms, versioning, generation, documents, *flags = load(value)
    bucket = Bucket(id_, name, owner_id, region, created_ms, Versioning(versioning), generation, documents)
    return BucketRow(bucket, *flags)


# -- versions ----------------------------------------------------------------------------------------------------


def dump_version(row: Version) -> bytes:
    """Without the inline bytes, the bucket's name, and whether it is current: its place says that."""
    content = row.content
    fields: Fields = {
        "k": row.key, "v": row.version_id, "s": row.sequence, "o": row.owner_id, "m": row.modified_ms,
        "n": row.size_bytes, "e": row.etag, "x": row.is_delete_marker, "b": content.blob, "i": content.is_inline,
        "p": _dump_manifest(content.manifest), **_dump_described(row.attributes, row.tags, row.acl, row.checksum),
    }  # fmt: skip
    return dump(_given(fields))


def load_version(value: bytes, bucket: str, *, is_current: bool, inline: bytes | None = None) -> Version:
    f: Fields = load(value)
    return Version(
        bucket, f["k"], f["v"], f["s"], is_current, f.get("x", False), f["o"], f["m"], f.get("n", 0), f.get("e", ""),
        Content(f.get("b"), _load_manifest(f.get("p")), f.get("i", False), inline),
        _load_attributes(f), _load_tags(f), _load_acl(f), _load_checksum(f.get("c")),
    )  # fmt: skip


# -- uploads and parts -------------------------------------------------------------------------------------------

ABORTED = "aborted"  # gone for everybody but the sweep


@dataclass(frozen=True, slots=True)
class UploadRow:
    upload: Upload
    is_aborted: bool = False


def dump_upload(row: UploadRow) -> bytes:
    upload, completed = row.upload, row.upload.completed
    fields: Fields = {
        "id": upload.upload_id, "k": upload.key, "o": upload.owner_id, "by": upload.initiator_id,
        "m": upload.created_ms, "ca": upload.checksum_algorithm, "ct": upload.checksum_type,
        "s": ABORTED if row.is_aborted else upload.state.value, "r": upload.revision,
        "done": completed and [
            completed.etag, completed.version_id, completed.versioning.value, _dump_runs(completed.runs),
            _dump_checksum(completed.checksum),
        ],
        **_dump_described(upload.attributes, upload.tags, upload.acl, None),
    }  # fmt: skip
    return dump(_given(fields))


def load_upload(value: bytes, bucket: str) -> UploadRow:
    f: Fields = load(value)
    is_aborted = f["s"] == ABORTED
    upload = Upload(
        f["id"], bucket, f["k"], f["o"], f["by"], f["m"], _load_attributes(f), _load_tags(f), _load_acl(f),
        f.get("ca"), f.get("ct"), UploadState.OPEN if is_aborted else UploadState(f["s"]), f.get("r", 0),
        _load_completed(f.get("done")),
    )  # fmt: skip
    return UploadRow(upload, is_aborted)


def _load_completed(done: list[Any] | None) -> CompletedUpload | None:
    if done is None:
        return None
    etag, version_id, versioning, runs, checksum = done
    return CompletedUpload(etag, version_id, Versioning(versioning), _load_runs(runs), _load_checksum(checksum))


def dump_part(part: Part) -> bytes:
    return dump([part.number, part.size_bytes, part.etag, part.modified_ms, part.blob, _dump_checksum(part.checksum)])


def load_part(value: bytes) -> Part:
    number, size_bytes, etag, modified_ms, blob, checksum = load(value)
    return Part(number, size_bytes, etag, modified_ms, BlobRef(blob), _load_checksum(checksum))


# -- contents ----------------------------------------------------------------------------------------------------

Age = tuple[int, int]  # (created, id) of a piece of garbage: which of two is the younger


@dataclass(frozen=True, slots=True)
class Hold:
    """Of one content in one bucket. `garbage` waits for the sweep; only a hold of 0 has one. Fenced: no row may refer."""

    count: int = 0
    garbage: Age | None = None
    is_fenced: bool = False

    @property
    def is_empty(self) -> bool:
        return self == Hold()


def dump_hold(hold: Hold) -> bytes:
    return dump([hold.count, hold.garbage, hold.is_fenced])


def load_hold(value: bytes | None) -> Hold:
    if value is None:
        return Hold()
    count, garbage, is_fenced = load(value)
    return Hold(count, tuple(garbage) if garbage else None, is_fenced)


@dataclass(frozen=True, slots=True)
class ContentRow:
    """`home` is the bucket in whose scope an upload's parts are. `epoch` grows when fences are lifted."""

    holders: tuple[int, ...] = ()
    home: int | None = None
    condemned_ms: int | None = None
    epoch: int = 0


def dump_content(row: ContentRow) -> bytes:
    return dump([row.holders, row.home, row.condemned_ms, row.epoch])


def load_content(value: bytes) -> ContentRow:
    holders, home, condemned_ms, epoch = load(value)
    return ContentRow(tuple(holders), home, condemned_ms, epoch)


# -- the change feed ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FeedRow:
    consumers: Mapping[str, int] = field(default_factory=dict)
    head: int = 0  # the last number of the log
    first: int = 1  # … and the first that has not been trimmed


def dump_feed(row: FeedRow) -> bytes:
    return dump([dict(row.consumers), row.head, row.first])


def load_feed(value: bytes | None) -> FeedRow:
    return FeedRow(*load(value)) if value else FeedRow()


# -- pieces ------------------------------------------------------------------------------------------------------


def _given(fields: Fields) -> Fields:
    return {name: value for name, value in fields.items() if value is not None and value is not False}


def _dump_described(attributes: Attributes, tags: Tags, acl_: acl.Acl | None, checksum: Checksum | None) -> Fields:
    return {
        "h": attributes.headers or None,
        "u": attributes.user_metadata or None,
        "sc": attributes.storage_class if attributes.storage_class != "STANDARD" else None,
        "w": attributes.website_redirect,
        "t": tags or None,
        "a": acl.dump(acl_) if acl_ else None,
        "c": _dump_checksum(checksum),
    }


def _load_attributes(f: Fields) -> Attributes:
    return Attributes(_pairs(f.get("h")), _pairs(f.get("u")), f.get("sc", "STANDARD"), f.get("w"))


def _load_tags(f: Fields) -> Tags:
    return _pairs(f.get("t"))


def _load_acl(f: Fields) -> acl.Acl | None:
    return acl.load(f["a"]) if "a" in f else None


def _pairs(value: list[list[str]] | None) -> tuple[tuple[str, str], ...]:
    return tuple((name, text) for name, text in value or ())


def _dump_checksum(checksum: Checksum | None) -> list[str] | None:
    return [checksum.algorithm, checksum.value, checksum.type] if checksum else None


def _load_checksum(value: list[str] | None) -> Checksum | None:
    return Checksum(*value) if value else None


def _dump_runs(runs: tuple[PartRun, ...]) -> list[list[int]]:
    return [[run.first_number, run.count, run.size_bytes] for run in runs]


def _load_runs(value: list[list[int]]) -> tuple[PartRun, ...]:
    return tuple(PartRun(*run) for run in value)


def _dump_manifest(manifest: Manifest | None) -> list[Any] | None:
    return [manifest.upload_id, _dump_runs(manifest.runs)] if manifest else None


def _load_manifest(value: list[Any] | None) -> Manifest | None:
    return Manifest(value[0], _load_runs(value[1])) if value else None
