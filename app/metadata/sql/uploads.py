"""Multipart uploads and their parts. The part rows of a completed upload stay where they are and are its objects' content."""

from __future__ import annotations

from typing import Final

from app.metadata.sql.mutation import BUCKET, Mutation, Step, plan
from app.metadata.sql.rows import PART_COLUMNS, UPLOAD_COLUMNS

_ID: Final = f"SELECT bucket.id AS bucket_id FROM {BUCKET}"  # noqa: S608 - constants

_NOT_OPEN: Final = """
    WHEN found.bucket_id IS NULL THEN 'no_such_bucket'
    WHEN NOT EXISTS (SELECT 1 FROM uploads WHERE upload_id = :upload_id AND bucket_id = found.bucket_id
        AND key = :key AND state = 'open') THEN 'no_such_upload'
"""

CREATE_UPLOAD: Final = Mutation(
    "create_upload",
    plan(
        _ID,
        refusal="""CASE
            WHEN found.bucket_id IS NULL THEN 'no_such_bucket'
            WHEN EXISTS (SELECT 1 FROM uploads WHERE upload_id = :upload_id) THEN 'repeated'
        END""",
        bucket_id="found.bucket_id",
    ),
    (
        Step(
            """
            INSERT INTO uploads (upload_id, bucket_id, key, owner_id, initiator_id, created_ms, state, revision,
                parts_count, attributes, tags, acl, checksum_algorithm, checksum_type)
            SELECT :upload_id, bucket_id, :key, :owner_id, :initiator_id, :now_ms, 'open', 0,
                0, :attributes, :tags, :acl, :checksum_algorithm, :checksum_type
            FROM plan
            """
        ),
    ),
    grows=True,
)

PUT_PART: Final = Mutation(
    "put_part",
    plan(
        _ID,
        refusal=f"""CASE {_NOT_OPEN}
            WHEN EXISTS (SELECT 1 FROM condemned WHERE blob = :blob) THEN 'blob_condemned'
        END""",  # noqa: S608 - constants
        bucket_id="found.bucket_id",
    ),
    (
        Step(
            """
            INSERT INTO garbage (id, kind, ref, created_ms)
            SELECT plan.sequence * 2, 'blob', old.blob, :now_ms FROM plan JOIN parts AS old
            ON old.upload_id = :upload_id AND old.number = :number AND old.blob <> :blob
            """
        ),
        # The revision is what Complete validated the part list at.
        Step(
            """
            UPDATE uploads SET revision = revision + 1, parts_count = parts_count + CASE WHEN EXISTS
                (SELECT 1 FROM parts WHERE upload_id = :upload_id AND number = :number) THEN 0 ELSE 1 END
            WHERE upload_id = :upload_id
            """
        ),
        Step(
            """
            INSERT INTO parts (upload_id, number, size_bytes, etag, modified_ms, blob,
                checksum_algorithm, checksum_value, checksum_type)
            VALUES (:upload_id, :number, :size_bytes, :etag, :now_ms, :blob,
                :checksum_algorithm, :checksum_value, :checksum_type)
            ON CONFLICT (upload_id, number) DO UPDATE SET size_bytes = excluded.size_bytes, etag = excluded.etag,
                modified_ms = excluded.modified_ms, blob = excluded.blob,
                checksum_algorithm = excluded.checksum_algorithm, checksum_value = excluded.checksum_value,
                checksum_type = excluded.checksum_type
            """
        ),
    ),
    grows=True,
)

ABORT_UPLOAD: Final = Mutation(
    "abort_upload",
    plan(_ID, refusal=f"CASE {_NOT_OPEN} END", bucket_id="found.bucket_id"),
    (
        Step("UPDATE uploads SET state = 'aborted' WHERE upload_id = :upload_id"),
        Step(
            """
            INSERT INTO garbage (id, kind, ref, created_ms)
            SELECT sequence * 2, 'manifest', :upload_id, :now_ms FROM plan
            """
        ),
    ),
)

# A completed upload is known as long as a version has its parts.
READ_UPLOAD: Final = f"""
SELECT upload.upload_id IS NOT NULL AND (upload.state = 'open' OR upload.state = 'completed'
        AND EXISTS (SELECT 1 FROM versions WHERE versions.upload_id = upload.upload_id)), {UPLOAD_COLUMNS}
FROM buckets AS bucket LEFT JOIN uploads AS upload
    ON upload.upload_id = :upload_id AND upload.bucket_id = bucket.id AND upload.key = :key
WHERE bucket.name = :bucket
"""  # noqa: S608 - constants

# The join leaves out what a deleted bucket left behind: that is garbage already.
STALE_UPLOADS: Final = f"""
SELECT bucket.name, {UPLOAD_COLUMNS} FROM uploads AS upload JOIN buckets AS bucket ON bucket.id = upload.bucket_id
WHERE upload.state = 'open' AND upload.created_ms < :before_ms
ORDER BY upload.created_ms, upload.upload_id LIMIT :limit
"""  # noqa: S608 - constants

READ_PARTS: Final = f"""
SELECT {PART_COLUMNS} FROM parts AS part WHERE upload_id = :upload_id AND number BETWEEN :first AND :last
ORDER BY number LIMIT :limit
"""  # noqa: S608 - constants

SCAN_PARTS: Final = f"""
SELECT part.upload_id, {PART_COLUMNS} FROM parts AS part WHERE (upload_id, number) > (:upload_id, :number)
ORDER BY upload_id, number LIMIT :limit
"""  # noqa: S608 - constants
