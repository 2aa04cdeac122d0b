"""Blobs in this process's memory, for tests and for stores that may forget. One process only; a snapshot may survive it."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Self

from app.domain.errors import InternalError, SlowDown
from app.domain.types import BlobRef, Body, Health
from app.settings import chosen
from app.storage import memory_snapshot
from app.storage.base import BlobInfo, BlobMissing, BlobWriter, ObjectStorage
from app.storage.memory_snapshot import Chunks, Clockwork

if TYPE_CHECKING:
    from app.config import Config

SIZE_MAX_BYTES = 1 << 30
CHUNK_BYTES = memory_snapshot.READ_BYTES  # of a blob each, the last one of less
GARBAGE_GRACE_S = 60  # a reader asks for the later parts of an object this long after it looked the version up


class MemoryStorage(ObjectStorage):
    """`size_max_bytes` bounds all blobs together, those still being written included.

    With `snapshot_path`, what is here is written there every `snapshot_interval_s` where something changed, and read by
    `open`. What came after the last snapshot is lost with the process.
    """

    name = "memory"
    shared = False

    def __init__(
        self,
        *,
        size_max_bytes: int = SIZE_MAX_BYTES,
        garbage_grace_s: int = GARBAGE_GRACE_S,
        snapshot_path: str | None = None,
        snapshot_interval_s: float = 60,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.garbage_grace_s = garbage_grace_s
        self._size_max_bytes = size_max_bytes
        self._now_ms = now_ms
        self._mutex = threading.Lock()
        self._blobs: dict[BlobRef, tuple[Chunks, int]] = {}
        self._used_bytes = 0
        self._changes = self._saved_changes = 0
        self._snapshot_path = snapshot_path
        self._snapshot_interval_s = snapshot_interval_s
        self._clockwork: Clockwork | None = None

    @classmethod
    def from_config(cls, config: Config) -> Self:
        grace, memory = config.storage.garbage_grace_s, config.storage.memory
        return cls(
            size_max_bytes=memory.max_size_bytes,
            garbage_grace_s=chosen(grace, GARBAGE_GRACE_S),
            snapshot_path=memory.snapshot_path if memory.persistence else None,
            snapshot_interval_s=memory.snapshot_interval_s,
        )

    def open(self) -> None:
        """Raises: ServiceUnavailable where the snapshot is damaged or cannot be read."""
        if self._snapshot_path is None or self._clockwork is not None:
            return
        memory_snapshot.remove_temporary(self._snapshot_path)
        for ref, chunks, modified_ms in memory_snapshot.read(self._snapshot_path):
            self._blobs[ref] = chunks, modified_ms
            self._used_bytes += sum(map(len, chunks))
        self._clockwork = Clockwork(self.save, self._snapshot_interval_s)
        self._clockwork.start()

    def close(self) -> None:
        """The blobs stay as long as this object does. Nothing is saved: a server ends by being killed."""
        clockwork, self._clockwork = self._clockwork, None
        if clockwork is not None:
            clockwork.stop()

    def save(self) -> bool:
        """Write the snapshot where something changed since the last one; whether it was. Raises: SlowDown, ServiceUnavailable."""
        with self._mutex:
            changes, blobs = self._changes, list(self._blobs.items())
        if self._snapshot_path is None or changes == self._saved_changes:
            return False
        memory_snapshot.write(self._snapshot_path, ((ref, chunks, at_ms) for ref, (chunks, at_ms) in blobs))
        self._saved_changes = changes
        return True

    def check(self) -> Health:
        is_full = self._used_bytes >= self._size_max_bytes
        return Health(ok=not is_full, detail="the storage is full" if is_full else "")

    def create(self, size_hint: int | None = None) -> MemoryWriter:
        if self._used_bytes + max(size_hint or 0, 1) > self._size_max_bytes:
            raise _full()
        return MemoryWriter(self)

    def read(self, ref: BlobRef, start: int = 0, length: int | None = None) -> Body:
        blob = self._blobs.get(ref)
        if blob is None:
            raise BlobMissing(f"blob {ref} is missing")
        chunks = blob[0]
        size_bytes = sum(map(len, chunks))
        end = size_bytes if length is None else start + length
        if not 0 <= start <= end <= size_bytes:
            raise InternalError(f"blob {ref} has {size_bytes} bytes, asked for [{start}, {end})")
        if start == end:
            return b""
        first, last = start // CHUNK_BYTES, (end - 1) // CHUNK_BYTES
        if first == last:
            return chunks[first][start % CHUNK_BYTES : (end - 1) % CHUNK_BYTES + 1]
        return _pieces(chunks, start, end)

    def read_at_once(self, ref: BlobRef, start: int = 0, length: int | None = None) -> Body | None:
        return self.read(ref, start, length) if ref in self._blobs else None

    def delete(self, ref: BlobRef) -> None:
        with self._mutex:
            chunks, _ = self._blobs.pop(ref, ((), 0))
            self._used_bytes -= sum(map(len, chunks))
            self._changes += 1

    def scan(self, before_ms: int) -> Iterator[BlobInfo]:
        with self._mutex:
            blobs = list(self._blobs.items())
        for ref, (chunks, modified_ms) in blobs:
            if modified_ms < before_ms:
                yield BlobInfo(ref, sum(map(len, chunks)), modified_ms)

    def clean_up(self) -> int:
        return 0  # writers die with the process, and with it what they wrote

    # -- for the writer ------------------------------------------------------------------------------------------

    def take(self, size_bytes: int) -> None:
        """Raises: SlowDown when there is no room for that much more."""
        with self._mutex:
            if self._used_bytes + size_bytes > self._size_max_bytes:
                raise _full()
            self._used_bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        with self._mutex:
            self._used_bytes -= size_bytes

    def keep(self, chunks: Chunks) -> BlobRef:
        ref = BlobRef(secrets.token_hex(16))
        with self._mutex:
            self._blobs[ref] = (chunks, self._now_ms())
            self._changes += 1
        return ref


class MemoryWriter(BlobWriter):
    def __init__(self, storage: MemoryStorage) -> None:
        self._storage = storage
        self._chunks: list[bytes] = []
        self._last = bytearray()
        self._size_bytes = 0
        self._is_open = True

    def write(self, chunk: bytes | memoryview) -> None:
        self._require_open()
        self._storage.take(len(chunk))
        self._size_bytes += len(chunk)
        left = memoryview(chunk)
        while left:
            count = min(len(left), CHUNK_BYTES - len(self._last))
            self._last += left[:count]
            left = left[count:]
            if len(self._last) == CHUNK_BYTES:
                self._chunks.append(bytes(self._last))
                self._last = bytearray()

    def commit(self) -> BlobRef:
        self._require_open()
        self._is_open = False
        if self._last:
            self._chunks.append(bytes(self._last))
        return self._storage.keep(self._chunks)

    def discard(self) -> None:
        if self._is_open:
            self._is_open = False
            self._chunks, self._last = [], bytearray()
            self._storage.give_back(self._size_bytes)

    def _require_open(self) -> None:
        if not self._is_open:
            raise ValueError("this writer is closed")


def _pieces(chunks: Chunks, start: int, end: int) -> Iterator[bytes]:
    """A reader holds the chunks, whoever deletes the blob meanwhile."""
    while start < end:
        stop = min(end, (start // CHUNK_BYTES + 1) * CHUNK_BYTES)
        at = start % CHUNK_BYTES
        yield chunks[start // CHUNK_BYTES][at : at + stop - start]
        start = stop


def _full() -> SlowDown:
    return SlowDown("The storage is full. Please free space, or try again later.")
