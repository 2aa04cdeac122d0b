"""GetBucketOwnershipControls, PutBucketOwnershipControls, DeleteBucketOwnershipControls."""

from __future__ import annotations

from app.core import buckets
from app.s3 import xml
from app.s3.blueprint import S3Blueprint
from app.s3.body import read_all
from app.s3.request import S3Request, S3Response, xml_response

bp = S3Blueprint("ownership")


@bp.get("/<bucket>", subresource="ownershipControls", action="s3:GetBucketOwnershipControls")
def get_bucket_ownership_controls(request: S3Request) -> S3Response:
    return xml_response(xml.ownership_controls(buckets.ownership(request.bucket)))


@bp.put("/<bucket>", subresource="ownershipControls", action="s3:PutBucketOwnershipControls")
def put_bucket_ownership_controls(request: S3Request) -> S3Response:
    name = xml.read_ownership_controls(read_all(request.payload, xml.CONFIGURATION_MAX_BYTES))
    buckets.put_ownership(request.store, request.bucket, name)
    return S3Response(200)


@bp.delete("/<bucket>", subresource="ownershipControls", action="s3:PutBucketOwnershipControls")
def delete_bucket_ownership_controls(request: S3Request) -> S3Response:
    buckets.delete_ownership(request.store, request.bucket)
    return S3Response(204)
