"""R-10, S-04, I10: what a request's headers promise of its body, and that the body is held to it."""

from __future__ import annotations

import base64
import hashlib
import zlib

import pytest

from app.auth.payload_mode import (
    STREAMING_SIGNED,
    STREAMING_SIGNED_TRAILER,
    STREAMING_UNSIGNED_TRAILER,
    UNSIGNED,
    PayloadMode,
)
from app.auth.sigv4 import Authenticated
from app.domain.digests import CHECKSUM_ALGORITHMS, Digests, checksum_of
from app.domain.errors import (
    BadDigest,
    IncompleteBody,
    InternalError,
    InvalidArgument,
    InvalidDigest,
    InvalidRequest,
    MaxMessageLengthExceeded,
    MissingContentLength,
    S3Error,
    XAmzContentSHA256Mismatch,
)
from app.domain.payload import BytesPayload, Expected, verify
from app.domain.types import Checksum
from app.s3.body import RequestPayload, read_all
from app.s3.request import Headers
from tests.unit.auth.examples import EMPTY_SHA256, OWNER
from tests.unit.auth.test_chunked import encode, signer

DATA = b"some data"


class BytesWire:
    """A wire that holds `sent`, whatever length it declares, and gives at most `step` bytes at a time."""

    def __init__(self, sent: bytes, length: int | None, *, is_chunked: bool = False, step: int = 1 << 20) -> None:
        self.length = length
        self.is_chunked = is_chunked
        self.rest = sent
        self.step = step
        self.reads = 0
        self.awaits_continue = False

    def receive(self, max_bytes: int) -> bytes:
        self.reads += 1
        size = min(max_bytes, self.step)
        piece, self.rest = self.rest[:size], self.rest[size:]
        return piece

    def wait(self) -> bool:
        return not self.is_consumed

    def read(self, max_bytes: int) -> bytes:
        return self.receive(max_bytes)

    def read_into(self, room: memoryview) -> int | None:
        piece = self.receive(len(room))
        room[: len(piece)] = piece
        return len(piece) or None

    @property
    def is_consumed(self) -> bool:
        return not self.rest


def payload(
    sent: bytes = DATA,
    headers: dict[str, str] | None = None,
    mode: PayloadMode = UNSIGNED,
    *,
    length: int | None = -1,
    is_chunked: bool = False,
    step: int = 1 << 20,
) -> RequestPayload:
    wire = BytesWire(sent, len(sent) if length == -1 else length, is_chunked=is_chunked, step=step)
    seed = signer() if mode.has_signatures else None
    return RequestPayload(wire, Authenticated(OWNER, mode, seed), Headers(list((headers or {}).items())))


def b64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


MD5 = b64(hashlib.md5(DATA).digest())
CRC32 = b64(zlib.crc32(DATA).to_bytes(4, "big"))
SHA256 = hashlib.sha256(DATA).hexdigest()
CRC32_HEADER = "x-amz-checksum-crc32"


def test_a_plain_body_comes_as_it_was_sent() -> None:
    for step in (1, 4, 100):
        assert read_all(payload(step=step), 100) == DATA
    assert read_all(payload(length=None, is_chunked=True), 100) == DATA
    assert payload().size_bytes == len(DATA)
    assert payload(length=None, is_chunked=True).size_bytes is None


def test_all_that_a_client_promises_is_verified() -> None:
    promises = {"content-md5": MD5, CRC32_HEADER: CRC32, "x-amz-sdk-checksum-algorithm": "CRC32"}
    assert read_all(payload(headers=promises, mode=PayloadMode(SHA256)), 100) == DATA


OTHER = b"other data"
WRONG: list[tuple[dict[str, str], PayloadMode, type[S3Error]]] = [
    ({"content-md5": b64(hashlib.md5(OTHER).digest())}, UNSIGNED, BadDigest),
    ({}, PayloadMode(EMPTY_SHA256), XAmzContentSHA256Mismatch),
    *[
        ({f"x-amz-checksum-{name.lower()}": checksum_of(name, OTHER)}, UNSIGNED, BadDigest)
        for name in CHECKSUM_ALGORITHMS
    ],
]


@pytest.mark.parametrize(("headers", "mode", "error"), WRONG)
def test_a_body_that_is_not_what_was_promised_is_refused(
    headers: dict[str, str], mode: PayloadMode, error: type[S3Error]
) -> None:
    """R-10"""
    with pytest.raises(error):
        read_all(payload(headers=headers, mode=mode), 100)


