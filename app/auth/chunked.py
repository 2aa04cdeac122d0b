"""The aws-chunked encoding: bytes in, payload out, and every signature on the way verified.

    chunk    10000;chunk-signature=<64 hex> CRLF <65,536 bytes> CRLF       the extension only where chunks are signed
    last     0;chunk-signature=<64 hex> CRLF
    trailer  x-amz-checksum-crc32c:sOO8/Q== CRLF                           each name that was announced, once
             x-amz-trailer-signature:<64 hex> CRLF                         only where trailers are signed
    end      CRLF

Nothing here does I/O, and nothing is held back but an unfinished line.
Source: "Transferring Payload in Multiple Chunks" and "Including Trailing Headers", AWS S3 API reference.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import re
from collections.abc import Mapping

from app.auth.canonical import sign
from app.domain.errors import IncompleteBody, InvalidRequest, MalformedTrailerError, SignatureDoesNotMatch

CHUNK_MAX_BYTES = 5 << 30  # no object arrives in one request that is larger
LINE_MAX_BYTES = 256  # a signed chunk's header takes 99, the longest checksum trailer 112

_EMPTY_SHA256 = hashlib.sha256().hexdigest()
_SIZE = re.compile(rb"[0-9a-fA-F]{1,16}").fullmatch
_TRAILER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]++):[ \t]*+([!-~](?:[ -~\t]*[!-~])?)[ \t]*").fullmatch
_SIGNATURE_TRAILER = "x-amz-trailer-signature"


class ChunkSigner:
    """The chain of signatures of one request: each signs its chunk and the signature before it."""

    __slots__ = ("_context", "_key", "signature")

    def __init__(self, key: bytes, timestamp: str, scope: str, seed: str) -> None:
        """`seed` is the signature of the request's headers."""
        self._key = key
        self._context = f"\n{timestamp}\n{scope}\n"
        self.signature = seed

    def chunk(self, sha256_hex: str) -> str:
        """The next chunk's signature, from the hash of its bytes; it becomes the last one."""
        return self._next(f"AWS4-HMAC-SHA256-PAYLOAD{self._context}{self.signature}\n{_EMPTY_SHA256}\n{sha256_hex}")

    def trailer(self, sha256_hex: str) -> str:
        """The trailers' signature, from the hash of their "name:value" lines, each with a line feed."""
        return self._next(f"AWS4-HMAC-SHA256-TRAILER{self._context}{self.signature}\n{sha256_hex}")

    def accepts_chunk(self, sha256_hex: str, promised: bytes) -> bool:
        return _same(self.chunk(sha256_hex), promised)

    def accepts_trailer(self, sha256_hex: str, promised: bytes) -> bool:
        return _same(self.trailer(sha256_hex), promised)

    def _next(self, text: str) -> str:
        self.signature = sign(self._key, text.encode("latin-1"))
        return self.signature


