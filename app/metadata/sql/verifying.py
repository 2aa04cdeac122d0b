"""What the engine can find wrong in its own data: pages of the file, and rows that contradict each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import apsw

from app.metadata.sql.mutation import Params
from app.metadata.sql.schema import HIDDEN, LISTED

Read = Callable[[str, Params], Sequence[Any]]

PROBLEMS_MAX: Final = 100  # of each kind; more say no more
_SLICE_ROWS: Final = 2_000  # so that no single read lasts long


def _has_newer(where: str) -> str:
    """Whether the rows of one index, see schema.py, have a newer one of the same key."""
    return f"""
    EXISTS (SELECT 1 FROM versions WHERE bucket_id = version.bucket_id AND key = version.key AND {where}
        AND sequence > version.sequence)
    """  # noqa: S608 - called with constants


# Each check goes over `versions` in slices by sequence, and gives (sequence, sentence).
_BY_SEQUENCE: Final = (
    f"""
    SELECT version.sequence, 'is_current of version ' || version.sequence || ' is wrong' FROM slice AS version
    WHERE version.is_current <> NOT ({_has_newer(LISTED)} OR {_has_newer(HIDDEN)})
    """,  # noqa: S608 - constants
    """
    SELECT version.sequence, 'version ' || version.sequence || ' is in no bucket' FROM slice AS version
    WHERE NOT EXISTS (SELECT 1 FROM buckets WHERE id = version.bucket_id)
    """,
    """
    SELECT version.sequence, 'the inline bytes of version ' || version.sequence || ' are missing or of another size'
    FROM slice AS version LEFT JOIN inline_data AS data ON data.sequence = version.sequence
    WHERE version.is_inline AND length(data.bytes) IS DISTINCT FROM version.size_bytes
    """,
    """
    SELECT version.sequence, 'version ' || version.sequence || ' has content of no kind, or of several'
    FROM slice AS version
    WHERE (version.blob IS NOT NULL) + (version.upload_id IS NOT NULL) + version.is_inline <> 1 - version.is_marker
    """,
    """
    SELECT version.sequence, 'the parts of version ' || version.sequence || ' are being given up' FROM slice AS version
    WHERE version.upload_id IS NOT NULL AND NOT EXISTS
        (SELECT 1 FROM uploads WHERE uploads.upload_id = version.upload_id AND uploads.state = 'completed')
    """,
    """
    SELECT version.sequence, 'the blob of version ' || version.sequence || ' is condemned' FROM slice AS version
    WHERE version.blob IN (SELECT blob FROM condemned)
    """,
)
_SLICE: Final = "WITH slice AS (SELECT * FROM versions WHERE sequence > :after AND sequence <= :last) "
_LAST_OF_SLICE: Final = """
SELECT max(sequence) FROM (SELECT sequence FROM versions WHERE sequence > :after ORDER BY sequence LIMIT :limit)
"""

_ONCE: Final = (
    """
    SELECT 'inline bytes ' || data.sequence || ' belong to no version' FROM inline_data AS data
    LEFT JOIN versions ON versions.sequence = data.sequence AND versions.is_inline
    WHERE versions.sequence IS NULL LIMIT :limit
    """,
    """
    SELECT 'part ' || part.number || ' belongs to no upload: ' || part.upload_id FROM parts AS part
    WHERE NOT EXISTS (SELECT 1 FROM uploads WHERE uploads.upload_id = part.upload_id) LIMIT :limit
    """,
    """
    SELECT 'upload ' || upload.upload_id || ' counts ' || upload.parts_count || ' parts' FROM uploads AS upload
    WHERE upload.state = 'open'
        AND upload.parts_count <> (SELECT count(*) FROM parts WHERE parts.upload_id = upload.upload_id) LIMIT :limit
    """,
    """
    SELECT 'the sequence counter is behind version ' || max(sequence) FROM versions
    HAVING max(sequence) > (SELECT sequence FROM plan) LIMIT :limit
    """,
)


# One bucket at a time, and each count of one moment. Buckets are few, or have few rows.
_BUCKETS: Final = "SELECT id, name FROM buckets WHERE id > :after ORDER BY id LIMIT :limit"
_MISCOUNTED: Final = f"""
SELECT 1 FROM (SELECT 1) LEFT JOIN bucket_usage ON bucket_id = :id
WHERE objects IS NOT (SELECT count(*) FROM versions WHERE bucket_id = :id AND {LISTED})
    OR versions - objects IS NOT (SELECT ifnull(sum(NOT is_marker), 0) FROM versions WHERE bucket_id = :id AND {HIDDEN})
    OR size_bytes IS NOT (SELECT ifnull(sum(size_bytes), 0) FROM versions WHERE bucket_id = :id AND {LISTED})
        + (SELECT ifnull(sum(size_bytes), 0) FROM versions WHERE bucket_id = :id AND {HIDDEN})
"""  # noqa: S608 - constants
_USAGE_OF_NOBODY: Final = """
SELECT 'the usage of bucket ' || bucket_id || ', which is not there, is counted' FROM bucket_usage
WHERE bucket_id NOT IN (SELECT id FROM buckets) LIMIT :limit
"""


def problems(read: Read) -> list[str]:
    """One sentence each, of every kind PROBLEMS_MAX at most. The check of the file's pages is one long read."""
    found = _pages(read)
    if found:
        return found  # rows of a damaged file say little
    after = 0
    while len(found) < PROBLEMS_MAX:
        last = read(_LAST_OF_SLICE, {"after": after, "limit": _SLICE_ROWS})[0][0]
        if last is None:
            break
        for check in _BY_SEQUENCE:
            found += [row[1] for row in read(_SLICE + check, {"after": after, "last": last})]
        after = last
    for check in (*_ONCE, _USAGE_OF_NOBODY):
        found += [row[0] for row in read(check, {"limit": PROBLEMS_MAX})]
    return found + _miscounted(read)


def _miscounted(read: Read) -> list[str]:
    found: list[str] = []
    after = 0
    while len(found) < PROBLEMS_MAX and (buckets := read(_BUCKETS, {"after": after, "limit": _SLICE_ROWS})):
        after = buckets[-1][0]
        try:
            wrong = [name for id_, name in buckets if read(_MISCOUNTED, {"id": id_})]
        except apsw.InterruptError:
            return [*found, "Counting objects was interrupted, for it kept the write-ahead log from being emptied."]
        found += [f"what bucket {name} holds is counted wrong" for name in wrong]
    return found


def _pages(read: Read) -> list[str]:
    try:
        rows = read("PRAGMA integrity_check", {})
    except apsw.InterruptError:
        return ["The check of the file was interrupted, for it kept the write-ahead log from being emptied."]
    except apsw.Error as error:
        return [f"The file cannot be read: {error}"]
    return [f"The file is damaged: {row[0]}" for row in rows if row[0] != "ok"]
