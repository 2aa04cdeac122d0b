"""Listings: which statement answers a query, and the page made of its rows.

Without a delimiter a page is a range of an index. With one, a recursive query walks from entry to entry and jumps over
a whole common prefix at a time, so that its cost follows the page and not the bucket. The walk's rows are
(cut, key, …): `cut` is the position of the delimiter in the key's bytes behind the prefix, 0 for an entry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from app.domain.types import ListQuery, Page, Upload, UploadQuery, Version, VersionQuery
from app.metadata.sql import rows
from app.metadata.sql.mutation import Params
from app.metadata.sql.rows import UPLOAD_COLUMNS, VERSION_COLUMNS
from app.metadata.sql.schema import HIDDEN, LISTED

T = TypeVar("T")
Read = Callable[[str, Params], Sequence[Sequence[Any]]]

KEY_MAX_BYTES: Final = 1_024
_LAST_CHARACTER: Final = "\U0010ffff"
# Behind every key there can be: longer than any, of nothing but the last character.
BEHIND_ALL: Final = _LAST_CHARACTER * (KEY_MAX_BYTES // 4 + 1)

_CUT: Final = "COALESCE(instr(substr(CAST(step.key AS BLOB), :prefix_bytes + 1), CAST(:delimiter AS BLOB)), 0)"

# Where to look for the next key: from the beginning, behind an entry, or behind everything under a common prefix.
_NEXT_START: Final = """
    CASE WHEN walk.cut IS NULL THEN :start WHEN walk.cut = 0 THEN walk.key || :nul
    ELSE CAST(substr(CAST(walk.key AS BLOB), 1, :prefix_bytes + walk.cut - 1) AS TEXT) || :past END
"""

_FLAT_CURRENT: Final = f"""
SELECT 0, version.key, {VERSION_COLUMNS} FROM versions AS version
WHERE bucket_id = :bucket_id AND key >= :start AND key < :end AND is_current AND NOT is_marker
ORDER BY key LIMIT :limit
"""  # noqa: S608 - constants

_WALK_CURRENT: Final = f"""
WITH RECURSIVE walk (cut, key, sequence) AS (
    SELECT NULL, NULL, NULL
    UNION ALL
    SELECT {_CUT}, step.key, step.sequence
    FROM walk JOIN versions AS step ON step.sequence =
        (SELECT sequence FROM versions WHERE bucket_id = :bucket_id AND key >= {_NEXT_START} AND key < :end
         AND is_current AND NOT is_marker ORDER BY key LIMIT 1)
    LIMIT :limit + 1
)
SELECT walk.cut, walk.key, {VERSION_COLUMNS}
FROM walk LEFT JOIN versions AS version ON version.sequence = walk.sequence AND walk.cut = 0
WHERE walk.cut IS NOT NULL
"""  # noqa: S608 - constants

# A row is in one of two indexes, see schema.py; a key's row in the first is newer than those in the second.
_RANGE: Final = "FROM versions AS version WHERE bucket_id = :bucket_id AND key >= :start AND key < :end"
_FLAT_VERSIONS: Final = f"""
SELECT 0, version.key AS key, {VERSION_COLUMNS} {_RANGE} AND {LISTED}
UNION ALL
SELECT 0, version.key, {VERSION_COLUMNS} {_RANGE} AND {HIDDEN}
ORDER BY key, sequence DESC LIMIT :limit
"""

# The first row of the walk is where the last page ended: inside a key, behind a sequence.
_WALK_VERSIONS: Final = f"""
WITH RECURSIVE walk (cut, key, sequence, n) AS (
    SELECT :seed_cut, :seed_key, :seed_sequence, 0
    UNION ALL
    SELECT {_CUT}, step.key, step.sequence, 1
    FROM walk JOIN versions AS step ON step.sequence = COALESCE(
        CASE WHEN walk.cut = 0 THEN
            (SELECT sequence FROM versions WHERE bucket_id = :bucket_id AND key = walk.key
             AND NOT is_current AND sequence < walk.sequence ORDER BY sequence DESC LIMIT 1) END,
        (SELECT sequence FROM (
            SELECT key, sequence FROM versions
            WHERE bucket_id = :bucket_id AND key >= {_NEXT_START} AND key < :end AND {LISTED}
            UNION ALL
            SELECT key, sequence FROM versions
            WHERE bucket_id = :bucket_id AND key >= {_NEXT_START} AND key < :end AND {HIDDEN}
            ORDER BY key, sequence DESC LIMIT 1)))
    LIMIT :limit + 1
)
SELECT walk.cut, walk.key, {VERSION_COLUMNS}
FROM walk LEFT JOIN versions AS version ON version.sequence = walk.sequence AND walk.cut = 0
WHERE walk.n = 1
"""  # noqa: S608 - constants

_WALK_UPLOADS: Final = f"""
WITH RECURSIVE walk (cut, key, created_ms, upload_id, n) AS (
    SELECT :seed_cut, :seed_key, :seed_ms, :seed_id, 0
    UNION ALL
    SELECT {_CUT}, step.key, step.created_ms, step.upload_id, 1
    FROM walk JOIN uploads AS step ON step.upload_id = COALESCE(
        CASE WHEN walk.cut = 0 THEN
            (SELECT upload_id FROM uploads WHERE bucket_id = :bucket_id AND key = walk.key AND state = 'open'
             AND (created_ms, upload_id) > (walk.created_ms, walk.upload_id) ORDER BY created_ms, upload_id LIMIT 1) END,
        (SELECT upload_id FROM uploads WHERE bucket_id = :bucket_id AND key >= {_NEXT_START} AND key < :end
         AND state = 'open' ORDER BY key, created_ms, upload_id LIMIT 1))
    LIMIT :limit + 1
)
SELECT walk.cut, walk.key, {UPLOAD_COLUMNS}
FROM walk LEFT JOIN uploads AS upload ON upload.upload_id = walk.upload_id AND walk.cut = 0
WHERE walk.n = 1
"""  # noqa: S608 - constants

_SEQUENCE_OF: Final = f"""
SELECT sequence FROM versions WHERE bucket_id = :bucket_id AND key = :key AND version_id = :id AND NOT is_current
UNION ALL
SELECT sequence FROM versions WHERE bucket_id = :bucket_id AND key = :key AND version_id = :id AND {LISTED}
UNION ALL
SELECT sequence FROM (SELECT sequence, version_id FROM versions WHERE bucket_id = :bucket_id AND key = :key AND {HIDDEN}
    ORDER BY sequence DESC LIMIT 1) WHERE version_id = :id
