"""GetObjectAcl, PutObjectAcl."""

from __future__ import annotations

from app.core import buckets, versions
from app.s3 import xml
from app.s3.blueprint import S3Blueprint
from app.s3.request import S3Request, S3Response, xml_response
from app.s3.routing import Needs
from app.s3.views.acl import requested_acl
from app.s3.views.common import require_object, version_header

bp = S3Blueprint("object_acl")


@bp.get(
    "/<bucket>/<key:key>",
    subresource="acl",
    action="s3:GetObjectAcl",
    version_action="s3:GetObjectVersionAcl",
    needs=Needs.VERSION,
    parameters=("versionId",),
)
def get_object_acl(request: S3Request) -> S3Response:
    version = require_object(request)
    acl = versions.effective_acl(request.bucket, version)
    document = xml.access_control_policy(acl, request.store.directory)
    return xml_response(document, headers=dict(version_header(request, version)))


@bp.put(
    "/<bucket>/<key:key>",
    subresource="acl",
    action="s3:PutObjectAcl",
    version_action="s3:PutObjectVersionAcl",
    needs=Needs.VERSION,
    parameters=("versionId",),
)
def put_object_acl(request: S3Request) -> S3Response:
    version = require_object(request)
    buckets.refuse_acl_if_enforced(request.bucket)
    acl = requested_acl(request, version.owner_id)
    versions.put_acl(request.store, request.bucket, version, acl)
    return S3Response(200, version_header(request, version))
