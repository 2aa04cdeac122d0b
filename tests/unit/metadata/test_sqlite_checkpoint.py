"""How long the WAL may get, and what happens when readers hold it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from app.domain.errors import SlowDown
from app.domain.types import ListQuery
from app.metadata.sql import checkpoint
from app.metadata.sql.space import Bounds
from app.metadata.sql.sqlite import SqliteStore
from app.metadata.sql.writer import Writer
from tests.unit.metadata.sqlite_scenes import BUCKET, made_store, new_version, put, running_writer

MIB = 1 << 20
BOUNDS = Bounds(
    reserve_bytes=0, ballast_bytes=0, wal_checkpoint_bytes=MIB, wal_restart_bytes=4 * MIB, wal_limit_bytes=8 * MIB
)
BODY = bytes(60_000)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return made_store(tmp_path).path


@pytest.fixture
def writer(path: str) -> Iterator[Writer]:
    with running_writer(path, bounds=BOUNDS) as running:
        yield running


def wal_bytes(path: str) -> int:
    return os.stat(path + "-wal").st_size


def write(writer: Writer, size_bytes: int, name: str) -> None:
    for number in range(size_bytes // len(BODY) + 1):
        writer.submit(put(f"{name}{number}", BODY))


def test_the_wal_stays_near_its_bound_however_much_is_written(writer: Writer, path: str) -> None:
    write(writer, 40 * MIB, "k")
    assert wal_bytes(path) < 2 * MIB


def test_a_reader_that_stays_makes_the_wal_grow_and_then_writes_are_refused(writer: Writer, path: str) -> None:
    reader = apsw.Connection(path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM versions").fetchall()
    with pytest.raises(SlowDown, match="write-ahead log"):
        write(writer, 20 * MIB, "k")
    assert BOUNDS.wal_limit_bytes < wal_bytes(path) < BOUNDS.wal_limit_bytes + 2 * MIB
    assert not writer.health().ok
    reader.execute("COMMIT")
    try:
        writer.submit(put("now"))
    except SlowDown:
        writer.submit(put("after"))  # the refused turn ended with the checkpoint that empties the log
    assert wal_bytes(path) < MIB
    assert writer.health().ok
    reader.close()


def test_our_own_long_reads_are_interrupted_at_the_limit(tmp_path: Path) -> None:
    store: SqliteStore = made_store(tmp_path)
    store.open()
    assert store._reader is not None
    readers = store._reader.scans
    with readers.long() as connection:
        assert readers.interrupt(checkpoint.READ_MAX_S) == 0
        count = 0

        def slow(*_: object) -> int:
            nonlocal count
            count += 1
            if count == 100:
                assert readers.interrupt(-1) == 1
            return count

        connection.create_scalar_function("slow", slow)
        with pytest.raises(apsw.InterruptError):
            connection.execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(slow()) FROM n"
            ).fetchall()
    assert store.list_current(ListQuery(BUCKET)).entries == ()
    store.close()


def test_a_page_of_a_listing_keeps_no_snapshot(tmp_path: Path) -> None:
    store = made_store(tmp_path)
    store.open()
    for number in range(10):
        store.publish(new_version(f"k{number}"), None, "op")
    page = store.list_current(ListQuery(BUCKET, limit=3))
    look = store.look_up(BUCKET, "k1")
    other = apsw.Connection(store.path)
    other.execute("SELECT count(*) FROM versions").fetchall()
    frames, done = other.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    assert (frames, done) == (0, 0)
    assert page.is_truncated
    assert look.version is not None
    other.close()
    store.close()


def test_restart_is_tried_at_most_once_a_second(path: str) -> None:
    now = [100.0]
    keeper = checkpoint.WalKeeper(path, BOUNDS, lambda older_than_s: 0, lambda: now[0])
    tried = []
    for _ in range(5):
        tried.append(keeper._may_restart())
        now[0] += 0.4
    assert tried == [True, False, False, True, False]
