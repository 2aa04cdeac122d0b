"""Publishing, removing and changing versions.

A key's newest row, that with its highest sequence, is its current one. "null" is replaced where a bucket is not
versioned, or no longer; its row may then be any of the key's.
"""

from __future__ import annotations

from typing import Final

from app.domain.types import NewVersion
from app.metadata.sql.mutation import BUCKET, Mutation, Step, plan
from app.metadata.sql.rows import VERSION_COLUMNS, newest_of
from app.metadata.sql.usage import COUNT_COMING, COUNT_LEAVING

_NEWEST: Final = f"LEFT JOIN versions AS newest ON newest.sequence = {newest_of('bucket.id', ':key')}"


def _named(version_id: str) -> str:
    """The sequence of the key's row with this id, current or not."""
    return f"""
    CASE WHEN newest.version_id = {version_id} THEN newest.sequence
    ELSE (SELECT sequence FROM versions WHERE bucket_id = bucket.id AND key = :key AND version_id = {version_id}
          AND NOT is_current) END
    """  # noqa: S608 - called with constants


_FOUND: Final = f"""
    bucket.id AS bucket_id, bucket.versioning AS versioning,
    newest.sequence AS newest, newest.modified_ms AS newest_ms, newest.etag AS etag, newest.size_bytes AS size_bytes,
    newest.sequence IS NOT NULL AND NOT newest.is_marker AS is_object,
    CASE WHEN bucket.versioning = 'Enabled' THEN NULL ELSE {_named("'null'")} END AS null_row
"""

# Conditions ask about the current object; a delete marker is none.
_CONDITION: Final = """
    WHEN :none_match AND is_object THEN 'precondition_failed'
    WHEN :needs_object AND NOT is_object THEN 'no_such_key'
    WHEN :if_match IS NOT NULL AND etag NOT IN (SELECT value FROM json_each(:if_match)) THEN 'precondition_failed'
    WHEN size_bytes <> :if_size_bytes THEN 'precondition_failed'
    WHEN newest_ms / 1000 <> :if_modified_s THEN 'precondition_failed'
"""

# A clock that goes back does not take a key back.
_MODIFIED_MS: Final = "CASE WHEN newest_ms > :now_ms THEN newest_ms ELSE :now_ms END"

# What a row that goes away leaves behind: a piece of garbage, unless the new row refers to the same bytes. Its id is
# never used again, or a sweep that is behind would condemn something young under an old id.
_DROP_DOOMED: Final = (
    Step(
        """
        INSERT INTO garbage (id, kind, ref, created_ms)
        SELECT plan.sequence * 2, CASE WHEN gone.blob IS NULL THEN 'manifest' ELSE 'blob' END,
            COALESCE(gone.blob, gone.upload_id), :now_ms
        FROM plan JOIN versions AS gone ON gone.sequence = plan.doomed
        WHERE COALESCE(gone.blob, gone.upload_id) IS NOT NULL
            AND COALESCE(gone.blob, gone.upload_id) IS DISTINCT FROM COALESCE(:blob, :upload_id)
        """,
        "doomed",
    ),
    # The bytes go with their last reference; whoever reads them has a snapshot (I4).
    Step("DELETE FROM inline_data WHERE sequence = (SELECT doomed FROM plan)", "doomed"),
    Step("DELETE FROM versions WHERE sequence = (SELECT doomed FROM plan)", "doomed"),
    Step("UPDATE versions SET is_current = 0 WHERE sequence = (SELECT superseded FROM plan)", "superseded"),
)

# -- publish -----------------------------------------------------------------------------------------------------


def _publish_plan(extra: str) -> str:
    return plan(
        f"SELECT {_FOUND}, {_named(':version_id')} AS same_id FROM {BUCKET} {_NEWEST}",  # noqa: S608 - constants
        refusal=f"""CASE
            WHEN found.bucket_id IS NULL THEN 'no_such_bucket'
            {extra}
            {_CONDITION}
            WHEN found.versioning = 'Enabled' AND same_id IS NOT NULL THEN 'repeated'
        END""",
        bucket_id="found.bucket_id",
        versioning="found.versioning",
        version_id="CASE found.versioning WHEN 'Enabled' THEN :version_id ELSE 'null' END",
        modified_ms=_MODIFIED_MS,
        doomed="null_row",
        superseded="CASE WHEN newest IS DISTINCT FROM null_row THEN newest END",
    )


