"""What lost a reference, on its way out: garbage, condemned, forgotten.

A version row refers to a blob or to an upload, whose part rows refer to blobs; a piece of garbage of kind "blob" keeps
its blob out of everybody else's hands until its own time has come. A blob is condemned in a commit that finds no other
reference to it, and no publish takes a condemned blob (I3); only then are its bytes deleted, and then the rows that led
to it. So a crash anywhere leaves rows from which the sweep goes on.
"""

from __future__ import annotations

from typing import Final

from app.metadata.sql.mutation import Mutation, Step

READ_GARBAGE: Final = """
SELECT id, kind, ref, created_ms FROM garbage WHERE created_ms < :before_ms ORDER BY created_ms, id LIMIT :limit
"""
READ_PIECE: Final = "SELECT kind, ref FROM garbage WHERE id = :id"

_CONDEMN: Final = "ON CONFLICT (blob) DO UPDATE SET condemned_ms = excluded.condemned_ms"

# Grace counts from the last reference: a younger piece of garbage for the same thing takes this one's place.
_YOUNGER: Final = """
    EXISTS (SELECT 1 FROM garbage AS younger WHERE younger.ref = garbage.ref AND younger.kind = garbage.kind
        AND (younger.created_ms, younger.id) > (garbage.created_ms, garbage.id))
"""

CONDEMN_BLOB: Final = Mutation(
    "",
    None,
    (
        Step(
            f"""
            DELETE FROM garbage WHERE id = :id AND (
                EXISTS (SELECT 1 FROM versions WHERE versions.blob = garbage.ref)
                OR EXISTS (SELECT 1 FROM parts WHERE parts.blob = garbage.ref)
                OR {_YOUNGER})
            """  # noqa: S608 - constants
        ),
        Step(
            f"INSERT INTO condemned (blob, condemned_ms) SELECT ref, :now_ms FROM garbage WHERE id = :id {_CONDEMN}"  # noqa: S608
        ),
    ),
    answer="SELECT ref FROM garbage WHERE id = :id",
)

# Parts are condemned by the numbers that the caller found: the part list of such an upload no longer grows.
_NUMBERS: Final = "number IN (SELECT value FROM json_each(:numbers))"
_STILL_GARBAGE: Final = "EXISTS (SELECT 1 FROM garbage WHERE id = :id)"
_CONDEMN_PARTS: Final = (
    # A part whose blob somebody else refers to leaves it to them. Of several parts of this slice the last one stays.
    Step(
        f"""
        DELETE FROM parts WHERE upload_id = :upload_id AND {_NUMBERS} AND {_STILL_GARBAGE} AND (
            EXISTS (SELECT 1 FROM versions WHERE versions.blob = parts.blob)
            OR EXISTS (SELECT 1 FROM garbage WHERE ref = parts.blob AND kind = 'blob')
            OR EXISTS (SELECT 1 FROM parts AS other WHERE other.blob = parts.blob AND (
                other.upload_id <> parts.upload_id OR other.number > parts.number
                OR other.number NOT IN (SELECT value FROM json_each(:numbers)))))
        """  # noqa: S608 - constants
    ),
    Step(
        f"""
        INSERT INTO condemned (blob, condemned_ms) SELECT DISTINCT blob, :now_ms FROM parts
        WHERE upload_id = :upload_id AND {_NUMBERS} AND {_STILL_GARBAGE} {_CONDEMN}
        """  # noqa: S608 - constants
    ),
)
_CONDEMNED_PARTS: Final = f"""
SELECT DISTINCT blob FROM parts WHERE upload_id = :upload_id AND {_NUMBERS} AND {_STILL_GARBAGE} ORDER BY number
"""  # noqa: S608 - constants

