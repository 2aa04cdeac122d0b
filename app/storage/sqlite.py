"""Blobs in one SQLite file, in chunks: a store that is two files, for small sites and for tests that want one to copy.

A blob in several chunks is written in as many short transactions, so that nobody waits for a slow client; the last one
makes it a blob. What a dead process left in between is found by its owner, whose lock is free. `delete` only marks: its
chunks stay for READERS_MAX_S, because a reader takes them one by one, and no transaction may be open for so long.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, Self

import apsw

from app.domain.errors import InternalError
from app.domain.types import BlobRef, Body, Health
from app.settings import chosen
from app.storage import local_files
from app.storage.base import BlobInfo, BlobMissing, ObjectStorage
from app.storage.local import new_reference
from app.storage.remote_probe import Probe
from app.storage.sqlite_file import CHUNK_BYTES, CHUNKS_MAX, PAGES_PER_CHUNK, Database, chunk_id, failing, rows
from app.storage.sqlite_writer import SqliteWriter

if TYPE_CHECKING:
    from app.config import Config

GARBAGE_GRACE_S: Final = 60  # a reader opens the later parts of an object this long after it looked the version up
READERS_MAX_S: Final = 900  # a body that is opened can be read to its end for so long after its deletion
SCAN_PAGE: Final = 1_000
REAPED_CHUNKS_MAX: Final = 64  # deleted in one transaction
REAPED_BLOBS_MAX: Final = 100  # in one call
SAFE_FOR_SEVERAL: Final = 3_051_003  # older SQLite may corrupt a log that several processes write


class SqliteStorage(ObjectStorage):
    """`reserve_bytes`: writes are refused below this much free space; None chooses by the size of the file system."""

    name = "sqlite"

    def __init__(
        self,
        path: str,
        *,
        reserve_bytes: int | None = None,
        garbage_grace_s: int = GARBAGE_GRACE_S,
        readers_max_s: float = READERS_MAX_S,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.shared = apsw.SQLITE_VERSION_NUMBER >= SAFE_FOR_SEVERAL
        self.garbage_grace_s = garbage_grace_s
        self._readers_max_ms = int(readers_max_s * 1_000)
        self._now_ms = now_ms
        self._database = Database(path)
        self._owners = f"{self._database.path}.writers"
        self._own: list[local_files.OwnDirectory] = []  # the first is used
        self._space = local_files.Space(os.path.dirname(self._database.path), reserve_bytes, monotonic)
        self._probe = Probe(self._try_write, str)

    @classmethod
    def from_config(cls, config: Config) -> Self:
        storage = config.storage
        return cls(
            storage.sqlite.path,
            reserve_bytes=chosen(storage.reserve_bytes, None),
            garbage_grace_s=chosen(storage.garbage_grace_s, GARBAGE_GRACE_S),
        )

    def open(self) -> None:
        self._database.open()

    def close(self) -> None:
        while self._own:
            self._own.pop().close()
        self._database.close()

    def check(self) -> Health:
        return self._probe.health()

    def create(self, size_hint: int | None = None) -> SqliteWriter:
        self.require_space(size_hint or 0)
        return SqliteWriter(self, new_reference())

    def read(self, ref: BlobRef, start: int = 0, length: int | None = None) -> Body:
        with self._database.reading() as connection:
            found = rows(
                connection,
                "SELECT id, size_bytes FROM blobs WHERE ref = ? AND owner IS NULL AND deleted_ms IS NULL",
                (ref,),
            )
        if not found:
            raise BlobMissing(f"blob {ref} is missing")
        blob_id, size_bytes = found[0]
        end = size_bytes if length is None else start + length
        if not 0 <= start <= end <= size_bytes:
            raise InternalError(f"blob {ref} has {size_bytes} bytes, asked for [{start}, {end})")
        if start // CHUNK_BYTES == (end - 1) // CHUNK_BYTES or start == end:
            return self._bytes(blob_id, start, end)
        return self._chunks(blob_id, start, end)

    def delete(self, ref: BlobRef) -> None:
        with self._database.writing(durable=False) as connection:
            connection.execute(
                "UPDATE blobs SET deleted_ms = ? WHERE ref = ? AND owner IS NULL AND deleted_ms IS NULL",
                (self._now_ms(), ref),
            )
        self._reap(1)

    def scan(self, before_ms: int) -> Iterator[BlobInfo]:
        last = 0
        while True:
            with self._database.reading() as connection:
                page = rows(
                    connection,
                    "SELECT id, ref, size_bytes, modified_ms FROM blobs "
                    "WHERE id > ? AND owner IS NULL AND deleted_ms IS NULL ORDER BY id LIMIT ?",
                    (last, SCAN_PAGE),
                )
            for blob_id, ref, size_bytes, modified_ms in page:
                last = blob_id
                if modified_ms < before_ms:
                    yield BlobInfo(BlobRef(ref), size_bytes, modified_ms)
            if len(page) < SCAN_PAGE:
                return

    def clean_up(self) -> int:
        with self._database.reading() as connection:
            owners = [row[0] for row in rows(connection, "SELECT DISTINCT owner FROM blobs WHERE owner IS NOT NULL")]
        with failing():
            for name in {*owners, *local_files.names(self._owners)}:
                local_files.remove_if_dead(os.path.join(self._owners, name))
            dead = [owner for owner in owners if not os.path.isdir(os.path.join(self._owners, owner))]
        left = [row for owner in dead for row in self._unfinished(owner)]
        for blob_id in left:
            self.remove(blob_id)
        while self._reap(REAPED_BLOBS_MAX):
            pass
        return len(left)

    # -- for the writer ------------------------------------------------------------------------------------------

    def require_space(self, size_bytes: int) -> None:
        """Raises: SlowDown when that much more would leave less than the reserve."""
        with failing():
            self._space.require(size_bytes)

    def begin(self, ref: BlobRef, chunk: memoryview) -> int:
        """Store the first chunk of a blob that nobody sees yet; gives its id."""
        with self._database.writing(durable=False) as connection:
            connection.execute(
                "INSERT INTO blobs (ref, size_bytes, modified_ms, owner) VALUES (?, 0, ?, ?)",
                (ref, self._now_ms(), self._owner()),
            )
            blob_id = connection.last_insert_rowid()
            _insert_chunk(connection, blob_id, 0, chunk)
            return blob_id

    def go_on(self, blob_id: int, number: int, chunk: memoryview) -> None:
        with self._database.writing(durable=False) as connection:
            _insert_chunk(connection, blob_id, number, chunk)

    def finish(self, ref: BlobRef, blob_id: int | None, number: int, rest: memoryview, size_bytes: int) -> None:
        """Make it a blob, durable with all its chunks (I2). One in a single chunk has no id yet.

        Raises: InternalError when somebody took this process for dead.
        """
        with self._database.writing(durable=True) as connection:
            now_ms = self._now_ms()
            if blob_id is None:
                connection.execute(
                    "INSERT INTO blobs (ref, size_bytes, modified_ms) VALUES (?, ?, ?)", (ref, size_bytes, now_ms)
                )
                blob_id = connection.last_insert_rowid()
            else:
                connection.execute(
                    "UPDATE blobs SET owner = NULL, size_bytes = ?, modified_ms = ? WHERE id = ?",
                    (size_bytes, now_ms, blob_id),
                )
                if not connection.changes():
                    raise InternalError(f"blob {ref} was taken away while it was written")
            if rest:
                _insert_chunk(connection, blob_id, number, rest)

    def remove(self, blob_id: int) -> None:
        """Take a blob's chunks and row away, in slices. Safe to repeat."""
        first, end = chunk_id(blob_id, 0), chunk_id(blob_id + 1, 0)
        while True:
            with self._database.writing(durable=False) as connection:
                connection.execute(
                    "DELETE FROM chunks WHERE id IN (SELECT id FROM chunks WHERE id >= ? AND id < ? LIMIT ?)",
                    (first, end, REAPED_CHUNKS_MAX),
                )
                removed = connection.changes()
                rows(connection, f"PRAGMA incremental_vacuum({removed * PAGES_PER_CHUNK})")
                if removed < REAPED_CHUNKS_MAX:
                    connection.execute("DELETE FROM blobs WHERE id = ?", (blob_id,))
                    return

    # -- parts ---------------------------------------------------------------------------------------------------

    def _owner(self) -> str:
        """Made once; a second one that a race between threads makes stays unused until `close`."""
        if not self._own:
            os.makedirs(self._owners, mode=local_files.DIRECTORY_MODE, exist_ok=True)
            self._own.append(local_files.OwnDirectory(self._owners))
        return os.path.basename(self._own[0].path)

    def _unfinished(self, owner: str) -> list[int]:
        with self._database.reading() as connection:
            return [row[0] for row in rows(connection, "SELECT id FROM blobs WHERE owner = ?", (owner,))]

    def _reap(self, limit: int) -> int:
        """Take away blobs that were deleted so long ago that nobody reads them any more; how many."""
        before_ms = self._now_ms() - self._readers_max_ms
        with self._database.reading() as connection:
            found = rows(
                connection, "SELECT id FROM blobs WHERE deleted_ms < ? ORDER BY deleted_ms LIMIT ?", (before_ms, limit)
            )
        for (blob_id,) in found:
            self.remove(blob_id)
        return len(found)

    def _chunks(self, blob_id: int, start: int, end: int) -> Iterator[bytes]:
        while start < end:
            stop = min(end, (start // CHUNK_BYTES + 1) * CHUNK_BYTES)
            yield self._bytes(blob_id, start, stop)
            start = stop

    def _bytes(self, blob_id: int, start: int, end: int) -> bytes:
        """Bytes of one chunk, without reading the others' pages. Raises: InternalError where they are not there."""
        if start == end:
            return b""
        with self._database.reading() as connection:
            try:
                with connection.blob_open(
                    "main", "chunks", "data", chunk_id(blob_id, start // CHUNK_BYTES), False
                ) as blob:
                    blob.seek(start % CHUNK_BYTES)
                    found: bytes = blob.read(end - start)
            except (apsw.SQLError, ValueError) as error:
                raise InternalError("A blob's bytes are not there.") from error
        if len(found) != end - start:
            raise InternalError("A blob is shorter than its row says.")
        return found

    def _try_write(self) -> None:
        self._space.require(0)
        with self._database.writing(durable=True) as connection:
            connection.execute("INSERT OR REPLACE INTO probe (id, modified_ms) VALUES (1, ?)", (self._now_ms(),))


def _insert_chunk(connection: apsw.Connection, blob_id: int, number: int, chunk: memoryview) -> None:
    if number >= CHUNKS_MAX:
        raise InternalError("A blob has more chunks than there are numbers.")
    connection.execute("INSERT INTO chunks (id, data) VALUES (?, ?)", (chunk_id(blob_id, number), chunk))
