"""The sweep deletes what is given up, all of it and nothing else, wherever it is killed."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest

from app.core.store import Store
from app.core.sweep import SLICE_ROWS_MAX, Sweeper, SweepReport
from app.domain.errors import ServiceUnavailable
from app.domain.types import BlobRef, Content, NewBucket
from app.metadata.base import BlobCondemned, MetadataStore
from app.storage.local import LocalStorage
from tests.contract.storage_contract import FAR_FUTURE_MS, SHORT, put
from tests.faulty import Countdown, Crash, faulty
from tests.unit.core.world import ALL_PARTS, BUCKET, OWNER, World, md5

DAY_S = 86_400
STORAGE_CALLS = ("delete", "scan", "clean_up")
METADATA_CALLS = (
    "stale_uploads",
    "abort_upload",
    "garbage",
    "condemn",
    "forget",
    "condemn_orphans",
    "expire_condemned",
)


@pytest.fixture
def world(metadata: MetadataStore) -> World:
    return World(metadata)


def sweep(world: World, store: Store | None = None) -> SweepReport:
    """As a process that has just started."""
    return Sweeper(store or world.store, "test").run_once()


# -- garbage ---------------------------------------------------------------------------------------------------------


def test_an_overwritten_blob_goes_after_the_grace_and_not_before(world: World) -> None:
    old = world.put("k", b"old")
    new = world.put("k", b"new")
    world.later(60)
    assert sweep(world).blobs_deleted == 0
    assert world.blobs() == {old, new}
    world.later(1)
    assert sweep(world).blobs_deleted == 1
    assert world.blobs() == {new}
    assert world.garbage_count() == 0
    assert world.read("k") == b"new"


def test_the_longer_of_the_two_graces_counts(world: World) -> None:
    world.storage.garbage_grace_s = 3_600
    world.put("k", b"old")
    world.delete("k")
    world.later(3_599)
    assert sweep(world).blobs_deleted == 0
    world.later(2)
    assert sweep(world).blobs_deleted == 1


def test_shared_bytes_stay_until_the_last_copy_is_gone(world: World) -> None:
    world.put("a", b"plain")
    world.complete("m", world.upload("m", [b"one", b"two", b"three"]))
    for key, copy in (("a", "a2"), ("m", "m2")):
        world.copy(key, copy)
        world.delete(key)
    world.later(100)
    assert sweep(world) == SweepReport()
    assert world.read("a2") == b"plain"
    assert world.read("m2") == b"onetwothree"
    world.delete("a2")
    world.delete("m2")
    world.later(100)
    assert sweep(world).blobs_deleted == 4
    assert world.blobs() == set()


def test_a_copy_of_what_is_being_swept_is_refused_or_keeps_its_bytes(world: World) -> None:
    """I3: at every step of the sweep a copy of the source's old row is tried; never a row without bytes."""
    outcomes = set()
    for step in range(1, 8):
        world.put("source", b"precious")
        old = world.version("source")
        world.delete("source")
        world.later(100)
        sweeping = faulty(world.metadata, Countdown(step), METADATA_CALLS)
        try:
            sweep(world, dataclasses.replace(world.store, metadata=sweeping))
        except Crash:
            pass
        try:
            world.publish("copy", old.content, old.size_bytes, old.etag)
            outcomes.add("kept")
        except BlobCondemned:
            outcomes.add("refused")
            assert world.metadata.look_up(BUCKET, "copy").version is None
        sweep(world)
        if world.metadata.look_up(BUCKET, "copy").version is not None:
            assert world.read("copy") == b"precious"
            world.delete("copy")
        world.later(100)
        sweep(world)
        assert world.blobs() == set()
    assert outcomes == {"kept", "refused"}


def test_many_parts_go_in_slices(world: World) -> None:
    world.complete("k", world.upload("k", [b"part %d" % number for number in range(250)]), range(1, 241))
    world.delete("k")
    world.later(100)
    slices: list[int] = []
    Sweeper(world.store, "test").run_once(lambda report: slices.append(report.blobs_deleted))
    assert slices[-1] == 250
    steps = [after - before for before, after in pairwise(slices)]
    assert max(steps) <= 2 * SLICE_ROWS_MAX
    assert world.blobs() == set()


