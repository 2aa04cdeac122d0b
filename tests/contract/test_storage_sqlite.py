"""The SQLite back end against the contract, and what is its own: chunks, turns, dead writers, readers of the deleted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from app.domain.errors import BlobMissing, InternalError, ServiceUnavailable, SlowDown
from app.storage.base import ObjectStorage
from app.storage.sqlite import SqliteStorage
from app.storage.sqlite_file import CHUNK_BYTES
from tests.contract.storage_contract import FAR_FUTURE_MS, LONG, SHORT, LastingStorageContract, put, read_all, run_all
from tests.contract.test_storage_local import mount_tmpfs, unmount
from tests.servers import ROOT


class TestSqliteStorage(LastingStorageContract):
    mounts: list[Path]

    @pytest.fixture(autouse=True)
    def _mounts(self) -> Iterator[None]:
        self.mounts = []
        yield
        for place in self.mounts:
            unmount(place)

    def make(self, place: Path) -> ObjectStorage:
        return SqliteStorage(str(place / "objects.db"), reserve_bytes=0)

    def make_full(self, place: Path) -> ObjectStorage:
        mount_tmpfs(place, "5m")
        self.mounts.append(place)
        storage = self.make(place)
        storage.open()
        return storage


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "deep" / "objects.db")


@pytest.fixture
def storage(path: str) -> Iterator[SqliteStorage]:
    made = SqliteStorage(path, reserve_bytes=0)
    made.open()
    yield made
    made.close()


def chunks_in(path: str) -> int:
    connection = apsw.Connection(path)
    count = connection.execute("SELECT count(*) FROM chunks").get
    connection.close()
    assert isinstance(count, int)
    return count


@pytest.mark.parametrize("size", [CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 3 * CHUNK_BYTES - 1])
def test_sizes_around_a_chunk(storage: SqliteStorage, path: str, size: int) -> None:
    content = os.urandom(size)
    ref = put(storage, content)
    assert read_all(storage.read(ref)) == content
    assert read_all(storage.read(ref, size - 3)) == content[-3:]
    assert read_all(storage.read(ref, size)) == b""
    assert chunks_in(path) == -(-size // CHUNK_BYTES)


def test_a_long_blob_is_never_in_memory_as_a_whole(storage: SqliteStorage) -> None:
    """By the peak of what this thread's work allocates, traced."""
    import tracemalloc

    block = os.urandom(CHUNK_BYTES)
    tracemalloc.start()
    try:
        with storage.create() as writer:
            for _ in range(64):
                writer.write(block)
            ref = writer.commit()
        body = storage.read(ref)
        assert not isinstance(body, bytes)
        assert sum(piece == block for piece in body) == 64  # type: ignore[union-attr]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 6 * CHUNK_BYTES


def test_what_is_deleted_goes_when_nobody_can_read_it_any_more(path: str) -> None:
    clock_ms = 1_000_000
    storage = SqliteStorage(path, reserve_bytes=0, readers_max_s=60, now_ms=lambda: clock_ms)
    storage.open()
    ref = put(storage, LONG)
    body = storage.read(ref)
    storage.delete(ref)
    with pytest.raises(BlobMissing):
        storage.read(ref)
    clock_ms += 59_000
    assert storage.clean_up() == 0
    assert read_all(body) == LONG
    clock_ms += 2_000
    assert storage.clean_up() == 0
    assert chunks_in(path) == 0
    storage.close()


def test_a_reader_who_is_later_than_that_gets_an_error_and_no_short_body(path: str) -> None:
    clock_ms = 1_000_000
    storage = SqliteStorage(path, reserve_bytes=0, readers_max_s=60, now_ms=lambda: clock_ms)
    storage.open()
    ref = put(storage, LONG)
    body = storage.read(ref)
    storage.delete(ref)
    clock_ms += 61_000
    storage.clean_up()
    with pytest.raises(InternalError):
        read_all(body)
    storage.close()