@pytest.mark.parametrize("name", CHECKSUM_ALGORITHMS)
def test_every_algorithm_serves_in_a_header_and_in_a_trailer(name: str) -> None:
    header = f"x-amz-checksum-{name.lower()}"
    value = checksum_of(name, DATA)
    assert payload(headers={header: value}).expected == Expected(checksum_algorithm=name, checksum_value=value)
    assert read_all(payload(headers={header: value}), 100) == DATA
    framing = {"x-amz-trailer": header, "x-amz-decoded-content-length": str(len(DATA))}
    for mode in (STREAMING_SIGNED_TRAILER, STREAMING_UNSIGNED_TRAILER):
        signed = mode.has_signatures
        right = encode([DATA], [(header, value)], signed=signed, sign_trailer=signed)
        assert payload(right, framing, mode).expected == Expected(checksum_algorithm=name)
        assert read_all(payload(right, framing, mode), 100) == DATA
        wrong = encode([DATA], [(header, checksum_of(name, OTHER))], signed=signed, sign_trailer=signed)
        with pytest.raises(BadDigest):
            read_all(payload(wrong, framing, mode), 100)
        for text in ("AAAA", "not base64!", value[:-4]):
            broken = encode([DATA], [(header, text)], signed=signed, sign_trailer=signed)
            with pytest.raises(InvalidRequest, match="trailing header"):
                read_all(payload(broken, framing, mode), 100)


@pytest.mark.parametrize(
    "text", ["", "x", MD5[:-1], MD5[:-4], MD5 + "=", f" {MD5}x", "é" * 24, f"{MD5},{MD5}", "====" * 6]
)
def test_a_content_md5_that_is_none_is_invalid(text: str) -> None:
    with pytest.raises(InvalidDigest):
        _ = payload(headers={"content-md5": text}).expected


BAD_CHECKSUMS: list[dict[str, str]] = [
    {CRC32_HEADER: ""},
    {CRC32_HEADER: "AAAA"},
    {CRC32_HEADER: "AAAAAA=="[:-1]},
    {CRC32_HEADER: "AAAAAA==-2"},
    {CRC32_HEADER: "é"},
    {CRC32_HEADER: f"{CRC32},{CRC32}"},
    {"x-amz-checksum-sha256": CRC32},
    {"x-amz-checksum-crc16": "AAA="},
    {"x-amz-checksum-": "AAA="},
    {CRC32_HEADER: CRC32, "x-amz-checksum-crc32c": CRC32},
    {CRC32_HEADER: CRC32, "x-amz-checksum-unknown": "x"},
    {"x-amz-sdk-checksum-algorithm": "CRC32"},
    {"x-amz-sdk-checksum-algorithm": "CRC16"},
    {"x-amz-sdk-checksum-algorithm": ""},
    {"x-amz-sdk-checksum-algorithm": "SHA256", CRC32_HEADER: CRC32},
    {"x-amz-trailer": CRC32_HEADER},
]


@pytest.mark.parametrize("headers", BAD_CHECKSUMS)
def test_checksum_headers_that_cannot_be_met_are_an_invalid_request(headers: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest):
        _ = payload(headers=headers).expected


BAD_TRAILERS: list[dict[str, str]] = [
    {"x-amz-trailer": "x-amz-meta-a"},
    {"x-amz-trailer": "content-md5"},
    {"x-amz-trailer": "x-amz-checksum-crc16"},
    {"x-amz-trailer": f"{CRC32_HEADER},x-amz-checksum-sha1"},
    {"x-amz-trailer": f"{CRC32_HEADER},{CRC32_HEADER}"},
    {"x-amz-trailer": CRC32_HEADER, "x-amz-checksum-sha1": b64(bytes(20))},
    {"x-amz-trailer": CRC32_HEADER, CRC32_HEADER: CRC32},
    {"x-amz-trailer": CRC32_HEADER, "x-amz-sdk-checksum-algorithm": "SHA1"},
    {"x-amz-sdk-checksum-algorithm": "CRC32"},
]


@pytest.mark.parametrize("headers", BAD_TRAILERS)
def test_trailers_that_cannot_be_met_are_an_invalid_request(headers: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest):
        _ = payload(headers=headers, mode=STREAMING_UNSIGNED_TRAILER).expected


