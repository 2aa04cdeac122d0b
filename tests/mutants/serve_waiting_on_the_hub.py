"""A server that lets SQLite's busy handler wait on the hub: what I8 forbids. Its command line is that of `app`."""

from __future__ import annotations

import sys
from typing import Any

import apsw

from app.cli import main
from app.metadata.sql.execution import Request
from app.metadata.sql.sqlite import SqliteStore

WAIT_MS = 500

_submit = SqliteStore.submit


def submit(self: SqliteStore, request: Request) -> Any:
    connection = apsw.Connection(self.path)
    connection.set_busy_timeout(WAIT_MS)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    except apsw.BusyError:
        pass
    finally:
        connection.close()
    return _submit(self, request)


if __name__ == "__main__":
    setattr(SqliteStore, "submit", submit)  # noqa: B010  # an assignment is no business of the type checker
    sys.exit(main())
