"""CreateBucket, DeleteBucket, HeadBucket, GetBucketLocation."""

from __future__ import annotations

from app.core import buckets
from app.core.buckets import BucketWish
from app.domain.errors import S3NotImplemented
from app.s3 import xml
from app.s3.blueprint import S3Blueprint
from app.s3.body import read_all
from app.s3.headers import acl_from_headers, refuse_protections
from app.s3.request import S3Request, S3Response, xml_response
from app.s3.routing import Needs

bp = S3Blueprint("bucket")


@bp.put("/<bucket>", action="s3:CreateBucket", needs=Needs.NOTHING)
def create_bucket(request: S3Request) -> S3Response:
    headers, owner_id = request.headers, request.principal.id
    name = request.target.bucket or ""
    refuse_protections(headers)
    if (headers.get("x-amz-bucket-namespace") or "global").lower() != "global":
        raise S3NotImplemented("Bucket namespaces are not implemented.")
    acl = acl_from_headers(headers, owner_id, owner_id, request.store.directory)
    configuration = xml.read_create_bucket(read_all(request.payload, xml.CONFIGURATION_MAX_BYTES))
    wish = BucketWish(
        name=name,
        owner_id=owner_id,
        location=configuration.location,
        acl=acl,
        ownership=headers.get("x-amz-object-ownership"),
        tags=configuration.tags,
    )
    buckets.create_bucket(request.store, wish)
    return S3Response(200, [("Location", f"/{name}")])


@bp.delete("/<bucket>", action="s3:DeleteBucket")
def delete_bucket(request: S3Request) -> S3Response:
    buckets.delete_bucket(request.store, request.bucket.name)
    return S3Response(204)


@bp.head("/<bucket>", action="s3:ListBucket")
def head_bucket(request: S3Request) -> S3Response:
    return S3Response(200, [("x-amz-bucket-region", request.bucket.region), ("Content-Type", "application/xml")])


@bp.get("/<bucket>", subresource="location", action="s3:GetBucketLocation")
def get_bucket_location(request: S3Request) -> S3Response:
    return xml_response(xml.location_constraint(request.bucket.region))
