"""Reads that go on where the last one ended, for fsck, export and large manifests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from app.domain.types import Part, Version
from app.metadata.sql import rows
from app.metadata.sql.mutation import Params
from app.metadata.sql.rows import VERSION_COLUMNS, VERSION_WIDTH
from app.metadata.sql.uploads import READ_PARTS, SCAN_PARTS

Read = Callable[[str, Params], Sequence[Any]]

_ROWS_MAX: Final = 1_000  # a statement, so that none lasts long; the bytes of inline rows come in fewer
_INLINE_ROWS_MAX: Final = 100

_SCAN: Final = f"""
SELECT bucket.name, version.key, {VERSION_COLUMNS}, NULL
FROM versions AS version JOIN buckets AS bucket ON bucket.id = version.bucket_id
WHERE version.sequence > :after ORDER BY version.sequence LIMIT :limit
"""  # noqa: S608 - constants
_SCAN_INLINE: Final = f"""
SELECT bucket.name, version.key, {VERSION_COLUMNS}, data.bytes
FROM versions AS version JOIN buckets AS bucket ON bucket.id = version.bucket_id
LEFT JOIN inline_data AS data ON data.sequence = version.sequence
WHERE version.sequence > :after ORDER BY version.sequence LIMIT :limit
"""  # noqa: S608 - constants


def versions(read: Read, after_sequence: int, limit: int, inline: bool) -> list[Version]:
    sql, rows_max = (_SCAN_INLINE, _INLINE_ROWS_MAX) if inline else (_SCAN, _ROWS_MAX)
    found: list[Version] = []
    while len(found) < limit:
        asked = min(rows_max, limit - len(found))
        page = read(sql, {"after": after_sequence, "limit": asked})
        found += [rows.version(row[0], row[1], row[2 : 2 + VERSION_WIDTH], row[-1]) for row in page]
        if len(page) < asked:
            break
        after_sequence = found[-1].sequence
    return found


def parts(read: Read, named: dict[str, Any]) -> list[Part]:
    return [rows.part(row) for row in read(READ_PARTS, named)]


def all_parts(read: Read, after: tuple[str, int], limit: int) -> list[tuple[str, Part]]:
    found = read(SCAN_PARTS, {"upload_id": after[0], "number": after[1], "limit": limit})
    return [(row[0], rows.part(row[1:])) for row in found]