"""  # noqa: S608 - constants
_CREATION_OF: Final = """
SELECT created_ms FROM uploads WHERE upload_id = :id AND bucket_id = :bucket_id AND key = :key AND state = 'open'
"""


def successor(prefix: str) -> str | None:
    """The first text behind everything that begins with `prefix`; None where there is none.

    By code points, whose order is that of UTF-8 bytes (I6), so that the result is a text again.
    """
    stem = prefix.rstrip(_LAST_CHARACTER)
    if not stem:
        return None
    following = ord(stem[-1]) + 1
    if following == 0xD800:
        following = 0xE000  # surrogates are no characters
    return stem[:-1] + chr(following)


def list_current(read: Read, bucket_id: int, query: ListQuery) -> Page[Version]:
    if query.limit < 1:
        return Page(())
    sql = _WALK_CURRENT if query.delimiter else _FLAT_CURRENT
    found = read(sql, _params(bucket_id, query))
    return _page(found, query, lambda key, row: rows.version(query.bucket, key, row), None)


def list_versions(read: Read, bucket_id: int, query: VersionQuery) -> Page[Version]:
    if query.limit < 1:
        return Page(())
    params = _params(bucket_id, query)
    seed = None
    if query.after_version_id is not None and _is_inside(query):
        place = read(_SEQUENCE_OF, {"bucket_id": bucket_id, "key": query.after, "id": query.after_version_id})
        seed = place[0][0] if place else None
    params |= {"seed_cut": None if seed is None else 0, "seed_key": query.after, "seed_sequence": seed}
    sql = _WALK_VERSIONS if query.delimiter or seed is not None else _FLAT_VERSIONS
    return _page(
        read(sql, params), query, lambda key, row: rows.version(query.bucket, key, row), lambda row: row.version_id
    )


def list_uploads(read: Read, bucket_id: int, query: UploadQuery) -> Page[Upload]:
    if query.limit < 1:
        return Page(())
    params = _params(bucket_id, query)
    seed = None
    if query.after_upload_id is not None and _is_inside(query):
        place = read(_CREATION_OF, {"bucket_id": bucket_id, "key": query.after, "id": query.after_upload_id})
        seed = place[0][0] if place else None
    params |= {
        "seed_cut": None if seed is None else 0,
        "seed_key": query.after,
        "seed_ms": seed,
        "seed_id": query.after_upload_id,
    }
    return _page(
        read(_WALK_UPLOADS, params), query, lambda _, row: rows.upload(query.bucket, row), lambda row: row.upload_id
    )


def _params(bucket_id: int, query: ListQuery | VersionQuery | UploadQuery) -> dict[str, Any]:
    return {
        "bucket_id": bucket_id,
        "prefix_bytes": len(query.prefix.encode()),
        "delimiter": query.delimiter or None,
        "start": _start(query),
        "end": successor(query.prefix) or BEHIND_ALL,
        "past": successor(query.delimiter) or query.delimiter + BEHIND_ALL,
        "nul": "\0",
        "limit": query.limit + 1,
    }


def _start(query: ListQuery | VersionQuery | UploadQuery) -> str:
    """The first key that may be on the page."""
    if query.after < query.prefix:
        return query.prefix
    if _is_common_prefix(query):
        stem = query.after[: -len(query.delimiter)]
        return stem + (successor(query.delimiter) or query.delimiter + BEHIND_ALL)
    return query.after + "\0" if query.after else ""


def _is_common_prefix(query: ListQuery | VersionQuery | UploadQuery) -> bool:
    if not query.delimiter or not query.after.startswith(query.prefix):
        return False
    at = query.after.find(query.delimiter, len(query.prefix))
    return at >= 0 and at + len(query.delimiter) == len(query.after)


def _is_inside(query: VersionQuery | UploadQuery) -> bool:
    """Whether the rest of key `after` belongs to this listing."""
    return query.after.startswith(query.prefix) and not _is_common_prefix(query)


def _page(
    found: Sequence[Sequence[Any]],
    query: ListQuery | VersionQuery | UploadQuery,
    decode: Callable[[str, Sequence[Any]], T],
    id_of: Callable[[T], str] | None,
) -> Page[T]:
    entries: list[T] = []
    prefixes: list[str] = []
    prefix_bytes, delimiter_bytes = len(query.prefix.encode()), len(query.delimiter.encode())
    cut, last = 0, ""
    for row in found[: query.limit]:
        cut, last = row[0], row[1]
        if cut:
            last = last.encode()[: prefix_bytes + cut - 1 + delimiter_bytes].decode()
            prefixes.append(last)
        else:
            entries.append(decode(last, row[2:]))
    last_id = id_of(entries[-1]) if id_of is not None and entries and not cut else None
    return Page(tuple(entries), tuple(prefixes), len(found) > query.limit, last, last_id)
