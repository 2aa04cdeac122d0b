"""GetBucketTagging, PutBucketTagging, DeleteBucketTagging."""

from __future__ import annotations

from app.core import buckets
from app.domain.tags import BUCKET_TAGS_MAX
from app.s3 import xml
from app.s3.blueprint import S3Blueprint
from app.s3.body import read_all
from app.s3.request import S3Request, S3Response, xml_response

bp = S3Blueprint("bucket_tagging")


@bp.get("/<bucket>", subresource="tagging", action="s3:GetBucketTagging")
def get_bucket_tagging(request: S3Request) -> S3Response:
    return xml_response(xml.tagging(buckets.tags(request.bucket)))


@bp.put("/<bucket>", subresource="tagging", action="s3:PutBucketTagging")
def put_bucket_tagging(request: S3Request) -> S3Response:
    tags = xml.read_tagging(read_all(request.payload, xml.CONFIGURATION_MAX_BYTES), BUCKET_TAGS_MAX)
    buckets.put_tags(request.store, request.bucket, tags)
    return S3Response(204)


@bp.delete("/<bucket>", subresource="tagging", action="s3:PutBucketTagging")
def delete_bucket_tagging(request: S3Request) -> S3Response:
    buckets.delete_tags(request.store, request.bucket)
    return S3Response(204)
