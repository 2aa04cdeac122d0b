"""Blobs in this process's memory, for tests and for stores that may forget. One process only; nothing survives it."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Self

from app.domain.errors import InternalError, SlowDown
from app.domain.types import BlobRef, Body, Health
from app.storage.base import BlobInfo, BlobMissing, BlobWriter, ObjectStorage

if TYPE_CHECKING:
    from app.config import Config

SIZE_MAX_BYTES = 1 << 30
GARBAGE_GRACE_S = 60  # a reader asks for the later parts of an object this long after it looked the version up


class MemoryStorage(ObjectStorage):
    """`size_max_bytes` bounds all blobs together, those still being written included."""

    name = "memory"
    shared = False

    def __init__(
        self,
        *,
        size_max_bytes: int = SIZE_MAX_BYTES,
        garbage_grace_s: int = GARBAGE_GRACE_S,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.garbage_grace_s = garbage_grace_s
        self._size_max_bytes = size_max_bytes
        self._now_ms = now_ms
        self._mutex = threading.Lock()
        self._blobs: dict[BlobRef, tuple[bytes, int]] = {}
        self._used_bytes = 0

    @classmethod
    def from_config(cls, config: Config) -> Self:
        grace = config.storage.garbage_grace_s
        return cls(garbage_grace_s=GARBAGE_GRACE_S if grace == "auto" else grace)

    def open(self) -> None:
        """Nothing to make ready."""

    def close(self) -> None:
        """The blobs stay as long as this object does."""

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
        content = blob[0]
        end = len(content) if length is None else start + length
        if not 0 <= start <= end <= len(content):
            raise InternalError(f"blob {ref} has {len(content)} bytes, asked for [{start}, {end})")
        return content[start:end]

    def read_at_once(self, ref: BlobRef, start: int = 0, length: int | None = None) -> Body | None:
        return self.read(ref, start, length) if ref in self._blobs else None

    def delete(self, ref: BlobRef) -> None:
        with self._mutex:
            content, _ = self._blobs.pop(ref, (b"", 0))
            self._used_bytes -= len(content)

    def scan(self, before_ms: int) -> Iterator[BlobInfo]:
        with self._mutex:
            blobs = list(self._blobs.items())
        for ref, (content, modified_ms) in blobs:
            if modified_ms < before_ms:
                yield BlobInfo(ref, len(content), modified_ms)

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

    def keep(self, content: bytes) -> BlobRef:
        ref = BlobRef(secrets.token_hex(16))
        with self._mutex:
            self._blobs[ref] = (content, self._now_ms())
        return ref


class MemoryWriter(BlobWriter):
    def __init__(self, storage: MemoryStorage) -> None:
        self._storage = storage
        self._chunks: list[bytes] = []
        self._size_bytes = 0
        self._is_open = True

    def write(self, chunk: bytes | memoryview) -> None:
        self._require_open()
        self._storage.take(len(chunk))
        self._size_bytes += len(chunk)
        self._chunks.append(bytes(chunk))

    def commit(self) -> BlobRef:
        self._require_open()
        self._is_open = False
        return self._storage.keep(b"".join(self._chunks))

    def discard(self) -> None:
        if self._is_open:
            self._is_open = False
            self._storage.give_back(self._size_bytes)

    def _require_open(self) -> None:
        if not self._is_open:
            raise ValueError("this writer is closed")


def _full() -> SlowDown:
    return SlowDown("The storage is full. Please free space, or try again later.")
