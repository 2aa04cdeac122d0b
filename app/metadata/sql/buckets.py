"""Buckets and their documents. A bucket's id and generation are sequence numbers: never given out twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from app.domain.types import Bucket, BucketQuery, Page
from app.metadata.sql import rows, usage
from app.metadata.sql.listing import BEHIND_ALL, successor
from app.metadata.sql.mutation import BUCKET, Mutation, Params, Step, plan
from app.metadata.sql.rows import BUCKET_COLUMNS
from app.metadata.sql.schema import HIDDEN, LISTED

_ID: Final = f"SELECT bucket.id AS bucket_id, bucket.owner_id AS owner_id FROM {BUCKET}"  # noqa: S608 - constants
_NO_SUCH_BUCKET: Final = "CASE WHEN found.bucket_id IS NULL THEN 'no_such_bucket' END"

_NEW_GENERATION: Final = Step(
    "UPDATE buckets SET generation = (SELECT sequence FROM plan) WHERE id = (SELECT bucket_id FROM plan)"
)

CREATE_BUCKET: Final = Mutation(
    "create_bucket",
    plan(
        _ID,
        refusal="CASE WHEN found.owner_id = :owner_id THEN 'bucket_owned' "
        "WHEN found.bucket_id IS NOT NULL THEN 'bucket_exists' END",
        bucket_id="plan.sequence + 1",
    ),
    (
        Step(
            """
            INSERT INTO buckets (id, name, owner_id, region, created_ms, versioning, generation)
            SELECT sequence, :bucket, :owner_id, :region, :now_ms, '', sequence FROM plan
            """
        ),
        Step(
            """
            INSERT INTO bucket_documents (bucket_id, kind, body)
            SELECT plan.sequence, document.key, document.value FROM plan, json_each(:documents) AS document
            """
        ),
        usage.BEGIN,
    ),
    grows=True,
)

# Its completed uploads stay: versions elsewhere may have their parts.
DELETE_BUCKET: Final = Mutation(
    "delete_bucket",
    plan(
        _ID,
        refusal=f"""CASE
            WHEN found.bucket_id IS NULL THEN 'no_such_bucket'
            WHEN EXISTS (SELECT 1 FROM versions WHERE bucket_id = found.bucket_id AND {LISTED})
                OR EXISTS (SELECT 1 FROM versions WHERE bucket_id = found.bucket_id AND {HIDDEN}) THEN 'bucket_not_empty'
        END""",  # noqa: S608 - constants
        bucket_id="found.bucket_id",
    ),
    (
        Step(
            """
            INSERT INTO garbage (id, kind, ref, created_ms)
            SELECT sequence * 2, 'bucket', CAST(bucket_id AS TEXT), :now_ms FROM plan
            WHERE EXISTS (SELECT 1 FROM uploads WHERE bucket_id = plan.bucket_id AND state = 'open')
            """
        ),
        Step("DELETE FROM bucket_documents WHERE bucket_id = (SELECT bucket_id FROM plan)"),
        usage.END,
        Step("DELETE FROM buckets WHERE id = (SELECT bucket_id FROM plan)"),
    ),
)

SET_VERSIONING: Final = Mutation(
    "set_versioning",
    plan(_ID, refusal=_NO_SUCH_BUCKET, bucket_id="found.bucket_id"),
    (
        Step("UPDATE buckets SET versioning = :versioning WHERE id = (SELECT bucket_id FROM plan)"),
        _NEW_GENERATION,
    ),
    grows=True,
)

PUT_DOCUMENT: Final = Mutation(
    "put_document",
    plan(_ID, refusal=_NO_SUCH_BUCKET, bucket_id="found.bucket_id"),
    (
        Step(
            """
            INSERT INTO bucket_documents (bucket_id, kind, body) SELECT bucket_id, :document, :body FROM plan WHERE TRUE
            ON CONFLICT (bucket_id, kind) DO UPDATE SET body = excluded.body
            """
        ),
        _NEW_GENERATION,
    ),
    grows=True,
)

DELETE_DOCUMENT: Final = Mutation(
    "put_document",
    plan(
        _ID,
        refusal="""CASE
            WHEN found.bucket_id IS NULL THEN 'no_such_bucket'
            WHEN NOT EXISTS (SELECT 1 FROM bucket_documents WHERE bucket_id = found.bucket_id AND kind = :document)
            THEN 'nothing_to_do'
        END""",
        bucket_id="found.bucket_id",
    ),
    (
        Step(
            "DELETE FROM bucket_documents WHERE bucket_id = (SELECT bucket_id FROM plan) AND kind = :document",
        ),
        _NEW_GENERATION,
    ),
)

# One statement, so that a bucket and its documents are of one generation: a row a document, or one row of NULLs.
READ_BUCKET: Final = f"""
SELECT document.kind, document.body, {BUCKET_COLUMNS}
FROM buckets AS bucket LEFT JOIN bucket_documents AS document ON document.bucket_id = bucket.id
WHERE bucket.name = :bucket
"""  # noqa: S608 - constants

LIST_BUCKETS: Final = f"""
SELECT {BUCKET_COLUMNS} FROM buckets AS bucket
WHERE owner_id = :owner_id AND name >= :start AND name < :end AND (:region IS NULL OR region = :region)
ORDER BY name LIMIT :limit
"""  # noqa: S608 - constants


def list_buckets(read: Callable[[str, Params], Sequence[Any]], query: BucketQuery) -> Page[Bucket]:
    if query.limit < 1:
        return Page(())
    found = read(
        LIST_BUCKETS,
        {
            "owner_id": query.owner_id,
            "start": query.prefix if query.after < query.prefix else query.after + "\0" if query.after else "",
            "end": successor(query.prefix) or BEHIND_ALL,
            "region": query.region,
            "limit": query.limit + 1,
        },
    )
    entries = tuple(rows.bucket(row) for row in found[: query.limit])
    return Page(entries, is_truncated=len(found) > query.limit, last=entries[-1].name if entries else "")
