"""Multipart uploads: create, parts, part copies, complete, abort, and the two listings."""

from __future__ import annotations

from app.core import copies, uploads
from app.domain import conditions, ranges
from app.domain.errors import InvalidArgument, InvalidRequest
from app.domain.types import Checksum, Upload, UploadQuery
from app.s3 import xml
from app.s3.blueprint import S3Blueprint
from app.s3.body import read_all
from app.s3.headers import checksum_algorithm
from app.s3.request import S3Request, S3Response, xml_response
from app.s3.views.common import encodes_urls, limit_parameter
from app.s3.views.copy import require_source, source_of, source_version_header
from app.s3.views.parts import part_number, whole_number
from app.s3.views.writing import checksum_headers, new_object, version_id_header

bp = S3Blueprint("multipart")

PARTS_PAGE_MAX = 1000
UPLOADS_PAGE_MAX = 1000


@bp.post("/<bucket>/<key:key>", subresource="uploads", action="s3:PutObject")
def create_multipart_upload(request: S3Request) -> S3Response:
    upload = uploads.create_upload(
        request.store,
        new_object(request),
        request.principal.id,
        checksum_algorithm(request.headers),
        checksum_type(request),
    )
    headers = {}
    if upload.checksum_algorithm and upload.checksum_type:
        headers["x-amz-checksum-algorithm"] = upload.checksum_algorithm
        headers["x-amz-checksum-type"] = upload.checksum_type
    return xml_response(xml.initiate_multipart_upload_result(upload), headers=headers)


@bp.put("/<bucket>/<key:key>", subresource="uploadId", action="s3:PutObject")
def upload_part(request: S3Request) -> S3Response:
    number = part_number(request.query.get("partNumber") or "")
    upload = _upload(request)
    _require_initiator(request, upload)
    part, declared = uploads.upload_part(request.store, upload, number, request.payload)
    return S3Response(200, [("ETag", f'"{part.etag}"'), *checksum_headers(declared or part.checksum, with_type=False)])


@bp.put("/<bucket>/<key:key>", subresource="uploadId", action="s3:PutObject", copies=True)
def upload_part_copy(request: S3Request) -> S3Response:
    number = part_number(request.query.get("partNumber") or "")
    upload = _upload(request)
    _require_initiator(request, upload)
    found = source_of(request)
    source = require_source(request, found)
    header = request.headers.get("x-amz-copy-source-range")
    start, length = 0, source.size_bytes
    if header is not None:
        span = ranges.parse_copy_source_range(header, source.size_bytes)
        start, length = span.start, span.length
    payload = copies.SourcePayload(request.store, source, start, length)
    try:
        part, _ = uploads.upload_part(request.store, upload, number, payload)
    finally:
        payload.close()
    return xml_response(xml.copy_part_result(part), headers=dict(source_version_header(found, source)))


@bp.post("/<bucket>/<key:key>", subresource="uploadId", action="s3:PutObject")
def complete_multipart_upload(request: S3Request) -> S3Response:
    listed = xml.read_complete_multipart_upload(read_all(request.payload, xml.COMPLETE_MAX_BYTES, has_checksum=False))
    _require_initiator(
        request, uploads.find_upload(request.store, request.bucket.name, request.key, _upload_id(request))
    )
    stored = uploads.complete_upload(
        request.store,
        request.bucket.name,
        request.key,
        _upload_id(request),
        [uploads.ListedPart(part.number, part.etag, part.checksums) for part in listed],
        _asked(request),
        conditions.write_condition(request.headers.get),
    )
    request.object_bytes = stored.size_bytes
    location = (
        f"{'https' if request.is_secure else 'http'}://{request.headers.get('host') or ''}{request.target.raw_path}"
    )
    document = xml.complete_multipart_upload_result(
        location, request.bucket.name, request.key, stored.etag, stored.checksum
    )
    return xml_response(document, headers=dict(version_id_header(stored.published)))


