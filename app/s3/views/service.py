"""ListBuckets."""

from __future__ import annotations

from app import runtime
from app.core import buckets
from app.domain.types import BucketQuery
from app.s3 import xml
from app.s3.blueprint import S3Blueprint
from app.s3.request import S3Request, S3Response, xml_response
from app.s3.views.common import decode_token, encode_token, limit_parameter

bp = S3Blueprint("list_buckets")

BUCKETS_MAX = 10_000
_TOKEN = "buckets"


@bp.get(
    "/",
    action="s3:ListAllMyBuckets",
    parameters=("max-buckets", "continuation-token", "prefix", "bucket-region"),
)
def list_buckets(request: S3Request) -> S3Response:
    """The caller's own buckets, whoever else's he may use."""
    query, prefix = request.query, request.query.get("prefix") or ""
    page = buckets.list_buckets(
        request.store,
        BucketQuery(
            owner_id=request.principal.id,
            prefix=prefix,
            after=decode_token(_TOKEN, query.get("continuation-token") or ""),
            limit=limit_parameter(query, "max-buckets", BUCKETS_MAX, minimum=1),
            region=query.get("bucket-region") or None,
        ),
    )
    return xml_response(
        xml.list_all_my_buckets_result(
            page,
            request.principal.id,
            request.store.directory,
            prefix=prefix,
            next_token=encode_token(_TOKEN, page.last) if page.is_truncated else None,
            pause=lambda: runtime.sleep(0),
        )
    )
