"""What the ACL operations of buckets and objects share: an ACL comes in headers or in the body, never in both."""

from __future__ import annotations

from app.domain.acl import Acl
from app.domain.errors import MissingSecurityHeader, UnexpectedContent
from app.s3 import xml
from app.s3.body import read_all
from app.s3.headers import acl_from_headers
from app.s3.request import S3Request


def requested_acl(request: S3Request, owner_id: str) -> Acl:
    """The ACL that a PUT ?acl asks for, for a bucket or an object of `owner_id`.

    Raises: UnexpectedContent (headers and a body), MissingSecurityHeader (neither), MalformedACLError, InvalidRequest
    (canned and explicit grants together), InvalidArgument, UnresolvableGrantByEmailAddress.
    """
    in_headers = acl_from_headers(request.headers, owner_id, request.bucket.owner_id, request.store.directory)
    body = read_all(request.payload, xml.CONFIGURATION_MAX_BYTES)
    if in_headers is not None:
        if body:
            raise UnexpectedContent
        return in_headers
    if not body:
        raise MissingSecurityHeader(MissingHeaderName="x-amz-acl")
    return xml.read_acl(body)