def test_headers_about_checksums_are_no_checksums() -> None:
    about = {"x-amz-checksum-mode": "ENABLED", "x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "COMPOSITE"}
    assert payload(headers=about).expected == Expected()


def test_algorithm_names_count_in_any_case() -> None:
    headers = {"x-amz-sdk-checksum-algorithm": "crc32", CRC32_HEADER: CRC32}
    assert payload(headers=headers).expected.checksum_algorithm == "CRC32"


def test_a_body_without_length_or_chunks_is_missing_its_length_once_it_is_read() -> None:
    absent = payload(b"", length=None)
    assert absent.is_absent
    assert absent.size_bytes is None
    with pytest.raises(MissingContentLength):
        absent.receive(10)
    with pytest.raises(MissingContentLength):
        absent.finish()


def test_an_absent_document_is_an_empty_one() -> None:
    assert read_all(payload(b"", length=None), 10) == b""
    assert read_all(payload(b"", length=None, mode=PayloadMode(EMPTY_SHA256)), 10) == b""
    with pytest.raises(XAmzContentSHA256Mismatch):
        read_all(payload(b"", length=None, mode=PayloadMode(SHA256)), 10)


def test_fewer_or_more_bytes_than_declared_are_an_incomplete_body() -> None:
    """I10"""
    for length in (0, len(DATA) - 1, len(DATA) + 1):
        with pytest.raises(IncompleteBody):
            read_all(payload(length=length), 100)


def test_a_chunked_body_that_was_not_read_to_its_end_is_incomplete() -> None:
    """I10"""
    body = payload(length=None, is_chunked=True)
    body.decode(body.receive(100))
    with pytest.raises(IncompleteBody):
        body.finish()
    assert body.receive(100) == b""
    assert body.finish() == {}


def test_bytes_that_were_received_but_never_decoded_are_missed() -> None:
    """I10"""
    body = payload()
    assert body.receive(100) == DATA
    with pytest.raises(IncompleteBody):
        body.finish()


MODES = [STREAMING_SIGNED, STREAMING_SIGNED_TRAILER, STREAMING_UNSIGNED_TRAILER]


def framed(mode: PayloadMode) -> bytes:
    return encode([DATA], signed=mode.has_signatures, sign_trailer=mode.has_signatures and mode.has_trailer)


@pytest.mark.parametrize("mode", MODES)
def test_a_streaming_body_needs_its_decoded_length_unless_the_wire_is_chunked(mode: PayloadMode) -> None:
    with pytest.raises(MissingContentLength):
        _ = payload(framed(mode), mode=mode).size_bytes
    body = payload(framed(mode), mode=mode, length=None, is_chunked=True)
    assert body.size_bytes is None
    assert read_all(body, 100) == DATA


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.0", "abc", "0x10", "1_0", "²", "9" * 19, "9,9"])
def test_a_decoded_length_that_is_no_number_is_an_invalid_argument(text: str) -> None:
    body = payload(headers={"x-amz-decoded-content-length": text}, mode=STREAMING_SIGNED)
    with pytest.raises(InvalidArgument):
        _ = body.size_bytes


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("lie", [-9, -1, 1, 10**17])
def test_a_decoded_length_that_lies_is_an_incomplete_body(mode: PayloadMode, lie: int) -> None:
    """S-04"""
    headers = {"x-amz-decoded-content-length": str(len(DATA) + lie)}
    with pytest.raises(IncompleteBody):
        read_all(payload(framed(mode), headers, mode), 10**18)


@pytest.mark.parametrize("mode", MODES)
def test_a_streaming_body_cut_anywhere_is_incomplete(mode: PayloadMode) -> None:
    """R-09"""
    encoded = framed(mode)
    headers = {"x-amz-decoded-content-length": str(len(DATA))}
    for end in range(len(encoded)):
        for length in (len(encoded), end):
            with pytest.raises(IncompleteBody):
                read_all(payload(encoded[:end], headers, mode, length=length), 100)


def taken(body: RequestPayload, room_bytes: int) -> bytes:
    """All of a body as threads take it in."""
    room, pieces = memoryview(bytearray(room_bytes)), []
    while body.wait():
        while (count := body.read_into(room)) is not None:
            pieces.append(bytes(room[:count]))
    assert body.is_ended
    return b"".join(pieces)


@pytest.mark.parametrize("room_bytes", [1, 3, 100])
def test_a_body_that_threads_take_in_is_the_same(room_bytes: int) -> None:
    for body in (payload(), payload(length=None, is_chunked=True)):
        assert taken(body, room_bytes) == DATA
        body.finish()
    for mode in MODES:
        sent = framed(mode)
        body = payload(sent, {"x-amz-decoded-content-length": str(len(DATA))}, mode)
        assert taken(body, room_bytes) == DATA
        body.finish()
        assert body.received_bytes == len(sent)


@pytest.mark.parametrize("length", [len(DATA) - 1, len(DATA) + 1])
def test_bytes_that_threads_take_in_are_counted(length: int) -> None:
    """I10."""
    body = payload(length=length)
    taken(body, 4)
    with pytest.raises(IncompleteBody):
        body.finish()


def test_the_framing_is_counted_as_received() -> None:
    headers = {"x-amz-decoded-content-length": str(len(DATA))}
    body = payload(framed(STREAMING_SIGNED), headers, STREAMING_SIGNED)
    read_all(body, 100)
    assert body.received_bytes == len(framed(STREAMING_SIGNED))


def test_a_plain_body_that_looks_chunked_is_left_alone() -> None:
    headers = {"content-encoding": "aws-chunked", "x-amz-decoded-content-length": "1"}
    assert read_all(payload(framed(STREAMING_SIGNED), headers), 1000) == framed(STREAMING_SIGNED)


def test_signed_chunks_without_a_seed_are_never_read() -> None:
    wire = BytesWire(framed(STREAMING_SIGNED), len(framed(STREAMING_SIGNED)))
    headers = Headers([("x-amz-decoded-content-length", str(len(DATA)))])
    body = RequestPayload(wire, Authenticated(OWNER, STREAMING_SIGNED, None), headers)
    with pytest.raises(InternalError):
        read_all(body, 100)


def test_a_document_over_the_bound_is_refused_before_it_is_read_where_its_size_is_known() -> None:
    wire = BytesWire(DATA, len(DATA))
    body = RequestPayload(wire, Authenticated(OWNER, UNSIGNED), Headers([]))
    with pytest.raises(MaxMessageLengthExceeded):
        read_all(body, len(DATA) - 1)
    assert wire.reads == 0
    endless = BytesWire(DATA * 1000, None, is_chunked=True, step=10)
    body = RequestPayload(endless, Authenticated(OWNER, UNSIGNED), Headers([]))
    with pytest.raises(MaxMessageLengthExceeded):
        read_all(body, 15)
    assert endless.reads == 2


def test_a_document_larger_than_is_hashed_in_place_is_the_same() -> None:
    large = bytes(300_000)
    mode = PayloadMode(hashlib.sha256(large).hexdigest())
    assert read_all(payload(large, mode=mode), 1 << 20) == large


def test_checksums_of_an_object_are_not_held_against_the_document_that_names_it() -> None:
    of_object = {CRC32_HEADER: "AAAAAA==-2", "x-amz-checksum-type": "COMPOSITE", "content-md5": MD5}
    assert read_all(payload(headers=of_object), 100, has_checksum=False) == DATA
    with pytest.raises(BadDigest):
        read_all(payload(OTHER, headers=of_object), 100, has_checksum=False)


def test_a_payload_that_is_here_is_verified_too() -> None:
    assert read_all(BytesPayload(DATA, Expected(payload_sha256=SHA256)), 100) == DATA
    with pytest.raises(XAmzContentSHA256Mismatch):
        read_all(BytesPayload(DATA, Expected(payload_sha256=EMPTY_SHA256)), 100)


def test_the_verified_checksum_is_the_one_to_store() -> None:
    digests = Digests(["CRC32"])
    digests.update(DATA)

    def sent(value: str | None) -> Expected:
        return Expected(checksum_algorithm="CRC32", checksum_value=value)

    assert verify(sent(CRC32), digests, {}) == Checksum("CRC32", CRC32)
    assert verify(sent(None), digests, {CRC32_HEADER: CRC32}) == Checksum("CRC32", CRC32)
    assert verify(Expected(), digests, {}) is None
    with pytest.raises(InvalidRequest):
        verify(sent(None), digests, {})
