"""What comes from a back end that is not ours to trust is compared with its row."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.core import content
from app.core.verified import Verified, read_whole
from app.domain import digests
from app.domain.errors import InternalError
from app.domain.types import BlobRef, Body, Checksum
from app.storage.base import CHUNK_MAX_BYTES
from app.storage.memory import MemoryStorage

DATA = bytes(range(256)) * 8192 + b"and an odd end"  # more than two chunks
REF = BlobRef("some blob")


class Upstream(MemoryStorage):
    """Gives what it was told to give, in chunks, as a service does."""

    verifies_reads = True

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.data = data
        self.closed = 0

    def read(self, ref: BlobRef, start: int = 0, length: int | None = None) -> Body:
        return self._chunks()

    def _chunks(self) -> Iterator[bytes]:
        try:
            for at in range(0, len(self.data), CHUNK_MAX_BYTES):
                yield self.data[at : at + CHUNK_MAX_BYTES]
        finally:
            self.closed += 1


def checksum(algorithm: str, data: bytes) -> Checksum:
    return Checksum(algorithm, digests.checksum_of(algorithm, data))


def md5(data: bytes) -> str:
    computed = digests.Digests()
    computed.update(data)
    return computed.md5_hex()


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize("algorithm", ["CRC64NVME", "CRC32", "SHA256", "MD5", None])
@pytest.mark.parametrize("data", [DATA, DATA[:100], DATA[:CHUNK_MAX_BYTES], b""], ids=["long", "short", "one", "empty"])
def test_right_bytes_come_through(algorithm: str | None, data: bytes) -> None:
    upstream = Upstream(data)
    body = read_whole(upstream, REF, len(data), md5(data), checksum(algorithm, data) if algorithm else None)
    pieces = content.chunks(body)
    assert b"".join(pieces) == data
    pieces.close()


@pytest.mark.parametrize("algorithm", ["CRC64NVME", "SHA256", None])
@pytest.mark.parametrize("at", [0, CHUNK_MAX_BYTES, len(DATA) - 1])
def test_of_wrong_bytes_the_last_piece_is_never_given(algorithm: str | None, at: int) -> None:
    upstream = Upstream(flipped(DATA, at))
    body = read_whole(upstream, REF, len(DATA), md5(DATA), checksum(algorithm, DATA) if algorithm else None)
    given = bytearray()
    with pytest.raises(InternalError):  # noqa: PT012  # it is the iteration that fails
        for piece in content.chunks(body):
            given += piece
    assert len(given) < len(DATA)


def test_wrong_bytes_that_fit_in_a_chunk_are_found_before_anything_is_answered() -> None:
    with pytest.raises(InternalError):
        read_whole(Upstream(b"wrong"), REF, 5, md5(b"right"), None)


def test_a_composite_checksum_says_nothing_of_the_bytes_and_the_etag_does() -> None:
    composite = Checksum("SHA256", "abc=-3", digests.COMPOSITE)
    with pytest.raises(InternalError):
        read_whole(Upstream(b"wrong"), REF, 5, md5(b"right"), composite)
    assert read_whole(Upstream(b"right"), REF, 5, md5(b"right"), composite) == b"right"


def test_without_anything_to_compare_with_the_body_is_passed_on() -> None:
    body = read_whole(Upstream(DATA), REF, len(DATA), f"{md5(DATA)}-2", None)
    assert not isinstance(body, Verified)
    assert b"".join(content.chunks(body)) == DATA


def test_a_back_end_of_our_own_is_not_asked_twice() -> None:
    upstream = Upstream(b"wrong")
    upstream.verifies_reads = False
    assert b"".join(content.chunks(read_whole(upstream, REF, 5, md5(b"right"), None))) == b"wrong"


def test_closing_early_closes_the_body_below() -> None:
    upstream = Upstream(DATA)
    pieces = content.chunks(read_whole(upstream, REF, len(DATA), md5(DATA), None))
    next(pieces)
    pieces.close()
    assert upstream.closed == 1
