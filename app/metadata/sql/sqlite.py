"""Embedded SQLite as a metadata engine: one file, one writer a process, turns between processes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, Self, overload

import apsw

from app import runtime
from app.domain.errors import NoSuchUpload, S3Error, ServiceUnavailable
from app.domain.types import (
    BlobRef,
    Bucket,
    BucketQuery,
    Change,
    Garbage,
    GarbageKind,
    Health,
    Listed,
    ListedVersion,
    ListQuery,
    Lookup,
    Page,
    Part,
    Upload,
    UploadQuery,
    Usage,
    Version,
    VersionQuery,
)
from app.metadata.base import CHANGES_PAGE_MAX
from app.metadata.sql import (
    buckets,
    changes,
    garbage,
    listing,
    moving,
    rows,
    scans,
    sweeping,
    uploads,
    usage,
    verifying,
)
from app.metadata.sql.beside import Beside
from app.metadata.sql.cache import PointCache
from app.metadata.sql.checkpoint import WalKeeper
from app.metadata.sql.connections import open_writer
from app.metadata.sql.execution import Request
from app.metadata.sql.library import check_library, is_safe_for_several
from app.metadata.sql.migrate import migrate
from app.metadata.sql.mutation import Mutation, Step, Value
from app.metadata.sql.reading import Reader
from app.metadata.sql.slots import Slots
from app.metadata.sql.space import DiskSpace
from app.metadata.sql.turnstile import Turnstile
from app.metadata.sql.writer import Watch, Writer
from app.metadata.sql.writing import Writing

if TYPE_CHECKING:
    from app.config import Config

INLINE_MAX_BYTES: Final = 131_072  # above this a file is cheaper than a row
CHECK_WAIT_MAX_S: Final = 0.9


class SqliteStore(Writing):
    name = "sqlite"

    def __init__(
        self,
        path: str,
        *,
        synchronous: str = "full",
        reserve_bytes: int | str = "auto",
        now_ms: Callable[[], int] = runtime.now_ms,
        wait_max_s: float = runtime.QUEUE_WAIT_MAX_S,
        cache_max_bytes: int = 0,
    ) -> None:
        """`reserve_bytes`: a number, or "auto". `wait_max_s`: for the turn to write. Nothing is opened before `open`.

        `cache_max_bytes`: of small objects that are kept in memory; then `look_up` and `bucket` are for one thread only.
        """
        self.path = path
        self.shared = is_safe_for_several(apsw.sqlite_lib_version())
        self.inline_max_bytes = INLINE_MAX_BYTES
        self._synchronous = synchronous
        self._reserve_bytes = reserve_bytes
        self._now_ms = now_ms
        self._wait_max_s = wait_max_s
        self._cache_max_bytes = cache_max_bytes
        self.watch: Watch | None = None  # of the writer; set before `open`
        self._slots: Slots | None = None
        self._reader: Reader | None = None
        self._writer: Writer | None = None
        self._turnstile: Turnstile | None = None

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Raises: ConfigError, for a SQLite that must not be used as configured."""
        workers = config.server.workers
        check_library(apsw.sqlite_lib_version(), workers if isinstance(workers, int) else 1)
        sqlite, storage = config.metadata.sqlite, config.storage
        return cls(
            sqlite.path,
            synchronous=sqlite.synchronous,
            reserve_bytes=storage.reserve_bytes,
            cache_max_bytes=storage.cache_max_bytes,
        )

    @classmethod
    def from_path(cls, path: str | os.PathLike[str], *, cache_max_bytes: int = 0) -> Self:
        return cls(os.fspath(path), cache_max_bytes=cache_max_bytes)

    # -- life ----------------------------------------------------------------------------------------------------

    def migrate(self) -> None:
        """Create the file, or bring it to this program's schema, under the caller's exclusive lock of the data.

        Raises: SchemaMismatch.
        """
        migrate(self.path)

    def open(self) -> None:
        reader = Reader(self.path)
        space = DiskSpace(self.path, self._reserve_bytes)
        slots = _open_slots(self.path, space)
        turnstile = Turnstile(self.path)
        cache = PointCache(slots, self._cache_max_bytes) if self._cache_max_bytes else None
        connect = partial(open_writer, self.path, self._synchronous)
        # With an older library not even two threads of one process may do so: see library.py.
        beside = Beside(connect) if self.shared else None
        keeper = WalKeeper(self.path, space.bounds, reader.scans.interrupt, beside=beside)
        writer = Writer(
            connect,
            turnstile,
            space,
            keeper,
            slots,
            self._now_ms,
            self._wait_max_s,
            self.watch,
        )
        try:
            reader.open(cache)
            writer.start()
        except BaseException:
            reader.close()
            slots.close()
            turnstile.close()
            raise
        self._reader, self._writer, self._turnstile, self._slots = reader, writer, turnstile, slots

    def close(self) -> None:
        if self._writer is not None:
            self._writer.stop()
        if self._reader is not None:
            self._reader.close()
        if self._turnstile is not None:
            self._turnstile.close()
        if self._slots is not None:
            self._slots.close()
        self._reader = self._writer = self._turnstile = self._slots = None

    def check(self) -> Health:
        """Sends a write that changes nothing the whole way."""
        writer = self._opened_writer
        # What was wrong may be over by now: that a real write tells.
        mutation = _PROBE if writer.health().ok else _TOUCH
        return writer.probe(Request(mutation, {}), CHECK_WAIT_MAX_S)

    def queue_depth(self) -> int:
        """How many writes wait for this process's writer, about."""
        return 0 if self._writer is None else self._writer.depth()

    # -- the two ways in -----------------------------------------------------------------------------------------

    @property
    def _opened_writer(self) -> Writer:
        if self._writer is None:
            raise ServiceUnavailable("The metadata engine is not open.")
        return self._writer

    @property
    def _opened(self) -> Reader:
        if self._reader is None:
            raise ServiceUnavailable("The metadata engine is not open.")
        return self._reader

    def submit(self, request: Request) -> Any:
        return self._opened_writer.submit(request)

    def submit_all(self, requests: Sequence[Request]) -> Sequence[Any]:
        outcomes = [ticket.error or ticket.result for ticket in self._opened_writer.submit_all(requests)]
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, S3Error):
                raise outcome
        return outcomes

    def _write_rows(self, mutation: Mutation, named: dict[str, Value]) -> Sequence[Sequence[Any]]:
        return self.write(mutation, named).rows

    def _read(self, sql: str, named: dict[str, Any]) -> list[Any]:
        return self._opened.rows(sql, named)

    # -- reads ---------------------------------------------------------------------------------------------------

    def bucket(self, name: str) -> Bucket:
        return self._opened.bucket(name)

    def look_up(self, bucket: str, key: str, version_id: str | None = None, *, inline: bool = False) -> Lookup:
        return self._opened.look_up(bucket, key, version_id, inline)

    def known(self, bucket: str, key: str, *, inline: bool) -> Lookup | None:
        return None if self._reader is None else self._reader.known(bucket, key, inline)

    def list_buckets(self, query: BucketQuery) -> Page[Bucket]:
        return self._opened.scan(buckets.list_buckets, query)

    @overload
    def list_current(self, query: ListQuery) -> Page[Version]: ...
    @overload
    def list_current(self, query: ListQuery, *, brief: Literal[True]) -> Page[Listed]: ...
    def list_current(self, query: ListQuery, *, brief: bool = False) -> Page[Version] | Page[Listed]:
        bucket_id, read = self.bucket(query.bucket).id, self._opened.scan_rows
        if brief:
            return listing.list_current_briefly(read, bucket_id, query)
        return listing.list_current(read, bucket_id, query)

    @overload
    def list_versions(self, query: VersionQuery) -> Page[Version]: ...
    @overload
    def list_versions(self, query: VersionQuery, *, brief: Literal[True]) -> Page[ListedVersion]: ...
    def list_versions(self, query: VersionQuery, *, brief: bool = False) -> Page[Version] | Page[ListedVersion]:
        bucket_id, read = self.bucket(query.bucket).id, self._opened.scan_rows
        if brief:
            return listing.list_versions_briefly(read, bucket_id, query)
        return listing.list_versions(read, bucket_id, query)

    def list_uploads(self, query: UploadQuery) -> Page[Upload]:
        return listing.list_uploads(self._opened.scan_rows, self.bucket(query.bucket).id, query)

    def upload(self, bucket: str, key: str, upload_id: str) -> Upload:
        found = self._read(uploads.READ_UPLOAD, {"bucket": bucket, "key": key, "upload_id": upload_id})
        if not found:
            self.bucket(bucket)
        if not found or not found[0][0]:
            raise NoSuchUpload(UploadId=upload_id)
        return rows.upload(bucket, found[0][1:])

    def parts(self, upload_id: str, first: int, last: int, limit: int) -> Sequence[Part]:
        named = {"upload_id": upload_id, "first": first, "last": last, "limit": limit}
        return self._opened.scan(scans.parts, named)

    def stale_uploads(self, before_ms: int, limit: int) -> Sequence[Upload]:
        found = self._read(uploads.STALE_UPLOADS, {"before_ms": before_ms, "limit": limit})
        return [rows.upload(row[0], row[1:]) for row in found]

    # -- garbage -------------------------------------------------------------------------------------------------

    def garbage(self, before_ms: int, limit: int) -> Sequence[Garbage]:
        found = self._read(garbage.READ_GARBAGE, {"before_ms": before_ms, "limit": limit})
        return [Garbage(id_, GarbageKind(kind), ref, created_ms) for id_, kind, ref, created_ms in found]

    def condemn(self, garbage_id: int, now_ms: int) -> Sequence[BlobRef]:
        return sweeping.condemn(self._read, self._write_rows, garbage_id, now_ms)

    def forget(self, garbage_id: int, blobs: Sequence[BlobRef]) -> None:
        self.write(garbage.FORGET, {"id": garbage_id, "blobs": json.dumps(blobs)})

    def condemn_orphans(self, blobs: Sequence[BlobRef], now_ms: int) -> Sequence[BlobRef]:
        found = self._write_rows(garbage.CONDEMN_ORPHANS, {"blobs": json.dumps(blobs), "now_ms": now_ms})
        return [BlobRef(row[0]) for row in found]

    def unreferenced(self, blobs: Sequence[BlobRef]) -> Sequence[BlobRef]:
        return [BlobRef(row[0]) for row in self._read(garbage.UNREFERENCED, {"blobs": json.dumps(blobs)})]

    def expire_condemned(self, before_ms: int, limit: int) -> int:
        return len(self._write_rows(garbage.EXPIRE_CONDEMNED, {"before_ms": before_ms, "limit": limit}))

    def backends(self) -> Sequence[str]:
        return [row[0] for row in self._read(moving.READ_BACKENDS, {})]

    # -- scans, changes, leases ----------------------------------------------------------------------------------

    def scan_versions(self, after_sequence: int, limit: int, *, inline: bool = False) -> Sequence[Version]:
        return self._opened.scan(scans.versions, after_sequence, limit, inline)

    def scan_parts(self, after: tuple[str, int], limit: int) -> Sequence[tuple[str, Part]]:
        return self._opened.scan(scans.all_parts, after, limit)

    def verify(self) -> Sequence[str]:
        return self._opened.scan(verifying.problems)

    def usage(self, largest: int) -> Usage:
        return self._opened.scan(usage.read_usage, largest)

    def file_bytes(self) -> Mapping[str, int]:
        paths = {"database": self.path, "wal": f"{self.path}-wal"}
        return {name: os.stat(path).st_size if os.path.exists(path) else 0 for name, path in paths.items()}

    def register_consumer(self, name: str) -> int:
        return int(self._write_rows(changes.REGISTER, {"name": name})[0][0])

    def unregister_consumer(self, name: str) -> None:
        self.write(changes.UNREGISTER, {"name": name})

    def changes(self, after_sequence: int, limit: int) -> Sequence[Change]:
        named = {"after": after_sequence, "limit": min(limit, CHANGES_PAGE_MAX)}
        return [Change(*row) for row in self._read(changes.READ_CHANGES, named)]

    def acknowledge(self, consumer: str, sequence: int) -> None:
        self.write(changes.ACKNOWLEDGE, {"name": consumer, "sequence": sequence})

    def lease(self, name: str, holder: str, now_ms: int, ttl_ms: int) -> bool:
        named: dict[str, Value] = {"name": name, "holder": holder, "now_ms": now_ms, "expires_ms": now_ms + ttl_ms}
        return bool(self._write_rows(changes.LEASE, named))


def _open_slots(path: str, space: DiskSpace) -> Slots:
    """On a full disk the ballast gives way: deletes must be possible there. Raises: ServiceUnavailable."""
    try:
        try:
            return Slots(path)
        except OSError:
            if not space.drop_ballast():
                raise
            return Slots(path)
    except OSError as error:
        raise ServiceUnavailable(f"{path}.slots cannot be made: {error}") from error


_PROBE: Final = Mutation("", None)
_TOUCH: Final = Mutation("", None, (Step("UPDATE plan SET refusal = NULL"),))
