"""The statements of listings.

Without a delimiter a page is a range of an index. With one, a recursive query walks from entry to entry and jumps over
a whole common prefix at a time, so that its cost follows the page and not the bucket.

Each gives one row, with a JSON array for every column: whether an entry is a common prefix (NULL where none can be),
its key or common prefix, then the columns asked for. So SQLite takes one step for a page and needs the GIL once; with a
step for each entry a scan would wait for a busy hub at each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from app.metadata.sql.schema import HIDDEN, LISTED

_STORAGE_CLASS: Final = "COALESCE(version.attributes ->> 2, 'STANDARD')"

# What a brief page shows, in the order of `listing.CurrentRow`, behind the key; the last one is the owner.
CURRENT_SHOWN: Final = (
    "version.modified_ms",
    "version.size_bytes",
    "version.etag",
    "version.checksum_algorithm",
    "version.checksum_type",
    _STORAGE_CLASS,
)
WITH_OWNER: Final = (*CURRENT_SHOWN, "version.owner_id")
WITHOUT_OWNER: Final = (*CURRENT_SHOWN, "''")
VERSION_SHOWN: Final = (*WITH_OWNER, "version.version_id", "version.is_current", "version.is_marker")


def flat_current(columns: Sequence[str]) -> str:
    return _page(
        None,
        "version.key",
        columns,
        f"FROM versions AS version WHERE {_RANGE} AND {LISTED} ORDER BY key LIMIT :limit",
    )


def walk_current(columns: Sequence[str]) -> str:
    return _page(
        "walk.cut > 0",
        _SHOWN,
        columns,
        f"""
        FROM (SELECT key, {_cut("key")} AS cut FROM keys WHERE key IS NOT NULL) AS walk LEFT JOIN versions AS version
            ON walk.cut = 0 AND version.bucket_id = :bucket_id AND version.key = walk.key
            AND version.is_current AND NOT version.is_marker
        """,  # noqa: S608 - constants
        before=_KEYS,
    )


def flat_versions(columns: Sequence[str]) -> str:
    return _page(
        None,
        "version.key",
        columns,
        f"""
        FROM (
            SELECT key, sequence FROM versions WHERE {_RANGE} AND {LISTED}
            UNION ALL
            SELECT key, sequence FROM versions WHERE {_RANGE} AND {HIDDEN}
            ORDER BY key, sequence DESC LIMIT :limit
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
    """The inner query has the order of the page and its limit, which is why it is not merged into the outer one."""
    selected = (shown, *columns) if is_common is None else (is_common, shown, *columns)
    named = ", ".join(f"{column} AS c{number}" for number, column in enumerate(selected))
    arrays = ["NULL"] if is_common is None else []
    arrays += [f"json_group_array(c{number})" for number in range(len(selected))]
    return f"{before} SELECT {', '.join(arrays)} FROM (SELECT {named} {source})"  # noqa: S608 - called with constants


def _cut(key: str) -> str:
    """The position of the delimiter in the key's bytes behind the prefix; 0: the key is an entry."""
    return f"instr(substr(CAST({key} AS BLOB), :prefix_bytes + 1), CAST(:delimiter AS BLOB))"


def _next_start(cut: str) -> str:
    """Where to look for the next key: behind an entry, or behind everything under a common prefix."""
    return f"""
    CASE {cut} WHEN 0 THEN walk.key || :nul
    ELSE CAST(substr(CAST(walk.key AS BLOB), 1, :prefix_bytes + {cut} - 1) AS TEXT) || :past END
    """


_RANGE: Final = "bucket_id = :bucket_id AND key >= :start AND key < :end"

_SHOWN: Final = """
CASE walk.cut WHEN 0 THEN walk.key
ELSE CAST(substr(CAST(walk.key AS BLOB), 1, :prefix_bytes + walk.cut - 1 + :delimiter_bytes) AS TEXT) END
"""


def _first_listed(start: str) -> str:
    return f"""
    (SELECT key FROM versions WHERE bucket_id = :bucket_id AND key >= {start} AND key < :end AND {LISTED}
     ORDER BY key LIMIT 1)
    """  # noqa: S608 - called with constants


# From key to key within the index: no row is looked at. Behind the last one comes NULL.
_KEYS: Final = f"""
WITH RECURSIVE keys (key) AS (
    SELECT {_first_listed(":start")}
    UNION ALL
    SELECT {_first_listed(_next_start(_cut("walk.key")))} FROM keys AS walk WHERE walk.key IS NOT NULL
    LIMIT :limit
)
"""  # noqa: S608 - constants

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
            SELECT key, sequence FROM versions
            WHERE bucket_id = :bucket_id AND key >= {_BEGIN_OR_NEXT} AND key < :end AND {LISTED}
            UNION ALL
            SELECT key, sequence FROM versions
            WHERE bucket_id = :bucket_id AND key >= {_BEGIN_OR_NEXT} AND key < :end AND {HIDDEN}
            ORDER BY key, sequence DESC LIMIT 1)))
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
