"""A blob on its way to a storage service, through memory that others may need (see remote_memory).

    | PART_BYTES | 64 KiB |      the buffer; when it is full there is more than one part, and the first is sent
                                 by a thread of its own while the next buffer fills
    a file | 256 KiB |           the same after somebody else needed the memory

What ends within the buffer goes up in one request, so that small blobs cost one, and a blob of exactly a part too.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from app.domain.errors import EntityTooLarge, S3Error
from app.domain.types import BlobRef
from app.storage.base import ROOM_BYTES, BlobWriter
from app.storage.remote_calls import Calls
from app.storage.remote_memory import CAPACITY_BYTES, PART_BYTES, PartMemory
from app.storage.remote_spill import Flight, SpillFile, answering
from app.storage.remote_upstream import Upload, Upstream

GROWTH = 4
HINT_SLACK_BYTES = 4_096  # a caller asks for room once more before it learns that the body has ended
ABORT_ATTEMPTS_MAX = 2  # what stays is found by clean_up


class RemoteWriter(BlobWriter):
    """Use by one thread at a time, which need not be the same; `spill` alone is for everybody."""

    def __init__(
        self, calls: Calls, upstream: Upstream, memory: PartMemory, ref: BlobRef, name: str, size_hint: int | None
    ) -> None:
        """Raises: EntityTooLarge."""
        self._calls = calls
        self._upstream = upstream
        self._memory = memory
        self._ref = ref
        self._name = name  # of the object upstream
        self._size_hint = size_hint
        self._is_open = True
        self._is_given_up = False
        self._buffer: memoryview | None = None
        self._held = 0  # bytes in the buffer …
        self._file: SpillFile | None = None  # … behind those that are here
        self._sent_bytes = 0
        self._parts = 0
        self._upload: Upload | None = None  # begun, and neither complete nor aborted
        self._flights: deque[Flight] = deque()
        self._lock = threading.Lock()  # held while somebody else moves the bytes out of memory
        self._rests = False
        self._require_size(size_hint or 0)

    # -- taking bytes --------------------------------------------------------------------------------------------

    def write(self, chunk: bytes | memoryview) -> None:
        """Raises: SlowDown, ServiceUnavailable, InternalError, EntityTooLarge."""
        left = memoryview(chunk)
        while left:
            room = self.room()
            count = min(len(room), len(left))
            room[:count] = left[:count]
            self.wrote(count)
            left = left[count:]

    def room(self) -> memoryview:
        """Raises: as `write`. What it gave before stays as it is unless it was filled to its end."""
        self._require_open()
        self._wake()
        buffer = self._buffer
        if buffer is None:
            buffer = self._buffer = self._first_buffer()
        elif self._held == len(buffer):
            buffer = self._buffer = self._make_room(buffer)
        return buffer[self._held :]

    def wrote(self, count: int) -> None:
        self._require_open()
        self._held += count  # a full buffer is dealt with when more is to come: others may still look at it

    def pause(self) -> None:
        """Raises: SlowDown."""
        if self._buffer is None or not self._is_open:
            return
        if not self._held:
            self._drop_buffer()
        elif self._file is not None:
            self._to_file(self._file)
        else:
            self._rests = True
            self._memory.rest(self)

    # -- the end -------------------------------------------------------------------------------------------------

    def commit(self) -> BlobRef:
        """Raises: as `write`; the outcome may be unknown then, and the sweep finds what is there."""
        self._require_open()
        self._wake()
        self._is_open = False
        if self._file is not None:
            self._from_file(self._file)
        if self._upload is None:
            content = memoryview(b"") if self._buffer is None else self._buffer[: self._held]
            self._calls.run("put", self._upstream.put, self._name, content)
        else:
            self._finish(self._upload)
        self._upload = None
        self._drop_buffer()
        return self._ref

    def discard(self) -> None:
        """Waits for the attempts that are under way, if there are any: what came after the abort would stay."""
        self._wake()
        self._is_open, self._is_given_up = False, True
        while self._flights:
            self._flights.popleft().end()
        upload, self._upload = self._upload, None
        if upload is not None:
            try:
                self._calls.run("abort", upload.abort, attempts_max=ABORT_ATTEMPTS_MAX)
            except S3Error:
                pass  # the error that led here matters more; clean_up aborts it later
        buffer, self._buffer = self._buffer, None
        file, self._file = self._file, None
        if file is not None:
            file.close()
        elif buffer is not None:
            self._memory.lose(buffer)  # the thread that was filling it may not know yet

    # -- parts ---------------------------------------------------------------------------------------------------

    def _finish(self, upload: Upload) -> None:
        """Send what is held, at least a byte, and complete."""
        buffer, at = self._buffer, 0
        assert buffer is not None, "the bytes behind a part that was sent"
        self._land(0)
        while at < self._held:
            count = min(PART_BYTES, self._held - at)
            self._next_part(upload, buffer[at : at + count], is_last=at + count == self._held)()
            at += count
        self._calls.run("complete", upload.complete, self._sent_bytes)

    def _send_first(self, buffer: memoryview) -> memoryview:
        """Send the first part of a full buffer. Gives the next one, the rest at its front."""
        self._land(self._upstream.flights_max - 1)
        send = self._next_part(self._upload or self._begin(), buffer[:PART_BYTES])
        rest = self._held - PART_BYTES
        following = self._memory.take_at_once(CAPACITY_BYTES)
        if following is None:
            send()
            following = buffer
        following[:rest] = buffer[PART_BYTES : self._held]
        self._held = rest
        if following is not buffer:
            self._buffer = following
            self._flights.append(Flight(send, lambda: self._memory.give_back(buffer)))
        return following

    def _next_part(self, upload: Upload, content: memoryview, *, is_last: bool = False) -> Callable[[], None]:
        """What sends it, from any thread. Raises: EntityTooLarge."""
        self._require_size(self._sent_bytes + len(content))
        self._sent_bytes += len(content)
        self._parts += 1
        number = self._parts

        def attempt() -> None:
            if self._is_given_up:
                raise ValueError("this writer is closed")
            upload.put_part(number, content, is_last)

        return lambda: self._calls.run("put_part", attempt)

    def _begin(self) -> Upload:
        self._upload = self._calls.run("begin", self._upstream.begin, self._name)
        return self._upload

    def _land(self, flights_max: int) -> None:
        """Wait until no more parts than these are on their way. Raises: the error of one that failed."""
        while len(self._flights) > flights_max:
            error = self._flights.popleft().end()
            if error is not None:
                raise error

    def _require_size(self, size_bytes: int) -> None:
        limit_bytes = self._upstream.parts_max * PART_BYTES
        if size_bytes > limit_bytes:
            raise EntityTooLarge(ProposedSize=str(size_bytes), MaxSizeAllowed=str(limit_bytes))

    # -- the buffer ----------------------------------------------------------------------------------------------

    def _first_buffer(self) -> memoryview:
        if self._file is not None:
            return _small_room(self._file)
        left_bytes = (self._size_hint or 0) - self._sent_bytes
        wanted = ROOM_BYTES if self._size_hint is None else left_bytes + HINT_SLACK_BYTES
        return self._memory.take(min(max(wanted, HINT_SLACK_BYTES), CAPACITY_BYTES))

    def _make_room(self, buffer: memoryview) -> memoryview:
        """A buffer with room in it, after this one was filled to its end."""
        if self._file is not None:
            self._to_file(self._file)
            if self._file.size_bytes < CAPACITY_BYTES:
                return _small_room(self._file)
            buffer = self._from_file(self._file)
        if len(buffer) == CAPACITY_BYTES:
            return self._send_first(buffer)
        return self._grow(buffer)

    def _grow(self, buffer: memoryview) -> memoryview:
        """Never waits: whoever holds memory and waits for more could wait for his like."""
        larger = self._memory.take_at_once(min(max(len(buffer) * GROWTH, ROOM_BYTES), CAPACITY_BYTES))
        if larger is None:
            with answering():
                self._move_out()
            assert self._file is not None, "the bytes have gone there"
            return _small_room(self._file)
        larger[: self._held] = buffer[: self._held]
        self._memory.give_back(buffer)
        return larger

    def _drop_buffer(self) -> None:
        """What it holds is elsewhere."""
        buffer, self._buffer, self._held = self._buffer, None, 0
        if buffer is not None and self._file is None:
            self._memory.give_back(buffer)

    # -- the file ------------------------------------------------------------------------------------------------

    def spill(self) -> None:
        """Put what is held into a file and give the memory back, unless this writer works again. Raises: OSError."""
        with self._lock:
            if self._rests:
                self._rests = False
                self._move_out()

    def _move_out(self) -> None:
        buffer = self._buffer
        assert buffer is not None, "what rests or grows has a buffer"
        file = SpillFile()
        try:
            file.append(buffer[: self._held])
        except BaseException:
            file.close()
            raise
        self._drop_buffer()
        self._file = file

    def _to_file(self, file: SpillFile) -> None:
        """Bytes that came after the others had gone there. Raises: SlowDown."""
        if self._buffer is not None:
            with answering():
                file.append(self._buffer[: self._held])
            self._buffer, self._held = None, 0

    def _from_file(self, file: SpillFile) -> memoryview:
        """All of the part in memory again. Raises: SlowDown."""
        self._to_file(file)
        buffer = self._memory.take(CAPACITY_BYTES)
        self._file, self._buffer, self._held = None, buffer, file.size_bytes
        try:
            with answering():
                file.read_into(buffer)
        finally:
            file.close()
        return buffer

    def _wake(self) -> None:
        with self._lock:  # whoever is moving our bytes out does it to the end
            if self._rests:
                self._rests = False
                self._memory.wake(self)

    def _require_open(self) -> None:
        if not self._is_open:
            raise ValueError("this writer is closed")


def _small_room(file: SpillFile) -> memoryview:
    """Never more than what the part still takes; not counted, for it is given up at the next pause."""
    return memoryview(bytearray(min(ROOM_BYTES, CAPACITY_BYTES - file.size_bytes)))
