"""What is remembered of point reads: how much, and until when."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

import apsw
import pytest

from app.domain.acl import Acl
from app.domain.errors import NoSuchBucket, S3Error
from app.domain.types import (
    Bucket,
    Condition,
    Content,
    Lookup,
    NewBucket,
    Removal,
    Version,
    VersionChange,
    Versioning,
)
from app.metadata.base import OutcomeUnknown
from app.metadata.sql import buckets, changes, garbage, objects, uploads
from app.metadata.sql.cache import ENTRY_BYTES, PointCache
from app.metadata.sql.mutation import Mutation
from app.metadata.sql.slots import KINDS_OF_BUCKETS, KINDS_OF_KEYS, SLOTS, Slots, slot_of_bucket, slot_of_key
from app.metadata.sql.sqlite import SqliteStore
from tests.unit.metadata.sqlite_faults import FaultyDisk
from tests.unit.metadata.sqlite_scenes import BUCKET, OWNER, made_store, new_version, put, running_writer

OF_UPLOADS = {"create_upload", "put_part", "abort_upload"}  # what is not yet an object is not cached


@pytest.fixture
def slots(tmp_path: Path) -> Slots:
    return Slots(str(tmp_path / "db"))


def found(key: str, body: bytes | None = b"", bucket: str = BUCKET) -> Lookup:
    content = Content(is_inline=True, inline=body)
    return Lookup(
        Bucket(1, bucket, OWNER, "", 1), Version(bucket, key, "null", 1, True, False, OWNER, 1, content=content)
    )


def keep(cache: PointCache, key: str, body: bytes = b"") -> None:
    cache.keep(BUCKET, key, found(key, body), cache.stamp(BUCKET, key), inline=True)


def change(slots: Slots, slot: int) -> None:
    slots.begin([slot])
    slots.end([slot])


def test_what_was_kept_is_found_until_its_key_or_its_bucket_changes(slots: Slots) -> None:
    cache = PointCache(slots, 1 << 20)
    for slot in (slot_of_key(BUCKET, "k"), slot_of_bucket(BUCKET)):
        keep(cache, "k", b"bytes")
        assert cache.get(BUCKET, "k", inline=True) == found("k", b"bytes")
        assert cache.get(BUCKET, "other", inline=True) is None
        change(slots, slot)
        assert cache.get(BUCKET, "k", inline=True) is None
    assert cache.size_bytes == 0


def test_nothing_counts_while_somebody_commits(slots: Slots) -> None:
    cache, slot = PointCache(slots, 1 << 20), slot_of_key(BUCKET, "k")
    keep(cache, "k")
    slots.begin([slot])
    assert cache.get(BUCKET, "k", inline=True) is None
    keep(cache, "k")  # read between the two, so nobody knows of which side
    assert cache.get(BUCKET, "k", inline=True) is None
    slots.end([slot])
    assert cache.get(BUCKET, "k", inline=True) is None
    keep(cache, "k")
    assert cache.get(BUCKET, "k", inline=True) is not None


def test_a_read_that_began_before_a_change_is_not_kept_behind_it(slots: Slots) -> None:
    cache = PointCache(slots, 1 << 20)
    stamp = cache.stamp(BUCKET, "k")
    change(slots, slot_of_key(BUCKET, "k"))
    cache.keep(BUCKET, "k", found("k"), stamp, inline=True)
    assert cache.get(BUCKET, "k", inline=True) is None


def test_the_next_change_mends_the_slot_that_a_dead_writer_left(slots: Slots) -> None:
    cache, slot = PointCache(slots, 1 << 20), slot_of_key(BUCKET, "k")
    slots.begin([slot])
    change(slots, slot)
    keep(cache, "k")
    assert cache.get(BUCKET, "k", inline=True) is not None


def test_a_cache_keeps_to_its_bound_and_forgets_what_was_not_asked_for(slots: Slots) -> None:
    cache = PointCache(slots, 20 * (ENTRY_BYTES + 100))
    for number in range(30):
        keep(cache, f"k{number}", bytes(100))
        cache.get(BUCKET, "k0", inline=True)
    assert cache.size_bytes == 20 * (ENTRY_BYTES + 100)
    kept = [number for number in range(30) if cache.get(BUCKET, f"k{number}", inline=True)]
    assert kept == [0, *range(11, 30)]
    keep(cache, "large", bytes(10_000))
    assert cache.get(BUCKET, "large", inline=True) is None


def test_an_entry_without_its_bytes_serves_only_who_needs_none(slots: Slots) -> None:
    cache = PointCache(slots, 1 << 20)
    cache.keep(BUCKET, "k", found("k", None), cache.stamp(BUCKET, "k"), inline=False)
    assert cache.get(BUCKET, "k", inline=True) is None
    assert cache.get(BUCKET, "k", inline=False) is not None


def test_processes_share_one_map(slots: Slots, tmp_path: Path) -> None:
    cache = PointCache(slots, 1 << 20)
    keep(cache, "k")
    other = Slots(str(tmp_path / "db"))
    change(other, slot_of_key(BUCKET, "k"))
    assert cache.get(BUCKET, "k", inline=True) is None
    other.close()
    assert os.stat(tmp_path / "db.slots").st_blocks * 512 >= SLOTS * 8  # a hole would be a SIGBUS on a full disk


@pytest.mark.parametrize("module", [buckets, changes, garbage, objects, uploads])
def test_every_kind_of_change_is_known_to_the_slots(module: ModuleType) -> None:
    kinds = {each.kind for each in vars(module).values() if isinstance(each, Mutation) and each.kind}
    assert kinds <= KINDS_OF_KEYS | KINDS_OF_BUCKETS | OF_UPLOADS


# -- In the engine -----------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    made = made_store(tmp_path, cache_max_bytes=1 << 20)
    made.open()
    return made


def is_cached(store: SqliteStore, key: str, bucket: str = BUCKET) -> bool:
    reader = store._opened
    assert reader._cache is not None
    return reader._cache.get(bucket, key, inline=True) is not None


def test_each_change_of_an_object_or_its_bucket_forgets_it(store: SqliteStore) -> None:
    store.publish(new_version("k", b"first"), None, "op")
    private = Acl(OWNER, ())
    steps = [
        lambda: store.publish(new_version("k", b"second"), None, "op"),
        lambda: store.publish(new_version("k", b"third"), Condition(if_match=("e" * 32,)), "op"),
        lambda: store.update_version(BUCKET, "k", None, VersionChange(tags=(("a", "b"),)), "op"),
        lambda: store.update_version(BUCKET, "k", None, VersionChange(acl=private), "op"),
        lambda: store.put_document(BUCKET, "acl", "{}", "op"),
        lambda: store.put_document(BUCKET, "acl", None, "op"),
        lambda: store.set_versioning(BUCKET, Versioning.ENABLED, "op"),
        lambda: store.remove(Removal(BUCKET, "k", None, "m" * 32, OWNER, 2_000), None, "op"),
    ]
    for step in steps:
        before = store.look_up(BUCKET, "k", inline=True)
        assert is_cached(store, "k")
        assert store.look_up(BUCKET, "k", inline=True) is before
        step()
        assert not is_cached(store, "k")
        assert store.look_up(BUCKET, "k", inline=True) != before
    store.close()


def test_a_refused_change_forgets_nothing(store: SqliteStore) -> None:
    store.publish(new_version("k", b"first"), None, "op")
    store.look_up(BUCKET, "k", inline=True)
    with pytest.raises(S3Error):
        store.publish(new_version("k", b"second"), Condition(if_none_match_any=True), "op")
    assert is_cached(store, "k")
    store.close()


def test_a_bucket_of_the_same_name_is_another_one(store: SqliteStore) -> None:
    store.create_bucket(NewBucket("again", OWNER, "us-east-1", 1), "op-1")
    first = store.bucket("again")
    assert store.bucket("again") is first
    store.delete_bucket("again", "op-2", 2)
    with pytest.raises(NoSuchBucket):
        store.bucket("again")
    store.create_bucket(NewBucket("again", OWNER, "us-east-1", 3), "op-3")
    assert store.bucket("again").id != first.id
    store.close()


def test_where_nobody_knows_the_outcome_nothing_is_remembered(tmp_path: Path) -> None:
    """A commit that failed leaves its slots odd, until the next change of the key."""
    path = made_store(tmp_path).path
    slots = Slots(path)
    slot = slot_of_key(BUCKET, "k")
    disk = FaultyDisk()
    with running_writer(path, vfs=disk.vfs_name) as writer:
        writer.submit(put("k", b"first"))
        assert slots.values[slot] == 2
        disk.failing["sync"] = apsw.IOError("no")
        with pytest.raises(OutcomeUnknown):
            writer.submit(put("k", b"second"))
        assert slots.values[slot] % 2 == 1
        disk.failing.clear()
        writer.submit(put("k", b"third"))
        assert slots.values[slot] == 4
    slots.close()
