"""Named back ends against the contract of one, and what only several together promise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.domain.errors import InternalError, ServiceUnavailable
from app.domain.types import BlobRef, Health
from app.storage.base import MAIN, BlobInfo, BlobMissing, ObjectStorage, name_in
from app.storage.local import LocalStorage
from app.storage.measured import Measured
from app.storage.memory import MemoryStorage
from app.storage.places import OPEN_AGAIN_S, Named, Places, is_name
from app.storage.remote_calls import NoWatch
from tests.contract.storage_contract import (
    FAR_FUTURE_MS,
    SHORT,
    LastingStorageContract,
    StorageContract,
    put,
    read_all,
)


def small() -> MemoryStorage:
    return MemoryStorage(size_max_bytes=4 << 20)


def opened(storage: ObjectStorage) -> ObjectStorage:
    storage.open()
    return storage


class TestNamedStorage(LastingStorageContract):
    is_named = True

    def make(self, place: Path) -> ObjectStorage:
        return Named("cold", LocalStorage(str(place / "objects"), reserve_bytes=0))

    def make_full(self, place: Path) -> ObjectStorage:
        return opened(Named("cold", small()))


class TestNamedMemoryStorage(StorageContract):
    is_named = True

    def make(self, place: Path) -> ObjectStorage:
        return Named("cold", MemoryStorage())

    def make_full(self, place: Path) -> ObjectStorage:
        return opened(Named("cold", small()))


class TestMeasuredStorage(LastingStorageContract):
    """Counting its requests changes nothing about a back end."""

    def make(self, place: Path) -> ObjectStorage:
        return Measured(LocalStorage(str(place / "objects"), reserve_bytes=0), NoWatch())

    def make_full(self, place: Path) -> ObjectStorage:
        return opened(Measured(small(), NoWatch()))


class TestPlaces(LastingStorageContract):
    """What asks for no name goes to the main one, with references as ever."""

    def make(self, place: Path) -> ObjectStorage:
        return places_in(place)

    def make_full(self, place: Path) -> ObjectStorage:
        return opened(Places(small(), {"cold": MemoryStorage()}))


class AwayStorage(MemoryStorage):
    """One whose service does not answer as long as `is_away`."""

    is_away = True
    opened = 0

    def open(self) -> None:
        self.opened += 1
        if self.is_away:
            raise ServiceUnavailable("nobody answers")

    def scan(self, before_ms: int) -> Iterator[BlobInfo]:
        if self.is_away:
            raise ServiceUnavailable("nobody answers")
        return super().scan(before_ms)

    def check(self) -> Health:
        return Health(ok=not self.is_away, detail="nobody answers" if self.is_away else "")


def places_in(place: Path) -> Places:
    return Places(
        LocalStorage(str(place / "main"), reserve_bytes=0),
        {"cold": LocalStorage(str(place / "cold"), reserve_bytes=0, garbage_grace_s=600), "warm": MemoryStorage()},
    )


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Places]:
    made = places_in(tmp_path)
    made.open()
    yield made
    made.close()


def test_a_reference_says_where_its_blob_is(places: Places) -> None:
    refs = {name: put(storage, name.encode()) for name, storage in places.members().items()}
    assert list(refs) == [MAIN, "cold", "warm"]
    assert ":" not in refs[MAIN]
    for name, ref in refs.items():
        assert name_in(ref) == name
        assert places.holder(ref) is places.members()[name]
        assert read_all(places.read(ref)) == name.encode()
        body = places.read_at_once(ref)
        assert body is None or read_all(body) == name.encode()
    assert {blob.ref for blob in places.scan(FAR_FUTURE_MS)} == set(refs.values())
    for ref in refs.values():
        places.delete(ref)
        with pytest.raises(BlobMissing):
            places.read(ref)
    assert list(places.scan(FAR_FUTURE_MS)) == []


def test_together_they_are_as_careful_as_the_most_careful(places: Places) -> None:
    assert not places.shared
    assert places.garbage_grace_s == 600


def test_bytes_on_a_back_end_that_is_not_configured_are_left_alone(places: Places) -> None:
    lost = BlobRef("gone:0123456789abcdef0123456789abcdef")
    with pytest.raises(ServiceUnavailable, match="gone.*not configured"):
        places.read(lost)
    assert places.read_at_once(lost) is None
    places.delete(lost)
    health = places.holder(lost).check()
    assert not health.ok
    assert "gone" in health.detail


def test_a_back_end_without_others_beside_it_leaves_their_bytes_alone() -> None:
    lost = BlobRef("gone:0123456789abcdef0123456789abcdef")
    holder = MemoryStorage().holder(lost)
    assert holder.name == "gone"
    holder.delete(lost)
    with pytest.raises(ServiceUnavailable, match=r"gone.*not configured"):
        holder.read(lost)


def test_a_reference_of_one_is_none_of_another(places: Places) -> None:
    ref = put(places, SHORT)
    for name in ("cold", "warm"):
        with pytest.raises(InternalError):
            places.read(BlobRef(f"{name}:{ref}"))


def test_one_that_is_away_keeps_no_other_from_work() -> None:
    away, now_s = AwayStorage(), [0.0]
    main, cold = MemoryStorage(), Named("cold", away, monotonic=lambda: now_s[0])
    places = Places(main, {"cold": away, "warm": MemoryStorage()})
    places.open()
    kept = {put(places, SHORT), put(places.members()["warm"], SHORT)}
    seen = []
    scan = places.scan(FAR_FUTURE_MS)
    with pytest.raises(ServiceUnavailable):  # noqa: PT012  # what comes before the error counts
        while True:
            seen.append(next(scan).ref)
    assert set(seen) == kept
    with pytest.raises(ServiceUnavailable):
        places.clean_up()
    assert not places.check().ok
    assert "cold" in places.check().detail

    cold.open()
    opened = away.opened
    with pytest.raises(ServiceUnavailable, match="cold.*nobody answers"):
        put(cold, SHORT)
    assert away.opened == opened  # not once for each request
    away.is_away = False
    now_s[0] += OPEN_AGAIN_S
    assert read_all(cold.read(put(cold, SHORT))) == SHORT
    assert cold.check().ok


@pytest.mark.parametrize("name", ["a", "cold", "cold-2", "a" * 32])
def test_names(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize("name", ["", "Cold", "2cold", "-cold", "co:ld", "co_ld", "cöld", "a" * 33, "cold\n"])
def test_what_is_no_name(name: str) -> None:
    assert not is_name(name)
