"""Writers in parts over bounded memory: who waits for his client keeps nobody else from writing."""

from __future__ import annotations

import mmap
import os
import threading
import time
import weakref

import pytest

from app.domain.errors import EntityTooLarge, InternalError, ServiceUnavailable, SlowDown
from app.storage import remote_memory
from app.storage.remote_calls import ATTEMPTS_MAX, Kind
from app.storage.remote_memory import CAPACITY_BYTES, FREE_MAX, PART_BYTES, PartMemory, mapped
from app.storage.remote_writer import SPILLED_MAX
from tests.contract.storage_contract import put, read_all
from tests.unit.storage.service import Service, TestedStorage

MIB = 1 << 20
PATTERN = os.urandom(MIB + 1)


def content_of(size_bytes: int) -> bytes:
    return (PATTERN * (size_bytes // len(PATTERN) + 1))[:size_bytes]


@pytest.mark.parametrize("hint", [None, "right", 0])
@pytest.mark.parametrize(
    ("size_bytes", "parts"),
    [
        (0, 0), (1, 0), (PART_BYTES, 0), (CAPACITY_BYTES, 0), (CAPACITY_BYTES + 1, 2), (2 * PART_BYTES, 2),
        (2 * PART_BYTES + 1, 3), (30_000_000, 4),
    ],
)  # fmt: skip
def test_what_ends_within_the_buffer_is_one_request(size_bytes: int, parts: int, hint: object) -> None:
    service, memory = Service(), PartMemory()
    storage = TestedStorage(service, memory)
    content = content_of(size_bytes)
    ref = put(storage, content, size_hint=size_bytes if hint == "right" else hint)  # type: ignore[arg-type]
    assert service.called.count("put") == (0 if parts else 1)
    assert service.called.count("put_part") == parts
    assert service.objects == {f"p/blobs/{ref[:2]}/{ref}": content}
    assert memory.used_bytes == 0


def test_a_part_is_sent_while_the_next_one_fills() -> None:
    service = Service()
    storage = TestedStorage(service)
    may_end = threading.Event()
    service.before_part = lambda number: may_end.wait(30)
    with storage.create() as writer:
        writer.write(content_of(CAPACITY_BYTES + MIB))  # would not return if it waited for the first part
        may_end.set()
        ref = writer.commit()
    assert read_all(storage.read(ref)) == content_of(CAPACITY_BYTES + MIB)


def test_a_failure_of_a_part_on_its_way_is_told_to_who_writes_or_commits() -> None:
    service, memory = Service(), PartMemory()
    storage = TestedStorage(service, memory)
    service.faults["put_part"] = [Kind.AWAY] * ATTEMPTS_MAX
    with pytest.raises(ServiceUnavailable), storage.create() as writer:  # noqa: PT012  # the block is the test
        writer.write(content_of(CAPACITY_BYTES + 1))
        writer.commit()
    assert [upload.is_aborted for upload in service.uploads] == [True]
    assert service.objects == {}
    assert memory.used_bytes == 0


def test_memory_that_was_given_back_is_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a part that has been sent nor its thread keeps it from the system."""
    made: list[weakref.ref[mmap.mmap]] = []
    until_s = time.monotonic() + 5

    def remembered(size_bytes: int) -> memoryview:
        buffer = mapped(size_bytes)
        made.append(weakref.ref(buffer.obj))  # type: ignore[arg-type]  # it is a mapping
        return buffer

    monkeypatch.setattr(remote_memory, "mapped", remembered)
    service, memory, may_end = Service(), PartMemory(20 * CAPACITY_BYTES), threading.Event()
    service.before_part = lambda number: may_end.wait(30)
    storage = TestedStorage(service, memory)
    writers = [storage.create() for _ in range(6)]
    for writer in writers:
        writer.write(content_of(CAPACITY_BYTES + MIB))
    assert memory.used_bytes == 12 * CAPACITY_BYTES  # one is being sent and one filled
    may_end.set()
    while memory.used_bytes > 6 * CAPACITY_BYTES:
        time.sleep(0.001)  # other threads need a moment
    while (alive := sum(each() is not None for each in made)) > 6 + FREE_MAX and time.monotonic() < until_s:
        time.sleep(0.001)
    assert alive <= 6 + FREE_MAX
    for writer in writers:
        writer.discard()
    assert memory.used_bytes == 0


def test_what_may_pass_leaves_no_trace() -> None:
    service = Service()
    for op in ("put", "begin", "put_part", "complete"):
        service.faults[op] = [Kind.AWAY, Kind.WRONG, Kind.THROTTLED]
    storage = TestedStorage(service)
    for size_bytes in (5, 3 * PART_BYTES):
        assert read_all(storage.read(put(storage, content_of(size_bytes)))) == content_of(size_bytes)


def test_leaving_aborts_what_was_begun() -> None:
    service = Service()
    service.faults["abort"] = [Kind.AWAY]
    with TestedStorage(service).create() as writer:
        writer.write(content_of(CAPACITY_BYTES + 1))
    assert [upload.is_aborted for upload in service.uploads] == [True]
    service.faults["abort"] = [Kind.AWAY] * 99
    with TestedStorage(service).create() as writer:
        writer.write(content_of(CAPACITY_BYTES + 1))  # and an abort that fails hides no other error
    assert [upload.is_aborted for upload in service.uploads] == [True, False]


def test_a_blob_of_too_many_parts_is_refused() -> None:
    service = Service()
    service.parts_max = 2
    storage = TestedStorage(service)
    with pytest.raises(EntityTooLarge):
        storage.create(2 * PART_BYTES + 1)
    with pytest.raises(EntityTooLarge):
        put(storage, content_of(2 * PART_BYTES + 1))
    assert put(storage, content_of(2 * PART_BYTES))


def test_writers_that_rest_make_way_and_lose_nothing() -> None:
    """Ten clients send in turns, each up to 20 MB, through memory for two parts."""
    service, memory = Service(), PartMemory(2 * CAPACITY_BYTES, wait_max_s=30)
    storage = TestedStorage(service, memory)
    contents = [os.urandom(100_003) * (number * 20) for number in range(1, 11)]
    writers = [storage.create(None if number % 2 else len(content)) for number, content in enumerate(contents)]
    at = 0
    while any(at < len(content) for content in contents):
        for writer, content in zip(writers, contents, strict=True):
            if content[at : at + 700_000]:
                writer.write(content[at : at + 700_000])
                writer.pause()
                assert memory.used_bytes <= 2 * CAPACITY_BYTES
        at += 700_000
    for writer, content in zip(writers, contents, strict=True):
        assert read_all(storage.read(writer.commit())) == content
    assert memory.used_bytes == 0


def test_one_who_rests_is_moved_out_while_another_thread_writes() -> None:
    """Owners and those who need memory meet at any moment: nothing is lost or doubled."""
    service, memory = Service(), PartMemory(CAPACITY_BYTES, wait_max_s=30)
    storage = TestedStorage(service, memory)
    wrong: list[object] = []

    def write(number: int) -> None:
        content = os.urandom(50_021) * (40 + number)
        try:
            with storage.create() as writer:
                for start in range(0, len(content), 333_333):
                    writer.write(content[start : start + 333_333])
                    writer.pause()
                if read_all(storage.read(writer.commit())) != content:
                    wrong.append(number)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    assert memory.used_bytes == 0


def test_who_needs_much_and_finds_no_memory_goes_through_files() -> None:
    """Nobody waits who could go on, and what was received leaves when there is memory again."""
    service, memory = Service(), PartMemory(CAPACITY_BYTES, wait_max_s=30)
    storage = TestedStorage(service, memory)
    contents = [content_of(size_bytes) for size_bytes in (0, 1, PART_BYTES, 3 * PART_BYTES + 5)]
    with storage.create(CAPACITY_BYTES) as busy:
        busy.write(b"x")  # and does not rest
        writers = [storage.create(CAPACITY_BYTES) for _ in contents]
        for writer, content in zip(writers, contents, strict=True):
            writer.write(content)
        assert "put_part" not in service.called
    for writer, content in zip(writers, contents, strict=True):
        assert read_all(storage.read(writer.commit())) == content
    assert memory.used_bytes == 0


def test_files_of_parts_are_bounded() -> None:
    memory = PartMemory(CAPACITY_BYTES, wait_max_s=0.05)
    storage = TestedStorage(Service(), memory)
    with storage.create(CAPACITY_BYTES) as busy, storage.create(CAPACITY_BYTES) as waiting:
        busy.write(b"x")
        waiting.write(content_of(SPILLED_MAX * PART_BYTES))
        with pytest.raises(SlowDown):
            waiting.write(content_of(PART_BYTES + MIB))


def test_who_finds_no_memory_is_told_to_slow_down() -> None:
    memory = PartMemory(CAPACITY_BYTES, wait_max_s=0.05)
    storage = TestedStorage(Service(), memory)
    with storage.create(CAPACITY_BYTES) as busy:
        busy.write(b"x")  # and does not rest
        with pytest.raises(SlowDown):
            put(storage, b"y")
        busy.pause()
        put(storage, b"y")
    assert memory.used_bytes == 0


def test_a_full_disk_takes_no_bytes_away_from_who_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = PartMemory(CAPACITY_BYTES, wait_max_s=0.05)
    storage = TestedStorage(Service(), memory)
    content = content_of(3 * MIB)

    def fail(*args: object) -> int:
        raise OSError(28, "No space left on device")

    with storage.create(len(content)) as resting:
        resting.write(content)
        resting.pause()
        monkeypatch.setattr(os, "pwrite", fail)
        with pytest.raises(SlowDown):
            put(storage, b"y", size_hint=CAPACITY_BYTES)
        ref = resting.commit()
    assert read_all(storage.read(ref)) == content
    assert memory.used_bytes == 0


def test_wrong_bytes_for_ever_are_an_internal_error() -> None:
    service = Service()
    service.faults["put"] = [Kind.WRONG] * 99
    with pytest.raises(InternalError):
        put(TestedStorage(service), b"x")
    assert service.called.count("put") == ATTEMPTS_MAX
