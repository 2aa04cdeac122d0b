"""Many writers, little memory and a service that fails now and then: what is acknowledged is right, and nothing is kept.

Parts are small here, so that there are many of them.
"""

from __future__ import annotations

import os
import random
import threading

import pytest

from app.domain.errors import S3Error
from app.domain.types import BlobRef
from app.storage import remote_memory, remote_sender, remote_spill, remote_writer
from app.storage.remote_calls import ATTEMPTS_MAX, Kind
from app.storage.remote_memory import PartMemory
from tests.contract.storage_contract import read_all
from tests.unit.storage import service as service_module
from tests.unit.storage.service import Service, TestedStorage

PART_BYTES = 40_000
CAPACITY_BYTES = 45_000
WRITERS = 8
BLOBS = 150  # of each writer
PATTERN = os.urandom(1_000_003)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (remote_memory, remote_sender, remote_spill, remote_writer, service_module):
        for name, value in (("PART_BYTES", PART_BYTES), ("CAPACITY_BYTES", CAPACITY_BYTES), ("ROOM_BYTES", 5_000)):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, value)


class FlakyService(Service):
    """Fails by chance: mostly once, seldom as often as nobody bears."""

    def __init__(self, flights_max: int) -> None:
        super().__init__()
        self.flights_max = flights_max
        self._dice = random.Random(flights_max)
        self._lock = threading.Lock()
        self.is_flaky = True

    def step(self, op: str) -> None:
        if not self.is_flaky:
            return
        with self._lock:
            if not self.faults[op] and self._dice.random() < 0.02:
                self.faults[op] = [Kind.AWAY] * (1 if self._dice.random() < 0.8 else 3 * ATTEMPTS_MAX)
            super().step(op)


@pytest.mark.parametrize("flights_max", [1, 2])
def test_what_is_acknowledged_is_right_and_nothing_is_kept(flights_max: int) -> None:
    service, memory = FlakyService(flights_max), PartMemory(3 * CAPACITY_BYTES, wait_max_s=20)
    storage = TestedStorage(service, memory)
    descriptors = len(os.listdir("/proc/self/fd"))
    acknowledged: list[tuple[BlobRef, int, int]] = []
    wrong: list[BaseException] = []

    def write_on(number: int) -> None:
        dice = random.Random(number)
        for _ in range(BLOBS):
            size_bytes = dice.choice((dice.randint(0, 2 * CAPACITY_BYTES), dice.randint(0, 12 * PART_BYTES)))
            start = dice.randrange(len(PATTERN) - size_bytes)
            hint = dice.choice((None, size_bytes, 0, 2 * size_bytes))
            try:
                acknowledged.append((write(storage, start, size_bytes, hint, dice), start, size_bytes))
            except S3Error:
                pass  # it was told
            except BaseException as error:
                wrong.append(error)

    threads = [threading.Thread(target=write_on, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert wrong == []
    assert memory.used_bytes == 0
    assert memory._resting == {}
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert len(acknowledged) > WRITERS * BLOBS / 2
    service.is_flaky = False
    for ref, start, size_bytes in acknowledged:
        assert read_all(storage.read(ref)) == PATTERN[start : start + size_bytes]


def write(storage: TestedStorage, start: int, size_bytes: int, hint: int | None, dice: random.Random) -> BlobRef:
    with storage.create(hint) as writer:
        at, end = start, start + size_bytes
        while at < end:
            room = writer.room()
            count = min(len(room), end - at, dice.choice((7, 4_000, 100_000)))
            room[:count] = PATTERN[at : at + count]
            writer.wrote(count)
            at += count
            if dice.random() < 0.3:
                writer.pause()
        return writer.commit()
