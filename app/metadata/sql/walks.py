"""The statements of listings.

Without a delimiter a page is a range of an index. With one, a recursive query walks from entry to entry and jumps over
a whole common prefix at a time, so that its cost follows the page and not the bucket.

Each gives one row, with a JSON array for every column. Of current objects: the common prefixes (NULL where none can be),
then the entries' keys and the columns asked for. Of versions and uploads: whether an entry is a common prefix (NULL where
none can be), its key or common prefix, then the columns asked for. So SQLite takes one step for a page and needs the GIL
once; with a step for each entry a scan would wait for a busy hub at each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from app.metadata.sql.schema import HIDDEN, LISTED, LISTED_CHECKSUM, LISTED_CLASS, LISTED_ETAG, LISTED_IS_ROOTS, ROOT_ID

# What a brief page shows behind the key, in the words of the index that it is read from (schema.py): no row is looked at.
# `listing.py` says what they mean. Of the owner the index knows whether it is root; where owners are asked for, the rows of
# all others' objects are read. (That it is root stands there as a value, for SQLite works out a condition from the row.)
CURRENT_SHOWN: Final = (
    "modified_ms",
    "size_bytes",
    f"CASE typeof({LISTED_ETAG}) WHEN 'blob' THEN lower(hex({LISTED_ETAG})) ELSE {LISTED_ETAG} END",
    LISTED_CHECKSUM,
    LISTED_CLASS,
)
WITH_OWNER: Final = (*CURRENT_SHOWN, f"CASE {LISTED_IS_ROOTS} WHEN 1 THEN '{ROOT_ID}' ELSE owner_id END")

# The same of versions, in the order of `listing.VersionRow`.
VERSION_SHOWN: Final = (
    "version.modified_ms",
    "version.size_bytes",
    "version.etag",
    "version.checksum_algorithm",
    "version.checksum_type",
    "COALESCE(version.attributes ->> 2, 'STANDARD')",
    "version.owner_id",
    "version.version_id",
    "version.is_current",
    "version.is_marker",
)


def flat_current(columns: Sequence[str]) -> str:
    shown = ("version.key", *columns)
    return f"""
    SELECT NULL, {_arrays(shown)}
    FROM ({_named(shown)} FROM versions AS version WHERE {_RANGE} AND {LISTED} ORDER BY key LIMIT :limit)
    """  # noqa: S608 - called with constants


def walk_current(columns: Sequence[str]) -> str:
    """A folder is mostly objects and few folders, or the other way round, and often nothing but objects.

    So a page that begins with an entry is read as a range, `run`, which takes less than half of a walk from key to key; it
    walks from the first common prefix on, `stop`. Entries and common prefixes come apart: an outer join, which would keep
    them in one order, reads each entry's row.
    """
    shown = ("version.key", *columns)
    return f"""
    WITH RECURSIVE run (cut, {_names(shown)}) AS MATERIALIZED (
        SELECT {_cut("version.key")}, {", ".join(shown)} FROM versions AS version WHERE {_RANGE} AND {LISTED} ORDER BY key
        LIMIT (SELECT CASE {_cut(_first_listed(":start"))} WHEN 0 THEN :limit ELSE 0 END)
    ),
    stop (key) AS MATERIALIZED (SELECT c0 FROM run WHERE cut > 0 LIMIT 1),
    keys (key) AS (
        SELECT CASE WHEN EXISTS (SELECT 1 FROM run) THEN (SELECT key FROM stop) ELSE {_first_listed(":start")} END
        UNION ALL
        SELECT {_first_listed(_next_start(_cut("walk.key")))} FROM keys AS walk WHERE walk.key IS NOT NULL
        LIMIT :limit - (SELECT count(*) FROM run JOIN stop ON run.c0 < stop.key)
    ),
    walk (cut, key) AS MATERIALIZED (SELECT {_cut("key")}, key FROM keys WHERE key IS NOT NULL)
    SELECT prefixes.found, entries.*
    FROM (SELECT json_group_array({_SHOWN}) AS found FROM walk WHERE cut > 0) AS prefixes, (
        SELECT {_arrays(shown)} FROM (
            SELECT {_names(shown)} FROM run WHERE c0 < COALESCE((SELECT key FROM stop), :end)
            UNION ALL
            SELECT {", ".join(shown)} FROM walk CROSS JOIN versions AS version
                ON version.bucket_id = :bucket_id AND version.key = walk.key AND {LISTED}
            WHERE walk.cut = 0
        )
    ) AS entries
    """  # noqa: S608 - called with constants


def flat_versions(columns: Sequence[str]) -> str:
    return _page(
        None,
        "version.key",
        columns,
        f"""
        FROM (
            SELECT key, {LISTED_ETAG} AS rank, sequence FROM versions WHERE {_RANGE} AND {LISTED}
            UNION ALL
            SELECT key, sequence AS rank, sequence FROM versions WHERE {_RANGE} AND {HIDDEN}
            ORDER BY key, rank DESC LIMIT :limit
        ) AS place CROSS JOIN versions AS version ON version.sequence = place.sequence
        """,  # noqa: S608 - constants
    )


def walk_versions(columns: Sequence[str]) -> str:
    return _page(
        "walk.cut > 0",
        _SHOWN,
        columns,
        """
        FROM walk LEFT JOIN versions AS version ON version.sequence = walk.sequence AND walk.cut = 0 WHERE walk.n = 1
        """,
        before=_VERSIONS,
    )


def walk_uploads(columns: Sequence[str]) -> str:
    return _page(
        "walk.cut > 0",
        _SHOWN,
        columns,
        "FROM walk LEFT JOIN uploads AS upload ON upload.upload_id = walk.upload_id AND walk.cut = 0 WHERE walk.n = 1",
        before=_UPLOADS,
    )


def _page(is_common: str | None, shown: str, columns: Sequence[str], source: str, before: str = "") -> str:
    selected = (shown, *columns) if is_common is None else (is_common, shown, *columns)
    first = "NULL, " if is_common is None else ""
    return f"{before} SELECT {first}{_arrays(selected)} FROM ({_named(selected)} {source})"  # noqa: S608 - as above


def _named(columns: Sequence[str]) -> str:
    """The inner query has the order of the page and its limit, which is why it is not merged into the outer one."""
    return "SELECT " + ", ".join(f"{column} AS c{number}" for number, column in enumerate(columns))


def _names(columns: Sequence[str]) -> str:
    return ", ".join(f"c{number}" for number in range(len(columns)))


def _arrays(columns: Sequence[str]) -> str:
    return ", ".join(f"json_group_array(c{number})" for number in range(len(columns)))


def _cut(key: str) -> str:
    """The position of the delimiter in the key's bytes behind the prefix; 0: the key is an entry."""
    return f"instr(substr(CAST({key} AS BLOB), :prefix_bytes + 1), CAST(:delimiter AS BLOB))"


