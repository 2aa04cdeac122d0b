"""CopyObject, and the source of a copy, which UploadPartCopy reads the same way."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from app.core import copies
from app.domain import conditions
from app.domain.errors import InvalidArgument, InvalidRequest
from app.domain.names import is_version_id
from app.domain.types import Lookup, Version, Versioning
from app.s3 import xml
from app.s3.blueprint import S3Blueprint
from app.s3.headers import checksum_algorithm
from app.s3.permission import look_up_source
from app.s3.request import S3Request, S3Response
from app.s3.views.writing import new_object, version_id_header

bp = S3Blueprint("copy")

_DIRECTIVES = ("COPY", "REPLACE")


@bp.put("/<bucket>/<key:key>", action="s3:PutObject", copies=True)
def copy_object(request: S3Request) -> S3Response:
    headers = request.headers
    found = source_of(request)
    source = require_source(request, found)
    replaces_attributes = _directive(request, "x-amz-metadata-directive") == "REPLACE"
    replaces_tags = _directive(request, "x-amz-tagging-directive") == "REPLACE"
    algorithm = checksum_algorithm(headers)
    new = new_object(request)
    if _is_same_object(request, found, source) and not (replaces_attributes or replaces_tags or _changes(request)):
        raise InvalidRequest(
            "This copy request is illegal because it is trying to copy an object to itself without changing the "
            "object's metadata, storage class, website redirect location or encryption attributes."
        )
    new = copies.described_as(new, source, attributes=not replaces_attributes, tags=not replaces_tags)
    condition = conditions.write_condition(headers.get)
    stored = copies.copy_object(request.store, new, source, condition, algorithm)
    request.object_bytes = stored.size_bytes
    document = xml.copy_object_result(stored.etag, stored.published.modified_ms, stored.checksum)
    answer = [("Content-Type", "application/xml"), *version_id_header(stored.published)]
    return S3Response(200, [*answer, *source_version_header(found, source)], document)


def source_of(request: S3Request) -> Lookup:
    """What x-amz-copy-source names, looked up, with the caller's right to read it checked.

    The raw value is split at its "?versionId=" first and decoded once after that, then bucket from key: a key may hold
    any of these characters. Raises: InvalidArgument, and what `look_up_source` raises.
    """
    raw = request.headers.get("x-amz-copy-source") or ""
    path, mark, version_id = raw.rpartition("?versionId=")
    if not mark:
        path, version_id = raw, ""
    try:
        # A header is latin-1 here: bytes that are not percent-encoded must still be UTF-8 together.
        name = unquote_to_bytes(path.encode("latin-1")).decode("utf-8")
    except UnicodeError:
        raise _bad_source(raw) from None
    bucket, slash, key = name.removeprefix("/").partition("/")
    if not (bucket and slash and key):
        raise _bad_source(raw)
    if mark and not is_version_id(version_id):
        raise InvalidArgument(
            "Invalid version id specified", ArgumentName="x-amz-copy-source", ArgumentValue=version_id
        )
    return look_up_source(request, bucket, key, version_id if mark else None)


def require_source(request: S3Request, found: Lookup) -> Version:
    """The source version, its x-amz-copy-source-if-* conditions held. Raises: PreconditionFailed, InvalidRequest."""
    source = found.version
    if source is None:
        raise InvalidRequest
    conditions.evaluate_copy_source(request.headers.get, source.etag, source.modified_ms)
    return source


def source_version_header(found: Lookup, source: Version) -> list[tuple[str, str]]:
    if found.bucket.versioning is Versioning.UNVERSIONED:
        return []
    return [("x-amz-copy-source-version-id", source.version_id)]


def _bad_source(raw: str) -> InvalidArgument:
    return InvalidArgument(
        "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
        ArgumentName="x-amz-copy-source",
        ArgumentValue=raw,
    )


def _directive(request: S3Request, name: str) -> str:
    value = request.headers.get(name)
    if value is None:
        return "COPY"
    if value.upper() not in _DIRECTIVES:
        raise InvalidArgument(f"Unknown {name.removeprefix('x-amz-')}.", ArgumentName=name, ArgumentValue=value)
    return value.upper()


def _is_same_object(request: S3Request, found: Lookup, source: Version) -> bool:
    """An older version over its own key is a restore, not a copy onto itself."""
    return (found.bucket.id, source.key) == (request.bucket.id, request.key) and source.is_current


def _changes(request: S3Request) -> bool:
    headers = request.headers
    return "x-amz-storage-class" in headers or "x-amz-website-redirect-location" in headers
