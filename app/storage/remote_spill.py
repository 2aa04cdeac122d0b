"""What a writer to a storage service does beside receiving: bytes that wait in a file, a part that is being sent."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.domain.errors import SlowDown


class SpillFile:
    """Bytes of one part in a file without a name: it is gone with its descriptor."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed by `close`

    def append(self, content: memoryview) -> None:
        """Raises: OSError; what is counted is there."""
        while content:
            written = os.pwrite(self._file.fileno(), content, self.size_bytes)
            self.size_bytes += written
            content = content[written:]

    def read_into(self, buffer: memoryview) -> None:
        """All of it, to the buffer's beginning. Raises: OSError."""
        at = 0
        while at < self.size_bytes:
            count = os.preadv(self._file.fileno(), [buffer[at : self.size_bytes]], at)
            if not count:
                raise OSError("a temporary file became shorter")
            at += count

    def close(self) -> None:
        self._file.close()


class Flight:
    """One part on its way, in a thread of its own. `after` is called when it has ended, however it ended."""

    def __init__(self, send: Callable[[], None], after: Callable[[], None]) -> None:
        self._send = send
        self._after = after
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="part", daemon=True)
        self._thread.start()

    def end(self) -> Exception | None:
        """Wait for it; its error."""
        self._thread.join()
        return self._error

    def _run(self) -> None:
        try:
            self._send()
        except Exception as error:
            self._error = error
        finally:
            self._after()


@contextmanager
def answering() -> Iterator[None]:
    """Failures of the file that stands in for memory. Raises: SlowDown."""
    try:
        yield
    except OSError as error:
        raise SlowDown("There is no room for what waits to be stored. Please reduce your request rate.") from error
