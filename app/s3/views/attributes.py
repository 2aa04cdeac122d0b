"""GetObjectAttributes."""

from __future__ import annotations

from app.core import content
from app.domain import multipart
from app.domain.dates import http_date
from app.domain.errors import InvalidArgument
from app.domain.types import Part, Version
from app.s3 import xml
from app.s3.blueprint import S3Blueprint
from app.s3.request import S3Request, S3Response, xml_response
from app.s3.routing import Needs
from app.s3.views.common import require_object, version_header
from app.s3.views.parts import whole_number

bp = S3Blueprint("attributes")

ATTRIBUTES = frozenset({"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"})
PARTS_PAGE_MAX = 1000


@bp.get(
    "/<bucket>/<key:key>",
    subresource="attributes",
    action="s3:GetObjectAttributes",
    version_action="s3:GetObjectVersionAttributes",
    needs=Needs.VERSION,
    parameters=("versionId",),
)
def get_object_attributes(request: S3Request) -> S3Response:
    wanted = _wanted(request)
    version = require_object(request)
    parts = _parts(request, version) if "ObjectParts" in wanted else None
    headers = [("Last-Modified", http_date(version.modified_ms)), *version_header(request, version)]
    return xml_response(xml.get_object_attributes_response(version, wanted, parts), headers=dict(headers))


def _wanted(request: S3Request) -> frozenset[str]:
    header = ",".join(request.headers.get_all("x-amz-object-attributes"))
    names = frozenset(name.strip() for name in header.split(",") if name.strip())
    if not names:
        raise InvalidArgument(
            "The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty",
            ArgumentName="x-amz-object-attributes",
            ArgumentValue="",
        )
    if not names <= ATTRIBUTES:
        raise InvalidArgument(
            "Invalid attribute name specified.",
            ArgumentName="x-amz-object-attributes",
            ArgumentValue=min(names - ATTRIBUTES),
        )
    return names


def _parts(request: S3Request, version: Version) -> xml.PartsPage | None:
    """One page of the parts of a multipart object; other objects have none."""
    manifest = version.content.manifest
    if manifest is None:
        return None
    limit = whole_number(request.headers.get("x-amz-max-parts"), "x-amz-max-parts", PARTS_PAGE_MAX, PARTS_PAGE_MAX)
    after = whole_number(request.headers.get("x-amz-part-number-marker"), "x-amz-part-number-marker", 0)
    numbers = [number for number, _ in multipart.part_sizes(manifest.runs, after, limit + 1)]
    rows: list[Part] = content.part_rows(request.store, manifest, numbers[:limit])
    return xml.PartsPage(manifest.parts_count, tuple(rows), after, limit, 0 < limit < len(numbers))
