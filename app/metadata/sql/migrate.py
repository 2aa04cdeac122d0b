"""Making and migrating the database file. Under the caller's exclusive data lock; killed at any point it is done again."""

from __future__ import annotations

import os
from collections.abc import Sequence

import apsw

from app.metadata.sql import checksums
from app.metadata.sql.connections import PAGE_SIZE_BYTES, check_schema, schema_version
from app.metadata.sql.schema import MIGRATIONS


def migrate(path: str, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """Bring the file to the newest schema; each migration is one transaction, so the file is never between two.

    Raises: SchemaMismatch for a file of a newer program, apsw.Error.
    """
    directory = os.path.dirname(path) or "."
    os.makedirs(directory, exist_ok=True)
    can_check = checksums.load()
    connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
    try:
        connection.set_busy_timeout(5_000)
        if schema_version(connection) == 0:
            # Settings of the file, chosen before its first page is written; room for checksums is given only if asked first.
            if can_check:
                connection.reserve_bytes(reserve=checksums.RESERVED_BYTES)
            connection.execute(f"PRAGMA page_size = {PAGE_SIZE_BYTES}")
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute("PRAGMA synchronous = FULL")
        checksums.require(path, connection)
        if schema_version(connection) > len(migrations):
            check_schema(path, schema_version(connection))
        _apply(connection, migrations)
    finally:
        connection.close()
    for each in (directory, os.path.dirname(os.path.abspath(directory))):
        _sync_directory(each)


def _sync_directory(path: str) -> None:
    """SQLite syncs its files; that their directory has them is ours to see to (I2)."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _apply(connection: apsw.Connection, migrations: Sequence[Sequence[str]]) -> None:
    for number in range(schema_version(connection) + 1, len(migrations) + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in migrations[number - 1]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
