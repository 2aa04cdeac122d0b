"""GetBucketAcl, PutBucketAcl."""

from __future__ import annotations

from app.core import buckets
from app.s3 import xml
from app.s3.blueprint import S3Blueprint
from app.s3.request import S3Request, S3Response, xml_response
from app.s3.views.acl import requested_acl

bp = S3Blueprint("bucket_acl")


@bp.get("/<bucket>", subresource="acl", action="s3:GetBucketAcl")
def get_bucket_acl(request: S3Request) -> S3Response:
    acl = buckets.effective_acl(request.bucket)
    return xml_response(xml.access_control_policy(acl, request.store.directory))


@bp.put("/<bucket>", subresource="acl", action="s3:PutBucketAcl")
def put_bucket_acl(request: S3Request) -> S3Response:
    bucket = request.bucket
    buckets.refuse_acl_if_enforced(bucket)
    buckets.put_acl(request.store, bucket, requested_acl(request, bucket.owner_id))
    return S3Response(200)
