"""Connections to the one database file, and a pool of those that read.

Nobody but SQLite opens the database file, its -wal or its -shm: closing such a descriptor would drop the POSIX locks of
this whole process. Sizes come from os.stat.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import apsw

from app import runtime
from app.domain.errors import ServiceUnavailable
from app.metadata.sql import checksums
from app.metadata.sql.schema import SCHEMA_VERSION

PAGE_SIZE_BYTES: Final = 4_096  # of a file that is made now
POINT_CACHE_KIB: Final = 8_192
OTHER_CACHE_KIB: Final = 2_048
IDLE_READERS_MAX: Final = 4
STATEMENTS_MAX: Final = 256  # prepared statements kept by a connection: all there are
OPEN_WAIT_MS: Final = 5_000
BUSY_TRIES_MAX: Final = 200
BUSY_NAP_S: Final = 0.01


class SchemaMismatch(ServiceUnavailable):
    """The file was not migrated, or by a newer version of this program."""


def open_writer(path: str, synchronous: str, vfs: str | None = None) -> apsw.Connection:
    """The connection that writes: no waiting (the turnstile does that), no checkpoints of SQLite's own.

    `synchronous` is "full" or "normal"; `vfs` names another file layer than SQLite's own. Raises: SchemaMismatch, apsw.Error.
    """
    connection = _open(path, OTHER_CACHE_KIB, vfs)
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("PRAGMA synchronous = NORMAL" if synchronous == "normal" else "PRAGMA synchronous = FULL")
    return connection


def open_reader(path: str, cache_kib: int) -> apsw.Connection:
    """A connection that only reads and never waits. Raises: SchemaMismatch, apsw.Error."""
    # Opened read-write so that it can recover the WAL after a crash; query_only is what keeps it from writing.
    connection = _open(path, cache_kib)
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("PRAGMA query_only = ON")
    return connection


def _open(path: str, cache_kib: int, vfs: str | None = None) -> apsw.Connection:
    checksums.load()
    connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs, statementcachesize=STATEMENTS_MAX)
    # After a crash the first of several workers recovers the WAL, and the others wait for it here.
    connection.set_busy_timeout(OPEN_WAIT_MS)
    # A build with STAT4 plans a statement anew for every value bound to it that a partial index might depend on: a point
    # read then takes 22 µs and a publish's plan 141, instead of 5 and 9.
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    # No mapping: a page of it that a failing disk cannot read is SIGBUS, not an error.
    for pragma in ("mmap_size = 0", "temp_store = MEMORY", "foreign_keys = OFF", "trusted_schema = OFF"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute(f"PRAGMA cache_size = -{cache_kib}")
    check_schema(path, schema_version(connection))
    checksums.require(path, connection)
    connection.set_busy_timeout(0)
    return connection


def schema_version(connection: apsw.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").get)


def check_schema(path: str, version: int) -> None:
    """Raises: SchemaMismatch."""
    if version > SCHEMA_VERSION:
        raise SchemaMismatch(
            f"{path} was written by a newer BleepStore (schema {version}; this one knows {SCHEMA_VERSION}). "
            "Run that version, or restore a backup from before the upgrade."
        )
    if version < SCHEMA_VERSION:
        raise SchemaMismatch(f"{path} has schema {version} and needs {SCHEMA_VERSION}: run `bleepstore migrate` first.")


def patiently(read: Callable[[], Any]) -> Any:
    """The result of a read, repeated while another process recovers the WAL. Blocks up to two seconds."""
    for attempt in range(BUSY_TRIES_MAX):
        try:
            return read()
        except apsw.BusyError:
            if attempt == BUSY_TRIES_MAX - 1:
                raise
        runtime.sleep(BUSY_NAP_S)
    return None


class Readers:
    """Connections that read, each used by one thread at a time. Every read is fetched to its end (I8).

    A kept cursor would pin an old snapshot; a finished statement is followed by one that sees every later commit.
    """

    def __init__(self, path: str, cache_kib: int) -> None:
        self._path = path
        self._cache_kib = cache_kib
        self._idle: list[apsw.Connection] = []
        self._long: dict[apsw.Connection, float] = {}

    def borrow(self) -> apsw.Connection:
        """A connection for short reads; `give_back` follows, whatever happens."""
        try:
            return self._idle.pop()  # atomic; the last one given back, whose cache is warm
        except IndexError:
            return open_reader(self._path, self._cache_kib)

    def give_back(self, connection: apsw.Connection) -> None:
        if len(self._idle) < IDLE_READERS_MAX:
            self._idle.append(connection)
        else:
            connection.close()

    @contextmanager
    def long(self) -> Iterator[apsw.Connection]:
        """A connection for a read that takes more than a moment: `interrupt` knows of it."""
        connection = self.borrow()
        self._long[connection] = time.monotonic()
        try:
            yield connection
        finally:
            del self._long[connection]
            self.give_back(connection)

    def interrupt(self, older_than_s: float) -> int:
        """End the long reads that began longer ago than this; gives how many. Callable from any thread."""
        now, count = time.monotonic(), 0
        for connection, began in list(self._long.items()):
            if now - began > older_than_s:
                connection.interrupt()
                count += 1
        return count

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()