_INSERT: Final = Step(
    """
    INSERT INTO versions (sequence, bucket_id, key, version_id, is_current, is_marker, owner_id, modified_ms, size_bytes,
        etag, is_inline, blob, upload_id, runs, attributes, tags, acl,
        checksum_algorithm, checksum_value, checksum_type)
    SELECT sequence, bucket_id, :key, version_id, 1, 0, :owner_id, modified_ms, :size_bytes,
        :etag, :is_inline, :blob, :upload_id, :runs, :attributes, :tags, :acl,
        :checksum_algorithm, :checksum_value, :checksum_type
    FROM plan
    """
)
_INSERT_BYTES: Final = Step("INSERT INTO inline_data (sequence, bytes) SELECT sequence, :inline FROM plan")

_COMPLETE: Final = (
    Step(
        """
        INSERT INTO garbage (id, kind, ref, created_ms)
        SELECT plan.sequence * 2 + 1, 'unlisted', :upload_id, :now_ms FROM plan
        WHERE (SELECT parts_count FROM uploads WHERE upload_id = :upload_id) > :parts_count
        """
    ),
    Step(
        """
        UPDATE uploads SET state = 'completed', runs = :runs, completed = json_array(:etag,
            (SELECT version_id FROM plan), (SELECT versioning FROM plan),
            :checksum_algorithm, :checksum_value, :checksum_type)
        WHERE upload_id = :upload_id
        """
    ),
)

# A repeat of what was done already, for whoever did not hear the answer.
_PUBLISHED_BEFORE: Final = f"""
SELECT version.version_id, version.sequence, version.modified_ms, bucket.versioning
FROM buckets AS bucket {_NEWEST} JOIN versions AS version ON version.sequence = {_named(":version_id")}
WHERE bucket.name = :bucket
"""  # noqa: S608 - constants

_NO_OPEN_UPLOAD: Final = """
    WHEN NOT EXISTS (SELECT 1 FROM uploads WHERE upload_id = :upload_id AND bucket_id = found.bucket_id
        AND key = :key AND state = 'open') THEN 'no_such_upload'
"""
_STALE: Final = """
    WHEN :revision <> (SELECT revision FROM uploads WHERE upload_id = :upload_id) THEN 'stale_revision'
"""

PUBLISH_INLINE: Final = Mutation(
    "publish",
    _publish_plan(""),
    (*COUNT_LEAVING, COUNT_COMING, *_DROP_DOOMED, _INSERT, _INSERT_BYTES),
    recall=_PUBLISHED_BEFORE,
    grows=True,
)
PUBLISH_BLOB: Final = Mutation(
    "publish",
    _publish_plan("WHEN EXISTS (SELECT 1 FROM condemned WHERE blob = :blob) THEN 'blob_condemned'"),
    (*COUNT_LEAVING, COUNT_COMING, *_DROP_DOOMED, _INSERT),
    recall=_PUBLISHED_BEFORE,
    grows=True,
)
# An upload that is being swept is no longer completed, whichever of its parts are still there (I3).
PUBLISH_MANIFEST: Final = Mutation(
    "publish",
    _publish_plan("""
        WHEN NOT EXISTS (SELECT 1 FROM uploads WHERE upload_id = :upload_id AND state = 'completed')
        THEN 'blob_condemned'
    """),
    (*COUNT_LEAVING, COUNT_COMING, *_DROP_DOOMED, _INSERT),
    recall=_PUBLISHED_BEFORE,
    grows=True,
)
PUBLISH_UPLOAD: Final = Mutation(
    "publish",
    _publish_plan(_NO_OPEN_UPLOAD + _STALE),
    (*COUNT_LEAVING, COUNT_COMING, *_DROP_DOOMED, _INSERT, *_COMPLETE),
    recall=_PUBLISHED_BEFORE,
    grows=True,
)


