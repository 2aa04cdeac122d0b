"""The sweep's loop in a worker: one at a time, paced, and not to be stopped by what fails."""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections.abc import Iterator

import pytest

from app.core.sweep import BACKOFF_MAX_S, BACKOFF_MIN_S, LEASE_TTL_MS, Sweeper
from app.domain.errors import ServiceUnavailable
from app.metadata.base import MetadataStore
from app.storage.base import BlobInfo, ObjectStorage
from tests.contract.storage_contract import FAR_FUTURE_MS
from tests.faulty import Countdown, faulty
from tests.unit.core.world import World


class Loop:
    """A sweeper whose sleep is what makes time pass; `run(seconds)` runs it for so long."""

    def __init__(
        self,
        world: World,
        holder: str = "one",
        metadata: MetadataStore | None = None,
        storage: ObjectStorage | None = None,
    ) -> None:
        self.world = world
        self.seconds = 0.0
        self.sleeps: list[float] = []
        engines = {"metadata": metadata or world.metadata, "storage": storage or world.storage}
        store = dataclasses.replace(world.store, **engines)  # type: ignore[arg-type]
        self.sweeper = Sweeper(store, holder, monotonic=lambda: self.seconds, sleep=self.sleep)

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.sleeps.append(seconds)
        self.seconds += seconds
        self.world.later(seconds)

    def run(self, seconds: float) -> None:
        end = self.seconds + seconds
        self.sweeper.run_forever(lambda: self.seconds >= end)


@pytest.fixture
def world(metadata: MetadataStore) -> World:
    return World(metadata)


def test_garbage_goes_soon_after_its_grace_and_orphans_within_two_hours(world: World) -> None:
    loop = Loop(world)
    loop.run(10)
    world.put("k", b"old")
    world.delete("k")
    orphan = world.blob(b"nobody's")
    loop.run(80)
    assert world.blobs() == {orphan}
    loop.run(7_300)
    assert world.blobs() == set()


def test_a_long_sweep_of_orphans_does_not_delay_garbage(world: World) -> None:
    world.put("kept", b"kept")
    (kept,) = world.storage.scan(FAR_FUTURE_MS)

    class Endless:
        def __getattr__(self, name: str) -> object:
            return getattr(world.storage, name)

        def scan(self, before_ms: int) -> Iterator[BlobInfo]:
            return itertools.repeat(kept)

    loop = Loop(world, storage=Endless())  # type: ignore[arg-type]
    world.put("k", b"old")
    world.delete("k")
    world.later(55)
    loop.run(12)
    assert loop.sweeper.report.blobs_deleted == 1
    assert world.read("kept") == b"kept"


def test_an_idle_sweep_sleeps_nearly_all_the_time(world: World) -> None:
    loop = Loop(world)
    loop.run(600)
    assert len(loop.sleeps) < 200


def test_only_the_holder_of_the_lease_sweeps_and_another_takes_over_when_it_dies(world: World) -> None:
    first, second = Loop(world, "one"), Loop(world, "two")
    first.run(1)
    world.put("k", b"old")
    world.delete("k")
    world.later(65)
    world.metadata.lease("sweep", "one", world.clock_ms, LEASE_TTL_MS)
    second.run(30)
    assert len(world.blobs()) == 1
    second.run(60)  # nobody renewed it
    assert world.blobs() == set()


def test_the_lease_is_renewed_well_before_it_expires(world: World) -> None:
    loop = Loop(world)
    for _ in range(20):
        loop.run(LEASE_TTL_MS / 1_000)
        assert not world.metadata.lease("sweep", "two", world.clock_ms, LEASE_TTL_MS)


def test_a_failing_step_is_an_event_and_is_tried_again_ever_more_slowly(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.put("k", b"old")
    world.delete("k")
    world.later(100)
    countdown = Countdown(0)

    def fail(*args: object) -> object:
        countdown.calls += 1
        raise ServiceUnavailable("The disk is on fire.")

    class Broken:
        def __getattr__(self, name: str) -> object:
            return fail if name == "condemn" else getattr(world.metadata, name)

    loop = Loop(world, metadata=Broken())  # type: ignore[arg-type]
    with caplog.at_level(logging.INFO, "bleepstore.sweep"):
        loop.run(2_000)
    events = [record for record in caplog.records if record.message == "sweep.failed"]
    waits = [vars(record)["retry_s"] for record in events]
    assert waits[:3] == [BACKOFF_MIN_S, 2 * BACKOFF_MIN_S, 4 * BACKOFF_MIN_S]
    assert max(waits) == BACKOFF_MAX_S
    assert len(events) < 20
    assert vars(events[0])["step"] == "garbage"
    assert vars(events[0])["error"] == "ServiceUnavailable"


def test_a_step_that_works_again_goes_on_and_says_what_it_did(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.put("k", b"old")
    world.delete("k")
    world.later(100)
    broken = faulty(world.metadata, Countdown(1, error=ServiceUnavailable), ["garbage"])
    loop = Loop(world, metadata=broken)
    with caplog.at_level(logging.INFO, "bleepstore.sweep"):
        loop.run(60)
    assert [record.message for record in caplog.records] == ["sweep.failed", "sweep.finished"]
    assert vars(caplog.records[1])["blobs_deleted"] == 1
    assert world.blobs() == set()


def test_an_engine_that_does_not_answer_for_the_lease_is_asked_again(world: World) -> None:
    broken = faulty(world.metadata, Countdown(1, error=ServiceUnavailable), ["lease"])
    loop = Loop(world, metadata=broken)
    world.put("k", b"old")
    world.delete("k")
    loop.run(120)
    assert world.blobs() == set()
