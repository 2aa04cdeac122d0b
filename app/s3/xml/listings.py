"""Listings: buckets, objects in both versions of the operation, versions, uploads and parts.

`encode` is encoding-type=url: it applies to keys, prefixes, delimiters and key markers, never to tokens and ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import islice, repeat

from app.domain.dates import iso_date, iso_dates
from app.domain.types import Bucket, Listed, ListedVersion, ListQuery, Page, Part, Upload, UploadQuery, VersionQuery
from app.s3.xml.text import (
    Directory,
    boolean,
    checksum_elements,
    document,
    element,
    escape,
    etag_element,
    key_text,
    key_texts,
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
    query: ListQuery,
    page: Page[Listed],
    *,
    marker: str,
    directory: Directory,
    encode: bool,
    owner_id: str | None = None,
) -> bytes:
    """ListObjects, version 1: Marker always, NextMarker only with a delimiter.

    `owner_id` is whose all entries are; None: each is its own row's, here and in the other listings.
    """
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
        *_contents(page.entries, encode, _owners(page.entries, directory, owner_id)),
        *_common_prefixes(page.common_prefixes, encode),
    )


def list_objects_v2_result(
    query: ListQuery,
    page: Page[Listed],
    *,
    continuation_token: str | None,
    start_after: str | None,
    next_token: str | None,
    directory: Directory | None,
    encode: bool,
    owner_id: str | None = None,
) -> bytes:
    """ListObjectsV2. Tokens are opaque here; owners are shown where a `directory` is given (fetch-owner)."""
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
        *_contents(page.entries, encode, _owners(page.entries, directory, owner_id)),
        *_common_prefixes(page.common_prefixes, encode),
    )


def list_versions_result(
    query: VersionQuery,
    page: Page[ListedVersion],
    *,
    version_id_marker: str,
    directory: Directory,
    encode: bool,
    owner_id: str | None = None,
) -> bytes:
    """ListObjectVersions: versions and delete markers in one sequence."""
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
        *_versions(page.entries, encode, _owners(page.entries, directory, owner_id)),
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


def _contents(entries: Sequence[Listed], encode: bool, owners: Iterable[str]) -> list[str]:
    return _entries("Contents", entries, encode, repeat(""), owners)


def _versions(entries: Sequence[ListedVersion], encode: bool, owners: Iterable[str]) -> list[str]:
    owners = list(islice(owners, len(entries)))
    identities = [
        f"<VersionId>{escape(row.version_id)}</VersionId><IsLatest>{'true' if row.is_current else 'false'}</IsLatest>"
        for row in entries
    ]
    rendered = _entries("Version", entries, encode, identities, owners)
    for at, row in enumerate(entries):
        if row.is_delete_marker:
            rendered[at] = (
                f"<DeleteMarker><Key>{key_text(row.key, encode)}</Key>{identities[at]}"
                f"<LastModified>{iso_date(row.modified_ms)}</LastModified>{owners[at]}</DeleteMarker>"
            )
    return rendered


def _entries(
    name: str, entries: Sequence[Listed], encode: bool, identities: Iterable[str], owners: Iterable[str]
) -> list[str]:
    """The elements of a page's objects, each with its identity and owner behind what all have."""
    keys = key_texts([row.key for row in entries], encode)
    dates = iso_dates([row.modified_ms for row in entries])
    return [
        f"<{name}><Key>{key}</Key><LastModified>{date}</LastModified><ETag>&quot;{row.etag}&quot;</ETag>"
        f"{_checksum_kind(row.checksum_algorithm, row.checksum_type)}<Size>{row.size_bytes}</Size>"
        f"<StorageClass>{row.storage_class}</StorageClass>{identity}{owner}</{name}>"
        for key, date, row, identity, owner in zip(keys, dates, entries, identities, owners, strict=False)
    ]


@lru_cache(maxsize=64)
def _checksum_kind(algorithm: str | None, kind: str | None) -> str:
    if algorithm is None:
        return ""
    return f"<ChecksumAlgorithm>{algorithm}</ChecksumAlgorithm><ChecksumType>{kind}</ChecksumType>"


def _upload_checksum(upload: Upload) -> str:
    algorithm, kind = upload.checksum_algorithm, upload.checksum_type
    return optional("ChecksumAlgorithm", algorithm) + optional("ChecksumType", kind)


def _key(name: str, text: str, encode: bool) -> str:
    return f"<{name}>{key_text(text, encode)}</{name}>"


def _group(delimiter: str, encode: bool) -> str:
    shown = _key("Delimiter", delimiter, encode) if delimiter else ""
    return f"{shown}<EncodingType>url</EncodingType>" if encode else shown


def _common_prefixes(prefixes: Sequence[str], encode: bool) -> list[str]:
    return [f"<CommonPrefixes><Prefix>{text}</Prefix></CommonPrefixes>" for text in key_texts(prefixes, encode)]


def _owners(entries: Sequence[Listed], directory: Directory | None, owner_id: str | None) -> Iterable[str]:
    """The Owner element of each entry: nothing without a directory."""
    if directory is None:
        return repeat("")
    if owner_id is not None:
        return repeat(person("Owner", owner_id, directory))
    owner = _people("Owner", directory)
    return [owner(row.owner_id) for row in entries]


def _people(name: str, directory: Directory) -> Callable[[str], str]:
    """The element of a person by id; each person is rendered once a listing."""
    shown: dict[str, str] = {}

    def rendered(user_id: str) -> str:
        if user_id not in shown:
            shown[user_id] = person(name, user_id, directory)
        return shown[user_id]

    return rendered
