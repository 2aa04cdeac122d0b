"""The point reads: a bucket, and a version with its bucket. Each is one statement on a connection that never waits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import apsw

from app import runtime
from app.domain.errors import InternalError, NoSuchBucket, S3Error, ServiceUnavailable, SlowDown
from app.domain.types import Bucket, Lookup, Version
from app.metadata.sql import checksums, rows
from app.metadata.sql.buckets import READ_BUCKET
from app.metadata.sql.cache import PointCache
from app.metadata.sql.connections import OTHER_CACHE_KIB, POINT_CACHE_KIB, Readers, patiently
from app.metadata.sql.mutation import Params
from app.metadata.sql.rows import VERSION_COLUMNS, VERSION_WIDTH, newest_of

R = TypeVar("R")

BUCKETS_KEPT_MAX: Final = 1_024

_CURRENT: Final = newest_of("bucket.id", "?2")
_NAMED: Final = f"""
COALESCE(
    (SELECT sequence FROM versions WHERE bucket_id = bucket.id AND key = ?2 AND version_id = ?3 AND NOT is_current),
    (SELECT sequence FROM versions WHERE sequence = {_CURRENT} AND version_id = ?3))
"""  # noqa: S608 - constants


def _look_up_sql(sequence: str, *, inline: bool) -> str:
    extra = ", data.bytes" if inline else ""
    join = "LEFT JOIN inline_data AS data ON data.sequence = version.sequence" if inline else ""
    return (
        f"SELECT bucket.id, bucket.generation, {VERSION_COLUMNS}{extra} FROM buckets AS bucket "  # noqa: S608 - constants
        f"LEFT JOIN versions AS version ON version.sequence = {sequence} {join} WHERE bucket.name = ?1"
    )


_LOOK_UP: Final = {
    (is_named, inline): _look_up_sql(_NAMED if is_named else _CURRENT, inline=inline)
    for is_named in (False, True)
    for inline in (False, True)
}
_BUCKET_STAMP: Final = "SELECT id, generation FROM buckets WHERE name = ?1"


class Reader:
    """Point reads run where they are asked for; what scans goes to the scan pool, as does what has to wait."""

    def __init__(self, path: str) -> None:
        self.points = Readers(path, POINT_CACHE_KIB)
        self.scans = Readers(path, OTHER_CACHE_KIB)
        self._buckets: dict[tuple[int, int], Bucket] = {}
        self._cache: PointCache | None = None

    def open(self, cache: PointCache | None = None) -> None:
        """Have the connection for point reads ready, so that nothing is opened on the hub later."""
        self.points.give_back(self.points.borrow())
        self._cache = cache

    def close(self) -> None:
        self.points.close()
        self.scans.close()

    # -- points --------------------------------------------------------------------------------------------------

    def look_up(self, bucket: str, key: str, version_id: str | None, inline: bool) -> Lookup:
        """Raises: NoSuchBucket."""
        cache = self._cache
        if cache is None or version_id is not None:
            return self._point(_look_up, self, bucket, key, version_id, inline)
        found = cache.get(bucket, key, inline=inline)
        if found is None:
            stamp = cache.stamp(bucket, key)
            found = self._point(_look_up, self, bucket, key, version_id, inline)
            cache.keep(bucket, key, found, stamp, inline=inline)
        return found

    def known(self, bucket: str, key: str, inline: bool) -> Lookup | None:
        return None if self._cache is None else self._cache.get(bucket, key, inline=inline)

    def bucket(self, name: str) -> Bucket:
        """Raises: NoSuchBucket."""
        cache = self._cache
        if cache is None:
            return self._point(_bucket, self, name)
        found = cache.get_bucket(name)
        if found is None:
            stamp = cache.stamp_bucket(name)
            found = self._point(_bucket, self, name)
            cache.keep_bucket(found, stamp)
        return found

    def rows(self, sql: str, params: Params) -> list[Any]:
        """All rows of a statement that reads a bounded few."""
        return self._point(_fetch, sql, params)

    def kept(self, id_: int, generation: int) -> Bucket | None:
        return self._buckets.get((id_, generation))

    def keep(self, bucket: Bucket) -> None:
        kept = self._buckets
        if len(kept) >= BUCKETS_KEPT_MAX:
            kept.pop(next(iter(kept)), None)
        kept[bucket.id, bucket.generation] = bucket

    def _point(self, function: Callable[..., R], *args: Any) -> R:
        connection = self.points.borrow()
        try:
            return function(connection, *args)
        except apsw.BusyError:
            pass
        except (apsw.Error, UnicodeDecodeError) as error:
            raise _failure(error) from error
        finally:
            self.points.give_back(connection)
        # Another process recovers the WAL, which takes a moment: wait for it off the hub.
        result: R = runtime.offload(self._wait, function, args)
        return result

    def _wait(self, function: Callable[..., R], args: tuple[Any, ...]) -> R:
        with self.scans.long() as connection:
            try:
                result: R = patiently(lambda: function(connection, *args))
            except (apsw.Error, UnicodeDecodeError) as error:
                raise _failure(error) from error
            return result

    # -- scans ---------------------------------------------------------------------------------------------------

    def scan_rows(self, sql: str, params: Params) -> Sequence[Any]:
        """All rows of one statement, run in the scan pool. What is made of them is better made by the caller.

        Python in a second thread would share the GIL with the hub, and each would wait for the other again and again.
        """
        rows: Sequence[Any] = self.scan(_all_rows, sql, params)
        return rows

    def scan(self, function: Callable[..., R], *args: Any) -> R:
        """`function(read, *args)` in the scan pool, where `read(sql, params)` gives all rows."""
        result: R = runtime.offload_scan(self._scan, function, args)
        return result

    def _scan(self, function: Callable[..., R], args: tuple[Any, ...]) -> R:
        with self.scans.long() as connection:

            def read(sql: str, params: Params) -> Sequence[Any]:
                found: Sequence[Any] = patiently(lambda: connection.execute(sql, params).fetchall())
                return found

            try:
                return function(read, *args)
            except (apsw.Error, UnicodeDecodeError) as error:
                raise _failure(error) from error


def _all_rows(read: Callable[[str, Params], Sequence[Any]], sql: str, params: Params) -> Sequence[Any]:
    return read(sql, params)


def _failure(error: apsw.Error | UnicodeDecodeError) -> S3Error:
    """What a client hears of a read that failed: never an answer that might be wrong."""
    if isinstance(error, apsw.InterruptError):
        return SlowDown("The listing took too long while much was written. Please reduce your request rate.")
    if isinstance(error, apsw.CorruptError | apsw.NotADBError | UnicodeDecodeError) or checksums.is_mismatch(error):
        return InternalError(f"The metadata database is damaged: {error}")
    return ServiceUnavailable(f"The metadata database cannot be read: {error}")


def _fetch(connection: apsw.Connection, sql: str, params: Params) -> list[Any]:
    return connection.execute(sql, params).fetchall()


def _look_up(
    connection: apsw.Connection, reader: Reader, bucket: str, key: str, version_id: str | None, inline: bool
) -> Lookup:
    row = _look_up_row(connection, bucket, key, version_id, inline)
    kept = reader.kept(row[0], row[1])
    if kept is None:
        # A bucket not seen since it last changed. Of the same generation it is what it was in the row's snapshot.
        kept = _read_bucket(connection, bucket)
        if (kept.id, kept.generation) != (row[0], row[1]):
            row, kept = _look_up_both(connection, bucket, key, version_id, inline)
        reader.keep(kept)
    version: Version | None = None
    if row[2] is not None:
        bytes_ = row[2 + VERSION_WIDTH] if inline else None
        version = rows.version(bucket, key, row[2 : 2 + VERSION_WIDTH], bytes_)
    return Lookup(kept, version)


def _look_up_both(
    connection: apsw.Connection, bucket: str, key: str, version_id: str | None, inline: bool
) -> tuple[tuple[Any, ...], Bucket]:
    """The row and the bucket from one snapshot: somebody changes the bucket just now."""
    connection.execute("BEGIN")
    try:
        return _look_up_row(connection, bucket, key, version_id, inline), _read_bucket(connection, bucket)
    finally:
        connection.execute("COMMIT")


def _look_up_row(
    connection: apsw.Connection, bucket: str, key: str, version_id: str | None, inline: bool
) -> tuple[Any, ...]:
    params = (bucket, key) if version_id is None else (bucket, key, version_id)
    row: tuple[Any, ...] | None = connection.execute(_LOOK_UP[version_id is not None, inline], params).get
    if row is None:
        raise NoSuchBucket(BucketName=bucket)
    return row


def _bucket(connection: apsw.Connection, reader: Reader, name: str) -> Bucket:
    stamp: tuple[int, int] | None = connection.execute(_BUCKET_STAMP, (name,)).get
    if stamp is None:
        raise NoSuchBucket(BucketName=name)
    kept = reader.kept(*stamp)
    if kept is None:
        kept = _read_bucket(connection, name)
        reader.keep(kept)
    return kept


def _read_bucket(connection: apsw.Connection, name: str) -> Bucket:
    found = connection.execute(READ_BUCKET, {"bucket": name}).fetchall()
    if not found:
        raise NoSuchBucket(BucketName=name)
    documents = {str(kind): str(body) for kind, body, *_ in found if kind is not None}
    return rows.bucket(found[0][2:], documents)
