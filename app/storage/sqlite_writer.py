"""A blob on its way into the file of `storage.backend: sqlite`: one chunk in memory, the others stored already."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from app.domain.errors import S3Error
from app.domain.types import BlobRef
from app.storage.base import RoomWriter
from app.storage.sqlite_file import CHUNK_BYTES

if TYPE_CHECKING:
    from app.storage.sqlite import SqliteStorage


class SqliteWriter(RoomWriter):
    """Use by one thread at a time."""

    def __init__(self, storage: SqliteStorage, ref: BlobRef) -> None:
        self._storage = storage
        self._ref = ref
        self._blob_id: int | None = None  # known once a chunk is stored
        self._number = 0  # of the chunk in memory
        # Fresh pages of it take memory when they are filled, so a short blob takes little.
        self._buffer: memoryview | None = None
        self._held = 0
        self._is_open = True

    def room(self) -> memoryview:
        self._require_open()
        if self._buffer is None:
            self._buffer = memoryview(bytearray(CHUNK_BYTES))
        return self._buffer[self._held :]

    def wrote(self, count: int) -> None:
        """Raises: SlowDown when the file cannot grow, ServiceUnavailable when the disk fails."""
        self._require_open()
        self._held += count
        if self._held == CHUNK_BYTES and self._buffer is not None:
            self._storage.require_space(CHUNK_BYTES)
            if self._blob_id is None:
                self._blob_id = self._storage.begin(self._ref, self._buffer)
            else:
                self._storage.go_on(self._blob_id, self._number, self._buffer)
            self._number += 1
            self._held = 0

    def commit(self) -> BlobRef:
        self._require_open()
        rest = memoryview(b"") if self._buffer is None else self._buffer[: self._held]
        size_bytes = self._number * CHUNK_BYTES + self._held
        self._storage.require_space(self._held)
        self._storage.finish(self._ref, self._blob_id, self._number, rest, size_bytes)
        self._is_open, self._buffer = False, None
        return self._ref

    def discard(self) -> None:
        if not self._is_open:
            return
        self._is_open, self._buffer = False, None
        if self._blob_id is not None:
            # The error that led here matters more; clean_up takes the chunks when this process is gone.
            with contextlib.suppress(S3Error):
                self._storage.remove(self._blob_id)

    def _require_open(self) -> None:
        if not self._is_open:
            raise ValueError("this writer is closed")
