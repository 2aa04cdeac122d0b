"""Where a body's bytes come from, and the chunked transfer coding taken off them."""

from __future__ import annotations

import re

from app.domain.errors import BadRequest, IncompleteBody
from app.server.head import FIELD_LINE
from app.server.limits import WireLimits
from app.server.pace import Pace
from app.server.transport import Transport

CHUNK_LINE_MAX_BYTES = 1_024
CHUNK_MAX_BYTES = 1 << 50
TRAILERS_MAX_BYTES = 8_190

# Size, then extensions of visible characters. A bare CR or LF in them is where others have been fooled.
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[\t -~\x80-\xff]*)?")
_TRAILER = re.compile(FIELD_LINE)


class Source:
    """Buffered bytes first, then the network's, at the pace that is asked of a body."""

    def __init__(self, transport: Transport, limits: WireLimits) -> None:
        self.transport = transport
        self._limits = limits
        self._pace: Pace | None = None

    @property
    def pace(self) -> Pace:
        """Made when somebody waits: most bodies come with their head."""
        if self._pace is None:
            limits = self._limits
            self._pace = Pace(limits.body_stall_ms, limits.body_window_ms, limits.body_rate_min_bytes_per_s)
        return self._pace

    def receive(self, max_bytes: int) -> bytes:
        """Never b"". Raises: IncompleteBody, TooSlow, Disconnected."""
        transport = self.transport
        if transport.buffered:
            return transport.take(max_bytes)
        received = transport.receive_paced(max_bytes, self.pace)
        if not received:
            raise IncompleteBody
        return received

    def fill(self) -> None:
        """More into the buffer. Raises as `receive`."""
        if not self.transport.fill_paced(self.pace):
            raise IncompleteBody


class Chunks:
    """The chunked transfer coding, decoded strictly (RFC 9112 section 7.1). Trailers are checked and dropped."""

    def __init__(self, source: Source) -> None:
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