def publish_of(new: NewVersion) -> Mutation:
    """The mutation that publishes content of this kind."""
    content = new.content
    if new.completes is not None:
        return PUBLISH_UPLOAD
    if content.manifest is not None:
        return PUBLISH_MANIFEST
    return PUBLISH_INLINE if content.is_inline else PUBLISH_BLOB


# -- remove ------------------------------------------------------------------------------------------------------

_REMOVE_PLAN: Final = plan(
    f"""
    SELECT *, :version_id IS NULL AND versioning <> '' AS adds,
        CASE WHEN :version_id IS NULL THEN null_row ELSE named END AS gone
    FROM (SELECT {_FOUND}, {_named(":version_id")} AS named, {_named(":marker_id")} AS same_id
          FROM {BUCKET} {_NEWEST})
    """,  # noqa: S608 - constants
    refusal=f"""CASE
        WHEN found.bucket_id IS NULL THEN 'no_such_bucket'
        {_CONDITION}
        WHEN NOT adds AND gone IS NULL THEN 'nothing_to_do'
        WHEN adds AND found.versioning = 'Enabled' AND same_id IS NOT NULL THEN 'repeated'
    END""",
    bucket_id="found.bucket_id",
    versioning="found.versioning",
    version_id="CASE WHEN :version_id IS NOT NULL THEN :version_id WHEN found.versioning = 'Enabled' THEN :marker_id "
    "ELSE 'null' END",
    modified_ms=_MODIFIED_MS,
    doomed="gone",
    superseded="CASE WHEN adds AND newest IS DISTINCT FROM gone THEN newest END",
    promoted="""CASE WHEN newest = gone AND NOT adds THEN
        (SELECT sequence FROM versions WHERE bucket_id = found.bucket_id AND key = :key AND NOT is_current
         AND sequence < newest ORDER BY sequence DESC LIMIT 1) END""",
    is_marker="adds OR (SELECT is_marker FROM versions WHERE sequence = gone)",
    adds_marker="CASE WHEN adds THEN 1 END",
)

_VERSIONING: Final = "SELECT versioning FROM buckets WHERE name = :bucket"

REMOVE: Final = Mutation(
    "remove",
    _REMOVE_PLAN,
    (
        *COUNT_LEAVING,
        *_DROP_DOOMED,
        Step("UPDATE versions SET is_current = 1 WHERE sequence = (SELECT promoted FROM plan)", "promoted"),
        Step(
            """
            INSERT INTO versions (sequence, bucket_id, key, version_id, is_current, is_marker, owner_id, modified_ms,
                size_bytes, etag, is_inline)
            SELECT sequence, bucket_id, :key, version_id, 1, 1, :owner_id, modified_ms, 0, '', 0 FROM plan
            """,
            "adds_marker",
        ),
    ),
    recall=_VERSIONING,
)

# -- change in place ---------------------------------------------------------------------------------------------

UPDATE_VERSION: Final = Mutation(
    "update_version",
    plan(
        f"""
        SELECT there.bucket_id, there.target, row.is_marker AS is_marker, row.version_id AS version_id
        FROM (SELECT bucket.id AS bucket_id,
                  CASE WHEN :version_id IS NULL THEN newest.sequence ELSE {_named(":version_id")} END AS target
              FROM {BUCKET} {_NEWEST}) AS there
        LEFT JOIN versions AS row ON row.sequence = there.target
        """,  # noqa: S608 - constants
        refusal="""CASE
            WHEN found.bucket_id IS NULL THEN 'no_such_bucket'
            WHEN :version_id IS NULL AND (found.target IS NULL OR found.is_marker) THEN 'no_such_key'
            WHEN found.target IS NULL OR found.target <> :sequence THEN 'no_such_version'
            WHEN found.is_marker THEN 'is_delete_marker'
        END""",
        bucket_id="found.bucket_id",
        version_id="found.version_id",
        target="found.target",
    ),
    (
        Step(
            """
            UPDATE versions SET tags = COALESCE(:tags, tags), acl = COALESCE(:acl, acl)
            WHERE sequence = (SELECT target FROM plan)
            """
        ),
    ),
    answer=f"SELECT {VERSION_COLUMNS} FROM plan JOIN versions AS version ON version.sequence = plan.target",  # noqa: S608
    grows=True,
)
