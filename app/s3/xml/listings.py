"""Listings: buckets, objects in both versions of the operation, versions, uploads and parts.

`encode` is encoding-type=url: it applies to keys, prefixes, delimiters and key markers, never to tokens and ids.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from app.domain.dates import iso_date
from app.domain.types import Bucket, ListQuery, Page, Part, Upload, UploadQuery, Version, VersionQuery
from app.s3.xml.text import (
    Directory,
    boolean,
    checksum_elements,
    document,
    element,
    escape,
    etag_element,
    key_text,
    optional,
    person,
)

BUCKETS_SLICE = 1000


def list_all_my_buckets_result(
    page: Page[Bucket],
    owner_id: str,
    directory: Directory,
    *,
    prefix: str | None = None,
    next_token: str | None = None,
    pause: Callable[[], None] = lambda: None,
) -> bytes:
    """ListBuckets: the caller's own buckets. `pause` lets others in after every BUCKETS_SLICE of them."""
    rendered = []
    for start in range(0, len(page.entries), BUCKETS_SLICE):
        if start:
            pause()
        rendered += [_bucket(bucket) for bucket in page.entries[start : start + BUCKETS_SLICE]]
    return document(
        "ListAllMyBucketsResult",
        person("Owner", owner_id, directory),
        f"<Buckets>{''.join(rendered)}</Buckets>",
        optional("Prefix", prefix),
        optional("ContinuationToken", next_token),
    )


def _bucket(bucket: Bucket) -> str:
    return (
        f"<Bucket><Name>{bucket.name}</Name><CreationDate>{iso_date(bucket.created_ms)}</CreationDate>"
        f"{optional('BucketRegion', bucket.region)}</Bucket>"
    )


def list_objects_result(
    query: ListQuery, page: Page[Version], *, marker: str, directory: Directory, encode: bool
) -> bytes:
    """ListObjects, version 1: Marker always, NextMarker only with a delimiter."""
    owner = _people("Owner", directory)
    more = page.is_truncated and query.delimiter
    return document(
        "ListBucketResult",
        element("Name", query.bucket),
        _key("Prefix", query.prefix, encode),
        _key("Marker", marker, encode),
        _key("NextMarker", page.last, encode) if more else "",
        f"<MaxKeys>{query.limit}</MaxKeys>",
        _group(query.delimiter, encode),
        boolean("IsTruncated", page.is_truncated),
        *(_contents(version, encode, owner(version.owner_id)) for version in page.entries),
        *_common_prefixes(page.common_prefixes, encode),
    )


def list_objects_v2_result(
    query: ListQuery,
    page: Page[Version],
    *,
    continuation_token: str | None,
    start_after: str | None,
    next_token: str | None,
    directory: Directory | None,
    encode: bool,
) -> bytes:
    """ListObjectsV2. Tokens are opaque here; owners are shown where a `directory` is given (fetch-owner)."""
    owner = _people("Owner", directory) if directory is not None else _nobody
    return document(
        "ListBucketResult",
        element("Name", query.bucket),
        _key("Prefix", query.prefix, encode),
        "" if continuation_token is None else element("ContinuationToken", continuation_token),
        optional("NextContinuationToken", next_token),
        "" if start_after is None else _key("StartAfter", start_after, encode),
        f"<KeyCount>{len(page.entries) + len(page.common_prefixes)}</KeyCount>",
        f"<MaxKeys>{query.limit}</MaxKeys>",
        _group(query.delimiter, encode),
        boolean("IsTruncated", page.is_truncated),
        *(_contents(version, encode, owner(version.owner_id)) for version in page.entries),
        *_common_prefixes(page.common_prefixes, encode),
    )


def list_versions_result(
    query: VersionQuery, page: Page[Version], *, version_id_marker: str, directory: Directory, encode: bool
) -> bytes:
    """ListObjectVersions: versions and delete markers in one sequence."""
    owner = _people("Owner", directory)
    return document(
        "ListVersionsResult",
        element("Name", query.bucket),
        _key("Prefix", query.prefix, encode),
        _key("KeyMarker", query.after, encode),
        element("VersionIdMarker", version_id_marker),
        _key("NextKeyMarker", page.last, encode) if page.is_truncated else "",
        optional("NextVersionIdMarker", page.last_id) if page.is_truncated else "",
        f"<MaxKeys>{query.limit}</MaxKeys>",
        _group(query.delimiter, encode),
        boolean("IsTruncated", page.is_truncated),
        *(_version(version, encode, owner(version.owner_id)) for version in page.entries),
        *_common_prefixes(page.common_prefixes, encode),
    )


