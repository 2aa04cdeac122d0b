"""What every storage back end must do: the text of app/storage/base.py as tests.

A back end of a third party proves itself by a class of its own (STORAGE.md beside this file shows one):

    class TestMine(LastingStorageContract):
        def make(self, place: Path) -> ObjectStorage: ...
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.domain.errors import InternalError, SlowDown
from app.domain.types import BlobRef, Body, FileSpan
from app.storage.base import CHUNK_MAX_BYTES, BlobInfo, BlobMissing, ObjectStorage

FAR_FUTURE_MS = 1 << 50
SHORT = b"twelve bytes"
LONG = os.urandom(1 << 16) * 51 + b"and an odd end"  # 3 MiB and more: several chunks, no multiple of anything


class StorageContract:
    is_named = False  # its references begin with its name

    def make(self, place: Path) -> ObjectStorage:
        """A back end, not opened, over a place of its own; the same place means the same data."""
        raise AssertionError("a contract test says how its back end is made")

    def make_full(self, place: Path) -> ObjectStorage:
        """One that is opened and has room for less than 4 MiB."""
        pytest.skip("this back end was not made small: give its tests a make_full")

    @pytest.fixture
    def storage(self, tmp_path: Path) -> Iterator[ObjectStorage]:
        made = self.make(tmp_path)
        made.open()
        yield made
        made.close()

    # -- writing -------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("content", [b"", b"\0", SHORT, LONG], ids=["empty", "one byte", "short", "long"])
    def test_a_committed_blob_reads_back_exactly(self, storage: ObjectStorage, content: bytes) -> None:
        assert read_all(storage.read(put(storage, content))) == content

    @pytest.mark.parametrize("hint", [None, 0, len(SHORT), 6 << 20], ids=["none", "too small", "right", "too large"])
    def test_a_size_hint_is_only_a_hint(self, storage: ObjectStorage, hint: int | None) -> None:
        ref = put(storage, SHORT, size_hint=hint)
        assert read_all(storage.read(ref)) == SHORT
        assert [each.size_bytes for each in storage.scan(FAR_FUTURE_MS)] == [len(SHORT)]

    def test_chunks_of_any_size_and_kind_come_out_in_order(self, storage: ObjectStorage) -> None:
        with storage.create() as writer:
            reused = bytearray(b"one")
            writer.write(memoryview(reused))
            reused[:] = b"???"  # what was handed over is the writer's: a caller may use its buffer again
            for chunk in (b"", b"two", memoryview(LONG)):
                writer.write(chunk)
            ref = writer.commit()
        assert read_all(storage.read(ref)) == b"onetwo" + LONG

    @pytest.mark.parametrize("step", [1 << 10, 4_099, 1 << 17, 1 << 30])
    def test_bytes_put_into_a_room_come_out_in_order(self, storage: ObjectStorage, step: int) -> None:
        with storage.create() as writer:
            at = 0
            while at < len(LONG):
                room = writer.room()
                count = min(step, len(room), len(LONG) - at)
                room[:count] = LONG[at : at + count]
                writer.wrote(count)
                at += count
                if at % 3 == 0:
                    writer.pause()
                if at % 5 == 0:
                    writer.write(LONG[at : at + 7])
                    at += len(LONG[at : at + 7])
            ref = writer.commit()
        assert read_all(storage.read(ref)) == LONG

    def test_what_lies_in_a_room_stays_until_the_room_is_full(self, storage: ObjectStorage) -> None:
        """Another thread may still be reading it."""
        with storage.create() as writer:
            first = writer.room()
            first[:5] = b"first"
            writer.wrote(5)
            rest = writer.room()
            rest[: len(rest) - 1] = bytes(len(rest) - 1)
            writer.wrote(len(rest) - 1)
            assert bytes(first[:5]) == b"first"

    def test_a_room_of_a_writer_that_is_done_is_none(self, storage: ObjectStorage) -> None:
        writer = storage.create()
        writer.discard()
        with pytest.raises(ValueError, match="closed"):
            writer.wrote(len(writer.room()))

    def test_equal_bytes_get_references_of_their_own(self, storage: ObjectStorage) -> None:
        first, second = put(storage, SHORT), put(storage, SHORT)
        assert first != second
        storage.delete(first)
        assert read_all(storage.read(second)) == SHORT

    def test_a_reference_is_short_text_without_a_colon(self, storage: ObjectStorage) -> None:
        """A colon ends the name of a named back end, and a row has the reference as text."""
        ref = put(storage, SHORT)
        assert self.is_named or ":" not in ref
        assert ref.isascii()
        assert ref.isprintable()
        assert len(ref) <= 128

    def test_a_committed_blob_takes_no_more_bytes(self, storage: ObjectStorage) -> None:
        writer = storage.create()
        writer.write(SHORT)
        ref = writer.commit()
        for late in (lambda: writer.write(b"more"), writer.commit):
            with pytest.raises(ValueError, match="closed"):
                late()
        writer.discard()  # does nothing after commit
        assert read_all(storage.read(ref)) == SHORT

    def test_leaving_without_commit_discards(self, storage: ObjectStorage) -> None:
        with storage.create(len(LONG)) as writer:
            writer.write(LONG)
        writer.discard()  # nor a second time
        assert list(storage.scan(FAR_FUTURE_MS)) == []

    def test_an_error_inside_the_context_discards_and_goes_on(self, storage: ObjectStorage) -> None:
        with pytest.raises(ZeroDivisionError), storage.create() as writer:  # noqa: PT012  # the block is the test
            writer.write(SHORT)
            raise ZeroDivisionError
        assert list(storage.scan(FAR_FUTURE_MS)) == []

    def test_writers_side_by_side_do_not_mix(self, storage: ObjectStorage) -> None:
        contents = {number: bytes([number]) * 200_000 for number in range(8)}
        found: dict[int, bytes] = {}

        def write(number: int) -> None:
            with storage.create() as writer:
                for start in range(0, 200_000, 9_999):
                    writer.write(contents[number][start : start + 9_999])
                ref = writer.commit()
            found[number] = read_all(storage.read(ref))

        threads = [threading.Thread(target=write, args=(number,)) for number in contents]
        run_all(threads)
        assert found == contents

    # -- reading -------------------------------------------------------------------------------------------------

    def test_ranges_are_exact(self, storage: ObjectStorage) -> None:
        ref, size = put(storage, LONG), len(LONG)
        edges = [0, 1, 4_095, 4_096, CHUNK_MAX_BYTES - 1, CHUNK_MAX_BYTES, CHUNK_MAX_BYTES + 1, size - 1, size]
        for start in edges:
            assert read_all(storage.read(ref, start)) == LONG[start:]
            for end in edges:
                if start <= end:
                    assert read_all(storage.read(ref, start, end - start)) == LONG[start:end]

    @pytest.mark.parametrize(("start", "length"), [(0, 13), (12, 1), (13, 0), (13, None), (-1, 1), (1, -1)])
    def test_bytes_that_are_not_there_are_an_error(
        self, storage: ObjectStorage, start: int, length: int | None
    ) -> None:
        """A row that says more than the blob holds must never become a short body (I10)."""
        ref = put(storage, SHORT)
        with pytest.raises(InternalError):
            read_all(storage.read(ref, start, length))

    def test_what_can_be_read_at_once_is_the_same(self, storage: ObjectStorage) -> None:
        ref = put(storage, LONG)
        read_all(storage.read(ref))
        body = storage.read_at_once(ref, 7, 70_000)
        assert body is None or read_all(body) == LONG[7:70_007]
        storage.delete(ref)
        assert storage.read_at_once(ref) is None  # and somebody who may wait looks again

    def test_a_missing_blob_says_so_when_it_is_opened(self, storage: ObjectStorage) -> None:
        ref = put(storage, SHORT)
        storage.delete(ref)
        with pytest.raises(BlobMissing):
            storage.read(ref)

    def test_an_uncommitted_blob_cannot_be_seen(self, storage: ObjectStorage) -> None:
        with storage.create() as writer:
            writer.write(LONG)
            assert list(storage.scan(FAR_FUTURE_MS)) == []

    def test_a_reader_that_began_before_a_delete_gets_every_byte(self, storage: ObjectStorage) -> None:
        ref = put(storage, LONG)
        bodies = [storage.read(ref) for _ in range(4)]
        results: list[bytes] = []
        threads = [threading.Thread(target=lambda body=body: results.append(read_all(body))) for body in bodies]
        storage.delete(ref)
        run_all(threads)
        assert results == [LONG] * 4

    def test_readers_racing_a_delete_get_all_or_nothing(self, storage: ObjectStorage) -> None:
        refs = [put(storage, LONG) for _ in range(6)]
        wrong: list[bytes] = []

        def read(ref: BlobRef) -> None:
            try:
                while True:
                    content = read_all(storage.read(ref))
                    if content != LONG:
                        wrong.append(content)
            except BlobMissing:
                return

        threads = [threading.Thread(target=read, args=(ref,)) for ref in refs]
        run_all([*threads, *(threading.Thread(target=storage.delete, args=(ref,)) for ref in refs)])
        assert wrong == []

    # -- deleting and scanning -----------------------------------------------------------------------------------

    def test_delete_may_be_repeated(self, storage: ObjectStorage) -> None:
        ref = put(storage, SHORT)
        for _ in range(3):
            storage.delete(ref)
        assert list(storage.scan(FAR_FUTURE_MS)) == []

    def test_scan_finds_every_blob_with_its_size_and_time(self, storage: ObjectStorage) -> None:
        began_ms = time.time_ns() // 1_000_000 - 2_000  # file systems stamp with a coarser clock than ours
        refs = {put(storage, bytes(size)): size for size in range(0, 3_000, 10)}
        found = list(storage.scan(FAR_FUTURE_MS))
        assert {each.ref: each.size_bytes for each in found} == refs
        assert len(found) == len(refs)
        assert all(began_ms <= each.modified_ms <= began_ms + 60_000 for each in found)

    def test_scan_leaves_out_what_is_too_young(self, storage: ObjectStorage) -> None:
        put(storage, SHORT)
        (blob,) = storage.scan(FAR_FUTURE_MS)
        assert list(storage.scan(blob.modified_ms)) == []
        assert list(storage.scan(blob.modified_ms + 1)) == [blob]

    def test_scan_bears_blobs_that_come_and_go(self, storage: ObjectStorage) -> None:
        staying = {put(storage, SHORT) for _ in range(50)}
        going = [put(storage, SHORT) for _ in range(50)]
        found: list[BlobInfo] = []
        for blob in storage.scan(FAR_FUTURE_MS):
            found.append(blob)
            if going:
                storage.delete(going.pop())
                put(storage, SHORT)
        assert staying <= {each.ref for each in found}

    def test_a_scan_may_be_left_early(self, storage: ObjectStorage) -> None:
        for _ in range(3):
            put(storage, SHORT)
        scan = storage.scan(FAR_FUTURE_MS)
        next(scan)
        close = getattr(scan, "close", None)
        if close is not None:
            close()
        assert len(list(storage.scan(FAR_FUTURE_MS))) == 3

    # -- health, room and recovery -------------------------------------------------------------------------------

    def test_a_working_back_end_is_healthy_within_a_second(self, storage: ObjectStorage) -> None:
        began = time.monotonic()
        health = storage.check()
        assert health.ok, health.detail
        assert time.monotonic() - began < 1
        assert list(storage.scan(FAR_FUTURE_MS)) == []

    def test_it_says_what_the_server_asks_of_it(self, storage: ObjectStorage) -> None:
        assert storage.name
        assert isinstance(storage.shared, bool)
        assert storage.garbage_grace_s >= 0

    def test_opening_twice_and_closing_twice_is_fine(self, storage: ObjectStorage) -> None:
        ref = put(storage, SHORT)
        storage.open()
        assert read_all(storage.read(ref)) == SHORT
        storage.close()
        storage.close()

    def test_clean_up_leaves_live_writers_and_blobs_alone(self, storage: ObjectStorage) -> None:
        kept = put(storage, SHORT)
        with storage.create() as writer:
            writer.write(LONG)
            assert storage.clean_up() == 0
            ref = writer.commit()
        assert read_all(storage.read(ref)) == LONG
        assert read_all(storage.read(kept)) == SHORT

    def test_a_full_back_end_refuses_and_recovers(self, tmp_path: Path) -> None:
        storage = self.make_full(tmp_path)
        try:
            kept = put(storage, SHORT)
            for hint in (None, len(LONG) * 2):
                with pytest.raises(SlowDown):
                    put(storage, LONG * 2, size_hint=hint)
            assert read_all(storage.read(kept)) == SHORT
            assert [each.ref for each in storage.scan(FAR_FUTURE_MS)] == [kept]  # nothing is left of the refused
            storage.delete(kept)
            assert read_all(storage.read(put(storage, SHORT))) == SHORT
        finally:
            storage.close()


class LastingStorageContract(StorageContract):
    """Also for a back end whose blobs outlive the process: another instance over the same place finds them."""

    @pytest.fixture
    def other(self, storage: ObjectStorage, tmp_path: Path) -> Iterator[ObjectStorage]:
        made = self.make(tmp_path)
        made.open()
        yield made
        made.close()

    def test_a_committed_blob_is_there_without_a_close(self, storage: ObjectStorage, other: ObjectStorage) -> None:
        """Durable on return: nothing may depend on a tidy end. (That it reached the disk is R-05's to show.)"""
        ref = put(storage, LONG)
        assert read_all(other.read(ref)) == LONG
        other.delete(ref)
        assert list(storage.scan(FAR_FUTURE_MS)) == []

    def test_clean_up_leaves_the_writers_of_others_alone(self, storage: ObjectStorage, other: ObjectStorage) -> None:
        with storage.create() as writer:
            writer.write(LONG)
            assert other.clean_up() == 0
            ref = writer.commit()
        assert read_all(other.read(ref)) == LONG


def put(storage: ObjectStorage, content: bytes, size_hint: int | None = None) -> BlobRef:
    """Write a blob in chunks as the server does."""
    with storage.create(size_hint) as writer:
        for start in range(0, len(content), CHUNK_MAX_BYTES):
            writer.write(memoryview(content)[start : start + CHUNK_MAX_BYTES])
        return writer.commit()


def read_all(body: Body) -> bytes:
    """The bytes of a body, closed afterwards."""
    if isinstance(body, bytes):
        return body
    if isinstance(body, FileSpan):
        try:
            return b"".join(iter_span(body))
        finally:
            os.close(body.fd)
    chunks = list(body)
    assert all(0 < len(chunk) <= CHUNK_MAX_BYTES for chunk in chunks)
    return b"".join(chunks)


def iter_span(span: FileSpan) -> Iterator[bytes]:
    position, end = span.offset, span.offset + span.length
    while position < end:
        chunk = os.pread(span.fd, min(CHUNK_MAX_BYTES, end - position), position)
        if not chunk:
            raise EOFError(f"the file ends at {position}, not at {end}")
        yield chunk
        position += len(chunk)


def run_all(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
