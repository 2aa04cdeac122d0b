"""ListObjectsV2, ListObjects, ListObjectVersions.

Rows come in pages of at most 1,000, which render in a few milliseconds. Source: specs/listing.md.
"""

from __future__ import annotations

from app.core import versions
from app.domain.errors import InvalidArgument
from app.domain.names import is_version_id
from app.domain.types import ListQuery, VersionQuery
from app.s3 import xml
from app.s3.blueprint import S3Blueprint
from app.s3.request import S3Request, S3Response, xml_response
from app.s3.views.common import decode_token, encode_token, encodes_urls, limit_parameter

bp = S3Blueprint("listing")

KEYS_MAX = 1000
_TOKEN = "objects"


@bp.get(
    "/<bucket>",
    action="s3:ListBucket",
    query=("list-type", "2"),
    name="ListObjectsV2",
    parameters=(
        "list-type",
        "continuation-token",
        "delimiter",
        "encoding-type",
        "fetch-owner",
        "max-keys",
        "prefix",
        "start-after",
    ),
)
def list_objects_v2(request: S3Request) -> S3Response:
    parameters, encode = request.query, encodes_urls(request.query)
    token, start_after = parameters.get("continuation-token"), parameters.get("start-after")
    after = start_after if token is None else decode_token(_TOKEN, token)
    directory = request.store.directory if parameters.get("fetch-owner") == "true" else None
    owner_id = versions.owner_of_all(request.bucket)
    query = _list_query(request, after or "", with_owners=directory is not None and owner_id is None)
    page = versions.list_current(request.store, query)
    document = xml.list_objects_v2_result(
        query,
        page,
        continuation_token=token,
        start_after=start_after,
        next_token=encode_token(_TOKEN, page.last) if page.is_truncated else None,
        directory=directory,
        encode=encode,
        owner_id=owner_id,
    )
    return xml_response(document)


@bp.get(
    "/<bucket>",
    action="s3:ListBucket",
    parameters=("delimiter", "encoding-type", "marker", "max-keys", "prefix"),
)
def list_objects(request: S3Request) -> S3Response:
    encode, marker = encodes_urls(request.query), request.query.get("marker") or ""
    owner_id = versions.owner_of_all(request.bucket)
    query = _list_query(request, marker, with_owners=owner_id is None)
    page = versions.list_current(request.store, query)
    document = xml.list_objects_result(
        query, page, marker=marker, directory=request.store.directory, encode=encode, owner_id=owner_id
    )
    return xml_response(document)


@bp.get(
    "/<bucket>",
    subresource="versions",
    action="s3:ListBucketVersions",
    parameters=("delimiter", "encoding-type", "key-marker", "max-keys", "prefix", "version-id-marker"),
)
def list_object_versions(request: S3Request) -> S3Response:
    parameters, encode = request.query, encodes_urls(request.query)
    query = VersionQuery(
        bucket=request.bucket.name,
        prefix=parameters.get("prefix") or "",
        delimiter=parameters.get("delimiter") or "",
        after=parameters.get("key-marker") or "",
        after_version_id=_version_id_marker(request),
        limit=limit_parameter(parameters, "max-keys", KEYS_MAX),
    )
    page = versions.list_versions(request.store, query)
    document = xml.list_versions_result(
        query,
        page,
        version_id_marker=query.after_version_id or "",
        directory=request.store.directory,
        encode=encode,
        owner_id=versions.owner_of_all(request.bucket),
    )
    return xml_response(document)


def _list_query(request: S3Request, after: str, *, with_owners: bool) -> ListQuery:
    parameters = request.query
    return ListQuery(
        bucket=request.bucket.name,
        prefix=parameters.get("prefix") or "",
        delimiter=parameters.get("delimiter") or "",
        after=after,
        limit=limit_parameter(parameters, "max-keys", KEYS_MAX),
        with_owners=with_owners,
    )


def _version_id_marker(request: S3Request) -> str | None:
    marker = request.query.get("version-id-marker")
    if not marker:
        return None
    if not request.query.get("key-marker"):
        raise InvalidArgument(
            "A version-id marker cannot be specified without a key marker.",
            ArgumentName="version-id-marker",
            ArgumentValue=marker,
        )
    if not is_version_id(marker):
        raise InvalidArgument("Invalid version id specified", ArgumentName="version-id-marker", ArgumentValue=marker)
    return marker
