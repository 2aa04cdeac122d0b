"""How much each bucket holds: counted in the commit that changes it, so that nobody ever has to count rows.

A row of `bucket_usage` is a bucket's: `objects` are current ones, `versions` all rows but delete markers, `size_bytes`
theirs together. plain.py adds up what a transaction's short writes change and writes it once for each bucket; every other
mutation of `versions` has one of the steps below, before those that change rows. `verifying` counts anew and compares.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from app.domain.types import BucketUsage, Usage
from app.metadata.sql.mutation import Params, Step
from app.metadata.sql.schema import LISTED

_HERE: Final = "WHERE bucket_id = (SELECT bucket_id FROM plan)"


def _row(which: str, what: str) -> str:
    """Something of the row that the plan names so."""
    return f"(SELECT {what} FROM versions WHERE sequence = (SELECT {which} FROM plan))"  # noqa: S608 - called with constants


# A row that goes, one that is current no longer, and one that becomes current: in the order of the steps behind them.
COUNT_LEAVING: Final = (
    Step(
        f"""
        UPDATE bucket_usage SET objects = objects - {_row("doomed", LISTED)}, versions = versions - {_row("doomed", "NOT is_marker")},
            size_bytes = size_bytes - {_row("doomed", "size_bytes")} {_HERE}
        """,  # noqa: S608 - constants
        "doomed",
    ),
    Step(f"UPDATE bucket_usage SET objects = objects - {_row('superseded', LISTED)} {_HERE}", "superseded"),  # noqa: S608
    Step(f"UPDATE bucket_usage SET objects = objects + {_row('promoted', 'NOT is_marker')} {_HERE}", "promoted"),  # noqa: S608
)
COUNT_COMING: Final = Step(
    f"UPDATE bucket_usage SET objects = objects + 1, versions = versions + 1, size_bytes = size_bytes + :size_bytes {_HERE}"  # noqa: S608
)
BEGIN: Final = Step(
    "INSERT INTO bucket_usage (bucket_id, objects, versions, size_bytes) SELECT sequence, 0, 0, 0 FROM plan"
)
END: Final = Step("DELETE FROM bucket_usage WHERE bucket_id = (SELECT bucket_id FROM plan)")

# Of objects without versions: as many objects come and go as versions.
COUNT_PLAIN: Final = """
UPDATE bucket_usage SET objects = objects + ?2, versions = versions + ?2, size_bytes = size_bytes + ?3 WHERE bucket_id = ?1
"""

# One statement, so that all of it is of one moment. Uploads of deleted buckets are nobody's.
_READ: Final = """
SELECT '', count(*), COALESCE(sum(objects), 0), COALESCE(sum(versions), 0), COALESCE(sum(size_bytes), 0),
    (SELECT count(*) FROM uploads WHERE state = 'open' AND bucket_id IN (SELECT id FROM buckets))
FROM bucket_usage
UNION ALL
SELECT * FROM (
    SELECT name, 0, objects, versions, size_bytes, 0 FROM bucket_usage JOIN buckets ON id = bucket_id
    ORDER BY size_bytes DESC, name LIMIT :limit
)
"""


def read_usage(read: Callable[[str, Params], Sequence[Any]], largest: int) -> Usage:
    totals, *buckets = read(_READ, {"limit": largest})
    _, count, objects, versions, size_bytes, uploads = totals
    return Usage(
        buckets=count,
        uploads_open=uploads,
        objects=objects,
        versions=versions,
        size_bytes=size_bytes,
        largest=tuple(BucketUsage(row[0], *row[2:5]) for row in buckets),
    )
