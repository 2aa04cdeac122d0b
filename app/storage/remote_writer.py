"""A blob on its way to a storage service, through memory that others may need (see remote_memory).

    | PART_BYTES | 64 KiB |             the buffer; when it is full there is more than one part, and the first is sent
                                        by a thread of its own while the next buffer fills
    a file | a file | … | 256 KiB |     the same once there was no memory, or somebody else needed it: a part to a file;
                                        each goes up from memory when there is some

What ends within the buffer goes up in one request, so that small blobs cost one, and a blob of exactly a part too.
"""

from __future__ import annotations

import threading

from app.domain.types import BlobRef
from app.storage.base import ROOM_BYTES, RoomWriter
from app.storage.remote_calls import Calls
from app.storage.remote_memory import CAPACITY_BYTES, PART_BYTES, PartMemory, mapped
from app.storage.remote_sender import Sender
from app.storage.remote_spill import SpilledParts, answering
from app.storage.remote_upstream import Upstream

GROWTH = 4
HINT_SLACK_BYTES = 4_096  # a caller asks for room once more before it learns that the body has ended
SPILLED_MAX = 4  # parts in files; then a client waits until one has gone up


class RemoteWriter(RoomWriter):
    """Use by one thread at a time, which need not be the same; `spill` alone is for everybody."""

    def __init__(
        self, calls: Calls, upstream: Upstream, memory: PartMemory, ref: BlobRef, name: str, size_hint: int | None
    ) -> None:
        """Raises: EntityTooLarge."""
        self._sender = Sender(calls, upstream, name)
        self._memory = memory
        self._ref = ref
        self._size_hint = size_hint
        self._is_open = True
        self._buffer: memoryview | None = None
        self._is_lent = False  # the buffer, by `memory`
        self._held = 0  # bytes in the buffer …
        self._spilled: SpilledParts | None = None  # … behind those that are here
        self._lock = threading.Lock()  # held while somebody else moves the bytes out of memory
        self._rests = False
        self._sender.require_size(size_hint or 0)

    # -- taking bytes --------------------------------------------------------------------------------------------

    def room(self) -> memoryview:
        """Raises: SlowDown, ServiceUnavailable, InternalError, EntityTooLarge. What it gave before stays as it is unless it was filled to its end."""
        self._require_open()
        self._wake()
        if self._buffer is None:
            self._take_first_buffer()
        elif self._held == len(self._buffer):
            self._make_room(self._buffer)
        buffer = self._buffer
        assert buffer is not None, "there is one now"
        return buffer[self._held :]

    def wrote(self, count: int) -> None:
        self._require_open()
        self._held += count  # a full buffer is dealt with when more is to come: others may still look at it

    def pause(self) -> None:
        """Raises: SlowDown."""
        if self._buffer is None or not self._is_open:
            return
        if self._spilled is not None:
            self._to_file(self._spilled)
            self._drop_buffer()
        elif not self._held:
            self._drop_buffer()
        else:
            self._rests = True
            self._memory.rest(self)

    # -- the end -------------------------------------------------------------------------------------------------

    def commit(self) -> BlobRef:
        """Raises: as `room`; the outcome may be unknown then, and the sweep finds what is there."""
        self._require_open()
        self._wake()
        self._is_open = False
        if self._spilled is not None:
            self._commit_files(self._spilled)
        elif self._sender.has_begun:
            self._commit_parts()
        else:
            self._sender.put(memoryview(b"") if self._buffer is None else self._buffer[: self._held])
        self._drop_buffer()
        return self._ref

    def discard(self) -> None:
        """Waits for parts that are being sent, if there are any."""
        self._wake()
        self._is_open = False
        self._sender.discard()
        buffer, self._buffer = self._buffer, None
        if buffer is not None and self._is_lent:
            self._memory.lose(buffer)  # the thread that was filling it may not know yet
        spilled, self._spilled = self._spilled, None
        if spilled is not None:
            spilled.close()

    def _commit_parts(self) -> None:
        """What is held behind the parts that were sent: 64 KiB at least."""
        buffer, at = self._buffer, 0
        assert buffer is not None, "the rest of the last full one"
        while at < self._held:
            count = min(PART_BYTES, self._held - at)
            self._sender.wait_for_a_turn()
            self._sender.send(buffer[at : at + count], is_last=at + count == self._held)
            at += count
        self._sender.complete()

    def _commit_files(self, spilled: SpilledParts) -> None:
        self._to_file(spilled)
        self._drop_buffer()
        if not spilled:
            self._sender.put(memoryview(b""))
            return
        while spilled:
            is_last = len(spilled) == 1
            buffer = self._buffer = self._memory.take(spilled.first_bytes)
            self._is_lent = True
            with answering():
                part = spilled.take_first(buffer)
            if is_last and not self._sender.has_begun:
                self._sender.put(part)
                return
            self._sender.begin()
            self._sender.wait_for_a_turn()
            self._sender.send(part, is_last=is_last)
            self._drop_buffer()
        self._sender.complete()

    # -- memory --------------------------------------------------------------------------------------------------

    def _take_first_buffer(self) -> None:
        """Waits for little only: who wants much and finds none begins with a file."""
        if self._spilled is not None:
            self._take_small_buffer()
            return
        wanted = ROOM_BYTES if self._size_hint is None else self._size_hint + HINT_SLACK_BYTES
        size_bytes = min(wanted, CAPACITY_BYTES)
        buffer = self._memory.take_at_once(size_bytes)
        if buffer is None and size_bytes > ROOM_BYTES + HINT_SLACK_BYTES:
            self._spilled = SpilledParts()
            self._take_small_buffer()
        else:
            self._buffer, self._is_lent = buffer or self._memory.take(size_bytes), True

    def _make_room(self, buffer: memoryview) -> None:
        """A buffer with room in it, after this one was filled to its end."""
        if self._spilled is not None:
            self._to_file(self._spilled)
            self._send_from_files(self._spilled)
        elif len(buffer) == CAPACITY_BYTES:
            self._send_first(buffer)
        else:
            self._grow(buffer)

    def _send_first(self, buffer: memoryview) -> None:
        """Send the first part of a full buffer. What is behind it is at the front of one then."""
        self._sender.begin()
        self._sender.wait_for_a_turn()
        rest = self._held - PART_BYTES
        following = self._memory.take_at_once(CAPACITY_BYTES)
        if following is None:
            self._sender.send(buffer[:PART_BYTES])
            buffer[:rest] = buffer[PART_BYTES : self._held]
        else:
            following[:rest] = buffer[PART_BYTES : self._held]
            self._buffer = following
            self._sender.send_beside(buffer[:PART_BYTES], lambda: self._memory.give_back(buffer))
        self._held = rest

    def _grow(self, buffer: memoryview) -> None:
        """Never waits: whoever holds memory and waits for more could wait for his like."""
        larger = self._memory.take_at_once(min(max(len(buffer) * GROWTH, ROOM_BYTES), CAPACITY_BYTES))
        if larger is None:
            with answering():
                self._move_out(buffer)
            self._take_small_buffer()
        else:
            larger[: self._held] = buffer[: self._held]
            self._buffer = larger
            self._memory.give_back(buffer)

    def _drop_buffer(self) -> None:
        """What it holds is elsewhere."""
        buffer, self._buffer, self._held = self._buffer, None, 0
        if buffer is not None and self._is_lent:
            self._memory.give_back(buffer)

    # -- files ---------------------------------------------------------------------------------------------------

    def spill(self) -> None:
        """Put what is held into files and give the memory back, unless this writer works again. Raises: OSError."""
        with self._lock:
            if self._rests and self._buffer is not None:
                self._rests = False
                self._move_out(self._buffer)

    def _move_out(self, buffer: memoryview) -> None:
        spilled = SpilledParts()
        try:
            spilled.append(buffer[: self._held])
        except BaseException:
            spilled.close()
            raise
        self._drop_buffer()
        self._spilled = spilled

    def _take_small_buffer(self) -> None:
        """Not counted, for it is given up at the next pause."""
        self._buffer, self._is_lent, self._held = mapped(ROOM_BYTES), False, 0

    def _to_file(self, spilled: SpilledParts) -> None:
        """Raises: SlowDown."""
        if self._buffer is not None:
            with answering():
                spilled.append(self._buffer[: self._held])
            self._held = 0

    def _send_from_files(self, spilled: SpilledParts) -> None:
        """Send parts behind which there is another: those for which there is memory, and more only where too many wait."""
        while len(spilled) > 1:
            must_wait = len(spilled) > SPILLED_MAX
            if must_wait:
                self._sender.wait_for_a_turn()
            elif not self._sender.has_a_turn:
                return
            buffer = self._memory.take(CAPACITY_BYTES) if must_wait else self._memory.take_at_once(CAPACITY_BYTES)
            if buffer is None:
                return
            self._send_beside(spilled, buffer)

    def _send_beside(self, spilled: SpilledParts, buffer: memoryview) -> None:
        try:
            self._sender.begin()
            self._sender.wait_for_a_turn()
            with answering():
                part = spilled.take_first(buffer)
        except BaseException:
            self._memory.give_back(buffer)
            raise
        self._sender.send_beside(part, lambda: self._memory.give_back(buffer))

    # -- whoever uses it -----------------------------------------------------------------------------------------

    def _wake(self) -> None:
        with self._lock:  # whoever is moving our bytes out does it to the end
            if self._rests:
                self._rests = False
                self._memory.wake(self)

    def _require_open(self) -> None:
        if not self._is_open:
            raise ValueError("this writer is closed")
