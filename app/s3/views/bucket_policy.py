"""GetBucketPolicy, PutBucketPolicy, DeleteBucketPolicy, GetBucketPolicyStatus."""

from __future__ import annotations

from app.core import bucket_policy
from app.s3 import xml
from app.s3.blueprint import S3Blueprint
from app.s3.body import read_all
from app.s3.request import S3Request, S3Response, xml_response

bp = S3Blueprint("bucket_policy")


@bp.get("/<bucket>", subresource="policy", action="s3:GetBucketPolicy")
def get_bucket_policy(request: S3Request) -> S3Response:
    text = bucket_policy.policy_text(request.bucket)
    return S3Response(200, [("Content-Type", "application/json")], text.encode())


@bp.put("/<bucket>", subresource="policy", action="s3:PutBucketPolicy")
def put_bucket_policy(request: S3Request) -> S3Response:
    document = read_all(request.payload, xml.CONFIGURATION_MAX_BYTES)
    bucket_policy.put_policy(request.store, request.bucket, document)
    return S3Response(204)


@bp.delete("/<bucket>", subresource="policy", action="s3:DeleteBucketPolicy")
def delete_bucket_policy(request: S3Request) -> S3Response:
    bucket_policy.delete_policy(request.store, request.bucket)
    return S3Response(204)


@bp.get("/<bucket>", subresource="policyStatus", action="s3:GetBucketPolicyStatus")
def get_bucket_policy_status(request: S3Request) -> S3Response:
    return xml_response(xml.policy_status(is_public=bucket_policy.is_public(request.bucket)))
