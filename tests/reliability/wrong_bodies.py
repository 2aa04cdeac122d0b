"""The table of R-10: bodies that are not what the request says of them, and the bodies that are."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.signing import (
    EMPTY_SHA256,
    STREAMING,
    STREAMING_TRAILER,
    STREAMING_UNSIGNED_TRAILER,
    UNSIGNED,
    Draft,
    Keys,
    aws_chunked,
    presign,
    sign,
)

BODY = b"the body as it should arrive"
OTHER = b"the body as it came instead!"
HALF = len(BODY) // 2


def crc32(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(4, "big")


def _reflected_crc(polynomial: int, size_bytes: int) -> Callable[[bytes], bytes]:
    """A CRC bit by bit: slow, and by nobody else's table."""
    mask = (1 << 8 * size_bytes) - 1

    def compute(data: bytes) -> bytes:
        crc = mask
        for octet in data:
            crc ^= octet
            for _ in range(8):
                crc = (crc >> 1) ^ (polynomial if crc & 1 else 0)
        return (crc ^ mask).to_bytes(size_bytes, "big")

    return compute


ALGORITHMS: dict[str, Callable[[bytes], bytes]] = {
    "crc32": crc32,
    "crc32c": _reflected_crc(0x82F63B78, 4),
    "crc64nvme": _reflected_crc(0x9A6C9329AC4BC9B5, 8),
    "sha1": lambda data: hashlib.sha1(data).digest(),
    "sha256": lambda data: hashlib.sha256(data).digest(),
}


def value(algorithm: str, data: bytes = BODY) -> str:
    return base64.b64encode(ALGORITHMS[algorithm](data)).decode()


def md5(data: bytes = BODY) -> str:
    return base64.b64encode(hashlib.md5(data).digest()).decode()


@dataclass(frozen=True)
class Refused:
    status: int
    code: str


INCOMPLETE = Refused(400, "IncompleteBody")
BAD_DIGEST = Refused(400, "BadDigest")
INVALID_DIGEST = Refused(400, "InvalidDigest")
INVALID = Refused(400, "InvalidRequest")
SHA256_MISMATCH = Refused(400, "XAmzContentSHA256Mismatch")
MALFORMED_TRAILER = Refused(400, "MalformedTrailerError")
SIGNATURE = Refused(403, "SignatureDoesNotMatch")


@dataclass(frozen=True)
class Row:
    """A body and what is said about it. `expected` None: it is as it is said to be."""

    name: str
    expected: Refused | None
    make: Callable[[str, Keys], bytes] = field(repr=False)


# -- A body with a length ----------------------------------------------------------------------------------------


def _plain(
    headers: list[tuple[str, str]], *, body: bytes = BODY, payload_hash: str = UNSIGNED, length: int | None = None
) -> Callable[[str, Keys], bytes]:
    def make(target: str, keys: Keys) -> bytes:
        return sign(Draft("PUT", target, headers, body, payload_hash=payload_hash), keys).wire(length=length)

    return make


def _presigned(payload_hash: str) -> Callable[[str, Keys], bytes]:
    def make(target: str, keys: Keys) -> bytes:
        return presign(Draft("PUT", target, [], BODY, payload_hash=payload_hash), keys).wire()

    return make


def _plain_rows() -> Iterator[Row]:
    sha256 = hashlib.sha256(BODY).hexdigest()
    yield Row("a body and its hash", None, _plain([], payload_hash=sha256))
    yield Row("a hash in capitals", None, _plain([], payload_hash=sha256.upper()))
    yield Row("a shorter body", INCOMPLETE, _plain([], length=len(BODY) + 1))
    yield Row("a longer body", SHA256_MISMATCH, _plain([], payload_hash=sha256, length=len(BODY) - 1))
    yield Row("no body at all", INCOMPLETE, _plain([], body=b"", length=len(BODY)))
    yield Row("another hash", SHA256_MISMATCH, _plain([], body=OTHER, payload_hash=sha256))
    yield Row("the hash of nothing", SHA256_MISMATCH, _plain([], payload_hash=EMPTY_SHA256))
    yield Row("a presigned body and its hash", None, _presigned(sha256))
    yield Row("another presigned hash", SHA256_MISMATCH, _presigned(hashlib.sha256(OTHER).hexdigest()))
    yield Row("a body and its MD5", None, _plain([("Content-MD5", md5())]))
    yield Row("another MD5", BAD_DIGEST, _plain([("Content-MD5", md5(OTHER))]))
    yield Row(
        "another MD5 beside the right hash", BAD_DIGEST, _plain([("Content-MD5", md5(OTHER))], payload_hash=sha256)
    )
    yield Row(
        "the right MD5 beside another hash",
        SHA256_MISMATCH,
        _plain([("Content-MD5", md5())], payload_hash=EMPTY_SHA256),
    )
    for text in ("", "x", md5()[:-4], md5() + "AA==", hashlib.md5(BODY).hexdigest(), md5().replace("=", ""), "*" * 24):
        yield Row(f"no MD5 but {text!r}", INVALID_DIGEST, _plain([("Content-MD5", text)]))


