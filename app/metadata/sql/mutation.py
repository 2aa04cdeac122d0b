"""A mutation: constant statements with named parameters that change everything or nothing.

The first statement, the plan, finds the rows concerned, decides, and writes its decision into the one row of the table
`plan`, where it also draws the next sequence number. A failed precondition violates one of that table's named CHECKs.
The steps behind it change what the plan row names; a step whose row is NULL there would change nothing and is skipped
where the engine sees the plan row. Python reads nothing between them: the same texts can go to an engine that takes a
whole batch at once, or to PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

Value = str | int | bytes | None
Params = Mapping[str, Value]


class Found(NamedTuple):
    """The plan row. Sequences of `versions` rows, unless the name says otherwise."""

    sequence: int  # this mutation's own
    bucket_id: int | None
    versioning: str
    version_id: str | None  # of the row that is added or removed
    modified_ms: int | None
    target: int | None  # the row to change in place
    doomed: int | None  # the row to delete
    superseded: int | None  # the current row, no longer current
    promoted: int | None  # the row that becomes current
    is_marker: int | None
    adds_marker: int | None


COLUMNS: Final = Found._fields


@dataclass(frozen=True, slots=True)
class Step:
    """`needs` names the plan column without which there is nothing to do."""

    sql: str
    needs: str | None = None
    index: int = field(init=False)  # of `needs` in the plan row; -1: always do it

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", -1 if self.needs is None else COLUMNS.index(self.needs))


@dataclass(frozen=True, slots=True)
class Mutation:
    """`kind` is what the change log calls it; without one it is no change of the store's content.

    `answer` is asked last, in the same transaction; `recall` instead, when the mutation was found to be repeated or
    to have nothing to do. `grows`: refused while the disk is almost full.
    """

    kind: str
    plan: str | None
    steps: Sequence[Step] = ()
    answer: str | None = None
    recall: str | None = None
    grows: bool = False


class Outcome(NamedTuple):
    """`refusal` is "repeated" or "nothing_to_do", or None for a mutation that was done."""

    found: Found | None
    rows: Sequence[Sequence[Any]]
    refusal: str | None = None


def plan(found: str, refusal: str, **columns: str) -> str:
    """The text of a plan statement: `found` is a SELECT of one row; the rest are expressions over it."""
    unknown = set(columns) - set(COLUMNS)
    assert not unknown, unknown
    sets = [f"{name} = {columns.get(name, 'NULL')}" for name in COLUMNS if name != "sequence"]
    text = (
        f"UPDATE plan SET sequence = plan.sequence + 1, refusal = {refusal}, {', '.join(sets)} "  # noqa: S608 - constants
        f"FROM ({found}) AS found RETURNING {', '.join(COLUMNS)}"
    )
    return " ".join(text.split())  # the shorter text is found sooner among the prepared ones


# Every plan statement whose bucket is named begins with it: one row, of NULLs when there is no such bucket.
BUCKET: Final = "(SELECT 1) AS one LEFT JOIN buckets AS bucket ON bucket.name = :bucket"

LOG_CHANGE: Final = """
INSERT INTO changes (sequence, op_id, kind, bucket, key, version_id, committed_ms)
SELECT sequence, :op_id, :kind, :bucket, :key, COALESCE(version_id, ''), :committed_ms FROM plan
"""
