"""Whether a request may do what its rule does, once what it names has been looked up."""

from __future__ import annotations

from app.auth import access
from app.core import lookup
from app.domain.errors import AccessDenied, InvalidArgument, NoSuchKey, NoSuchVersion
from app.domain.types import Bucket, Lookup
from app.s3.headers import is_form
from app.s3.request import S3Request
from app.s3.routing import Needs

# Their headers may give the object an ACL and tags.
_WRITES = frozenset({"PutObject", "PostObject", "CopyObject", "CreateMultipartUpload"})


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
        if access.may_list(request.principal, bucket, request):
            return
        raise AccessDenied
    action = request.rule.action_for(request.query)
    if (
        request.target.key is None
        and request.rule.operation == "PostObject"
        and is_form(request.headers.get("content-type"))
    ):
        return  # the form says who signed it and for which key; its view asks again with both
    if access.permits(request.principal, action, bucket, version, request.target.key, request):
        if bucket is not None and access.has_policy(bucket):
            _refuse_denied_headers(request, bucket)
        return
    if bucket is not None and request.target.key is None and _names_keys(request):
        if access.might_permit(request.principal, action, bucket):
            return  # the view asks for each key
    elif version is None and bucket is not None and access.may_list(request.principal, bucket, request):
        _require_version(request)
    raise AccessDenied


def _names_keys(request: S3Request) -> bool:
    """Whether the keys come in the body, so that a policy's answer has to wait for them."""
    return request.rule.operation == "DeleteObjects"


def _refuse_denied_headers(request: S3Request, bucket: Bucket) -> None:
    """A write whose headers do what a policy denies beside it. Raises: AccessDenied."""
    if request.rule.operation not in _WRITES:
        return
    sets_acl = any(name == "acl" or name.startswith("grant-") for name, _ in request.headers.with_prefix("x-amz-"))
    beside = [("s3:PutObjectAcl", sets_acl), ("s3:PutObjectTagging", "x-amz-tagging" in request.headers)]
    for action, is_done in beside:
        if is_done and access.denies(request.principal, action, bucket, request.key, request):
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
        if request.enforces_access and not access.may_list(request.principal, found.bucket, request):
            raise AccessDenied
        raise (NoSuchKey if version_id is None else NoSuchVersion)(Key=key)
    if version.is_delete_marker:
        raise InvalidArgument(
            "The source of a copy request may not specifically refer to a delete marker by version id."
        )
    action = "s3:GetObject" if version_id is None else "s3:GetObjectVersion"
    if request.enforces_access and not access.permits(request.principal, action, found.bucket, version, key, request):
        raise AccessDenied
    return found


def may(request: S3Request, action: str, key: str | None = None) -> bool:
    """Whether the caller may do another action than the rule's on the request's bucket, or on `key` in it."""
    return not request.enforces_access or access.permits(request.principal, action, request.bucket, None, key, request)


def reauthorise(request: S3Request) -> None:
    """Once more with what the body said, where a policy may ask for it. Raises: what `authorise` raises."""
    if request.enforces_access and access.has_policy(request.bucket):
        authorise(request)