class UncheckedSigner(ChunkSigner):
    """Takes every signature, for a server whose operator has switched authentication off."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(b"", "", "", "")

    def accepts_chunk(self, sha256_hex: str, promised: bytes) -> bool:
        return True

    def accepts_trailer(self, sha256_hex: str, promised: bytes) -> bool:
        return True


class _State(enum.Enum):
    SIZE = enum.auto()  # in the line before a chunk
    DATA = enum.auto()  # in a chunk's bytes
    DATA_END = enum.auto()  # in the line end behind them
    TRAILER = enum.auto()  # in a line behind the last chunk
    END = enum.auto()
    BROKEN = enum.auto()  # something was refused: nothing that follows means anything


class ChunkedDecoder:
    """Decodes one body. `feed` may hand on a chunk's first bytes before its signature has come: what they make must
    not be published before `finish` has returned.
    """

    def __init__(
        self,
        signer: ChunkSigner | None,
        trailer_signed: bool,
        expected_trailers: frozenset[str],
        decoded_length: int | None,
    ) -> None:
        """`signer` verifies chunks, None where they carry no signatures. `expected_trailers` are lower-case names.

        `decoded_length` is what the payload must come to, None where the client did not say.
        """
        self._signer = signer
        self._trailer_signed = trailer_signed
        self._expected_trailers = expected_trailers
        self._decoded_length = decoded_length
        self._state = _State.SIZE
        self._held = b""  # the beginning of a line
        self._left = 0  # bytes still to come of this chunk
        self._decoded = 0
        self._promised = b""  # this chunk's signature as the client gave it
        self._hash = hashlib.sha256()
        self._trailers: dict[str, str] = {}

    @property
    def is_ended(self) -> bool:
        return self._state is _State.END

    def feed(self, received: bytes) -> bytes:
        """The payload in `received`, in order; may be b"".

        Raises: SignatureDoesNotMatch, InvalidRequest (broken framing), MalformedTrailerError, IncompleteBody (more or
        less than the decoded length). After an error the body is worthless: `finish` says so again.
        """
        state, self._state = self._state, _State.BROKEN
        if state is _State.BROKEN:
            raise InvalidRequest(_FRAMING)
        payload = []
        at, end = 0, len(received)
        while at < end:
            if state is _State.DATA:
                piece = received[at : at + self._left]
                at += len(piece)
                payload.append(piece)
                state = self._data(piece)
                continue
            if state is _State.END:
                raise InvalidRequest("There are bytes behind the last chunk.")
            line, at = self._line(received, at)
            if line is None:
                break
            state = self._read_line(state, line)
        self._state = state
        return payload[0] if len(payload) == 1 else b"".join(payload)

    def finish(self) -> Mapping[str, str]:
        """The trailers, names in lower case. Raises: IncompleteBody unless the body came to its end, all verified."""
        if self._state is not _State.END:
            raise IncompleteBody
        return self._trailers

    def _line(self, received: bytes, at: int) -> tuple[bytes | None, int]:
        """The line that ends in `received`, without its CRLF; None and the end when it does not. Raises: InvalidRequest."""
        line_feed = received.find(b"\n", at, at + LINE_MAX_BYTES)
        after = line_feed + 1 if line_feed >= 0 else min(len(received), at + LINE_MAX_BYTES)
        line = self._held + received[at:after]
        if len(line) > LINE_MAX_BYTES or (line_feed < 0 and after < len(received)):
            raise InvalidRequest("A line of the chunked body is too long.")
        if line_feed < 0:
            self._held = line
            return None, after
        if line[-2:] != b"\r\n":
            raise InvalidRequest(_FRAMING)
        self._held = b""
        return line[:-2], after

    def _read_line(self, state: _State, line: bytes) -> _State:
        if state is _State.SIZE:
            return self._chunk_header(line)
        if state is _State.TRAILER:
            return self._trailer_line(line)
        if line:
            raise InvalidRequest(_FRAMING)
        return _State.SIZE

    def _chunk_header(self, line: bytes) -> _State:
        size_text = line
        if self._signer is not None:
            size_text, extension, self._promised = line.partition(b";chunk-signature=")
            if not extension:
                raise InvalidRequest("A chunk has no signature.")
        if not _SIZE(size_text):
            raise InvalidRequest(_FRAMING)
        size = int(size_text, 16)
        if size > CHUNK_MAX_BYTES:
            raise InvalidRequest(f"A chunk is larger than {CHUNK_MAX_BYTES} bytes.")
        self._decoded += size
        if self._decoded_length is not None and (
            self._decoded > self._decoded_length or (size == 0 and self._decoded < self._decoded_length)
        ):
            raise IncompleteBody(_LENGTH)
        self._left = size
        if size:
            return _State.DATA
        self._verify(_EMPTY_SHA256)
        return _State.TRAILER

    def _data(self, piece: bytes) -> _State:
        """Account for bytes of a chunk; at its last one its signature is checked."""
        self._left -= len(piece)
        if self._signer is not None:
            self._hash.update(piece)
            if not self._left:
                self._verify(self._hash.hexdigest())
                self._hash = hashlib.sha256()
        return _State.DATA if self._left else _State.DATA_END

    def _verify(self, sha256_hex: str) -> None:
        if self._signer is not None and not self._signer.accepts_chunk(sha256_hex, self._promised):
            raise SignatureDoesNotMatch(_SIGNATURE)

    def _trailer_line(self, line: bytes) -> _State:
        if not line:
            return self._end()
        match = _TRAILER(line)
        if match is None or _SIGNATURE_TRAILER in self._trailers:
            raise MalformedTrailerError
        name = match[1].decode("ascii").lower()
        is_known = name in self._expected_trailers or (self._trailer_signed and name == _SIGNATURE_TRAILER)
        # A repeated one is refused, so there are never more lines than names: that bounds the section.
        if not is_known or name in self._trailers:
            raise MalformedTrailerError
        self._trailers[name] = match[2].decode("ascii")
        return _State.TRAILER

    def _end(self) -> _State:
        promised = self._trailers.pop(_SIGNATURE_TRAILER, "")
        if self._trailer_signed and self._signer is not None:
            lines = "".join([f"{name}:{value}\n" for name, value in self._trailers.items()])
            hashed = hashlib.sha256(lines.encode("ascii")).hexdigest()
            if not self._signer.accepts_trailer(hashed, promised.encode("ascii")):
                raise SignatureDoesNotMatch(_SIGNATURE)
        missing = self._expected_trailers - self._trailers.keys()
        if missing:
            raise InvalidRequest(f"The trailer {min(missing)} was announced but did not come.")
        return _State.END


def _same(expected: str, promised: bytes) -> bool:
    return hmac.compare_digest(expected.encode("ascii"), promised)


_FRAMING = "The aws-chunked encoding of the body is broken."
_LENGTH = "The body is not as long as x-amz-decoded-content-length says."
_SIGNATURE = "The signature of a chunk or trailer does not match the one we calculated."
