"""R-09, R-10, S-04: the aws-chunked decoder takes what is whole and signed, however it is cut, and nothing else."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from app.auth.chunked import CHUNK_MAX_BYTES, LINE_MAX_BYTES, ChunkedDecoder, ChunkSigner
from app.domain.errors import IncompleteBody, InvalidRequest, MalformedTrailerError, S3Error, SignatureDoesNotMatch
from tests.unit.auth.examples import SCOPE, TIMESTAMP

CRC = "x-amz-checksum-crc32"
TRAILERS = ((CRC, "AAAAAA=="),)


def signer() -> ChunkSigner:
    return ChunkSigner(b"k" * 32, TIMESTAMP, SCOPE, "5" * 64)


def encode(
    chunks: Sequence[bytes], trailers: Sequence[tuple[str, str]] = (), *, signed: bool, sign_trailer: bool = False
) -> bytes:
    chain = signer()
    out = b""
    for chunk in (*chunks, b""):
        extension = f";chunk-signature={chain.chunk(hashlib.sha256(chunk).hexdigest())}" if signed else ""
        out += f"{len(chunk):x}{extension}\r\n".encode() + chunk + (b"\r\n" if chunk else b"")
    out += "".join(f"{name}:{value}\r\n" for name, value in trailers).encode()
    if sign_trailer:
        lines = "".join(f"{name}:{value}\n" for name, value in trailers)
        out += f"x-amz-trailer-signature:{chain.trailer(hashlib.sha256(lines.encode()).hexdigest())}\r\n".encode()
    return out + b"\r\n"


def decoder(mode: str, decoded_length: int | None = None) -> ChunkedDecoder:
    trailers = frozenset({CRC}) if mode != "signed" else frozenset[str]()
    is_signed = mode != "unsigned-trailer"
    return ChunkedDecoder(signer() if is_signed else None, mode == "signed-trailer", trailers, decoded_length)


def body(mode: str, chunks: Sequence[bytes]) -> bytes:
    if mode == "signed":
        return encode(chunks, signed=True)
    return encode(chunks, TRAILERS, signed=mode == "signed-trailer", sign_trailer=mode == "signed-trailer")


MODES = ["signed", "signed-trailer", "unsigned-trailer"]
CHUNKS = (b"first chunk\r\n", b"0\r\n\r\n;chunk-signature=", bytes(range(40)))
PLAIN = b"".join(CHUNKS)


def decode(decoder: ChunkedDecoder, pieces: Sequence[bytes]) -> tuple[bytes, dict[str, str]]:
    plain = b"".join([decoder.feed(piece) for piece in pieces])
    return plain, dict(decoder.finish())


def cut(encoded: bytes, points: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(point % (len(encoded) + 1) for point in points), len(encoded)]
    return [encoded[begin:end] for begin, end in pairwise(edges)]


@pytest.mark.parametrize("mode", MODES)
def test_a_whole_body_is_decoded(mode: str) -> None:
    trailers = {} if mode == "signed" else dict(TRAILERS)
    for length in (None, len(PLAIN)):
        assert decode(decoder(mode, length), [body(mode, CHUNKS)]) == (PLAIN, trailers)
    assert decode(decoder(mode, 0), [body(mode, ())]) == (b"", trailers)


@pytest.mark.parametrize("mode", MODES)
def test_one_byte_at_a_time_gives_the_same(mode: str) -> None:
    encoded = body(mode, CHUNKS)
    pieces = [encoded[at : at + 1] for at in range(len(encoded))]
    assert decode(decoder(mode, len(PLAIN)), pieces)[0] == PLAIN


@given(
    mode=st.sampled_from(MODES),
    chunks=st.lists(st.binary(min_size=1, max_size=300), max_size=5),
    points=st.lists(st.integers(0, 5000), max_size=12),
)
def test_any_cut_of_any_body_gives_the_same(mode: str, chunks: list[bytes], points: list[int]) -> None:
    encoded = body(mode, chunks)
    trailers = {} if mode == "signed" else dict(TRAILERS)
    assert decode(decoder(mode, len(b"".join(chunks))), cut(encoded, points)) == (b"".join(chunks), trailers)


@pytest.mark.parametrize("mode", MODES)
def test_a_body_that_ends_early_is_incomplete_at_every_byte(mode: str) -> None:
    """R-09"""
    encoded = body(mode, CHUNKS)
    for end in range(len(encoded)):
        for length in (None, len(PLAIN)):
            cut_short = decoder(mode, length)
            assert PLAIN.startswith(cut_short.feed(encoded[:end]))
            with pytest.raises(IncompleteBody):
                cut_short.finish()


@pytest.mark.parametrize("mode", ["signed", "signed-trailer"])
def test_no_changed_byte_passes_a_signed_body(mode: str) -> None:
    encoded = body(mode, CHUNKS)
    for at in range(len(encoded)):
        for change in (0x01, 0x80):
            changed = encoded[:at] + bytes((encoded[at] ^ change,)) + encoded[at + 1 :]
            with pytest.raises(S3Error) as caught:
                assert decode(decoder(mode, len(PLAIN)), [changed])[0] != PLAIN
            assert caught.value.status in (400, 403)


@given(st.binary(max_size=200), st.sampled_from(MODES))
def test_no_bytes_whatever_give_more_than_a_refusal(garbage: bytes, mode: str) -> None:
    """S-24"""
    with pytest.raises(S3Error) as caught:
        decode(decoder(mode), [garbage])
    assert caught.value.status in (400, 403)


def test_a_chunk_with_a_wrong_signature_hands_on_nothing_of_its_last_piece() -> None:
    encoded = encode([b"good", b"evil"], signed=True).replace(b"evil", b"EVIL")
    refused = decoder("signed", 8)
    with pytest.raises(SignatureDoesNotMatch):
        refused.feed(encoded)
    with pytest.raises(IncompleteBody):
        refused.finish()


def test_chunks_cannot_be_exchanged_repeated_or_left_out() -> None:
    encoded = encode([b"1111", b"2222"], signed=True)
    size = (len(encoded) - len(encode([], signed=True))) // 2
    first, second, last = encoded[:size], encoded[size : 2 * size], encoded[2 * size :]
    for order in ((second, first, last), (first, first, last), (first, last), (second, last), (last,)):
        with pytest.raises(SignatureDoesNotMatch):
            decode(decoder("signed"), order)


def test_nothing_counts_after_an_error() -> None:
    broken = decoder("unsigned-trailer")
    with pytest.raises(InvalidRequest):
        broken.feed(b"zz\r\n")
    with pytest.raises(InvalidRequest):
        broken.feed(body("unsigned-trailer", CHUNKS))
    with pytest.raises(IncompleteBody):
        broken.finish()


FRAMING = [
    b"\r\n",
    b"\n",
    b"5\nhello\r\n",
    b"5 \r\nhello\r\n",
    b" 5\r\nhello\r\n",
    b"+5\r\nhello\r\n",
    b"-5\r\n",
    b"0x5\r\nhello\r\n",
    b"1_0\r\n",
    b"5;x=y\r\nhello\r\n",
    b"5;chunk-signature=" + b"0" * 64 + b"\r\nhello\r\n",
    b"5\r\nhello!\r\n",
    b"5\r\nhello\n",
    b"5\r\nhellohello",
    b"5\r\nhello\rX",
    b"00000000000000005\r\nhello\r\n",
    b"1" * 257,
    b"\r" * 300,
]


@pytest.mark.parametrize("encoded", FRAMING)
def test_broken_framing_is_refused(encoded: bytes) -> None:
    with pytest.raises(InvalidRequest):
        decode(decoder("unsigned-trailer"), [encoded + b"\r\n0\r\n\r\n"])


@pytest.mark.parametrize("size", [b"FFFFFFFFFFFFFFFF", b"7fffffffffffffff", b"%x" % (CHUNK_MAX_BYTES + 1)])
def test_an_absurd_chunk_is_refused_before_its_bytes(size: bytes) -> None:
    """S-04"""
    for decoded_length in (None, int(size, 16)):
        with pytest.raises(InvalidRequest):
            decoder("unsigned-trailer", decoded_length).feed(size + b"\r\n")


def test_a_chunk_may_be_as_large_as_an_object_without_being_held() -> None:
    large = decoder("unsigned-trailer", CHUNK_MAX_BYTES)
    assert large.feed(b"%x\r\n" % CHUNK_MAX_BYTES) == b""
    assert len(large.feed(bytes(1 << 20))) == 1 << 20


def test_more_than_the_decoded_length_is_refused_at_the_chunk_header() -> None:
    """R-10"""
    for length in (0, len(PLAIN) - 1):
        with pytest.raises(IncompleteBody):
            decoder("signed", length).feed(body("signed", CHUNKS))


def test_less_than_the_decoded_length_is_incomplete() -> None:
    """R-10"""
    with pytest.raises(IncompleteBody):
        decoder("signed", len(PLAIN) + 1).feed(body("signed", CHUNKS))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("extra", [b"\r\n", b"0", b"\0", b"0\r\n\r\n"])
def test_bytes_behind_the_end_are_refused(mode: str, extra: bytes) -> None:
    for pieces in ([body(mode, CHUNKS) + extra], [body(mode, CHUNKS), extra]):
        with pytest.raises(InvalidRequest):
            decode(decoder(mode, len(PLAIN)), pieces)


BAD_TRAILERS = [
    b"x-amz-checksum-crc32",
    b"x-amz-checksum-crc32 :AAAAAA==",
    b" x-amz-checksum-crc32:AAAAAA==",
    b"x-amz-checksum-crc32:",
    b"x-amz-checksum-crc32:\x01",
    b"x-amz-checksum-crc32:\xc3\xa9",
    b":AAAAAA==",
    b"x-amz-checksum-sha1:AAAAAA==",
    b"x-amz-meta-a:b",
    b"x-amz-trailer-signature:" + b"0" * 64,
    b"x-amz-checksum-crc32:AAAAAA==\r\nx-amz-checksum-crc32:AAAAAA==",
    b"x-amz-checksum-crc32:AAAAAA==\r\nX-Amz-Checksum-CRC32:BBBBBB==",
]


@pytest.mark.parametrize("lines", BAD_TRAILERS)
def test_a_trailer_that_is_malformed_or_was_not_announced_is_refused(lines: bytes) -> None:
    with pytest.raises(MalformedTrailerError):
        decode(decoder("unsigned-trailer"), [b"0\r\n" + lines + b"\r\n\r\n"])


def test_a_trailer_is_refused_where_none_was_announced() -> None:
    with pytest.raises(MalformedTrailerError):
        decode(decoder("signed"), [encode(CHUNKS, TRAILERS, signed=True)])


def test_an_announced_trailer_must_come() -> None:
    with pytest.raises(InvalidRequest):
        decode(decoder("unsigned-trailer"), [encode(CHUNKS, signed=False)])


def test_a_trailer_needs_its_signature_where_chunks_have_theirs() -> None:
    with pytest.raises(SignatureDoesNotMatch):
        decode(decoder("signed-trailer"), [encode(CHUNKS, TRAILERS, signed=True)])
    whole = body("signed-trailer", CHUNKS)
    with pytest.raises(SignatureDoesNotMatch):
        decode(decoder("signed-trailer"), [whole.replace(b"AAAAAA==", b"AAAAAB==")])
    signature = whole[whole.index(b"x-amz-trailer-signature") : -2]
    value = TRAILERS[0][0].encode() + b":" + TRAILERS[0][1].encode() + b"\r\n"
    with pytest.raises(MalformedTrailerError):
        decode(decoder("signed-trailer"), [whole.replace(value + signature, signature + value)])


def test_trailer_names_come_in_any_case_and_values_without_blanks() -> None:
    plain = ChunkedDecoder(None, False, frozenset({CRC}), None)
    assert decode(plain, [b"1\r\na\r\n0\r\nX-Amz-Checksum-CRC32: \tAAAAAA== \r\n\r\n"]) == (b"a", {CRC: "AAAAAA=="})


def test_a_line_may_have_its_limit_and_not_a_byte_more() -> None:
    name = "x-amz-checksum-crc32"
    value = "A" * (LINE_MAX_BYTES - len(name) - 3)
    line = f"{name}:{value}\r\n".encode()
    for step in (1, 7, 1000):
        encoded = b"0\r\n" + line + b"\r\n"
        pieces = [encoded[at : at + step] for at in range(0, len(encoded), step)]
        assert decode(decoder("unsigned-trailer"), pieces)[1] == {CRC: value}
        encoded = b"0\r\n" + line.replace(b":A", b":AA") + b"\r\n"
        with pytest.raises(InvalidRequest):
            decode(decoder("unsigned-trailer"), [encoded[at : at + step] for at in range(0, len(encoded), step)])


@pytest.mark.parametrize("feed_bytes", [1, 1 << 20])
def test_tiny_chunks_and_tiny_feeds_cost_in_proportion(feed_bytes: int) -> None:
    def cost_s(count: int) -> float:
        encoded = b"1\r\na\r\n" * count
        plain = ChunkedDecoder(None, False, frozenset(), None)
        begin = time.process_time()
        for at in range(0, len(encoded), feed_bytes):
            plain.feed(encoded[at : at + feed_bytes])
        return time.process_time() - begin

    # The least of three: what else the machine does is no cost of the decoder.
    assert min(cost_s(20_000) for _ in range(3)) < 20 * max(min(cost_s(2_000) for _ in range(3)), 0.002)