def _header_rows() -> Iterator[Row]:
    for algorithm, compute in ALGORITHMS.items():
        name = f"x-amz-checksum-{algorithm}"
        right, wrong = value(algorithm), value(algorithm, OTHER)
        yield Row(f"a body and its {algorithm}", None, _plain([(name, right)]))
        yield Row(f"another {algorithm}", BAD_DIGEST, _plain([(name, wrong)]))
        yield Row(f"{algorithm} in hexadecimal", INVALID, _plain([(name, compute(BODY).hex())]))
        yield Row(f"half of {algorithm}", INVALID, _plain([(name, right[: len(right) // 2])]))
        yield Row(f"an empty {algorithm}", INVALID, _plain([(name, "")]))
        announced = [("x-amz-sdk-checksum-algorithm", algorithm.upper())]
        yield Row(f"{algorithm} announced and not sent", INVALID, _plain(announced))
    two = [("x-amz-checksum-crc32", value("crc32")), ("x-amz-checksum-sha1", value("sha1"))]
    yield Row("two checksums", INVALID, _plain(two))
    yield Row("another checksum than announced", INVALID, _plain([two[0], ("x-amz-sdk-checksum-algorithm", "SHA256")]))
    yield Row("an unknown checksum", INVALID, _plain([("x-amz-checksum-crc16", "AAA=")]))
    yield Row("an unknown algorithm", INVALID, _plain([("x-amz-sdk-checksum-algorithm", "CRC16")]))
    yield Row("CRC32C's value as CRC32's", BAD_DIGEST, _plain([("x-amz-checksum-crc32", value("crc32c"))]))


# -- aws-chunked -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chunks:
    """An aws-chunked body. `spoil` is applied to its bytes; `sent` are the pieces, `signed` those that were signed."""

    payload_hash: str
    trailers: tuple[tuple[str, str], ...] = ()
    announced: str = ""
    decoded: int = len(BODY)
    signed: tuple[bytes, ...] = (BODY[:HALF], BODY[HALF:])
    spoil: Callable[[bytes], bytes] = lambda body: body

    def __call__(self, target: str, keys: Keys) -> bytes:
        headers = [("x-amz-decoded-content-length", str(self.decoded))]
        headers += [("x-amz-trailer", self.announced)] if self.announced else []
        signed = sign(Draft("PUT", target, headers, payload_hash=self.payload_hash), keys)
        chain = None if self.payload_hash == STREAMING_UNSIGNED_TRAILER else signed.chain
        body = aws_chunked(self.signed, chain, self.trailers, signs_trailer=self.payload_hash == STREAMING_TRAILER)
        return signed.wire(self.spoil(body))


def _trailer_rows() -> Iterator[Row]:
    for payload_hash in (STREAMING_TRAILER, STREAMING_UNSIGNED_TRAILER):
        kind = "signed" if payload_hash == STREAMING_TRAILER else "unsigned"
        for algorithm in ALGORITHMS:
            name = f"x-amz-checksum-{algorithm}"
            right, wrong = (name, value(algorithm)), (name, value(algorithm, OTHER))
            yield Row(f"{algorithm} behind it, {kind}", None, Chunks(payload_hash, (right,), name))
            yield Row(f"another {algorithm} behind it, {kind}", BAD_DIGEST, Chunks(payload_hash, (wrong,), name))
            yield Row(f"no {algorithm} behind it, {kind}", INVALID, Chunks(payload_hash, (), name))
            spoiled = Chunks(payload_hash, ((name, "AA=="),), name)
            yield Row(f"a short {algorithm} behind it, {kind}", INVALID, spoiled)
        crc, sha = ("x-amz-checksum-crc32", value("crc32")), ("x-amz-checksum-sha1", value("sha1"))
        yield Row(f"unannounced, {kind}", MALFORMED_TRAILER, Chunks(payload_hash, (crc,)))
        yield Row(f"another than announced, {kind}", MALFORMED_TRAILER, Chunks(payload_hash, (sha,), crc[0]))
        yield Row(f"twice, {kind}", MALFORMED_TRAILER, Chunks(payload_hash, (crc, crc), crc[0]))
        yield Row(f"one too many, {kind}", MALFORMED_TRAILER, Chunks(payload_hash, (crc, sha), crc[0]))
        yield Row(f"two announced, {kind}", INVALID, Chunks(payload_hash, (crc, sha), f"{crc[0]},{sha[0]}"))


def _flip_signature(at: int) -> Callable[[bytes], bytes]:
    """Change the last digit of the signature that comes `at`-th."""

    def spoil(body: bytes) -> bytes:
        pieces = body.split(b"-signature")
        digit = pieces[at + 1][64:65]
        pieces[at + 1] = pieces[at + 1][:64] + (b"0" if digit != b"0" else b"1") + pieces[at + 1][65:]
        return b"-signature".join(pieces)

    return spoil


def _swap_chunks(body: bytes) -> bytes:
    """The two chunks in the other order, each with its own signature."""
    header = body.index(b"\r\n") + 2 + HALF + 2
    second = body.index(b"\r\n", header) + 2 + len(BODY) - HALF + 2
    return body[header:second] + body[:header] + body[second:]


def _chunk_rows() -> Iterator[Row]:
    right = Chunks(STREAMING)
    crc = ("x-amz-checksum-crc32", value("crc32"))
    trailed = Chunks(STREAMING_TRAILER, (crc,), crc[0])
    yield Row("signed chunks", None, right)
    for at, which in enumerate(("first", "second", "last")):
        yield Row(f"the {which} chunk's signature altered", SIGNATURE, Chunks(STREAMING, spoil=_flip_signature(at)))
    yield Row("bytes altered", SIGNATURE, Chunks(STREAMING, spoil=lambda body: body.replace(b"the body", b"thE body")))
    yield Row("chunks in another order", SIGNATURE, Chunks(STREAMING, spoil=_swap_chunks))
    yield Row(
        "the trailer's signature altered",
        SIGNATURE,
        Chunks(trailed.payload_hash, (crc,), crc[0], spoil=_flip_signature(3)),
    )
    yield Row(
        "a trailer without its signature",
        SIGNATURE,
        Chunks(trailed.payload_hash, (crc,), crc[0], spoil=_without_signature),
    )
    yield Row("a trailer altered", SIGNATURE, Chunks(
        trailed.payload_hash, (crc,), crc[0], spoil=lambda body: body.replace(crc[1].encode(), value("crc32", OTHER).encode())
    ))  # fmt: skip
    yield Row("chunks without signatures", INVALID, Chunks(STREAMING, spoil=lambda _: aws_chunked([BODY], None)))
    yield Row("more than was declared", INCOMPLETE, Chunks(STREAMING, decoded=len(BODY) - 1))
    yield Row("less than was declared", INCOMPLETE, Chunks(STREAMING, decoded=len(BODY) + 1))
    yield Row("no last chunk", INCOMPLETE, Chunks(STREAMING, spoil=lambda body: body[: body.rindex(b"0;chunk")]))
    yield Row("no end behind the last chunk", INCOMPLETE, Chunks(STREAMING, spoil=lambda body: body[:-2]))
    yield Row("bytes behind the end", INVALID, Chunks(STREAMING, spoil=lambda body: body + b"x"))
    yield Row("no framing at all", INVALID, Chunks(STREAMING, spoil=lambda _: BODY + b"\r\n"))
    yield Row("half a line", INCOMPLETE, Chunks(STREAMING, spoil=lambda _: BODY))


def _without_signature(body: bytes) -> bytes:
    return body[: body.index(b"x-amz-trailer-signature")] + b"\r\n"


TABLE: tuple[Row, ...] = (*_plain_rows(), *_header_rows(), *_trailer_rows(), *_chunk_rows())
