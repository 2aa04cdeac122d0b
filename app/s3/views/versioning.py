"""GetBucketVersioning, PutBucketVersioning."""

from __future__ import annotations

from app.core import buckets
from app.s3 import xml
from app.s3.blueprint import S3Blueprint
from app.s3.body import read_all
from app.s3.request import S3Request, S3Response, xml_response

bp = S3Blueprint("versioning")


@bp.get("/<bucket>", subresource="versioning", action="s3:GetBucketVersioning")
def get_bucket_versioning(request: S3Request) -> S3Response:
    return xml_response(xml.versioning_configuration(request.bucket.versioning))


@bp.put("/<bucket>", subresource="versioning", action="s3:PutBucketVersioning")
def put_bucket_versioning(request: S3Request) -> S3Response:
    versioning = xml.read_versioning(read_all(request.payload, xml.CONFIGURATION_MAX_BYTES))
    buckets.put_versioning(request.store, request.bucket, versioning)
    return S3Response(200)