def _next_start(cut: str) -> str:
    """Where to look for the next key: behind an entry, or behind everything under a common prefix."""
    return f"""
    CASE {cut} WHEN 0 THEN walk.key || :nul
    ELSE CAST(substr(CAST(walk.key AS BLOB), 1, :prefix_bytes + {cut} - 1) AS TEXT) || :past END
    """


# A key's current object has its highest sequence and comes before what is hidden. An ETag is no number, and numbers come
# behind whatever is none; and it is what versions_listed has behind the key, so that both indexes give their rows in order.
# Therefore `rank` in both of these.
_RANGE: Final = "bucket_id = :bucket_id AND key >= :start AND key < :end"

_SHOWN: Final = """
CASE walk.cut WHEN 0 THEN walk.key
ELSE CAST(substr(CAST(walk.key AS BLOB), 1, :prefix_bytes + walk.cut - 1 + :delimiter_bytes) AS TEXT) END
"""


def _first_listed(start: str) -> str:
    """The next key within the index: no row is looked at. Behind the last one it is NULL."""
    return f"""
    (SELECT key FROM versions WHERE bucket_id = :bucket_id AND key >= {start} AND key < :end AND {LISTED}
     ORDER BY key LIMIT 1)
    """  # noqa: S608 - called with constants


# The first row of the next two walks is where the last page ended, if that was inside a key: behind a sequence, or
# behind an upload. Else its cut is NULL.
_BEGIN_OR_NEXT: Final = f"CASE WHEN walk.cut IS NULL THEN :start ELSE {_next_start('walk.cut')} END"

_VERSIONS: Final = f"""
WITH RECURSIVE walk (cut, key, sequence, n) AS (
    SELECT :seed_cut, :seed_key, :seed_sequence, 0
    UNION ALL
    SELECT COALESCE({_cut("step.key")}, 0), step.key, step.sequence, 1
    FROM walk JOIN versions AS step ON step.sequence = COALESCE(
        CASE WHEN walk.cut = 0 THEN
            (SELECT sequence FROM versions WHERE bucket_id = :bucket_id AND key = walk.key
             AND NOT is_current AND sequence < walk.sequence ORDER BY sequence DESC LIMIT 1) END,
        (SELECT sequence FROM (
            SELECT key, {LISTED_ETAG} AS rank, sequence FROM versions
            WHERE bucket_id = :bucket_id AND key >= {_BEGIN_OR_NEXT} AND key < :end AND {LISTED}
            UNION ALL
            SELECT key, sequence AS rank, sequence FROM versions
            WHERE bucket_id = :bucket_id AND key >= {_BEGIN_OR_NEXT} AND key < :end AND {HIDDEN}
            ORDER BY key, rank DESC LIMIT 1)))
    LIMIT :limit + 1
)
"""  # noqa: S608 - constants

_UPLOADS: Final = f"""
WITH RECURSIVE walk (cut, key, created_ms, upload_id, n) AS (
    SELECT :seed_cut, :seed_key, :seed_ms, :seed_id, 0
    UNION ALL
    SELECT COALESCE({_cut("step.key")}, 0), step.key, step.created_ms, step.upload_id, 1
    FROM walk JOIN uploads AS step ON step.upload_id = COALESCE(
        CASE WHEN walk.cut = 0 THEN
            (SELECT upload_id FROM uploads WHERE bucket_id = :bucket_id AND key = walk.key AND state = 'open'
             AND (created_ms, upload_id) > (walk.created_ms, walk.upload_id) ORDER BY created_ms, upload_id LIMIT 1) END,
        (SELECT upload_id FROM uploads WHERE bucket_id = :bucket_id AND key >= {_BEGIN_OR_NEXT} AND key < :end
         AND state = 'open' ORDER BY key, created_ms, upload_id LIMIT 1))
    LIMIT :limit + 1
)
"""  # noqa: S608 - constants

SEQUENCE_OF: Final = f"""
SELECT sequence FROM versions WHERE bucket_id = :bucket_id AND key = :key AND version_id = :id AND NOT is_current
UNION ALL
SELECT sequence FROM versions WHERE bucket_id = :bucket_id AND key = :key AND version_id = :id AND {LISTED}
UNION ALL
SELECT sequence FROM (SELECT sequence, version_id FROM versions WHERE bucket_id = :bucket_id AND key = :key AND {HIDDEN}
    ORDER BY sequence DESC LIMIT 1) WHERE version_id = :id
"""  # noqa: S608 - constants
CREATION_OF: Final = """
SELECT created_ms FROM uploads WHERE upload_id = :id AND bucket_id = :bucket_id AND key = :key AND state = 'open'
"""
