"""A file on its way into local storage.

    bytes   | 1 MiB | 1 MiB | … | pages | rest |
    written   past the page cache         through it, for a file need not end with a page

Bytes that a client has just sent are seldom read soon. Past the cache they cost no copy, no fresh pages and no writeback
that a later fsync of anybody would have to wait for. Where a file system cannot do that, all goes through the cache.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from app.domain.types import BlobRef
from app.storage import local_files
from app.storage.base import RoomWriter
from app.storage.buffers import BUFFER_BYTES

if TYPE_CHECKING:
    from app.storage.local import LocalStorage

ALLOCATE_MIN_BYTES = 4 << 20  # below this, asking for the space beforehand costs more than it saves
PAGE_BYTES = 4_096


class LocalWriter(RoomWriter):
    """One blob on its way. Use by one thread at a time."""

    def __init__(self, storage: LocalStorage, ref: BlobRef, temporary: str, size_hint: int) -> None:
        self._storage = storage
        self._ref = ref
        self._temporary = temporary
        self._size_bytes = 0  # in the file
        self._allocated_bytes = 0
        self._is_done = False
        self._buffer: memoryview | None = None
        self._held = 0  # bytes in the buffer, behind those in the file
        self._odd = b""  # … or here, while there is no buffer: less than a page
        self._fd = local_files.create(temporary)
        self._is_direct = storage.writes_directly and self._go_direct()
        if size_hint >= ALLOCATE_MIN_BYTES:
            self._allocate(size_hint)

    def room(self) -> memoryview:
        self._open_fd()
        buffer = self._buffer
        if buffer is None:
            buffer = self._buffer = self._storage.buffers.take()
            self._held = len(self._odd)
            buffer[: self._held] = self._odd
            self._odd = b""
        return buffer[self._held :]

    def wrote(self, count: int) -> None:
        """Raises: SlowDown when the disk is full, ServiceUnavailable when it fails."""
        self._held += count
        if self._held == BUFFER_BYTES:
            self._flush(self._held)

    def pause(self) -> None:
        """Raises: SlowDown when the disk is full, ServiceUnavailable when it fails."""
        buffer = self._buffer
        if buffer is None or (self._held and not self._storage.buffers.are_scarce):
            return
        self._flush(self._held - self._held % PAGE_BYTES)
        self._odd = bytes(buffer[: self._held])
        self._give_back()

    def commit(self) -> BlobRef:
        fd = self._open_fd()
        with local_files.answering():
            self._write_rest(fd)
            if self._allocated_bytes > self._size_bytes:
                os.ftruncate(fd, self._size_bytes)
            os.fsync(fd)  # never tried again: after a failed one the kernel forgets what was dirty
            self._close()
            self._storage.move_in(self._temporary, self._ref)
        self._is_done = True
        return self._ref

    def discard(self) -> None:
        if self._is_done:
            return
        self._is_done = True
        buffer, self._buffer = self._buffer, None
        if buffer is not None:
            # Not given back: the thread that was filling it may not know yet.
            self._storage.buffers.lose(buffer)
        try:
            self._close()
            os.unlink(self._temporary)
        except OSError:
            pass  # the error that led here matters more; clean_up takes the file when this process is gone

    # -- the buffer ----------------------------------------------------------------------------------------------

    def _flush(self, count: int) -> None:
        """Write the first `count` bytes held, whole pages, and move the others, less than a page, to the front."""
        buffer, fd = self._buffer, self._open_fd()
        if buffer is None or not count:
            return
        with local_files.answering():
            if self._size_bytes + count > self._allocated_bytes:
                self._storage.require_space(0)
            self._write_all(fd, buffer[:count])
        rest = self._held - count
        buffer[:rest] = buffer[count : self._held]
        self._held = rest

    def _write_rest(self, fd: int) -> None:
        self._flush(self._held - self._held % PAGE_BYTES)
        rest = self._odd if self._buffer is None else self._buffer[: self._held]
        if rest:
            self._storage.require_space(0)
            if self._is_direct:
                self._through_the_cache(fd)
            self._write_all(fd, rest)
        self._give_back()

    def _write_all(self, fd: int, left: bytes | memoryview) -> None:
        left = memoryview(left)
        while left:
            try:
                written = os.write(fd, left)
            except OSError as error:
                if not self._is_direct or error.errno not in local_files.NOT_DIRECT:
                    raise
                self._give_up_direct(fd)
                continue
            self._size_bytes += written
            left = left[written:]

    def _give_back(self) -> None:
        buffer, self._buffer, self._held = self._buffer, None, 0
        if buffer is not None:
            self._storage.buffers.give_back(buffer)

    # -- the file ------------------------------------------------------------------------------------------------

    def _go_direct(self) -> bool:
        try:
            local_files.set_direct(self._fd, is_direct=True)
        except OSError:
            self._storage.writes_directly = False
        return self._storage.writes_directly

    def _give_up_direct(self, fd: int) -> None:
        """Direct I/O was refused. For this file, and where it was the first write, for all that follow."""
        if not self._size_bytes:
            self._storage.writes_directly = False
        self._through_the_cache(fd)

    def _through_the_cache(self, fd: int) -> None:
        self._is_direct = False
        local_files.set_direct(fd, is_direct=False)

    def _allocate(self, size_hint: int) -> None:
        try:
            self._allocated_bytes = local_files.allocate(self._fd, size_hint)
        except BaseException:
            self.discard()
            raise

    def _open_fd(self) -> int:
        if self._fd < 0:
            raise ValueError("this writer is closed")
        return self._fd

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
