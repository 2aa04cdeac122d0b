"""A request's body as it comes off the wire: counted, with deadlines, and 100 Continue only when somebody reads."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from app.domain.errors import BadRequest, IncompleteBody, RequestTimeout, S3Error
from app.server.head import FIELD_LINE, RequestHead
from app.server.limits import WireLimits
from app.server.pace import Pace, TooSlow
from app.server.transport import Disconnected, Transport

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CHUNK_LINE_MAX_BYTES = 1_024
CHUNK_MAX_BYTES = 1 << 50
TRAILERS_MAX_BYTES = 8_190

# Size, then extensions of visible characters. A bare CR or LF in them is where others have been fooled.
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[\t -~\x80-\xff]*)?")
_TRAILER = re.compile(FIELD_LINE)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Wire:
    """`environ["bleepstore.body"]`. `length` is the Content-Length, None where there is none."""

    def __init__(self, transport: Transport, head: RequestHead, limits: WireLimits) -> None:
        self.length = head.content_length
        self.is_chunked = head.is_chunked
        self._source = _Source(transport, limits)
        self._transport = transport
        self._limits = limits
        self._rest = head.content_length or 0  # bytes of a sized body that were not received yet
        self._chunks = _Chunks(self._source) if head.is_chunked else None
        self._failure: S3Error | None = None
        # An empty body is continued too, though it need not be: botocore takes a final answer in its place for the status
        # of the connection's next answers as well, and waits for an end that never comes.
        self.awaits_continue = head.expects_continue and (head.is_chunked or head.content_length is not None)

    @property
    def is_consumed(self) -> bool:
        return self._chunks.is_done if self._chunks else self._rest == 0

    def receive(self, max_bytes: int) -> bytes:
        """The next bytes, at most `max_bytes`; b"" at the end and only there (I10).

        Waits for the network. An error is final: it comes again. Raises: RequestTimeout, IncompleteBody, BadRequest.
        """
        if self._failure is not None:
            raise self._failure
        try:
            if self.awaits_continue:
                self._send_continue()
            if self.is_consumed:
                return b""
            if self._chunks:
                return self._chunks.receive(max_bytes)
            received = self._source.receive(min(max_bytes, self._rest))
        except TooSlow as error:
            self._failure = RequestTimeout()
            raise self._failure from error
        except Disconnected as error:
            self._failure = IncompleteBody()
            raise self._failure from error
        except S3Error as error:
            self._failure = error
            raise
        self._rest -= len(received)
        return received

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

    def can_be_finished(self, rest_max_bytes: int) -> bool:
        return True

    def drop_rest(self) -> None:
        return


NO_BODY = NoBody()


class _Source:
    """Buffered bytes first, then the network's, at the pace that is asked of a body."""

    def __init__(self, transport: Transport, limits: WireLimits) -> None:
        self.transport = transport
        self._pace = Pace(limits.body_stall_ms, limits.body_window_ms, limits.body_rate_min_bytes_per_s)

    def receive(self, max_bytes: int) -> bytes:
        """Never b"". Raises: IncompleteBody, TooSlow, Disconnected."""
        transport = self.transport
        if transport.buffered:
            return transport.take(max_bytes)
        received = transport.receive_paced(max_bytes, self._pace)
        if not received:
            raise IncompleteBody
        return received

    def fill(self) -> None:
        """More into the buffer. Raises as `receive`."""
        if not self.transport.fill_paced(self._pace):
            raise IncompleteBody


class _Chunks:
    """The chunked transfer coding, decoded strictly (RFC 9112 section 7.1). Trailers are checked and dropped."""

    def __init__(self, source: _Source) -> None:
        self._source = source
        self._rest = 0  # of the chunk's bytes
        self._is_inside = False  # a chunk has begun: behind its bytes comes CR LF
        self.is_done = False

    def receive(self, max_bytes: int) -> bytes:
        """At least one byte, or b"" at the end. What is buffered is joined, so tiny chunks do not make tiny pieces."""
        transport = self._source.transport
        pieces: list[bytes] = []
        room = max_bytes
        while room and not self.is_done:
            if self._rest == 0 and not self._next_chunk(may_wait=not pieces):
                break
            if self._rest and pieces and transport.buffered == 0:
                break
            piece = self._source.receive(min(room, self._rest)) if self._rest else b""
            self._rest -= len(piece)
            room -= len(piece)
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _next_chunk(self, *, may_wait: bool) -> bool:
        """Read up to the next chunk's first byte, or through the trailers; False when that would mean waiting."""
        if self._is_inside:
            end = self._line(0, may_wait=may_wait)
            if end is None:
                return False
            self._is_inside = False
        line = self._line(CHUNK_LINE_MAX_BYTES, may_wait=may_wait)
        if line is None:
            return False
        match = _CHUNK_LINE.fullmatch(line)
        if match is None:
            raise BadRequest("A chunk's size line is malformed.")
        self._rest = int(match[1], 16)
        if self._rest > CHUNK_MAX_BYTES:
            raise BadRequest("A chunk is larger than any object.")
        if self._rest == 0:
            self._read_trailers()
            self.is_done = True
        else:
            self._is_inside = True
        return True

    def _read_trailers(self) -> None:
        left = TRAILERS_MAX_BYTES
        while line := self._line(left, may_wait=True):
            if not _TRAILER.fullmatch(line):
                raise BadRequest("A trailer line is malformed.")
            left -= len(line)

    def _line(self, max_bytes: int, *, may_wait: bool) -> bytes | None:
        """The next line; None where it is not here and may not be waited for."""
        while True:
            try:
                line = self._source.transport.take_line(max_bytes)
            except ValueError:
                raise BadRequest("The chunked framing is broken.") from None
            if line is not None or not may_wait:
                return line
            self._source.fill()


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