def list_multipart_uploads_result(
    query: UploadQuery, page: Page[Upload], *, upload_id_marker: str, directory: Directory, encode: bool
) -> bytes:
    owner, initiator = _people("Owner", directory), _people("Initiator", directory)
    return document(
        "ListMultipartUploadsResult",
        element("Bucket", query.bucket),
        _key("KeyMarker", query.after, encode),
        element("UploadIdMarker", upload_id_marker),
        _key("NextKeyMarker", page.last, encode) if page.is_truncated else "",
        optional("NextUploadIdMarker", page.last_id) if page.is_truncated else "",
        _key("Prefix", query.prefix, encode),
        f"<MaxUploads>{query.limit}</MaxUploads>",
        _group(query.delimiter, encode),
        boolean("IsTruncated", page.is_truncated),
        *(
            f"<Upload>{_key('Key', upload.key, encode)}{element('UploadId', upload.upload_id)}"
            f"{initiator(upload.initiator_id)}{owner(upload.owner_id)}"
            f"{element('StorageClass', upload.attributes.storage_class)}"
            f"<Initiated>{iso_date(upload.created_ms)}</Initiated>{_upload_checksum(upload)}</Upload>"
            for upload in page.entries
        ),
        *_common_prefixes(page.common_prefixes, encode),
    )


def list_parts_result(
    upload: Upload,
    parts: Sequence[Part],
    *,
    after: int,
    limit: int,
    is_truncated: bool,
    directory: Directory,
    encode: bool,
) -> bytes:
    """ListParts: the parts numbered above `after`, at most `limit`. The checksum shown is the upload's algorithm's."""
    following = parts[-1].number if is_truncated and parts else None
    return document(
        "ListPartsResult",
        element("Bucket", upload.bucket),
        _key("Key", upload.key, encode),
        element("UploadId", upload.upload_id),
        person("Initiator", upload.initiator_id, directory),
        person("Owner", upload.owner_id, directory),
        element("StorageClass", upload.attributes.storage_class),
        f"<PartNumberMarker>{after}</PartNumberMarker>",
        "" if following is None else f"<NextPartNumberMarker>{following}</NextPartNumberMarker>",
        f"<MaxParts>{limit}</MaxParts>",
        "<EncodingType>url</EncodingType>" if encode else "",
        boolean("IsTruncated", is_truncated),
        *(
            f"<Part><PartNumber>{part.number}</PartNumber><LastModified>{iso_date(part.modified_ms)}</LastModified>"
            f"{etag_element(part.etag)}<Size>{part.size_bytes}</Size>"
            f"{checksum_elements(part.checksum, with_type=False)}</Part>"
            for part in parts
        ),
        _upload_checksum(upload),
    )


def _contents(version: Version, encode: bool, owner: str) -> str:
    return f"<Contents>{_described(version, encode)}{owner}</Contents>"


def _version(version: Version, encode: bool, owner: str) -> str:
    if version.is_delete_marker:
        return (
            f"<DeleteMarker>{_key('Key', version.key, encode)}{_version_id(version)}"
            f"<LastModified>{iso_date(version.modified_ms)}</LastModified>{owner}</DeleteMarker>"
        )
    return f"<Version>{_described(version, encode)}{_version_id(version)}{owner}</Version>"


def _version_id(version: Version) -> str:
    is_latest = "true" if version.is_current else "false"
    return f"<VersionId>{escape(version.version_id)}</VersionId><IsLatest>{is_latest}</IsLatest>"


def _described(version: Version, encode: bool) -> str:
    checksum = version.checksum
    kind = (
        ""
        if checksum is None
        else f"<ChecksumAlgorithm>{checksum.algorithm}</ChecksumAlgorithm><ChecksumType>{checksum.type}</ChecksumType>"
    )
    return (
        f"<Key>{key_text(version.key, encode)}</Key><LastModified>{iso_date(version.modified_ms)}</LastModified>"
        f"<ETag>&quot;{version.etag}&quot;</ETag>{kind}<Size>{version.size_bytes}</Size>"
        f"<StorageClass>{version.attributes.storage_class}</StorageClass>"
    )


def _upload_checksum(upload: Upload) -> str:
    algorithm, kind = upload.checksum_algorithm, upload.checksum_type
    return optional("ChecksumAlgorithm", algorithm) + optional("ChecksumType", kind)


def _key(name: str, text: str, encode: bool) -> str:
    return f"<{name}>{key_text(text, encode)}</{name}>"


def _group(delimiter: str, encode: bool) -> str:
    shown = _key("Delimiter", delimiter, encode) if delimiter else ""
    return f"{shown}<EncodingType>url</EncodingType>" if encode else shown


def _common_prefixes(prefixes: Sequence[str], encode: bool) -> list[str]:
    return [f"<CommonPrefixes>{_key('Prefix', prefix, encode)}</CommonPrefixes>" for prefix in prefixes]


def _people(name: str, directory: Directory) -> Callable[[str], str]:
    """The element of a person by id; each person is rendered once a listing."""
    shown: dict[str, str] = {}

    def rendered(user_id: str) -> str:
        if user_id not in shown:
            shown[user_id] = person(name, user_id, directory)
        return shown[user_id]

    return rendered


def _nobody(_: str) -> str:
    return ""
