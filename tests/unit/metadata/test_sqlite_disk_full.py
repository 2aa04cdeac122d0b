"""R-11: a disk that gets full. Reads go on, deletes work, uploads are told to slow down, nothing acknowledged is lost."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.domain.errors import SlowDown
from app.domain.types import ListQuery, Removal
from app.metadata.sql.space import MIB, Bounds, DiskSpace, bounds_for
from app.metadata.sql.sqlite import SqliteStore
from tests.components import require_root
from tests.unit.metadata.sqlite_scenes import BUCKET, OWNER, made_store, new_version

DISK_MIB = 64
BODY = os.urandom(60_000)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    require_root()
    directory = tmp_path / "disk"
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "none", directory], check=True)
    yield directory
    subprocess.run(["umount", "-l", directory], check=True)


def fill(store: SqliteStore, name: str) -> list[str]:
    """Publish until a refusal stands; the keys that were acknowledged. A refused turn may still find some space."""
    keys: list[str] = []
    refusals = 0
    for number in range(DISK_MIB * 40):
        try:
            store.publish(new_version(f"{name}{number:05}", BODY), None, "op")
        except SlowDown:
            refusals += 1
            if refusals == 5:
                return keys
        else:
            keys.append(f"{name}{number:05}")
            refusals = 0
    raise AssertionError("the disk never gets full")


def fill_up(directory: Path) -> Path:
    """Take what is left of the disk, as another program would."""
    path = directory / "others"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4_096))
        except OSError:
            pass
    return path


def assert_all_there(store: SqliteStore, keys: list[str]) -> None:
    for key in keys[:: max(1, len(keys) // 50)]:
        version = store.look_up(BUCKET, key, inline=True).version
        assert version is not None
        assert version.content.inline == BODY
    assert len(store.list_current(ListQuery(BUCKET, limit=10_000)).entries) == len(keys)


def remove(store: SqliteStore, key: str) -> None:
    store.remove(Removal(BUCKET, key, None, "m" * 32, OWNER, 1), None, "op")


def test_uploads_stop_at_the_reserve_and_go_on_when_there_is_room(small_disk: Path) -> None:
    """R-11."""
    store = made_store(small_disk)
    store.open()
    keys = fill(store, "k")
    free_bytes = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    assert free_bytes > bounds_for(DISK_MIB * MIB, "auto").reserve_bytes - 4 * MIB
    assert len(keys) > 100
    assert not store.check().ok
    assert "almost full" in store.check().detail
    assert_all_there(store, keys)
    while not store.check().ok:
        for _ in range(20):
            remove(store, keys.pop())
    store.publish(new_version("again", BODY), None, "op")
    assert_all_there(store, [*keys, "again"])
    assert store.verify() == []
    store.close()


@pytest.mark.parametrize("reserve", ["auto", 0])
def test_deletes_and_reads_work_on_a_disk_that_somebody_else_has_filled(small_disk: Path, reserve: int | str) -> None:
    """R-11: on the ballast."""
    store = made_store(small_disk, reserve_bytes=reserve)
    store.open()
    keys = [f"k{number:03}" for number in range(100)]
    for key in keys:
        store.publish(new_version(key, BODY), None, "op")
    others = fill_up(small_disk)
    assert_all_there(store, keys)
    fill(store, "more")
    listed = [version.key for version in store.list_current(ListQuery(BUCKET)).entries]
    for key in keys[:60]:
        remove(store, key)
    assert [version.key for version in store.list_current(ListQuery(BUCKET)).entries] == listed[60:]
    others.unlink()
    assert store.check().ok
    store.publish(new_version("yes", BODY), None, "op")
    assert DiskSpace(store.path, reserve).has_ballast()
    assert store.verify() == []
    store.close()


def test_the_reserve_fits_the_disk() -> None:
    """Half of it is the WAL's limit; a container's small volume is not all reserve."""
    gib = 1 << 30
    reserves = {
        size: bounds_for(size, "auto").reserve_bytes for size in (64 * MIB, gib, 10 * gib, 100 * gib, 4000 * gib)
    }
    assert reserves == {64 * MIB: 16 * MIB, gib: 64 * MIB, 10 * gib: 512 * MIB, 100 * gib: gib, 4000 * gib: gib}
    for size in reserves:
        bounds = bounds_for(size, "auto")
        assert bounds.wal_limit_bytes * 2 <= bounds.reserve_bytes
        assert bounds.wal_checkpoint_bytes * 4 <= bounds.wal_restart_bytes <= bounds.wal_limit_bytes // 2
    assert bounds_for(4000 * gib, "auto") == Bounds(gib, 16 * MIB, 64 * MIB, 256 * MIB, 512 * MIB)
    assert bounds_for(gib, 5 * MIB).reserve_bytes == 5 * MIB