CONDEMN_MANIFEST: Final = Mutation(
    "",
    None,
    (
        Step(
            f"""
            DELETE FROM garbage WHERE id = :id AND (
                EXISTS (SELECT 1 FROM versions WHERE versions.upload_id = garbage.ref) OR {_YOUNGER})
            """  # noqa: S608 - constants
        ),
        # From here on no publish takes the manifest.
        Step(f"UPDATE uploads SET state = 'condemned' WHERE upload_id = :upload_id AND {_STILL_GARBAGE}"),  # noqa: S608
        *_CONDEMN_PARTS,
        Step(
            """
            DELETE FROM uploads WHERE upload_id = :upload_id AND state = 'condemned'
            AND NOT EXISTS (SELECT 1 FROM parts WHERE parts.upload_id = :upload_id)
            """
        ),
        Step(
            """
            DELETE FROM garbage WHERE id = :id
            AND NOT EXISTS (SELECT 1 FROM uploads WHERE upload_id = :upload_id)
            """
        ),
    ),
    answer=_CONDEMNED_PARTS,
)

CONDEMN_UNLISTED: Final = Mutation(
    "",
    None,
    (
        *_CONDEMN_PARTS,
        Step("DELETE FROM garbage WHERE id = :id AND json_array_length(:numbers) = 0"),
    ),
    answer=_CONDEMNED_PARTS,
)

# `upload_id` is one of the bucket's, or NULL when none is left.
CONDEMN_PENDING: Final = Mutation(
    "",
    None,
    (
        *_CONDEMN_PARTS,
        Step(
            """
            DELETE FROM uploads WHERE bucket_id = :bucket_id AND state = 'open' AND upload_id IN
                (SELECT upload_id FROM uploads WHERE bucket_id = :bucket_id AND state = 'open'
                 AND NOT EXISTS (SELECT 1 FROM parts WHERE parts.upload_id = uploads.upload_id) LIMIT :limit)
            """
        ),
        Step(
            """
            DELETE FROM garbage WHERE id = :id
            AND NOT EXISTS (SELECT 1 FROM uploads WHERE bucket_id = :bucket_id AND state = 'open')
            """
        ),
    ),
    answer=_CONDEMNED_PARTS,
)

PENDING_UPLOAD: Final = """
SELECT upload_id FROM uploads WHERE bucket_id = :bucket_id AND state = 'open'
ORDER BY key, created_ms, upload_id LIMIT 1
"""
PART_NUMBERS: Final = "SELECT number FROM parts WHERE upload_id = :upload_id ORDER BY number LIMIT :limit"
UPLOAD_RUNS: Final = "SELECT runs FROM uploads WHERE upload_id = :upload_id"

FORGET: Final = Mutation(
    "",
    None,
    (
        Step(
            f"""
            DELETE FROM parts WHERE blob IN (SELECT value FROM json_each(:blobs)) AND {_STILL_GARBAGE}
            AND EXISTS (SELECT 1 FROM condemned WHERE condemned.blob = parts.blob)
            """  # noqa: S608 - constants
        ),
        Step(
            """
            DELETE FROM garbage WHERE id = :id AND kind = 'blob' AND ref IN (SELECT value FROM json_each(:blobs))
            """
        ),
    ),
)

UNREFERENCED: Final = """
SELECT orphan.value FROM json_each(:blobs) AS orphan
WHERE NOT EXISTS (SELECT 1 FROM versions WHERE versions.blob = orphan.value)
    AND NOT EXISTS (SELECT 1 FROM parts WHERE parts.blob = orphan.value)
    AND NOT EXISTS (SELECT 1 FROM garbage WHERE garbage.ref = orphan.value AND garbage.kind = 'blob')
"""
CONDEMN_ORPHANS: Final = Mutation(
    "",
    None,
    (
        Step(
            f"INSERT INTO condemned (blob, condemned_ms) SELECT value, :now_ms FROM ({UNREFERENCED}) WHERE TRUE {_CONDEMN}"  # noqa: S608
        ),
    ),
    answer=UNREFERENCED,
)

EXPIRE_CONDEMNED: Final = Mutation(
    "",
    None,
    answer="""
    DELETE FROM condemned WHERE blob IN
        (SELECT blob FROM condemned WHERE condemned_ms < :before_ms ORDER BY condemned_ms LIMIT :limit)
    RETURNING 1
    """,
)
