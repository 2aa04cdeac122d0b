"""A row's blob replaced by a copy of it that lies elsewhere. The old one is garbage, as if the row had been overwritten."""

from __future__ import annotations

from typing import Final

from app.domain.types import BlobRef, Part, Version
from app.metadata.sql.execution import Request
from app.metadata.sql.mutation import Mutation, Step, plan
from app.metadata.sql.params import Named
from app.metadata.sql.slots import slot_of_key

# Nothing is refused here but a copy that was given up: who finds another blob has nothing to do.
_DECIDE: Final = """CASE
    WHEN found.blob = :new THEN 'repeated'
    WHEN found.blob IS DISTINCT FROM :old THEN 'nothing_to_do'
    WHEN EXISTS (SELECT 1 FROM condemned WHERE blob = :new) THEN 'blob_condemned'
END"""

# Whether others refer to it is asked when its time has come (garbage.py).
_OLD_IS_GARBAGE: Final = Step(
    "INSERT INTO garbage (id, kind, ref, created_ms) SELECT sequence * 2, 'blob', :old, :now_ms FROM plan"
)

MOVE_BLOB: Final = Mutation(
    "",
    plan(
        "SELECT version.blob AS blob FROM (SELECT 1) AS one LEFT JOIN versions AS version ON version.sequence = :sequence",
        refusal=_DECIDE,
    ),
    (_OLD_IS_GARBAGE, Step("UPDATE versions SET blob = :new WHERE sequence = :sequence")),
)

# The revision stays: what a Complete compares with its list is as it was.
MOVE_PART: Final = Mutation(
    "",
    plan(
        """
        SELECT part.blob AS blob FROM (SELECT 1) AS one LEFT JOIN parts AS part
        ON part.upload_id = :upload_id AND part.number = :number AND EXISTS
            (SELECT 1 FROM uploads WHERE upload_id = :upload_id AND (state = 'completed' OR state = 'open'
                AND EXISTS (SELECT 1 FROM buckets WHERE id = uploads.bucket_id)))
        """,
        refusal=_DECIDE,
    ),
    (_OLD_IS_GARBAGE, Step("UPDATE parts SET blob = :new WHERE upload_id = :upload_id AND number = :number")),
)


REMEMBER_BACKEND: Final = Mutation("", None, (Step("INSERT OR IGNORE INTO backends (name) VALUES (:name)"),))
READ_BACKENDS: Final = "SELECT name FROM backends ORDER BY name"


class MoveRequest(Request):
    """Of a version's blob: caches of the key have the old reference."""

    __slots__ = ("_version",)

    def __init__(self, version: Version, new: BlobRef, now_ms: int) -> None:
        named: Named = {"sequence": version.sequence, "old": version.content.blob, "new": new, "now_ms": now_ms}
        super().__init__(MOVE_BLOB, named)
        self._version = version

    def slot(self) -> int:
        return slot_of_key(self._version.bucket, self._version.key)


def of_part(upload_id: str, part: Part, new: BlobRef, now_ms: int) -> Request:
    named: Named = {"upload_id": upload_id, "number": part.number, "old": part.blob, "new": new, "now_ms": now_ms}
    return Request(MOVE_PART, named)
