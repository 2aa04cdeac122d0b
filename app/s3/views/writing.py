"""What PutObject, CopyObject and CreateMultipartUpload read from their headers alike."""

from __future__ import annotations

from app.auth import access
from app.core.objects import NewObject
from app.domain.acl import Acl
from app.domain.errors import AccessControlListNotSupported
from app.domain.tags import parse_tagging_header
from app.domain.types import Checksum, Published, Tags, Versioning
from app.s3.headers import acl_from_headers, read_attributes
from app.s3.request import S3Request


def new_object(request: S3Request) -> NewObject:
    """The object that the headers describe, its owner decided by the bucket's object ownership.

    Raises: what the headers' readers raise; AccessControlListNotSupported.
    """
    owner_id, acl = _owner_and_acl(request)
    return NewObject(
        bucket=request.bucket.name,
        key=request.key,
        owner_id=owner_id,
        attributes=read_attributes(request.headers),
        tags=tags_in_header(request),
        acl=acl,
    )


def tags_in_header(request: S3Request) -> Tags:
    header = request.headers.get("x-amz-tagging")
    return () if header is None else parse_tagging_header(header)


def _owner_and_acl(request: S3Request) -> tuple[str, Acl | None]:
    """Anonymous writers leave their objects to the bucket's owner: nobody else could ever manage them."""
    bucket, headers = request.bucket, request.headers
    canned = headers.get("x-amz-acl")
    if access.is_enforced(bucket):
        if headers.with_prefix("x-amz-grant-") or canned not in (None, "bucket-owner-full-control"):
            raise AccessControlListNotSupported
        return bucket.owner_id, None
    owner_id = request.principal.id or bucket.owner_id
    if access.ownership(bucket) == access.BUCKET_OWNER_PREFERRED and canned == "bucket-owner-full-control":
        return bucket.owner_id, None
    return owner_id, acl_from_headers(headers, owner_id, bucket.owner_id, request.store.directory)


def version_id_header(published: Published) -> list[tuple[str, str]]:
    """Suspended and never versioned buckets send none."""
    if published.versioning is not Versioning.ENABLED:
        return []
    return [("x-amz-version-id", published.version_id)]


def checksum_headers(checksum: Checksum | None, *, with_type: bool = True) -> list[tuple[str, str]]:
    if checksum is None:
        return []
    headers = [(f"x-amz-checksum-{checksum.algorithm.lower()}", checksum.value)]
    return [*headers, ("x-amz-checksum-type", checksum.type)] if with_type else headers
