"""Whether a request may do what its rule does, once what it names has been looked up."""

from __future__ import annotations

from app.auth import access
from app.core import lookup
from app.domain.errors import AccessDenied, InvalidArgument, NoSuchKey, NoSuchVersion
from app.domain.types import Lookup
from app.s3.request import S3Request
from app.s3.routing import Needs


def authorise(request: S3Request) -> None:
    """Raises: AccessDenied; NoSuchKey or NoSuchVersion instead, for callers who may know that the object is absent."""
    expected = request.headers.get("x-amz-expected-bucket-owner")
    looked_up = request.looked_up
    if expected is not None and looked_up is not None and expected != looked_up.bucket.owner_id:
        raise AccessDenied
    if not request.enforces_access:
        _require_version(request)
        return
    bucket = None if looked_up is None else looked_up.bucket
    version = request.version
    if version is not None and version.is_delete_marker and bucket is not None:
        # What a marker hides is known to those who may list; the view gives the marker's own answer.
        if access.may_list(request.principal, bucket):
            return
        raise AccessDenied
    if access.permits(request.principal, request.rule.action_for(request.query), bucket, version):
        return
    if version is None and bucket is not None and access.may_list(request.principal, bucket):
        _require_version(request)
    raise AccessDenied


def _require_version(request: S3Request) -> None:
    if request.rule.needs not in (Needs.VERSION, Needs.CONTENT) or request.version is not None:
        return
    if request.version_id is not None:
        raise NoSuchVersion(Key=request.key, VersionId=request.version_id)
    raise NoSuchKey(Key=request.key)


def look_up_source(request: S3Request, bucket: str, key: str, version_id: str | None) -> Lookup:
    """The source of a copy, with its bytes where they are inline. It needs its own permission.

    Raises: NoSuchBucket, NoSuchKey, NoSuchVersion, AccessDenied, InvalidRequest (a delete marker named by its id).
    """
    found = lookup.version(request.store, bucket, key, version_id, with_bytes=True)
    expected = request.headers.get("x-amz-source-expected-bucket-owner")
    if expected is not None and expected != found.bucket.owner_id:
        raise AccessDenied
    version = found.version
    if version is None or (version.is_delete_marker and version_id is None):
        if request.enforces_access and not access.may_list(request.principal, found.bucket):
            raise AccessDenied
        raise (NoSuchKey if version_id is None else NoSuchVersion)(Key=key)
    if version.is_delete_marker:
        raise InvalidArgument(
            "The source of a copy request may not specifically refer to a delete marker by version id."
        )
    action = "s3:GetObject" if version_id is None else "s3:GetObjectVersion"
    if request.enforces_access and not access.permits(request.principal, action, found.bucket, version):
        raise AccessDenied
    return found


def may(request: S3Request, action: str) -> bool:
    """Whether the caller may do another bucket-level action than the rule's, on the request's bucket."""
    return not request.enforces_access or access.permits(request.principal, action, request.bucket)
