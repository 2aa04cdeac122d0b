"""Digests of what passes through: MD5 for the ETag, SHA-256 for the signature, and S3's additional checksums.

CRC-32 and the hashes are the standard library's; CRC-32C, CRC-64/NVME and the xxHash family are awscrt's, which costs
6 MB and is therefore imported when the first of them is asked for. A checksum is base64 of the big-endian digest.
Source: "Checking object integrity", AWS S3 user guide.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Protocol

# Bytes of a digest, by S3's name for the algorithm.
DIGEST_BYTES = {
    "CRC32": 4,
    "CRC32C": 4,
    "CRC64NVME": 8,
    "SHA1": 20,
    "SHA256": 32,
    "SHA512": 64,
    "MD5": 16,
    "XXHASH64": 8,
    "XXHASH3": 8,
    "XXHASH128": 16,
}
CHECKSUM_ALGORITHMS: tuple[str, ...] = tuple(DIGEST_BYTES)
DEFAULT_ALGORITHM = "CRC64NVME"  # stored when the client sent no checksum

FULL_OBJECT = "FULL_OBJECT"
COMPOSITE = "COMPOSITE"

Chunk = bytes | memoryview
Crc = Callable[[Chunk, int], int]


class _Digest(Protocol):
    def update(self, data: Chunk, /) -> object: ...

    def digest(self) -> bytes: ...


class Digests:
    """The MD5 and whatever else was asked for, of bytes given in order. Safe in a thread, one call at a time."""

    __slots__ = ("_checksums", "_md5", "_sha256", "_updates", "size_bytes")

    def __init__(self, algorithms: Iterable[str] = (), sha256: bool = False) -> None:
        """`algorithms` are names of CHECKSUM_ALGORITHMS. Raises: KeyError for another."""
        self.size_bytes = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._updates: list[Callable[[Chunk], object]] = []  # of all but the MD5
        self._sha256: _Digest | None = None
        if sha256:
            self._sha256 = hashlib.sha256()
            self._updates.append(self._sha256.update)
        self._checksums: dict[str, _Digest] = {}
        for algorithm in algorithms:
            self._add(algorithm)

    def _add(self, algorithm: str) -> None:
        # A digest that is kept anyway is not computed a second time.
        if algorithm == "MD5":
            self._checksums[algorithm] = self._md5
        elif algorithm == "SHA256" and self._sha256 is not None:
            self._checksums[algorithm] = self._sha256
        elif algorithm not in self._checksums:
            self._checksums[algorithm] = digest = _new(algorithm)
            self._updates.append(digest.update)

    def update(self, chunk: Chunk) -> None:
        self.update_md5(chunk)
        self.update_others(chunk)

    def update_md5(self, chunk: Chunk) -> None:
        """Half of `update`, the longer one. The two may run in different threads."""
        self._md5.update(chunk)

    def update_others(self, chunk: Chunk) -> None:
        """The other half, which counts."""
        self.size_bytes += len(chunk)
        for update in self._updates:
            update(chunk)

    def md5_bytes(self) -> bytes:
        return self._md5.digest()

    def md5_hex(self) -> str:
        return self._md5.hexdigest()

    def sha256_hex(self) -> str:
        """Raises: KeyError when neither `sha256` nor the algorithm SHA256 was asked for."""
        return (self._sha256 or self._checksums["SHA256"]).digest().hex()

    def checksum(self, algorithm: str) -> str:
        """Base64 of one of the checksums that were asked for. Raises: KeyError for another."""
        return _base64(self._checksums[algorithm].digest())


def is_supported(algorithm: str) -> bool:
    return algorithm in DIGEST_BYTES


def header_name(algorithm: str) -> str:
    """The header (and trailer) of a checksum, in lower case: "x-amz-checksum-crc64nvme"."""
    return "x-amz-checksum-" + algorithm.lower()


def element_name(algorithm: str) -> str:
    """The XML element of a checksum: "ChecksumCRC64NVME"."""
    return "Checksum" + algorithm


def is_checksum(algorithm: str, value: str) -> bool:
    """Whether `value` is base64 of the algorithm's length. A composite value, with its "-N", is not."""
    try:
        return len(base64.b64decode(value, validate=True)) == DIGEST_BYTES[algorithm]
    except (binascii.Error, ValueError):
        return False


