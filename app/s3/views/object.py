"""PutObject, GetObject, HeadObject, DeleteObject."""

from __future__ import annotations

from typing import NamedTuple

from app.core import content, lookup, objects
from app.domain import conditions, multipart, ranges
from app.domain.errors import (
    BlobMissing,
    InvalidPartNumber,
    InvalidRequest,
    NotModified,
    PreconditionFailed,
    S3NotImplemented,
)
from app.domain.types import Checksum, Removed, Version, Versioning
from app.s3.blueprint import S3Blueprint
from app.s3.headers import checksum_algorithm, object_headers, response_overrides
from app.s3.request import S3Request, S3Response
from app.s3.routing import Needs
from app.s3.views.common import require_object
from app.s3.views.parts import part_number
from app.s3.views.writing import checksum_headers, new_object, version_id_header

bp = S3Blueprint("object")

_READ_PARAMETERS = (
    "versionId",
    "partNumber",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
)


@bp.put("/<bucket>/<key:key>", action="s3:PutObject")
def put_object(request: S3Request) -> S3Response:
    checksum_algorithm(request.headers)  # says nothing here, but an unknown one is a mistake
    new = new_object(request)
    condition = conditions.write_condition(request.headers.get)
    stored = objects.put_object(request.store, new, request.payload, condition)
    request.object_bytes = stored.size_bytes
    headers = [("ETag", f'"{stored.etag}"'), *checksum_headers(stored.checksum), *version_id_header(stored.published)]
    return S3Response(200, headers)


@bp.head(
    "/<bucket>/<key:key>",
    action="s3:GetObject",
    version_action="s3:GetObjectVersion",
    needs=Needs.VERSION,
    parameters=_READ_PARAMETERS,
)
def head_object(request: S3Request) -> S3Response:
    version = require_object(request)
    selection = _select(request, version)
    return S3Response(selection.status, selection.headers, content_length=selection.length)


@bp.get(
    "/<bucket>/<key:key>",
    action="s3:GetObject",
    version_action="s3:GetObjectVersion",
    needs=Needs.CONTENT,
    parameters=_READ_PARAMETERS,
)
def get_object(request: S3Request) -> S3Response:
    version = require_object(request)
    selection = _select(request, version)
    try:
        body = content.open_content(request.store, version, selection.start, selection.length)
    except BlobMissing:
        # The object was replaced and swept between look-up and open: what is there now is the answer (I4).
        request.looked_up = lookup.version(
            request.store, request.bucket.name, request.key, request.version_id, with_bytes=True
        )
        version = require_object(request)
        selection = _select(request, version)
        body = content.open_content(request.store, version, selection.start, selection.length)
    return S3Response(selection.status, selection.headers, body, selection.length)


@bp.delete(
    "/<bucket>/<key:key>",
    action="s3:DeleteObject",
    version_action="s3:DeleteObjectVersion",
    parameters=("versionId",),
)
def delete_object(request: S3Request) -> S3Response:
    condition = conditions.delete_condition(request.headers.get)
    if condition is not None and request.version_id is not None:
        raise S3NotImplemented("Conditional deletes of a version are not implemented.")
    owner_id = request.principal.id or request.bucket.owner_id
    removed = objects.delete_object(
        request.store, request.bucket.name, request.key, request.version_id, owner_id, condition
    )
    return S3Response(204, _removed_headers(removed, request.version_id))


def _removed_headers(removed: Removed, asked: str | None) -> list[tuple[str, str]]:
    """A named version is echoed even where there was none; a new marker's id where the bucket is versioned."""
    headers = []
    version_id = asked or removed.version_id
    if version_id is not None and removed.versioning is not Versioning.UNVERSIONED:
        headers.append(("x-amz-version-id", version_id))
    if removed.is_delete_marker:
        headers.append(("x-amz-delete-marker", "true"))
    return headers


class _Selection(NamedTuple):
    """The bytes a read asks for, and how the answer describes them."""

    status: int
    start: int
    length: int
    headers: list[tuple[str, str]]


def _select(request: S3Request, version: Version) -> _Selection:
    """Conditions, range and part number of a read. Raises: NotModified, PreconditionFailed, InvalidRange, …"""
    headers = request.headers
    if headers.asks_for_all and request.query.is_plain and "x-amz-checksum-mode" not in headers.values:
        return _Selection(200, 0, version.size_bytes, object_headers(version, request.bucket.versioning))
    overrides = response_overrides(request.query, is_signed=request.is_signed or not request.enforces_access)
    described = object_headers(version, request.bucket.versioning, overrides)
    try:
        conditions.evaluate_read(headers.get, version.etag, version.modified_ms)
    except NotModified as answer:
        answer.headers = tuple(described)
        raise
    except PreconditionFailed as refusal:
        refusal.headers = tuple(item for item in described if item[0] in ("ETag", "Last-Modified"))
        raise
    number = request.query.get("partNumber")
    range_header = headers.get("range")
    wants_checksum = (headers.get("x-amz-checksum-mode") or "").upper() == "ENABLED"
    if number is not None:
        if range_header is not None:
            raise InvalidRequest("Cannot specify both Range header and partNumber query parameter")
        return _select_part(request, version, part_number(number), described, wants_checksum)
    if range_header is not None and not conditions.range_holds(
        headers.get("if-range"), version.etag, version.modified_ms
    ):
        range_header = None
    span = None if range_header is None else ranges.parse_range(range_header, version.size_bytes)
    if span is None:
        checksum = version.checksum if wants_checksum else None
        return _Selection(200, 0, version.size_bytes, [*described, *checksum_headers(checksum)])
    # Never a checksum of the whole beside a part of it: clients verify whatever arrives.
    described.append(("Content-Range", span.content_range(version.size_bytes)))
    return _Selection(206, span.start, span.length, described)


def _select_part(
    request: S3Request, version: Version, number: int, headers: list[tuple[str, str]], wants_checksum: bool
) -> _Selection:
    manifest = version.content.manifest
    if manifest is None:
        if number != 1:
            raise InvalidPartNumber(PartNumberRequested=str(number), ActualPartCount="1")
        start, length, checksum = 0, version.size_bytes, version.checksum
    else:
        place = multipart.locate_part(manifest.runs, number)
        if place is None:
            raise InvalidPartNumber(PartNumberRequested=str(number), ActualPartCount=str(manifest.parts_count))
        start, length = place
        headers.append(("x-amz-mp-parts-count", str(manifest.parts_count)))
        checksum = _part_checksum(request, version, number) if wants_checksum else None
    if wants_checksum:
        headers += checksum_headers(checksum)
    if not length:
        # An empty part, the last one, is no range of bytes.
        return _Selection(200, start, 0, headers)
    headers.append(("Content-Range", ranges.ByteRange(start, length).content_range(version.size_bytes)))
    return _Selection(206, start, length, headers)


def _part_checksum(request: S3Request, version: Version, number: int) -> Checksum | None:
    """The part's own value. The type is the object's: it says how the parts' values make that of the whole."""
    manifest = version.content.manifest
    rows = [] if manifest is None else content.part_rows(request.store, manifest, [number])
    checksum = rows[0].checksum if rows else None
    if checksum is None or version.checksum is None:
        return checksum
    return checksum._replace(type=version.checksum.type)
