"""The memory back end against the contract."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.domain.errors import BlobMissing, ServiceUnavailable, SlowDown
from app.domain.types import BlobRef
from app.storage.base import ObjectStorage
from app.storage.memory import CHUNK_BYTES, MemoryStorage
from tests.contract.storage_contract import FAR_FUTURE_MS, LONG, SHORT, StorageContract, put, read_all
from tests.servers import ROOT


class TestMemoryStorage(StorageContract):
    def make(self, place: Path) -> ObjectStorage:
        return MemoryStorage()

    def make_full(self, place: Path) -> ObjectStorage:
        return MemoryStorage(size_max_bytes=4 << 20)


def test_bytes_that_are_still_being_written_count_and_are_given_back() -> None:
    storage = MemoryStorage(size_max_bytes=100)
    with storage.create() as writer:
        writer.write(bytes(90))
        with pytest.raises(SlowDown):
            put(storage, SHORT)
    assert not list(storage.scan(1 << 50))
    put(storage, bytes(100))
    assert not storage.check().ok
    with pytest.raises(SlowDown):
        storage.create()


def test_the_time_of_a_blob_is_the_clock_that_was_given() -> None:
    storage = MemoryStorage(now_ms=lambda: 42)
    put(storage, SHORT)
    assert [each.modified_ms for each in storage.scan(43)] == [42]


# -- Snapshots ---------------------------------------------------------------------------------------------------


class TestMemoryStorageWithSnapshots(StorageContract):
    def make(self, place: Path) -> ObjectStorage:
        return MemoryStorage(snapshot_path=str(place / "deep" / "snapshot"), snapshot_interval_s=0.01)

    def make_full(self, place: Path) -> ObjectStorage:
        return MemoryStorage(size_max_bytes=4 << 20)


def snapshots_at(path: Path, **options: float) -> MemoryStorage:
    made = MemoryStorage(snapshot_path=str(path), **options)  # type: ignore[arg-type]  # only numbers are passed
    made.open()
    return made


CONTENTS = [b"", b"x", SHORT, LONG, os.urandom(CHUNK_BYTES), os.urandom(2 * CHUNK_BYTES)]


def test_what_was_saved_is_there_at_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "snapshot"
    first = snapshots_at(path)
    refs = {put(first, content): content for content in CONTENTS}
    (gone, *_), kept = refs, refs
    first.delete(gone)
    assert first.save()
    assert not first.save()  # nothing changed
    listed = sorted(first.scan(FAR_FUTURE_MS), key=lambda blob: blob.ref)
    lost = put(first, b"after the snapshot")
    first.close()

    second = snapshots_at(path)
    for ref in kept:
        if ref != gone:
            assert read_all(second.read(ref)) == refs[ref]
    for ref in (gone, lost):
        with pytest.raises(BlobMissing):
            second.read(ref)
    assert sorted(second.scan(FAR_FUTURE_MS), key=lambda blob: blob.ref) == listed
    second.close()


def test_room_that_a_snapshot_takes_counts(tmp_path: Path) -> None:
    first = snapshots_at(tmp_path / "snapshot")
    put(first, bytes(1_000))
    first.save()
    first.close()
    second = snapshots_at(tmp_path / "snapshot", size_max_bytes=1_500)
    with pytest.raises(SlowDown):
        put(second, bytes(1_000))
    second.close()


def test_it_is_saved_by_itself_now_and_then(tmp_path: Path) -> None:
    path = tmp_path / "snapshot"
    storage = snapshots_at(path, snapshot_interval_s=0.01)
    put(storage, SHORT)
    give_up_s = time.monotonic() + 10
    while not path.exists():
        assert time.monotonic() < give_up_s
        time.sleep(0.005)
    storage.close()


@pytest.mark.parametrize("cut", [0, 5, 30, -1, -30], ids=lambda cut: f"cut {cut}")
def test_half_a_snapshot_is_refused_and_kept(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "snapshot"
    storage = snapshots_at(path)
    put(storage, LONG)
    storage.save()
    storage.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    with pytest.raises(ServiceUnavailable, match="move it away"):
        snapshots_at(path)
    assert path.read_bytes() == whole[:cut]


@pytest.mark.parametrize("at", [3, 25, 40, 45, 50, 60, 1_000_000, -20, -1])
def test_a_flipped_bit_is_noticed(tmp_path: Path, at: int) -> None:
    path = tmp_path / "snapshot"
    storage = snapshots_at(path)
    put(storage, LONG)
    storage.save()
    storage.close()
    damaged = bytearray(path.read_bytes())
    damaged[at] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(ServiceUnavailable):
        snapshots_at(path)


KILLED_WHILE_SAVING = """
import os, signal, sys, threading, time
from app.storage.memory import MemoryStorage
storage = MemoryStorage(snapshot_path=sys.argv[1], snapshot_interval_s=3600)
storage.open()
with storage.create() as writer:
    writer.write(b"the first")
    print(writer.commit(), flush=True)
storage.save()
with storage.create() as writer:
    writer.write(bytes(100 << 20))
    writer.commit()
threading.Timer(float(sys.argv[2]), os.kill, (os.getpid(), signal.SIGKILL)).start()
while True:
    with storage.create() as writer:
        writer.write(b"another")
        writer.commit()
    storage.save()
"""


@pytest.mark.parametrize("seconds", ["0.02", "0.06", "0.15"])
def test_killed_while_saving_leaves_a_whole_snapshot(tmp_path: Path, seconds: str) -> None:
    path = tmp_path / "snapshot"
    died = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_SAVING, str(path), seconds], cwd=ROOT, capture_output=True, text=True
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    storage = MemoryStorage(snapshot_path=str(path))
    storage.open()
    assert read_all(storage.read(BlobRef(died.stdout.strip()))) == b"the first"
    assert os.listdir(tmp_path) == ["snapshot"]
    storage.close()


def test_a_disk_that_is_full_is_logged_and_tried_again(tmp_path: Path) -> None:
    (tmp_path / "in the way").write_text("a file where a directory should be")
    storage = MemoryStorage(snapshot_path=str(tmp_path / "in the way" / "snapshot"))
    put(storage, SHORT)
    with pytest.raises(ServiceUnavailable):
        storage.save()