def allowed_types(algorithm: str) -> tuple[str, ...]:
    """The checksum types a multipart upload may have with this algorithm, its default first."""
    if algorithm == "CRC64NVME":
        return (FULL_OBJECT,)
    return (COMPOSITE, FULL_OBJECT) if algorithm in ("CRC32", "CRC32C") else (COMPOSITE,)


def checksum_type_default(algorithm: str) -> str:
    """The type of a multipart upload's checksum where the client chose none. An object in one piece is FULL_OBJECT."""
    return allowed_types(algorithm)[0]


def checksum_of(algorithm: str, data: Chunk) -> str:
    digest = _new(algorithm)
    digest.update(data)
    return _base64(digest.digest())


def combine_crcs(algorithm: str, parts: Iterable[tuple[str, int]]) -> str:
    """The FULL_OBJECT checksum of (base64 checksum, size in bytes) of each part, in order, without reading a byte.

    Raises: KeyError for an algorithm that is no CRC.
    """
    combine = _combine_function(algorithm)
    total = 0
    for value, size_bytes in parts:
        total = combine(total, int.from_bytes(base64.b64decode(value), "big"), size_bytes)
    return _base64(total.to_bytes(DIGEST_BYTES[algorithm], "big"))


def composite_checksum(algorithm: str, parts: Sequence[str]) -> str:
    """The COMPOSITE checksum of the parts' base64 checksums, in order: base64 of the digest of digests, "-", their number."""
    return f"{checksum_of(algorithm, b''.join(map(base64.b64decode, parts)))}-{len(parts)}"


def multipart_etag(parts: Sequence[str]) -> str:
    """The ETag, without quotes, of an object made of parts with these hexadecimal MD5s, in order."""
    joined = b"".join(map(bytes.fromhex, parts))
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(parts)}"


def _base64(digest: bytes) -> str:
    return binascii.b2a_base64(digest, newline=False).decode("ascii")


def _new(algorithm: str) -> _Digest:
    """Raises: KeyError."""
    if algorithm in _HASHES:
        return hashlib.new(_HASHES[algorithm], usedforsecurity=False)
    if algorithm.startswith("XXHASH"):
        return _XxHash(algorithm)
    return _RunningCrc(_crc_function(algorithm), DIGEST_BYTES[algorithm])


_HASHES = {"SHA1": "sha1", "SHA256": "sha256", "SHA512": "sha512", "MD5": "md5"}


class _RunningCrc:
    __slots__ = ("_function", "_size_bytes", "_value")

    def __init__(self, function: Crc, size_bytes: int) -> None:
        self._function = function
        self._size_bytes = size_bytes
        self._value = 0

    def update(self, data: Chunk, /) -> None:
        self._value = self._function(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size_bytes, "big")


class _XxHash:
    """awscrt's hash can be finished only once and reads no memoryview; here it behaves like hashlib's."""

    __slots__ = ("_digest", "_hash")

    def __init__(self, algorithm: str) -> None:
        from awscrt.checksums import XXHash

        makers = {
            "XXHASH64": XXHash.new_xxhash64,
            "XXHASH3": XXHash.new_xxhash3_64,
            "XXHASH128": XXHash.new_xxhash3_128,
        }
        self._hash = makers[algorithm]()
        self._digest: bytes | None = None

    def update(self, data: Chunk, /) -> None:
        self._hash.update(bytes(data))

    def digest(self) -> bytes:
        if self._digest is None:
            self._digest = bytes(self._hash.finalize())
        return self._digest


@cache
def _crc_function(algorithm: str) -> Crc:
    """The function (data, CRC so far) -> CRC. Raises: KeyError."""
    if algorithm == "CRC32":
        return zlib.crc32
    from awscrt import checksums

    functions: dict[str, Crc] = {"CRC32C": checksums.crc32c, "CRC64NVME": checksums.crc64nvme}
    return functions[algorithm]


@cache
def _combine_function(algorithm: str) -> Callable[[int, int, int], int]:
    """The function (CRC of A, CRC of B, bytes of B) -> CRC of A and B. Raises: KeyError."""
    from awscrt import checksums

    functions: dict[str, Callable[[int, int, int], int]] = {
        "CRC32": checksums.combine_crc32,
        "CRC32C": checksums.combine_crc32c,
        "CRC64NVME": checksums.combine_crc64nvme,
    }
    return functions[algorithm]
