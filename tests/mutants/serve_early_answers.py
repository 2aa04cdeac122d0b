"""A server that answers a write 50 ms before it commits it: what I9 forbids. Its command line is that of `app`.

R-02 must find writes that it lost, and R-05 answers that no commit went before.
"""

from __future__ import annotations

import sys

from app import runtime
from app.cli import main
from app.domain.types import Condition, NewVersion, Published, Removal, Removed, Versioning
from app.metadata.sql.sqlite import SqliteStore

EARLY_S = 0.05

_publish, _remove = SqliteStore.publish, SqliteStore.remove


def publish(self: SqliteStore, new: NewVersion, condition: Condition | None, op_id: str) -> Published:
    def commit() -> None:
        runtime.sleep(EARLY_S)
        _publish(self, new, condition, op_id)

    runtime.spawn(commit)
    return Published(new.version_id, 0, new.created_ms, self.bucket(new.bucket).versioning)


def remove(self: SqliteStore, removal: Removal, condition: Condition | None, op_id: str) -> Removed:
    def commit() -> None:
        runtime.sleep(EARLY_S)
        _remove(self, removal, condition, op_id)

    runtime.spawn(commit)
    return Removed(Versioning.UNVERSIONED)


if __name__ == "__main__":
    setattr(SqliteStore, "publish", publish)  # noqa: B010  # an assignment is no business of the type checker
    setattr(SqliteStore, "remove", remove)  # noqa: B010
    sys.exit(main())