def test_pending_uploads_of_a_deleted_bucket_go(world: World) -> None:
    world.upload("k", [b"one", b"two"])
    world.metadata.delete_bucket(BUCKET, world.op(), world.clock_ms)
    world.later(100)
    assert sweep(world).blobs_deleted == 2
    assert world.blobs() == set()


def test_garbage_that_cannot_be_deleted_does_not_hold_up_the_rest(world: World) -> None:
    stuck = world.put("a", b"on a bad sector")
    for key in ("b", "c"):
        world.put(key, b"deletable")
    for key in ("a", "b", "c"):
        world.delete(key)
        world.later(1)
    world.later(100)
    is_bad = True

    class BadSector:
        def __getattr__(self, name: str) -> object:
            return getattr(world.storage, name)

        def holder(self, ref: BlobRef) -> object:
            return self

        def delete(self, ref: BlobRef) -> None:
            if ref == stuck and is_bad:
                raise ServiceUnavailable
            world.storage.delete(ref)

    sweeper = Sweeper(dataclasses.replace(world.store, storage=BadSector()), "test")  # type: ignore[arg-type]
    for expected in (3, 1, 1):
        with pytest.raises(ServiceUnavailable):
            sweeper.run_once()
        assert len(world.blobs()) == expected
    is_bad = False
    sweeper.run_once()
    assert world.blobs() == set()


# -- uploads ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
def test_week_old_uploads_are_reaped_whatever_call_the_sweep_dies_in(world: World, after: bool) -> None:
    """R-29."""
    crashes = 0
    for fail_at in range(1, 100):
        world.upload("left", [b"one", b"two", b"three"])
        world.upload("without parts", [])
        world.later(7 * DAY_S + 1)
        fresh_id = world.upload("fresh", [b"still coming"])
        countdown = Countdown(fail_at, after=after)
        for wait_s in (0, 100):
            world.later(wait_s)
            broken = dataclasses.replace(
                world.store,
                metadata=faulty(world.metadata, countdown, METADATA_CALLS),
                storage=faulty(world.storage, countdown, STORAGE_CALLS),
            )
            try:
                sweep(world, broken)
            except Crash:
                crashes += 1
        for _ in range(2):
            world.later(100)
            sweep(world)
        assert list(world.metadata.stale_uploads(FAR_FUTURE_MS, 10)) == [
            world.metadata.upload(BUCKET, "fresh", fresh_id)
        ]
        assert world.blobs() == {part.blob for part in world.metadata.parts(fresh_id, *ALL_PARTS)}
        assert world.garbage_count() == 0
        world.metadata.abort_upload(BUCKET, "fresh", fresh_id, world.op(), world.clock_ms)
        world.later(100)
        sweep(world)
        assert world.blobs() == set()
        if not countdown.has_failed:
            break
    assert crashes >= 8


def test_an_upload_that_a_client_ends_meanwhile_is_no_error(world: World) -> None:
    upload_id = world.upload("k", [b"one"])
    world.upload("k2", [b"two"])
    world.later(8 * DAY_S)

    class Racing:
        def __getattr__(self, name: str) -> object:
            return getattr(world.metadata, name)

        def stale_uploads(self, before_ms: int, limit: int) -> object:
            found = world.metadata.stale_uploads(before_ms, limit)
            if any(upload.upload_id == upload_id for upload in found):
                world.complete("k", upload_id)
            return found

    assert sweep(world, dataclasses.replace(world.store, metadata=Racing())).uploads_expired == 1  # type: ignore[arg-type]
    assert world.read("k") == b"one"


def test_a_clock_that_leaps_ahead_aborts_no_upload_and_forgets_no_tombstone(world: World) -> None:
    """R-20."""
    seconds = [0.0]
    sweeper = Sweeper(world.store, "test", monotonic=lambda: seconds[0])
    upload_id = world.upload("k", [b"one"])
    orphan = world.blob(b"nobody's")
    world.later(3_601)
    sweeper.run_once()
    world.later(365 * DAY_S)
    sweeper.run_once()
    assert world.metadata.upload(BUCKET, "k", upload_id).upload_id == upload_id
    with pytest.raises(BlobCondemned):
        world.publish("late", Content(blob=orphan), 8, "e")
    seconds[0] += 8 * DAY_S
    world.later(8 * DAY_S)
    sweeper.run_once()
    assert (sweeper.report.uploads_expired, sweeper.report.condemned_expired) == (1, 1)


# -- orphans ---------------------------------------------------------------------------------------------------------


