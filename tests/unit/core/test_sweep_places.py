"""The sweep and fsck over several back ends: one that is away keeps nobody waiting, and a wrong name deletes nothing."""

from __future__ import annotations

import dataclasses
import logging

import pytest

from app.core.fsck import Severity, fsck
from app.core.placement import MAIN, Placement, Rule
from app.core.store import Store
from app.core.sweep import Sweeper, SweepReport
from app.domain.errors import InternalError, ServiceUnavailable
from app.domain.types import BlobRef, Body, Content, Health
from app.metadata.base import MetadataStore
from app.storage.memory import MemoryStorage
from app.storage.places import Places
from tests.contract.storage_contract import put
from tests.unit.core.test_sweep_loop import Loop
from tests.unit.core.world import World, md5


class Service(MemoryStorage):
    """One that may be away, and counts who asks it meanwhile."""

    is_away = False
    asked = 0

    def _ask(self) -> None:
        self.asked += self.is_away
        if self.is_away:
            raise ServiceUnavailable("nobody answers")

    def delete(self, ref: BlobRef) -> None:
        self._ask()
        super().delete(ref)

    def read(self, ref: BlobRef, start: int = 0, length: int | None = None) -> Body:
        self._ask()
        return super().read(ref, start, length)

    def scan(self, before_ms: int):  # type: ignore[no-untyped-def]
        self._ask()
        return super().scan(before_ms)

    def check(self) -> Health:
        return Health(ok=not self.is_away)


class Town(World):
    def __init__(self, metadata: MetadataStore) -> None:
        self.main, self.cold = MemoryStorage(now_ms=self.now_ms), Service(now_ms=self.now_ms)
        super().__init__(metadata, Places(self.main, {"cold": self.cold}))
        self.store = self.store_over(self.main, cold=self.cold)

    def store_over(self, main: MemoryStorage, **named: MemoryStorage) -> Store:
        storage = Places(main, named) if named else main
        storage.open()
        placement = Placement(storage, [Rule(name) for name in named]) if named else None
        return dataclasses.replace(self.store, storage=storage, placement=placement)

    def put_at(self, name: str, key: str) -> BlobRef:
        blob = put(self.storage.members()[name], key.encode())
        self.publish(key, Content(blob=blob), len(key), md5(key.encode()))
        return blob


@pytest.fixture
def town(metadata: MetadataStore) -> Town:
    return Town(metadata)


def sweep(store: Store) -> SweepReport:
    return Sweeper(store, "test").run_once()


def test_each_back_end_is_swept(town: Town) -> None:
    kept = {town.put_at(name, f"kept-{name}") for name in (MAIN, "cold")}
    for name in (MAIN, "cold"):
        put(town.storage.members()[name], b"orphan")
        town.put_at(name, f"gone-{name}")
        town.delete(f"gone-{name}")
    town.later(4_000)
    report = sweep(town.store)
    assert (report.blobs_deleted, report.orphans_deleted) == (2, 2)
    assert town.blobs() == kept


def test_one_that_is_away_keeps_no_garbage_waiting_and_is_asked_once(town: Town) -> None:
    for number in range(250):
        town.put_at("cold", f"c{number}")
        town.delete(f"c{number}")
    for number in range(5):
        town.put_at(MAIN, f"m{number}")
        town.delete(f"m{number}")
    put(town.main, b"orphan")
    town.later(4_000)
    town.cold.is_away = True
    sweeper = Sweeper(town.store, "test")
    with pytest.raises(ServiceUnavailable):
        sweeper.run_once()
    assert sweeper.report.blobs_deleted == 5
    assert sweeper.report.orphans_deleted == 1
    assert len(list(town.main.scan(1 << 60))) == 0
    assert town.cold.asked == 2  # one deletion, one scan
    town.cold.is_away = False
    sweep(town.store)
    assert town.blobs() == set()
    assert town.garbage_count() == 0


def test_when_the_main_one_is_away_named_ones_do_not_wait(town: Town) -> None:
    town.put_at(MAIN, "m")
    town.put_at("cold", "c")
    for key in ("m", "c"):
        town.delete(key)
    town.later(4_000)
    main = Service(now_ms=town.now_ms)
    main._blobs, main.is_away = town.main._blobs, True
    with pytest.raises(ServiceUnavailable):
        sweep(town.store_over(main, cold=town.cold))
    assert [len(list(each.scan(1 << 60))) for each in (town.main, town.cold)] == [1, 0]
    assert sweep(town.store).blobs_deleted == 1
    assert town.blobs() == set()


def test_in_the_loop_the_others_go_on_at_their_pace(town: Town, caplog: pytest.LogCaptureFixture) -> None:
    town.cold.is_away = True
    loop = Loop(town, storage=town.store.storage)
    town.put_at("cold", "c")
    town.delete("c")
    with caplog.at_level(logging.INFO, "bleepstore.sweep"):
        for number in range(10):
            town.put_at(MAIN, f"m{number}")
            town.delete(f"m{number}")
            loop.run(100)
    assert loop.sweeper.report.blobs_deleted >= 8
    failed = {vars(record)["step"] for record in caplog.records if record.message == "sweep.failed"}
    assert failed == {"garbage", "orphans.cold"}


@pytest.mark.parametrize("engine", ["renamed", "main now", "exchanged"])
def test_a_back_end_that_was_renamed_is_not_taken_for_orphans(town: Town, engine: str) -> None:
    """Whoever moves everything to "cold" and makes that the main one would lose all of it."""
    town.put_at("cold", "c")
    town.put_at(MAIN, "m")
    sweep(town.store)
    town.later(4_000)
    before = len(list(town.main.scan(1 << 60))), len(list(town.cold.scan(1 << 60)))
    store = {
        "renamed": lambda: town.store_over(town.main, archive=town.cold),
        "main now": lambda: town.store_over(town.cold),
        "exchanged": lambda: town.store_over(town.cold, hot=town.main),
    }[engine]()
    with pytest.raises(InternalError, match="another name"):
        sweep(store)
    assert (len(list(town.main.scan(1 << 60))), len(list(town.cold.scan(1 << 60)))) == before
    report = fsck(store)
    assert report.counts["name"] >= 1
    assert any("renamed" in finding.detail for finding in report.findings)
    assert sweep(town.store).orphans_deleted == 0
    assert fsck(town.store).exit_code == 0


def test_orphans_go_where_names_are_as_they_were(town: Town) -> None:
    town.put_at("cold", "c")
    orphan = put(town.storage.members()["cold"], b"orphan")
    sweep(town.store)
    town.later(4_000)
    assert sweep(town.store).orphans_deleted == 1
    assert orphan not in town.blobs()


def test_fsck_names_what_is_on_a_back_end_that_is_away_or_not_configured(town: Town) -> None:
    town.put_at("cold", "c")
    town.put_at(MAIN, "m")
    town.cold.is_away = True
    report = fsck(town.store)
    errors = {(each.kind, each.where) for each in report.findings if each.severity is Severity.ERROR}
    assert errors == {("unreadable", "bucket/c version null"), ("unreadable", "back end cold")}
    report = fsck(town.store_over(town.main))
    assert [(each.kind, each.where) for each in report.findings] == [("unreadable", "bucket/c version null")]
    assert "back end cold, which has the bytes, is not configured" in report.findings[0].detail
