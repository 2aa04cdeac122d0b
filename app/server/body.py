"""A request's body as it comes off the wire: counted, with deadlines, and 100 Continue only when somebody reads."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING

from app.domain.errors import IncompleteBody, RequestTimeout, S3Error
from app.server.chunks import Chunks, Source
from app.server.head import RequestHead
from app.server.limits import WireLimits
from app.server.pace import TooSlow
from app.server.receiver import Disconnected
from app.server.transport import Transport

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PIECE_MAX_BYTES = 1 << 18  # received at a time where a coding is taken off
ROUSE_BYTES = 1 << 18  # fewer, unless they are the last, are not worth a thread's attention
FAST_BYTES = 1 << 16  # a client that sent so much without a pause is given a moment to go on, in the thread
MOMENT_MS = 2

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Wire:
    """`environ["bleepstore.body"]`. `length` is the Content-Length, None where there is none."""

    def __init__(self, transport: Transport, head: RequestHead, limits: WireLimits) -> None:
        self.length = head.content_length
        self.is_chunked = head.is_chunked
        self._source = Source(transport, limits)
        self._transport = transport
        self._limits = limits
        self._rest = head.content_length or 0  # bytes of a sized body that were not received yet
        self._chunks = Chunks(self._source) if head.is_chunked else None
        self._is_plain = not (head.is_chunked or transport.is_secure)
        self._piece = b""  # received and not yet given on, where the body is not plain
        self._waited_s = 0.0  # not yet held against the client
        self._fast_bytes = 0  # since it was last given a moment
        self._failure: S3Error | None = None
        # An empty body is continued too, though it need not be: botocore takes a final answer in its place for the status
        # of the connection's next answers as well, and waits for an end that never comes.
        self.awaits_continue = head.expects_continue and (head.is_chunked or head.content_length is not None)

    @property
    def is_consumed(self) -> bool:
        """Whether all has been received, and given on."""
        if self._piece:
            return False
        return self._chunks.is_done if self._chunks else self._rest == 0

    def receive(self, max_bytes: int) -> bytes:
        """The next bytes, at most `max_bytes`; b"" at the end and only there (I10).

        Waits for the network. An error is final: it comes again. Raises: RequestTimeout, IncompleteBody, BadRequest.
        """
        if self._is_plain and not (self.awaits_continue or self._failure):
            wanted = min(max_bytes, self._rest)
            if not wanted or self._transport.buffered:
                # The end, or what came with the head: nothing that could fail.
                received = self._transport.take(wanted)
                self._rest -= len(received)
                return received
        with self._failing():
            if self.awaits_continue:
                self._send_continue()
            if self._piece:
                return self._take_piece(max_bytes)
            if self.is_consumed:
                return b""
            if self._chunks:
                return self._chunks.receive(max_bytes)
            received = self._source.receive(min(max_bytes, self._rest))
            self._rest -= len(received)
            return received

    # A large body is received in threads, where it is hashed and written too: the hub only waits for it. Not so under a
    # coding that is taken off as bytes come, TLS or chunks: there `wait` receives.

    def wait(self) -> bool:
        """Until `read_into` has something to give; False at the end. On the hub. Raises: as `receive`."""
        with self._failing():
            if self.awaits_continue:
                self._send_continue()
            if self.is_consumed:
                return False
            if not self._is_plain:
                self._piece = self._piece or self.receive(PIECE_MAX_BYTES)
                return bool(self._piece)
            if not self._transport.buffered:
                self._waited_s += self._transport.wait_paced(self._source.pace, min(self._rest, ROUSE_BYTES))
            return True

    def read_into(self, room: memoryview) -> int | None:
        """Put bytes that have come into `room`; None where none are here. In any thread. Raises: as `receive`.

        A client that was fast until now is given a moment to go on.
        """
        if not self._is_plain:
            piece = self._take_piece(len(room))
            room[: len(piece)] = piece
            return len(piece) or None
        if self.is_consumed:
            return None
        with self._failing():
            room = room[: self._rest]
            count = self._transport.take_into(room)
            if count is None and self._is_worth_a_moment():
                count = self._transport.take_into(room)
            return self._note(count)

    def read(self, max_bytes: int) -> bytes:
        """As `read_into`, as bytes; b"" where none are here."""
        if not self._is_plain:
            return self._take_piece(max_bytes)
        if self.is_consumed:
            return b""
        with self._failing():
            max_bytes = min(max_bytes, self._rest)
            received = self._transport.take_arrived(max_bytes)
            if received is None and self._is_worth_a_moment():
                received = self._transport.take_arrived(max_bytes)
            self._note(None if received is None else len(received))
            return received or b""

    def _note(self, count: int | None) -> int | None:
        """Count what has come. Raises: IncompleteBody at the end of input, TooSlow."""
        if count is None:
            return None
        if not count:
            raise IncompleteBody
        self._rest -= count
        self._fast_bytes += count
        waited_s, self._waited_s = self._waited_s, 0.0
        self._source.pace.note(waited_s, count)
        if not self._rest:
            self._transport.rouse_at(1)
        return count

    def _is_worth_a_moment(self) -> bool:
        """Whether the client was fast, and went on within the moment it was given for that."""
        if self._fast_bytes < FAST_BYTES:
            return False
        self._fast_bytes = 0
        return self._transport.linger_for_input(MOMENT_MS)

    def _take_piece(self, max_bytes: int) -> bytes:
        taken, self._piece = self._piece[:max_bytes], self._piece[max_bytes:]
        return taken

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Errors are final, and S3's. What is kept is a copy: an error that was raised holds frames, these the memory that
        was being filled, and this wire, so that nobody but the collector of cycles would give them back.
        """
        if self._failure is not None:
            raise copy(self._failure)
        try:
            yield
        except TooSlow as error:
            self._failure = RequestTimeout()
            raise RequestTimeout from error
        except Disconnected as error:
            self._failure = IncompleteBody()
            raise IncompleteBody from error
        except S3Error as error:
            self._failure = copy(error)
            raise

    def can_be_finished(self, rest_max_bytes: int) -> bool:
        """Whether the next request's place is known: the body was read, or its small rest is here already."""
        if self._failure is not None or self.awaits_continue:
            return False
        if self.is_consumed:
            return True
        return self._chunks is None and self._rest <= rest_max_bytes and self._transport.fill_arrived(self._rest)

    def drop_rest(self) -> None:
        """Forget the rest that `can_be_finished` found."""
        self._transport.take(self._rest)
        self._rest = 0

    def _send_continue(self) -> None:
        self.awaits_continue = False
        # A client that has sent some of its body does not wait for us (RFC 9110 section 10.1.1).
        if self._transport.buffered == 0:
            self._transport.send(_CONTINUE, self._limits.send_pace())


class NoBody:
    """The wire of a request without a body: neither a length nor chunks. One for all, for there is nothing to it."""

    length = None
    is_chunked = False
    is_consumed = True
    awaits_continue = False

    def receive(self, max_bytes: int) -> bytes:
        return b""

    def wait(self) -> bool:
        return False

    def read_into(self, room: memoryview) -> int | None:
        return None

    def read(self, max_bytes: int) -> bytes:
        return b""

    def can_be_finished(self, rest_max_bytes: int) -> bool:
        return True

    def drop_rest(self) -> None:
        return


NO_BODY = NoBody()


class WireFile(io.RawIOBase):
    """`wsgi.input` over a wire, for applications that know nothing of it."""

    def __init__(self, wire: Wire | NoBody) -> None:
        super().__init__()
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        received = self._wire.receive(len(view))
        view[: len(received)] = received
        return len(received)
