"""A request's body: what its headers promise of it, and its bytes without the wire's framing.

Source: "Checking object integrity", AWS S3 user guide; "PutObject", AWS S3 API reference.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from typing import Protocol

from app import runtime
from app.auth.chunked import ChunkedDecoder
from app.auth.payload_mode import UNSIGNED, PayloadMode
from app.auth.sigv4 import Authenticated
from app.domain.digests import Digests, header_name, is_checksum, is_supported
from app.domain.errors import (
    IncompleteBody,
    InternalError,
    InvalidArgument,
    InvalidDigest,
    InvalidRequest,
    MaxMessageLengthExceeded,
    MissingContentLength,
)
from app.domain.payload import Expected, Payload, verify
from app.s3.request import Headers

DECODED_LENGTH = "x-amz-decoded-content-length"
ANNOUNCED_ALGORITHM = "x-amz-sdk-checksum-algorithm"
TRAILER = "x-amz-trailer"

LENGTH_DIGITS_MAX = 18
HASHED_IN_PLACE_BYTES = 65_536
_PIECE_MAX_BYTES = 1 << 20
DECODED_MAX_BYTES = 1 << 18  # of a framed body at a time: what is copied again should still be in the cache

_CHECKSUM_PREFIX = "x-amz-checksum-"
# Headers that begin like a checksum and say something about checksums instead.
_NO_CHECKSUMS = frozenset({"algorithm", "mode", "type"})


class Wire(Protocol):
    """The body as a server received it. Reading is what sends "100 Continue" to a client that waits for it."""

    @property
    def length(self) -> int | None:
        """Content-Length, None where there is none."""

    @property
    def is_chunked(self) -> bool:
        """Whether Transfer-Encoding: chunked frames the body; the framing itself is the server's to take off."""

    def receive(self, max_bytes: int) -> bytes:
        """The next bytes, b"" at the end. Raises: RequestTimeout, IncompleteBody."""

    def wait(self) -> bool:
        """Until bytes are here, on the hub; False at the end. Raises: as `receive`."""

    def read_into(self, room: memoryview) -> int | None:
        """Put bytes that are here into `room`, in any thread; None where nothing is. Raises: as `receive`."""

    def read(self, max_bytes: int) -> bytes:
        """As `read_into`, as bytes; b"" where nothing is."""

    @property
    def is_consumed(self) -> bool:
        """Whether all has been received."""

    @property
    def awaits_continue(self) -> bool:
        """Whether the client sends nothing before it gets a "100 Continue"."""


