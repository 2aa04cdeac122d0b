"""The memory back end against the contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.domain.errors import SlowDown
from app.storage.base import ObjectStorage
from app.storage.memory import MemoryStorage
from tests.contract.storage_contract import SHORT, StorageContract, put


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
