"""Rows to values and back. What is said in the same words again and again is put into them, or taken out, once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from app.domain import acl as acls
from app.domain.acl import Acl
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
from app.metadata.sql.mutation import Value
from app.metadata.sql.schema import HIDDEN, LISTED

DECODED_MAX = 512  # distinct texts of each kind that stay decoded, and values that stay encoded

BUCKET_COLUMNS = (
    "bucket.id, bucket.name, bucket.owner_id, bucket.region, bucket.created_ms, bucket.versioning, bucket.generation"
)
VERSION_COLUMNS = (
    "version.sequence, version.version_id, version.is_current, version.is_marker, version.owner_id, "
    "version.modified_ms, version.size_bytes, version.etag, version.is_inline, version.blob, version.upload_id, "
    "version.runs, version.attributes, version.tags, version.acl, "
    "version.checksum_algorithm, version.checksum_value, version.checksum_type"
)
VERSION_WIDTH = VERSION_COLUMNS.count(",") + 1
UPLOAD_COLUMNS = (
    "upload.upload_id, upload.key, upload.owner_id, upload.initiator_id, upload.created_ms, upload.state, "
    "upload.revision, upload.attributes, upload.tags, upload.acl, upload.checksum_algorithm, upload.checksum_type, "
    "upload.completed, upload.runs"
)
PART_COLUMNS = (
    "part.number, part.size_bytes, part.etag, part.modified_ms, part.blob, "
    "part.checksum_algorithm, part.checksum_value, part.checksum_type"
)

Row = Sequence[Any]


def newest_of(bucket_id: str, key: str) -> str:
    """An expression for the sequence of a key's newest row: the current object, or else the first of what is hidden."""
    return f"""
    COALESCE(
        (SELECT sequence FROM versions WHERE bucket_id = {bucket_id} AND key = {key} AND {LISTED}),
        (SELECT sequence FROM versions WHERE bucket_id = {bucket_id} AND key = {key} AND {HIDDEN}
         ORDER BY sequence DESC LIMIT 1))
    """  # noqa: S608 - called with constants


def bucket(row: Row, documents: Mapping[str, str] | None = None) -> Bucket:
    """A row of BUCKET_COLUMNS."""
    id_, name, owner_id, region, created_ms, versioning, generation = row
    return Bucket(id_, name, owner_id, region, created_ms, Versioning(versioning), generation, documents or {})


def version(bucket_name: str, key: str, row: Row, inline: bytes | None = None) -> Version:
    """A row of VERSION_COLUMNS."""
    (
        sequence, version_id, is_current, is_marker, owner_id, modified_ms, size_bytes, etag, is_inline, blob,
        upload_id, runs, attributes, tags, acl, algorithm, value, type_,
    ) = row  # fmt: skip
    if blob is not None:
        content = Content(blob)
    elif is_inline:
        content = Content(None, None, True, inline)
    elif upload_id is not None:
        content = Content(None, Manifest(upload_id, _load_runs(runs)))
    else:
        content = _NOTHING
    return Version(
        bucket_name, key, version_id, sequence, is_current == 1, is_marker == 1, owner_id, modified_ms, size_bytes,
        etag, content,
        _PLAIN if attributes is None else _load_attributes(attributes),
        () if tags is None else _load_pairs(tags),
        None if acl is None else _load_acl(acl),
        None if algorithm is None else Checksum(algorithm, value, type_),
    )  # fmt: skip


def upload(bucket_name: str, row: Row) -> Upload:
    """A row of UPLOAD_COLUMNS."""
    (
        upload_id, key, owner_id, initiator_id, created_ms, state, revision, attributes, tags, acl,
        checksum_algorithm, checksum_type, completed, runs,
    ) = row  # fmt: skip
    return Upload(
        upload_id, bucket_name, key, owner_id, initiator_id, created_ms,
        _PLAIN if attributes is None else _load_attributes(attributes),
        () if tags is None else _load_pairs(tags),
        None if acl is None else _load_acl(acl),
        checksum_algorithm, checksum_type, UploadState(state), revision,
        None if completed is None else _load_completed(completed, runs),
    )  # fmt: skip


def part(row: Row) -> Part:
    """A row of PART_COLUMNS."""
    number, size_bytes, etag, modified_ms, blob, algorithm, value, type_ = row
    checksum = None if algorithm is None else Checksum(algorithm, value, type_)
    return Part(number, size_bytes, etag, modified_ms, BlobRef(blob), checksum)


# -- values to columns -------------------------------------------------------------------------------------------


@lru_cache(DECODED_MAX)
def dump_attributes(attributes: Attributes) -> str | None:
    """[headers, user metadata, storage class, website redirect] as JSON; None for what nobody set."""
    if attributes == _PLAIN:
        return None
    return _dump([attributes.headers, attributes.user_metadata, attributes.storage_class, attributes.website_redirect])


def dump_tags(tags: Tags) -> str | None:
    return _dump(tags) if tags else None


def dump_acl(acl: Acl | None) -> str | None:
    return None if acl is None else acls.dump(acl)


def dump_runs(runs: Sequence[PartRun]) -> str:
    return _dump([(run.first_number, run.count, run.size_bytes) for run in runs])


def checksum_params(checksum: Checksum | None) -> dict[str, Value]:
    if checksum is None:
        return {"checksum_algorithm": None, "checksum_value": None, "checksum_type": None}
    return {
        "checksum_algorithm": checksum.algorithm,
        "checksum_value": checksum.value,
        "checksum_type": checksum.type,
    }


NO_TAGS = "[]"  # what an update to no tags stores: NULL would keep those that are there

_PLAIN = Attributes()
_NOTHING = Content()


_dump = json.JSONEncoder(separators=(",", ":")).encode


@lru_cache(DECODED_MAX)
def _load_attributes(text: str) -> Attributes:
    headers, user_metadata, storage_class, website_redirect = json.loads(text)
    return Attributes(_pairs(headers), _pairs(user_metadata), storage_class, website_redirect)


@lru_cache(DECODED_MAX)
def _load_pairs(text: str) -> Tags:
    return _pairs(json.loads(text))


@lru_cache(DECODED_MAX)
def _load_acl(text: str) -> Acl:
    return acls.load(text)


@lru_cache(DECODED_MAX)
def _load_runs(text: str) -> tuple[PartRun, ...]:
    return tuple(PartRun(*run) for run in json.loads(text))


def _load_completed(text: str, runs: str) -> CompletedUpload:
    etag, version_id, versioning, algorithm, value, type_ = json.loads(text)
    checksum = None if algorithm is None else Checksum(algorithm, value, type_)
    return CompletedUpload(etag, version_id, Versioning(versioning), _load_runs(runs), checksum)


def _pairs(items: Sequence[Sequence[str]]) -> Tags:
    return tuple((name, value) for name, value in items)