class RequestPayload:
    """The `Payload` of a request. Headers are looked at when they are asked for: most requests have no body."""

    __slots__ = (
        "_decoded",
        "_decoder",
        "_expected",
        "_headers",
        "_is_ended",
        "_mode",
        "_seed",
        "_wire",
        "received_bytes",
    )

    def __init__(self, wire: Wire, authenticated: Authenticated, headers: Headers) -> None:
        self._wire = wire
        self._mode: PayloadMode = authenticated.payload
        self._seed = authenticated.seed
        self._headers = headers
        self._expected: Expected | None = None
        self._decoder: ChunkedDecoder | None = None
        self._decoded = 0
        self._is_ended = False
        self.received_bytes = 0  # from the wire, framing of aws-chunked included

    @property
    def is_absent(self) -> bool:
        """Whether the request has no body at all: neither a length nor chunks. One of length 0 is there, and empty."""
        return self._wire.length is None and not self._wire.is_chunked

    @property
    def size_bytes(self) -> int | None:
        """Raises: MissingContentLength, InvalidArgument for a decoded length that is missing or no number."""
        if not self._mode.is_streaming:
            return self._wire.length
        text = self._headers.get(DECODED_LENGTH)
        if text is None:
            # What comes in chunks on the wire too may end where it ends (pyarrow, the C++ SDK).
            if self._wire.is_chunked:
                return None
            raise MissingContentLength
        if not (text.isascii() and text.isdigit()) or len(text) > LENGTH_DIGITS_MAX:
            raise InvalidArgument(
                f"{DECODED_LENGTH} must be a number of bytes.", ArgumentName=DECODED_LENGTH, ArgumentValue=text[:128]
            )
        return int(text)

    @property
    def expected(self) -> Expected:
        """Raises: InvalidDigest, InvalidRequest for checksums that contradict each other or cannot be understood."""
        if self._expected is None:
            self._expected = Expected(*self.expected_of_message[:2], *_read_checksum(self._headers, self._mode))
        return self._expected

    @property
    def expected_of_message(self) -> Expected:
        """Without the checksum headers, for requests where these speak of an object and not of the body.

        Raises: InvalidDigest.
        """
        return Expected(_content_md5(self._headers), self._mode.sha256)

    def receive(self, max_bytes: int) -> bytes:
        """Raises: MissingContentLength for a body that is absent, and what the wire raises."""
        if self.is_absent:
            raise MissingContentLength
        received = self._wire.receive(max_bytes)
        self.received_bytes += len(received)
        self._is_ended = not received
        return received

    @property
    def is_held_back(self) -> bool:
        return self._wire.awaits_continue

    @property
    def is_ended(self) -> bool:
        return self._wire.is_consumed

    @property
    def is_whole(self) -> bool:
        return self.received_bytes == self._wire.length

    def wait(self) -> bool:
        """Raises: as `receive`."""
        if self.is_absent:
            raise MissingContentLength
        self._is_ended = not self._wire.wait()
        return not self._is_ended

    def read_into(self, room: memoryview) -> int | None:
        if self._mode.is_streaming:
            count = self._decode_into(room)
        else:
            count = self._wire.read_into(room)
            if count:
                self.received_bytes += count
                self._decoded += count
        if count is None:
            self._is_ended = self._wire.is_consumed
        return count

    def decode(self, received: bytes) -> bytes:
        if not self._mode.is_streaming:
            self._decoded += len(received)
            return received
        payload = self._chunks().feed(received)
        self._decoded += len(payload)
        return payload

    def finish(self) -> Mapping[str, str]:
        """The bytes are counted here, whatever the wire believed (I10)."""
        if self.is_absent:
            raise MissingContentLength
        length = self._wire.length
        if self.received_bytes != length and (length is not None or not self._is_ended):
            raise IncompleteBody
        size_bytes = self.size_bytes
        if size_bytes is not None and self._decoded != size_bytes:
            raise IncompleteBody
        return self._chunks().finish() if self._mode.is_streaming else {}

    def _decode_into(self, room: memoryview) -> int | None:
        received = self._wire.read(min(len(room), DECODED_MAX_BYTES))
        if not received:
            return None
        self.received_bytes += len(received)
        piece = self.decode(received)
        room[: len(piece)] = piece  # framing is taken off, nothing is added
        return len(piece)

    def _chunks(self) -> ChunkedDecoder:
        if self._decoder is None:
            mode = self._mode
            expected_trailers = frozenset(_trailer_names(self._headers)) if mode.has_trailer else frozenset()
            if (self._seed is not None) != mode.has_signatures:
                # Signed chunks without a seed to verify them by would let any bytes in.
                raise InternalError
            is_trailer_signed = mode.has_signatures and mode.has_trailer
            self._decoder = ChunkedDecoder(self._seed, is_trailer_signed, expected_trailers, self.size_bytes)
        return self._decoder


def expected_in(headers: Headers) -> Expected:
    """What headers say of a body that comes without framing. Raises: InvalidDigest, InvalidRequest."""
    return Expected(_content_md5(headers), None, *_read_checksum(headers, UNSIGNED))