def test_space_is_given_back_to_the_file_system(path: str) -> None:
    storage = SqliteStorage(path, reserve_bytes=0, readers_max_s=-1)
    storage.open()
    refs = [put(storage, LONG) for _ in range(5)]
    storage.close()  # the log is copied into the file
    full = os.path.getsize(path)
    storage.open()
    for ref in refs:
        storage.delete(ref)
    storage.clean_up()
    storage.close()
    assert os.path.getsize(path) < full // 10


DYING_WRITER = """
import os, signal, sys
from app.storage.sqlite import SqliteStorage
storage = SqliteStorage(sys.argv[1], reserve_bytes=0)
storage.open()
writer = storage.create()
writer.write(bytes(5 << 20))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_writer_left_is_cleaned_up_and_the_living_goes_on(storage: SqliteStorage, path: str) -> None:
    with storage.create() as writer:
        writer.write(LONG)
        died = subprocess.run([sys.executable, "-c", DYING_WRITER, path], cwd=ROOT, check=False)
        assert died.returncode == -signal.SIGKILL
        assert list(storage.scan(FAR_FUTURE_MS)) == []
        assert chunks_in(path) == 5 + 3
        assert storage.clean_up() == 1
        assert storage.clean_up() == 0
        assert chunks_in(path) == 3
        ref = writer.commit()
    assert read_all(storage.read(ref)) == LONG


def test_a_writer_that_was_taken_for_dead_cannot_commit(storage: SqliteStorage, path: str) -> None:
    with storage.create() as writer:
        writer.write(LONG)
        connection = apsw.Connection(path)
        connection.execute("DELETE FROM blobs")
        connection.close()
        with pytest.raises(InternalError):
            writer.commit()
    assert list(storage.scan(FAR_FUTURE_MS)) == []


def test_writers_of_several_processes_take_turns(path: str) -> None:
    program = """
import os, sys
from app.storage.sqlite import SqliteStorage
from tests.contract.storage_contract import put
storage = SqliteStorage(sys.argv[1], reserve_bytes=0)
storage.open()
for number in range(40):
    put(storage, bytes([number]) * (number * 60_000))
"""
    processes = [subprocess.Popen([sys.executable, "-c", program, path], cwd=ROOT) for _ in range(3)]
    assert [each.wait(60) for each in processes] == [0, 0, 0]
    storage = SqliteStorage(path, reserve_bytes=0)
    storage.open()
    found = sorted(blob.size_bytes for blob in storage.scan(FAR_FUTURE_MS))
    assert found == sorted([number * 60_000 for number in range(40)] * 3)
    storage.close()


def test_threads_that_write_while_others_read(storage: SqliteStorage) -> None:
    contents = [os.urandom(size) for size in (10, CHUNK_BYTES, 3 * CHUNK_BYTES + 7)] * 4
    wrong: list[int] = []

    def write(number: int) -> None:
        ref = put(storage, contents[number])
        if read_all(storage.read(ref)) != contents[number]:
            wrong.append(number)

    run_all([threading.Thread(target=write, args=(number,)) for number in range(len(contents))])
    assert wrong == []


def test_a_file_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA user_version = 7")
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    with pytest.raises(ServiceUnavailable):
        SqliteStorage(str(path)).open()
    (tmp_path / "text.db").write_bytes(b"no database at all" * 500)
    with pytest.raises((ServiceUnavailable, InternalError)):
        SqliteStorage(str(tmp_path / "text.db")).open()


def test_below_the_reserve_writes_are_refused_and_reads_are_not(path: str) -> None:
    storage = SqliteStorage(path, reserve_bytes=0)
    storage.open()
    ref = put(storage, SHORT)
    full = SqliteStorage(path, reserve_bytes=1 << 60)
    full.open()
    assert not full.check().ok
    with pytest.raises(SlowDown):
        full.create(1)
    assert read_all(full.read(ref)) == SHORT
    storage.close()
    full.close()
