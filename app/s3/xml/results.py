"""Answers of single operations: errors, uploads, copies, deletions, attributes."""

from __future__ import annotations

from collections.abc import Iterable, Set as AbstractSet
from dataclasses import dataclass

from app.domain.dates import iso_date
from app.domain.errors import S3Error
from app.domain.types import Checksum, Part, Upload, Version
from app.s3.xml.text import HEAD, boolean, checksum_elements, document, element, escape, etag_element, optional


@dataclass(frozen=True, slots=True)
class Deleted:
    """A key that DeleteObjects has dealt with. `version_id` is the one the client named.

    `is_delete_marker`: a marker was added, or the version removed was one; `marker_id` is that marker's id.
    """

    key: str
    version_id: str | None = None
    is_delete_marker: bool = False
    marker_id: str | None = None


@dataclass(frozen=True, slots=True)
class NotDeleted:
    key: str
    version_id: str | None
    error: S3Error


@dataclass(frozen=True, slots=True)
class PartsPage:
    """One page of an object's parts. `parts_count` is of all of them, `after` and `limit` are what was asked for."""

    parts_count: int
    parts: tuple[Part, ...]
    after: int
    limit: int
    is_truncated: bool


def error(error: S3Error, *, resource: str, request_id: str, host_id: str) -> bytes:
    """The error document: the one root without a namespace."""
    fields = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in error.fields.items())
    return (
        f"{HEAD}<Error><Code>{error.code}</Code><Message>{escape(error.message)}</Message>{fields}"
        f"<Resource>{escape(resource)}</Resource><RequestId>{request_id}</RequestId>"
        f"<HostId>{escape(host_id)}</HostId></Error>"
    ).encode()


def initiate_multipart_upload_result(upload: Upload) -> bytes:
    return document(
        "InitiateMultipartUploadResult",
        element("Bucket", upload.bucket),
        element("Key", upload.key),
        element("UploadId", upload.upload_id),
    )


def complete_multipart_upload_result(
    location: str, bucket: str, key: str, etag: str, checksum: Checksum | None
) -> bytes:
    return document(
        "CompleteMultipartUploadResult",
        element("Location", location),
        element("Bucket", bucket),
        element("Key", key),
        etag_element(etag),
        checksum_elements(checksum),
    )


def post_response(location: str, bucket: str, key: str, etag: str) -> bytes:
    return document(
        "PostResponse",
        element("Location", location),
        element("Bucket", bucket),
        element("Key", key),
        etag_element(etag),
    )


def copy_object_result(etag: str, modified_ms: int, checksum: Checksum | None) -> bytes:
    return document(
        "CopyObjectResult",
        f"<LastModified>{iso_date(modified_ms)}</LastModified>",
        etag_element(etag),
        checksum_elements(checksum),
    )


def copy_part_result(part: Part) -> bytes:
    return document(
        "CopyPartResult",
        f"<LastModified>{iso_date(part.modified_ms)}</LastModified>",
        etag_element(part.etag),
        checksum_elements(part.checksum, with_type=False),
    )


def delete_result(results: Iterable[Deleted | NotDeleted]) -> bytes:
    """DeleteResult, in the order given. Under Quiet the caller leaves the successes out."""
    return document("DeleteResult", *map(_deletion, results))


def _deletion(result: Deleted | NotDeleted) -> str:
    named = element("Key", result.key) + optional("VersionId", result.version_id)
    if isinstance(result, NotDeleted):
        failure = f"<Code>{result.error.code}</Code>{element('Message', result.error.message)}"
        return f"<Error>{named}{failure}</Error>"
    marker = boolean("DeleteMarker", True) if result.is_delete_marker else ""
    return f"<Deleted>{named}{marker}{optional('DeleteMarkerVersionId', result.marker_id)}</Deleted>"


def get_object_attributes_response(version: Version, wanted: AbstractSet[str], parts: PartsPage | None) -> bytes:
    """The attributes in `wanted` that the object has. The ETag is without quotes here, and only here."""
    checksum = version.checksum
    shown_checksum = "" if checksum is None else f"<Checksum>{checksum_elements(checksum)}</Checksum>"
    shown_parts = "" if parts is None else f"<ObjectParts>{_parts(parts)}</ObjectParts>"
    storage_class = element("StorageClass", version.attributes.storage_class)
    return document(
        "GetObjectAttributesResponse",
        element("ETag", version.etag) if "ETag" in wanted else "",
        shown_checksum if "Checksum" in wanted else "",
        shown_parts if "ObjectParts" in wanted else "",
        storage_class if "StorageClass" in wanted else "",
        f"<ObjectSize>{version.size_bytes}</ObjectSize>" if "ObjectSize" in wanted else "",
    )


def _parts(page: PartsPage) -> str:
    last = page.parts[-1].number if page.parts else page.after
    return "".join(
        (
            f"<PartsCount>{page.parts_count}</PartsCount><PartNumberMarker>{page.after}</PartNumberMarker>",
            f"<NextPartNumberMarker>{last}</NextPartNumberMarker><MaxParts>{page.limit}</MaxParts>",
            boolean("IsTruncated", page.is_truncated),
            *(
                f"<Part><PartNumber>{part.number}</PartNumber><Size>{part.size_bytes}</Size>"
                f"{checksum_elements(part.checksum, with_type=False)}</Part>"
                for part in page.parts
            ),
        )
    )
