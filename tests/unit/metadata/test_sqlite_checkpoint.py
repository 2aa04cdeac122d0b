"""How long the WAL may get, and what happens when readers hold it."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from app.domain.errors import SlowDown
from app.domain.types import ListQuery
from app.metadata.sql import checkpoint
from app.metadata.sql.execution import Request
from app.metadata.sql.space import Bounds
from app.metadata.sql.sqlite import SqliteStore
from app.metadata.sql.writer import GROUP_BYTES_MAX, Writer
from tests.unit.metadata.sqlite_faults import FaultyDisk
from tests.unit.metadata.sqlite_scenes import BUCKET, made_store, new_version, put, running_writer

MIB = 1 << 20
BOUNDS = Bounds(
    reserve_bytes=0, ballast_bytes=0, wal_checkpoint_bytes=MIB, wal_restart_bytes=4 * MIB, wal_limit_bytes=8 * MIB
)
BODY = bytes(60_000)
DUE_BYTES = MIB - 2 * len(
    BODY
)  # of bodies: with all else that goes with them a checkpoint is due, and nobody waits for it


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


class Background(threading.Thread):
    """A request on its way."""

    def __init__(self, writer: Writer, request: Request) -> None:
        super().__init__()
        self._writer = writer
        self._request = request
        self.start()

    def run(self) -> None:
        self._writer.submit(self._request)

    def has_come_in(self, seconds: float) -> bool:
        self.join(seconds)
        return not self.is_alive()


def test_the_wal_stays_near_its_bound_however_much_is_written(writer: Writer, path: str) -> None:
    write(writer, 40 * MIB, "k")
    assert wal_bytes(path) < 2 * MIB


def test_the_wal_stays_near_its_bound_where_the_library_allows_no_checkpoint_beside_the_writer(path: str) -> None:
    with running_writer(path, bounds=BOUNDS, is_beside=False) as writer:
        write(writer, 10 * MIB, "k")
        assert wal_bytes(path) < 2 * MIB


def test_writes_go_on_while_a_checkpoint_does_and_wait_when_it_lasts(path: str) -> None:
    disk = FaultyDisk()
    with running_writer(path, vfs=disk.vfs_name, bounds=BOUNDS) as writer:
        with disk.held():
            write(writer, DUE_BYTES, "k")
            assert disk.is_waiting.wait(10)
            writer.submit(put("meanwhile"))
            answers = [Background(writer, put(f"more{number}", BODY)) for number in range(40)]
            assert not answers[-1].has_come_in(0.5)
            assert BOUNDS.wal_checkpoint_bytes < wal_bytes(path) < 2 * MIB + GROUP_BYTES_MAX
        assert all(answer.has_come_in(10) for answer in answers)
        write(writer, 4 * MIB, "k")


def test_a_checkpoint_that_another_process_does_is_left_to_it(path: str) -> None:
    slow = FaultyDisk()
    with running_writer(path, vfs=slow.vfs_name, bounds=BOUNDS) as other, running_writer(path, bounds=BOUNDS) as writer:
        with slow.held():
            write(other, DUE_BYTES, "k")
            assert slow.is_waiting.wait(10)
            write(writer, 3 * MIB, "k")
            assert wal_bytes(path) > 3 * MIB
            assert writer.health().ok
        for number in range(100):
            write(other, 0, f"other{number}")
            write(writer, 0, f"writer{number}")
        assert wal_bytes(path) < BOUNDS.wal_limit_bytes


def test_a_checkpoint_that_fails_is_counted_and_the_next_one_works(path: str) -> None:
    disk = FaultyDisk()
    with running_writer(path, vfs=disk.vfs_name, bounds=BOUNDS) as writer:
        disk.failing["database write"] = apsw.IOError("the disk is broken")
        write(writer, 4 * MIB + MIB // 2, "k")
        assert writer.health().detail == "checkpoints of the write-ahead log fail"
        disk.failing.clear()
        write(writer, 4 * MIB, "k")
        assert writer.health().ok


def test_closing_waits_for_a_checkpoint_under_way(path: str) -> None:
    disk = FaultyDisk()
    with contextlib.ExitStack() as hold, running_writer(path, vfs=disk.vfs_name, bounds=BOUNDS) as writer:
        hold.enter_context(disk.held())
        write(writer, DUE_BYTES, "k")
        assert disk.is_waiting.wait(10)
        threading.Timer(0.2, hold.close).start()
        writer._keeper.close()
        assert disk.is_going_on()


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
