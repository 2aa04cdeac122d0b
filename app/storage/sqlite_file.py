"""The database file under `storage.backend: sqlite`: its tables, its connections, and whose turn it is to write.

    blobs    one row a blob; `owner` names the process that is still writing it, `deleted_ms` when it was given up
    chunks   CHUNK_BYTES of a blob each, the last one less; the id holds the blob's id and the chunk's number

A file of its own and not the metadata's: a large blob's pages must not stand in the log before a small object's row.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

import apsw

from app.domain.errors import InternalError, ServiceUnavailable, SlowDown
from app.storage.local_files import FILE_MODE, answering

CHUNK_BYTES: Final = 1 << 20
CHUNKS_MAX: Final = 1 << 22  # of one blob: 4 TiB
PAGE_SIZE_BYTES: Final = 16_384
PAGES_PER_CHUNK: Final = CHUNK_BYTES // PAGE_SIZE_BYTES + 1
CACHE_KIB: Final = 1_024
IDLE_READERS_MAX: Final = 8
BUSY_WAIT_MS: Final = 5_000  # nobody holds the file for long; whoever recovers its log does for a moment
CHECKPOINT_PAGES: Final = 1_024
SCHEMA_VERSION: Final = 1
APPLICATION_ID: Final = 0x42_4C_42_53  # "BLBS"

_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS blobs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        ref TEXT NOT NULL UNIQUE,
        size_bytes INTEGER NOT NULL,
        modified_ms INTEGER NOT NULL,
        owner TEXT,
        deleted_ms INTEGER
    )""",
    "CREATE INDEX IF NOT EXISTS blobs_unfinished ON blobs (owner) WHERE owner IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS blobs_deleted ON blobs (deleted_ms) WHERE deleted_ms IS NOT NULL",
    "CREATE TABLE IF NOT EXISTS chunks (id INTEGER PRIMARY KEY, data BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS probe (id INTEGER PRIMARY KEY, modified_ms INTEGER NOT NULL)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)


class Database:
    """Any thread may read; those that write take turns, across processes too. Raises: SlowDown, ServiceUnavailable."""

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path)
        self._readers: list[apsw.Connection] = []
        self._writer: apsw.Connection | None = None
        self._mutex = threading.Lock()
        self._turn_fd = -1

    @property
    def path(self) -> str:
        return self._path

    def open(self) -> None:
        """Make the file where there is none. Raises: ServiceUnavailable for one that is not ours to use."""
        if self._writer is not None:
            return
        with failing():
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            self._turn_fd = os.open(f"{self._path}.turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
            fcntl.flock(self._turn_fd, fcntl.LOCK_EX)
            try:
                self._writer = self._connect_writer()
            finally:
                fcntl.flock(self._turn_fd, fcntl.LOCK_UN)

    def close(self) -> None:
        with self._mutex:
            while self._readers:
                self._readers.pop().close()
            writer, self._writer = self._writer, None
            if writer is not None:
                writer.close()
                os.close(self._turn_fd)

    @contextmanager
    def reading(self) -> Iterator[apsw.Connection]:
        """A connection for one step; each statement sees what was committed before it."""
        with failing():
            try:
                connection = self._readers.pop()
            except IndexError:
                connection = self._connect()
            try:
                yield connection
            finally:
                if len(self._readers) < IDLE_READERS_MAX:
                    self._readers.append(connection)
                else:
                    connection.close()

    @contextmanager
    def writing(self, *, durable: bool) -> Iterator[apsw.Connection]:
        """One transaction. What is not `durable` is so with the next one that is, or lost with the power, in order."""
        with self._mutex, failing():
            writer = self._writer
            if writer is None:
                raise ServiceUnavailable("The storage is closed.")
            fcntl.flock(self._turn_fd, fcntl.LOCK_EX)
            try:
                writer.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                writer.execute("BEGIN IMMEDIATE")
                try:
                    yield writer
                    writer.execute("COMMIT")
                finally:
                    if writer.in_transaction:
                        # Where even this fails, SQLite rolls back when the file is next read.
                        with suppress(apsw.Error):
                            writer.execute("ROLLBACK")
            finally:
                fcntl.flock(self._turn_fd, fcntl.LOCK_UN)

    def _connect_writer(self) -> apsw.Connection:
        connection = self._connect()
        version = connection.execute("PRAGMA user_version").get
        if version not in (0, SCHEMA_VERSION) or connection.execute("PRAGMA application_id").get not in (
            0,
            APPLICATION_ID,
        ):
            connection.close()
            raise ServiceUnavailable(f"{self._path} is no file of objects that this version knows.")
        if version == 0:
            # Before the first table, for later they change nothing.
            for pragma in (f"page_size = {PAGE_SIZE_BYTES}", "auto_vacuum = INCREMENTAL", "journal_mode = WAL"):
                connection.execute(f"PRAGMA {pragma}")
            connection.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute("COMMIT")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        return connection

    def _connect(self) -> apsw.Connection:
        connection = apsw.Connection(self._path)
        connection.set_busy_timeout(BUSY_WAIT_MS)
        for pragma in (f"cache_size = -{CACHE_KIB}", "mmap_size = 0", "trusted_schema = OFF"):
            connection.execute(f"PRAGMA {pragma}")
        return connection


@contextmanager
def failing() -> Iterator[None]:
    """Turn SQLite's and the system's errors into answers. They hold no path: a client may read them."""
    with answering():
        try:
            yield
        except apsw.FullError as error:
            raise SlowDown("The storage is full. Please free space, or try again later.") from error
        except (apsw.BusyError, apsw.LockedError, apsw.NoMemError) as error:
            raise SlowDown("The storage is busy. Please reduce your request rate.") from error
        except (apsw.CorruptError, apsw.NotADBError) as error:
            raise InternalError("The storage is damaged.") from error
        except apsw.Error as error:
            raise ServiceUnavailable(f"The storage is not available: {type(error).__name__}.") from error


def rows(connection: apsw.Connection, statement: str, values: Sequence[Any] = ()) -> list[Any]:
    """All rows of a query at once: a cursor that is kept would hold an old state of the file."""
    return connection.execute(statement, values).fetchall()


def chunk_id(blob_id: int, number: int) -> int:
    return blob_id * CHUNKS_MAX + number
