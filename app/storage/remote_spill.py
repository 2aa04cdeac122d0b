"""Bytes that wait in files for their turn to go to a storage service, because their memory went to others."""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from app.domain.errors import SlowDown
from app.storage.remote_memory import PART_BYTES


class SpilledParts:
    """Bytes in order, a part to a file. The files have no names: they are gone with their descriptors."""

    def __init__(self) -> None:
        self._files: deque[int] = deque()
        self._last_bytes = PART_BYTES  # of the last file; every other is whole

    def __len__(self) -> int:
        return len(self._files)

    def append(self, content: memoryview) -> None:
        """Raises: OSError; how much of it is there then is not said."""
        while content:
            if self._last_bytes == PART_BYTES:
                self._files.append(_nameless_file())
                self._last_bytes = 0
            written = os.pwrite(self._files[-1], content[: PART_BYTES - self._last_bytes], self._last_bytes)
            self._last_bytes += written
            content = content[written:]

    @property
    def first_bytes(self) -> int:
        return self._last_bytes if len(self._files) == 1 else PART_BYTES

    def take_first(self, buffer: memoryview) -> memoryview:
        """The first part, at the front of the buffer. Raises: OSError."""
        size_bytes, at = self.first_bytes, 0
        file = self._files.popleft()
        try:
            while at < size_bytes:
                count = os.preadv(file, [buffer[at:size_bytes]], at)
                if not count:
                    raise OSError("a temporary file became shorter")
                at += count
        finally:
            os.close(file)
        return buffer[:size_bytes]

    def close(self) -> None:
        while self._files:
            os.close(self._files.popleft())


def _nameless_file() -> int:
    with tempfile.TemporaryFile(buffering=0) as file:
        return os.dup(file.fileno())


@contextmanager
def answering() -> Iterator[None]:
    """Failures of the files that stand in for memory. Raises: SlowDown."""
    try:
        yield
    except OSError as error:
        raise SlowDown("There is no room for what waits to be stored. Please reduce your request rate.") from error