def read_all(payload: Payload, max_bytes: int, *, has_checksum: bool = True) -> bytes:
    """A whole small body (XML), verified. An absent body is an empty one.

    `has_checksum` is false where x-amz-checksum-* headers speak of an object: CompleteMultipartUpload.
    Raises: MaxMessageLengthExceeded, before reading where the size is declared; IncompleteBody, BadDigest,
    XAmzContentSHA256Mismatch and what the payload raises.
    """
    is_message = isinstance(payload, RequestPayload) and not has_checksum
    expected = payload.expected_of_message if is_message and isinstance(payload, RequestPayload) else payload.expected
    algorithm = expected.checksum_algorithm
    digests = Digests(() if algorithm is None else (algorithm,), sha256=expected.payload_sha256 is not None)
    if isinstance(payload, RequestPayload) and payload.is_absent:
        verify(expected, digests, {})
        return b""
    declared = payload.size_bytes
    if declared is not None and declared > max_bytes:
        raise _too_long(max_bytes)
    pieces = []
    while received := payload.receive(_PIECE_MAX_BYTES):
        if len(received) > HASHED_IN_PLACE_BYTES:
            piece = runtime.offload(_decode, payload, received, digests)
        else:
            piece = _decode(payload, received, digests)
        if digests.size_bytes > max_bytes:
            raise _too_long(max_bytes)
        pieces.append(piece)
    verify(expected, digests, payload.finish())
    return b"".join(pieces)


def _decode(payload: Payload, received: bytes, digests: Digests) -> bytes:
    piece = payload.decode(received)
    digests.update(piece)
    return piece


def _too_long(max_bytes: int) -> MaxMessageLengthExceeded:
    return MaxMessageLengthExceeded(MaxMessageLengthBytes=str(max_bytes))


def _read_md5(text: str) -> bytes:
    try:
        digest = binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError):
        raise InvalidDigest from None
    if len(digest) != 16:
        raise InvalidDigest
    return digest


def _content_md5(headers: Headers) -> bytes | None:
    text = headers.get("content-md5")
    return None if text is None else _read_md5(text)


def _read_checksum(headers: Headers, mode: PayloadMode) -> tuple[str | None, str | None]:
    """(algorithm, value) that the client promises, the value None where it comes in the trailer."""
    if not headers.amz_names:
        return None, None
    given = [
        (_algorithm(_CHECKSUM_PREFIX + name), value)
        for name, value in headers.with_prefix(_CHECKSUM_PREFIX)
        if name not in _NO_CHECKSUMS
    ]
    trailers = [_algorithm(name) for name in _trailer_names(headers)]
    if trailers and not mode.has_trailer:
        raise InvalidRequest(f"{TRAILER} needs an x-amz-content-sha256 that announces a trailer.")
    algorithms = [algorithm for algorithm, _ in given] + trailers
    if len(algorithms) > 1:
        raise InvalidRequest("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
    _check_announced(headers.get(ANNOUNCED_ALGORITHM), algorithms)
    for algorithm, value in given:
        if not is_checksum(algorithm, value):
            raise InvalidRequest(f"Value for {header_name(algorithm)} header is invalid.")
        return algorithm, value
    return (trailers[0] if trailers else None), None


def _check_announced(announced: str | None, algorithms: list[str]) -> None:
    if announced is None:
        return
    if not is_supported(announced.upper()):
        raise InvalidRequest(f"Value for {ANNOUNCED_ALGORITHM} header is invalid.")
    if not algorithms:
        raise InvalidRequest(
            f"{ANNOUNCED_ALGORITHM} specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found."
        )
    if algorithms != [announced.upper()]:
        raise InvalidRequest(f"Value for {ANNOUNCED_ALGORITHM} header is invalid.")


def _trailer_names(headers: Headers) -> list[str]:
    return [name for part in (headers.get(TRAILER) or "").split(",") if (name := part.strip(" \t").lower())]


def _algorithm(name: str) -> str:
    """S3's name of the algorithm that a header or trailer carries. Raises: InvalidRequest for any other name."""
    prefix, algorithm = name[: len(_CHECKSUM_PREFIX)], name[len(_CHECKSUM_PREFIX) :].upper()
    if prefix != _CHECKSUM_PREFIX or not is_supported(algorithm):
        raise InvalidRequest(f"{name[:128]} is no checksum that is supported here.")
    return algorithm