def test_a_thousand_orphans_go_and_a_hundred_slow_writers_lose_nothing(metadata: MetadataStore, tmp_path: Path) -> None:
    """R-27. Writers stop twice on their way: half written, and written but not published."""
    storage = LocalStorage(str(tmp_path / "objects"), reserve_bytes=0)
    world = World(metadata, storage)
    world.clock_ms = time.time_ns() // 1_000_000  # these blobs have the file system's time
    before = world.put("before", b"published long ago")
    for ref in [before, *(put(storage, b"orphan %d" % number) for number in range(1_000))]:
        os.utime(tmp_path / "objects" / "blobs" / ref[0] / ref[1] / ref, (1, 1))
    half, written = threading.Barrier(101), threading.Barrier(101)
    go_on, publish = threading.Event(), threading.Event()
    failures: list[BaseException] = []

    def write(number: int) -> None:
        try:
            data = b"%d" % number * 20_000
            with storage.create() as writer:
                writer.write(data[: len(data) // 2])
                half.wait(60)
                go_on.wait(60)
                writer.write(data[len(data) // 2 :])
                blob = writer.commit()
            written.wait(60)
            publish.wait(60)
            world.publish(f"slow{number}", Content(blob=blob), len(data), md5(data))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    half.wait(60)
    assert sweep(world).orphans_deleted == 1_000
    go_on.set()
    written.wait(60)
    world.later(3_000)  # as old as a writer between its two steps may be
    assert sweep(world).orphans_deleted == 0
    publish.set()
    for thread in threads:
        thread.join(60)
    assert failures == []
    world.later(100_000)
    assert sweep(world).orphans_deleted == 0
    assert world.read("before") == b"published long ago"
    for number in range(100):
        assert world.read(f"slow{number}") == b"%d" % number * 20_000
    assert len(world.blobs()) == 101
    storage.close()


def test_a_writer_that_was_too_slow_is_refused_and_not_robbed(world: World) -> None:
    """I3: the orphan sweep and the publish of one blob never both succeed, in whatever order they come."""
    late = world.blob(b"too slow")
    in_time = world.blob(b"just in time")
    world.later(3_601)
    world.publish("in time", Content(blob=in_time), 12, "e")
    assert sweep(world).orphans_deleted == 1
    with pytest.raises(BlobCondemned):
        world.publish("late", Content(blob=late), 8, "e")
    assert world.read("in time") == b"just in time"


def test_an_orphan_that_was_condemned_and_not_deleted_goes_at_the_next_sweep(world: World) -> None:
    world.blob(b"nobody's")
    world.later(3_601)
    broken = faulty(world.storage, Countdown(1), ["delete"])
    with pytest.raises(Crash):
        sweep(world, dataclasses.replace(world.store, storage=broken))
    assert len(world.blobs()) == 1
    assert sweep(world).orphans_deleted == 1
    assert world.blobs() == set()


def test_young_blobs_without_a_row_are_left_alone(world: World) -> None:
    world.blob(b"on its way")
    world.later(3_600)
    assert sweep(world).orphans_deleted == 0


def test_two_sweepers_at_once_do_no_harm(world: World) -> None:
    for number in range(30):
        world.put(f"k{number}", b"x%d" % number)
        world.blob(b"orphan")
        if number % 2:
            world.delete(f"k{number}")
    world.later(4_000)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            sweep(world)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert len(world.blobs()) == 15
    assert [world.read(f"k{number}") for number in range(0, 30, 2)] == [b"x%d" % number for number in range(0, 30, 2)]


def test_temporary_files_of_the_dead_go(metadata: MetadataStore, tmp_path: Path) -> None:
    world = World(metadata, LocalStorage(str(tmp_path), reserve_bytes=0))
    (tmp_path / "tmp" / "1-dead").mkdir()
    (tmp_path / "tmp" / "1-dead" / "left").write_bytes(SHORT)
    assert sweep(world).temporary_removed == 1
    world.storage.close()


def test_a_store_with_nothing_to_sweep_is_left_as_it_is(world: World) -> None:
    world.metadata.create_bucket(NewBucket("other", OWNER, "us-east-1", 1), world.op())
    world.put("k", b"kept")
    world.put_inline("i", b"kept")
    world.later(10 * DAY_S)
    assert sweep(world) == SweepReport()
    assert world.read("k") == b"kept"
