"""GetObjectTagging, PutObjectTagging, DeleteObjectTagging."""

from __future__ import annotations

from app.core import versions
from app.domain.tags import OBJECT_TAGS_MAX
from app.domain.types import Tags
from app.s3 import xml
from app.s3.blueprint import S3Blueprint
from app.s3.body import read_all
from app.s3.permission import reauthorise
from app.s3.request import S3Request, S3Response, xml_response
from app.s3.routing import Needs
from app.s3.views.common import require_object, version_header

bp = S3Blueprint("object_tagging")


@bp.get(
    "/<bucket>/<key:key>",
    subresource="tagging",
    action="s3:GetObjectTagging",
    version_action="s3:GetObjectVersionTagging",
    needs=Needs.VERSION,
    parameters=("versionId",),
)
def get_object_tagging(request: S3Request) -> S3Response:
    version = require_object(request)
    return xml_response(xml.tagging(version.tags), headers=dict(version_header(request, version)))


@bp.put(
    "/<bucket>/<key:key>",
    subresource="tagging",
    action="s3:PutObjectTagging",
    version_action="s3:PutObjectVersionTagging",
    needs=Needs.VERSION,
    parameters=("versionId",),
)
def put_object_tagging(request: S3Request) -> S3Response:
    require_object(request)
    tags = xml.read_tagging(read_all(request.payload, xml.CONFIGURATION_MAX_BYTES), OBJECT_TAGS_MAX)
    request.body_tags = tags
    reauthorise(request)
    return _replaced(request, tags, status=200)


@bp.delete(
    "/<bucket>/<key:key>",
    subresource="tagging",
    action="s3:DeleteObjectTagging",
    version_action="s3:DeleteObjectVersionTagging",
    needs=Needs.VERSION,
    parameters=("versionId",),
)
def delete_object_tagging(request: S3Request) -> S3Response:
    return _replaced(request, (), status=204)


def _replaced(request: S3Request, tags: Tags, status: int) -> S3Response:
    version = require_object(request)
    versions.put_tags(request.store, version, tags)
    return S3Response(status, version_header(request, version))