@bp.delete("/<bucket>/<key:key>", subresource="uploadId", action="s3:AbortMultipartUpload")
def abort_multipart_upload(request: S3Request) -> S3Response:
    _require_initiator(request, _upload(request))
    uploads.abort_upload(request.store, request.bucket.name, request.key, _upload_id(request))
    return S3Response(204)


@bp.get(
    "/<bucket>/<key:key>",
    subresource="uploadId",
    action="s3:ListMultipartUploadParts",
    parameters=("max-parts", "part-number-marker", "encoding-type"),
)
def list_parts(request: S3Request) -> S3Response:
    upload = _upload(request)
    _require_initiator(request, upload)
    parameters = request.query
    limit = limit_parameter(parameters, "max-parts", PARTS_PAGE_MAX)
    after = whole_number(parameters.get("part-number-marker"), "part-number-marker", default=0)
    parts, is_truncated = uploads.list_parts(request.store, upload, after, limit)
    document = xml.list_parts_result(
        upload,
        parts,
        after=after,
        limit=limit,
        is_truncated=is_truncated,
        directory=request.store.directory,
        encode=encodes_urls(parameters),
    )
    return xml_response(document)


@bp.get(
    "/<bucket>",
    subresource="uploads",
    action="s3:ListBucketMultipartUploads",
    parameters=("prefix", "delimiter", "key-marker", "upload-id-marker", "max-uploads", "encoding-type"),
)
def list_multipart_uploads(request: S3Request) -> S3Response:
    parameters = request.query
    key_marker = parameters.get("key-marker") or ""
    # Without a key marker an upload id marker says nothing, and is ignored.
    upload_id_marker = (parameters.get("upload-id-marker") or "") if key_marker else ""
    query = UploadQuery(
        bucket=request.bucket.name,
        prefix=parameters.get("prefix") or "",
        delimiter=parameters.get("delimiter") or "",
        after=key_marker,
        after_upload_id=upload_id_marker or None,
        limit=limit_parameter(parameters, "max-uploads", UPLOADS_PAGE_MAX),
    )
    document = xml.list_multipart_uploads_result(
        query,
        uploads.list_uploads(request.store, query),
        upload_id_marker=upload_id_marker,
        directory=request.store.directory,
        encode=encodes_urls(parameters),
    )
    return xml_response(document)


def checksum_type(request: S3Request) -> str | None:
    value = request.headers.get("x-amz-checksum-type")
    if value is None:
        return None
    if value.upper() not in ("FULL_OBJECT", "COMPOSITE"):
        raise InvalidRequest("Value for x-amz-checksum-type header is invalid.")
    return value.upper()


def _upload_id(request: S3Request) -> str:
    return request.query.get("uploadId") or ""


def _upload(request: S3Request) -> Upload:
    return uploads.open_upload(request.store, request.bucket.name, request.key, _upload_id(request))


def _require_initiator(request: S3Request, upload: Upload) -> None:
    if request.enforces_access:
        uploads.require_initiator(upload, request.bucket, request.principal.id)


def _asked(request: S3Request) -> uploads.Asked:
    """The checksum and size of the whole object that Complete's headers announce."""
    headers = request.headers
    checksum = None
    found = [
        (name, value)
        for name, value in headers.with_prefix("x-amz-checksum-")
        if name not in ("type", "algorithm", "mode")
    ]
    if len(found) > 1:
        raise InvalidRequest("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
    if found:
        checksum = Checksum(found[0][0].upper(), found[0][1])
    size = headers.get("x-amz-mp-object-size")
    if size is not None and not (size.isascii() and size.isdigit() and len(size) < 20):
        raise InvalidArgument(
            "Value for x-amz-mp-object-size header is invalid.", ArgumentName="x-amz-mp-object-size", ArgumentValue=size
        )
    return uploads.Asked(checksum, checksum_type(request), None if size is None else int(size))
