"""Values to the named parameters of statements."""

from __future__ import annotations

import json
from typing import Final

from app.domain.types import Condition, NewVersion, Part, Removal, Upload, VersionChange
from app.metadata.sql import rows
from app.metadata.sql.mutation import Value

Named = dict[str, Value]

_NO_CONDITION: Final[Named] = {
    "none_match": 0,
    "needs_object": 0,
    "if_match": None,
    "if_size_bytes": None,
    "if_modified_s": None,
}


def of_version(new: NewVersion, condition: Condition | None) -> Named:
    content, manifest = new.content, new.content.manifest
    return {
        "bucket": new.bucket,
        "key": new.key,
        "version_id": new.version_id,
        "owner_id": new.owner_id,
        "now_ms": new.created_ms,
        "size_bytes": new.size_bytes,
        "etag": new.etag,
        "is_inline": int(content.is_inline),
        "inline": content.inline,
        "blob": content.blob,
        "upload_id": None if manifest is None else manifest.upload_id,
        "runs": None if manifest is None else rows.dump_runs(manifest.runs),
        "parts_count": None if manifest is None else manifest.parts_count,
        "revision": None if new.completes is None else new.completes.revision,
        "attributes": rows.dump_attributes(new.attributes),
        "tags": rows.dump_tags(new.tags),
        "acl": rows.dump_acl(new.acl),
        **rows.checksum_params(new.checksum),
        **_of_condition(condition),
    }


def columns_of(new: NewVersion) -> tuple[Value, ...]:
    """What a row of inline bytes or of a blob takes from `new`, as plain.py binds it."""
    content, checksum = new.content, new.checksum
    return (
        new.key,
        new.owner_id,
        new.size_bytes,
        new.etag,
        int(content.is_inline),
        content.blob,
        rows.dump_attributes(new.attributes),
        rows.dump_tags(new.tags),
        rows.dump_acl(new.acl),
        *((None, None, None) if checksum is None else (checksum.algorithm, checksum.value, checksum.type)),
    )


def of_removal(removal: Removal, condition: Condition | None) -> Named:
    return {
        "bucket": removal.bucket,
        "key": removal.key,
        "version_id": removal.version_id,
        "marker_id": removal.marker_id,
        "owner_id": removal.owner_id,
        "now_ms": removal.created_ms,
        # What goes is garbage, whatever comes: a marker refers to nothing.
        "blob": None,
        "upload_id": None,
        **_of_condition(condition),
    }


def of_change(bucket: str, key: str, version_id: str | None, change: VersionChange) -> Named:
    return {
        "bucket": bucket,
        "key": key,
        "version_id": version_id,
        "tags": None if change.tags is None else rows.dump_tags(change.tags) or rows.NO_TAGS,
        "acl": rows.dump_acl(change.acl),
        "sequence": change.sequence,
    }


def of_upload(upload: Upload) -> Named:
    return {
        "bucket": upload.bucket,
        "key": upload.key,
        "upload_id": upload.upload_id,
        "owner_id": upload.owner_id,
        "initiator_id": upload.initiator_id,
        "now_ms": upload.created_ms,
        "attributes": rows.dump_attributes(upload.attributes),
        "tags": rows.dump_tags(upload.tags),
        "acl": rows.dump_acl(upload.acl),
        "checksum_algorithm": upload.checksum_algorithm,
        "checksum_type": upload.checksum_type,
    }


def of_part(bucket: str, key: str, upload_id: str, part: Part) -> Named:
    return {
        "bucket": bucket,
        "key": key,
        "upload_id": upload_id,
        "number": part.number,
        "size_bytes": part.size_bytes,
        "etag": part.etag,
        "now_ms": part.modified_ms,
        "blob": part.blob,
        **rows.checksum_params(part.checksum),
    }


def _of_condition(condition: Condition | None) -> Named:
    if condition is None:
        return _NO_CONDITION
    match = condition.if_match
    return {
        "none_match": int(condition.if_none_match_any),
        "needs_object": int(
            match is not None or condition.if_match_size_bytes is not None or condition.if_match_modified_s is not None
        ),
        # ("*",) asks for any object, which `needs_object` says already.
        "if_match": None if match is None or match == ("*",) else json.dumps(match),
        "if_size_bytes": condition.if_match_size_bytes,
        "if_modified_s": condition.if_match_modified_s,
    }
