"""One response: the application's headers, one Date, one Server, honest framing, and the body by the shortest way.

A body that turns out shorter or longer than was said, or fails on the way, ends the connection: a short body is the only
honest signal once the headers are out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from email.utils import formatdate
from functools import lru_cache
from time import time
from types import TracebackType
from typing import Any

from app.domain.types import FileSpan
from app.s3.outcome import Repeat
from app.s3.sending import SentBody
from app.server.body import NoBody, Wire
from app.server.head import RequestHead
from app.server.limits import WireLimits
from app.server.pace import Pace
from app.server.refusals import SERVER_NAME
from app.server.transport import Transport

JOIN_MAX_BYTES = 1 << 16  # copying so much costs less than another system call
COPY_MAX_BYTES = 1 << 13  # … and so much less than a call that gathers

ExcInfo = tuple[type[BaseException], BaseException, TracebackType]

_log = logging.getLogger("bleepstore.server")

# The server's own to say: framing and identity (RFC 9110 section 7.6.1, PEP 3333 "hop-by-hop").
_OURS = frozenset({"date", "server", "connection", "keep-alive", "transfer-encoding"})


class BadResponse(Exception):
    """The application broke WSGI's rules or tried to send a header that would split the response."""


class Response:
    """`is_begun`: bytes have gone out, so no other answer is possible. `keeps_alive` is decided when the head is made."""

    __slots__ = (
        "_declared",
        "_headers",
        "_is_chunked",
        "_left",
        "_limits",
        "_pace",
        "_request",
        "_status",
        "_transport",
        "_wire",
        "is_begun",
        "keeps_alive",
    )

    def __init__(self, transport: Transport, head: RequestHead, wire: Wire | NoBody, limits: WireLimits) -> None:
        self._transport = transport
        self._request = head
        self._wire = wire
        self._limits = limits
        self._pace: Pace | None = None
        self._status = ""
        self._headers: Sequence[tuple[str, str]] = ()
        self._declared: int | None = None  # the application's Content-Length
        self._is_chunked = False
        self._left: int | None = None  # bytes that the Content-Length still allows
        self.is_begun = False
        self.keeps_alive = False

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        """PEP 3333. Nothing is sent before the first piece of the body is there."""
        if exc_info is not None and self.is_begun:
            raise exc_info[1].with_traceback(exc_info[2])
        if exc_info is None and self._status:
            raise BadResponse("start_response was called twice")
        self._status = status
        self._headers = headers
        return self._write_piece

    def send(self, body: Iterable[bytes], *, may_keep: bool) -> bool:
        """Send everything; whether the connection may serve another request.

        Raises: TooSlow, Disconnected, and whatever the body raises.
        """
        if not self._status:
            raise BadResponse("start_response was not called")
        if not self.is_begun:
            self.keeps_alive = (
                may_keep and self._request.keeps_alive and self._wire.can_be_finished(self._limits.rest_max_bytes)
            )
        if isinstance(body, SentBody) and body.whole is not None:
            self._send_whole(body, body.whole)
            return self.keeps_alive
        span: FileSpan | None = getattr(body, "span", None)
        if self._is_bodiless():
            self._begin(self._make_head(None, has_body=False))
        elif span is not None and not self._transport.is_secure:
            self._send_span(span, body)
        else:
            self._send_pieces(body)
        return self.keeps_alive and not self._left

    # -- the body ------------------------------------------------------------------------------------------------

    def _send_whole(self, body: SentBody, whole: bytes) -> None:
        """An answer of our own that is here as a whole."""
        if self._is_bodiless():
            head = self._make_own_head()
            body.begin(0)
            self._begin(head)
            return
        if len(whole) != body.length:
            _log.error("response.length_wrong", extra={"declared_bytes": body.length, "sent_bytes": len(whole)})
            self.keeps_alive = False
            whole = whole[: body.length]
        head = self._make_own_head()
        body.begin(len(whole))
        if len(whole) <= COPY_MAX_BYTES:
            self._begin(head + whole)
        else:
            self._begin_gathered(head, whole)
        body.sent = len(whole)

    def _send_span(self, span: FileSpan, body: Any) -> None:
        """`body.sent` is kept up while sending."""
        head = self._make_head(span.length)
        declared = self._declared
        if isinstance(body, SentBody):
            body.begin(None)
        self._begin(head, more=span.length > 0)
        end = span.length if declared is None else min(span.length, declared)
        while body.sent < end:
            sent = self._transport.send_file_some(span.fd, span.offset + body.sent, end - body.sent, self._paced())
            if sent == 0:
                break
            body.sent += sent
        self._left = (span.length if declared is None else declared) - body.sent
        if self._left or span.length > end:
            _log.error(
                "response.length_wrong",
                extra={"declared_bytes": declared, "span_bytes": span.length, "sent_bytes": body.sent},
            )
            self.keeps_alive = False

    def _send_pieces(self, body: Iterable[bytes]) -> None:
        pieces = iter(body)
        first = next((piece for piece in pieces if piece), b"")
        self._send_first(first, sum(map(len, body)) if isinstance(body, list | tuple) else None)
        for piece in self._large(pieces):
            self._send(self._framed(piece))
        if self._is_chunked:
            self._send(b"0\r\n\r\n")
        if self._left:
            _log.error("response.too_short", extra={"missing_bytes": self._left})

    def _send_first(self, piece: bytes, length: int | None = None) -> None:
        """The head, unless it is out, and the first piece (b"": none): in one call where they are small."""
        head = b"" if self.is_begun else self._make_head(length)
        framed = self._framed(piece) if piece else b""
        if len(head) + len(framed) <= JOIN_MAX_BYTES:
            self._begin(head + framed)
        else:
            self._begin(head, more=True)
            self._send(framed)

    def _large(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Small pieces joined, where the length is known; else each as it comes, for somebody may be waiting for it."""
        if self._left is None:
            yield from (piece for piece in pieces if piece)
            return
        waiting: list[bytes] = []
        size = 0
        for piece in pieces:
            waiting.append(piece)
            size += len(piece)
            if size >= JOIN_MAX_BYTES:
                yield waiting[0] if len(waiting) == 1 else b"".join(waiting)
                waiting, size = [], 0
        if size:
            yield b"".join(waiting)

    def _framed(self, piece: bytes) -> bytes:
        """A piece as it goes out. More than was declared is cut off: it would be read as the next response."""
        if self._is_chunked:
            return b"%x\r\n%b\r\n" % (len(piece), piece)
        if self._left is not None:
            if len(piece) > self._left:
                _log.error("response.too_long", extra={"surplus_bytes": len(piece) - self._left})
                self.keeps_alive = False
                piece = piece[: self._left]
            self._left -= len(piece)
        return piece

    def _write_piece(self, piece: bytes) -> None:
        """WSGI's `write`, for applications of old. The connection is not kept behind it."""
        if not self._is_bodiless():
            self._send_first(piece)

    # -- the head ------------------------------------------------------------------------------------------------

    def _is_bodiless(self) -> bool:
        """RFC 9110 section 6.4.1."""
        return self._request.method == "HEAD" or self._status[:3] in ("204", "304")

    def _make_head(self, length: int | None, *, has_body: bool = True) -> bytes:
        """The head's bytes; decides the framing. `length` is the body's where it is known. Raises: BadResponse."""
        lines = [_opening(self._status, int(time()))]
        forbids_length = self._status[:3] in ("204", "304")
        has_length = False
        for name, value in self._headers:
            meaning = _meaning(name)
            if meaning is not None:
                if meaning == "connection" and "close" in value.lower():
                    self.keeps_alive = False
                if meaning != "content-length" or forbids_length or has_length:
                    continue
                has_length = True
                self._declared = length = _length(value)
            lines.append(f"{name}: {value}")
        if has_body:
            self._left = length
            if length is None:
                self._frame_by_chunks(lines)
            elif not has_length:
                lines.append(f"Content-Length: {length}")
        self._add_connection(lines)
        return _joined(lines, len(lines) + _OPENING_LINES)

    def _make_own_head(self) -> bytes:
        """As `_make_head`, of headers that the pipeline made: none is the server's to say, and the length is among them."""
        lines = [_opening(self._status, int(time())), *map(": ".join, self._headers)]
        self._add_connection(lines)
        return _joined(lines, len(lines) + _OPENING_LINES)

    def _frame_by_chunks(self, lines: list[str]) -> None:
        """The length is not known: chunks where the client understands them, else the connection's end."""
        if self._request.minor_version == 1:
            self._is_chunked = True
            lines.append("Transfer-Encoding: chunked")
        else:
            self.keeps_alive = False

    def _add_connection(self, lines: list[str]) -> None:
        if not self.keeps_alive:
            lines.append("Connection: close")
        elif self._request.minor_version == 0:
            lines.append("Connection: keep-alive")

    # -- the wire ------------------------------------------------------------------------------------------------

    def _begin(self, data: bytes, *, more: bool = False) -> None:
        self.is_begun = True
        self._send(data, more=more)

    def _begin_gathered(self, head: bytes, whole: bytes) -> None:
        """Both in one call, without a copy that would push all else out of the processor's cache."""
        self.is_begun = True
        sent = self._transport.send_now(head, whole)
        if sent < len(head):
            self._transport.send(head[sent:], self._paced(), more=True)
            sent = len(head)
        if sent < len(head) + len(whole):
            self._transport.send(memoryview(whole)[sent - len(head) :], self._paced())

    def _send(self, data: bytes, *, more: bool = False) -> None:
        """Most answers are taken by the kernel at once. Only what is left waits, at the pace asked of a client."""
        sent = self._transport.send_now(data, more=more)
        if sent < len(data):
            self._transport.send(data[sent:] if sent else data, self._paced(), more=more)

    def _paced(self) -> Pace:
        if self._pace is None:
            self._pace = self._limits.send_pace()
        return self._pace


@lru_cache(maxsize=256)
def _meaning(name: str) -> str | None:
    """The name in lower case where the header is ours to say or frames the body; None for all others."""
    lowered = name.lower()
    return lowered if lowered in _OURS or lowered == "content-length" else None


def _length(value: str) -> int:
    if not (value.isascii() and value.isdigit()):
        raise BadResponse("the response's Content-Length is no number")
    return int(value)


class _DateCache:
    """The Date header changes once a second; formatting it costs more than all the rest of a head."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def __call__(self, second: int) -> str:
        if second != self._second:
            self._text = formatdate(second, usegmt=True)
            self._second = second
        return self._text


http_date = _DateCache()


def repeated(answer: Repeat) -> bytes:
    """All bytes of an answer that has been made before, to a client of HTTP/1.1 that stays."""
    before, behind, _ = answer.described
    return b"".join((_opening_bytes(int(time())), before, answer.outcome.request_id.encode(), behind, answer.body))


@lru_cache(maxsize=2)
def _opening_bytes(second: int) -> bytes:
    return _opening("200 OK", second).encode("latin-1")


@lru_cache(maxsize=32)
def _opening(status: str, second: int) -> str:
    """The lines with which every head begins."""
    return f"HTTP/1.1 {status}\r\nDate: {http_date(second)}\r\nServer: {SERVER_NAME}"


_OPENING_LINES = 3


def _joined(lines: list[str], line_ends: int) -> bytes:
    """The head, or BadResponse where a name or value would have begun a line of its own."""
    lines += ("", "")
    text = "\r\n".join(lines)
    if text.count("\n") != line_ends or text.count("\r") != line_ends or "\0" in text:
        raise BadResponse("a response header holds CR, LF or NUL")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise BadResponse("a response header is not latin-1") from None
