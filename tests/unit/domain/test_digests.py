"""Digests and checksums, against published values and against the whole computed at once."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import zlib

import pytest
from hypothesis import given, strategies as st

from app.domain import digests
from app.domain.digests import CHECKSUM_ALGORITHMS, Digests

# Check values of "123456789" as the algorithms' catalogues publish them; xxHash's are of the empty input.
NINE_DIGITS = {
    "CRC32": "cbf43926",
    "CRC32C": "e3069283",
    "CRC64NVME": "ae8b14860a799888",
    "SHA1": hashlib.sha1(b"123456789").hexdigest(),
    "SHA256": hashlib.sha256(b"123456789").hexdigest(),
    "SHA512": hashlib.sha512(b"123456789").hexdigest(),
    "MD5": hashlib.md5(b"123456789").hexdigest(),
}
EMPTY = {
    "XXHASH64": "ef46db3751d8e999",
    "XXHASH3": "2d06800538d394c2",
    "XXHASH128": "99aa06d3014798d86001c324468d497f",
    "CRC64NVME": "0000000000000000",
}
CRCS = ("CRC32", "CRC32C", "CRC64NVME")


def b64(hexadecimal: str) -> str:
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()


@pytest.mark.parametrize(("algorithm", "expected"), NINE_DIGITS.items())
def test_a_checksum_has_its_published_value(algorithm: str, expected: str) -> None:
    assert digests.checksum_of(algorithm, b"123456789") == b64(expected)


@pytest.mark.parametrize(("algorithm", "expected"), EMPTY.items())
def test_nothing_has_a_checksum_too(algorithm: str, expected: str) -> None:
    assert digests.checksum_of(algorithm, b"") == b64(expected)


@pytest.mark.parametrize("algorithm", CHECKSUM_ALGORITHMS)
def test_pieces_give_the_checksum_of_the_whole(algorithm: str) -> None:
    data = bytes(range(256)) * 40
    pieces = Digests([algorithm])
    pieces.update(data[:1])
    pieces.update(memoryview(data)[1:7000])
    pieces.update(b"")
    pieces.update(data[7000:])
    assert pieces.checksum(algorithm) == digests.checksum_of(algorithm, data)
    assert pieces.checksum(algorithm) == pieces.checksum(algorithm), "asking twice changes nothing"
    assert pieces.size_bytes == len(data)


@pytest.mark.parametrize("algorithm", CHECKSUM_ALGORITHMS)
def test_a_checksum_is_recognised_by_its_length(algorithm: str) -> None:
    value = digests.checksum_of(algorithm, b"abc")
    assert digests.is_checksum(algorithm, value)
    for wrong in (value[:-4], value + "AAAA", "", "é" * len(value), value.replace("=", "") + "!", value + "-2"):
        assert not digests.is_checksum(algorithm, wrong)


def test_md5_is_always_there_and_the_signature_hash_when_asked_for() -> None:
    both = Digests((), sha256=True)
    both.update(b"abc")
    assert both.md5_hex() == both.md5_bytes().hex() == hashlib.md5(b"abc").hexdigest()
    assert both.sha256_hex() == hashlib.sha256(b"abc").hexdigest()
    with pytest.raises(KeyError):
        both.checksum("SHA256")


def test_a_hash_wanted_twice_is_the_same_hash() -> None:
    shared = Digests(("SHA256", "MD5", "SHA256"), sha256=True)
    shared.update(b"abc")
    assert shared.checksum("SHA256") == b64(shared.sha256_hex())
    assert shared.checksum("MD5") == b64(shared.md5_hex())
    only_checksum = Digests(("SHA256",))
    only_checksum.update(b"abc")
    assert only_checksum.sha256_hex() == shared.sha256_hex()


def test_an_unknown_algorithm_is_refused() -> None:
    assert not digests.is_supported("CRC16")
    with pytest.raises(KeyError):
        Digests(("CRC16",))
    with pytest.raises(KeyError):
        digests.combine_crcs("SHA256", [("AAAA", 1)])


@pytest.mark.parametrize("algorithm", CRCS)
@given(parts=st.lists(st.binary(max_size=2000), min_size=1, max_size=12))
def test_crcs_of_parts_combine_to_that_of_the_whole(algorithm: str, parts: list[bytes]) -> None:
    summed = [(digests.checksum_of(algorithm, part), len(part)) for part in parts]
    assert digests.combine_crcs(algorithm, summed) == digests.checksum_of(algorithm, b"".join(parts))


def test_ten_thousand_large_parts_combine() -> None:
    parts = [(digests.checksum_of("CRC32", b"x"), 5 << 30)] * 10_000
    assert digests.is_checksum("CRC32", digests.combine_crcs("CRC32", parts))


def test_a_composite_checksum_is_the_hash_of_the_parts_binary_hashes() -> None:
    parts = [digests.checksum_of("SHA256", part) for part in (b"one", b"two")]
    joined = hashlib.sha256(b"one").digest() + hashlib.sha256(b"two").digest()
    assert digests.composite_checksum("SHA256", parts) == b64(hashlib.sha256(joined).hexdigest()) + "-2"
    crc_parts = [digests.checksum_of("CRC32", part) for part in (b"one", b"two")]
    crc_joined = zlib.crc32(b"one").to_bytes(4, "big") + zlib.crc32(b"two").to_bytes(4, "big")
    assert digests.composite_checksum("CRC32", crc_parts) == b64(f"{zlib.crc32(crc_joined):08x}") + "-2"


def test_a_multipart_etag_is_the_md5_of_the_parts_binary_md5s() -> None:
    md5s = [hashlib.md5(part) for part in (b"one", b"two")]
    expected = hashlib.md5(md5s[0].digest() + md5s[1].digest()).hexdigest()
    assert digests.multipart_etag([md5.hexdigest() for md5 in md5s]) == f"{expected}-2"


def test_checksum_types_are_those_s3_allows() -> None:
    assert digests.allowed_types("CRC64NVME") == ("FULL_OBJECT",)
    assert digests.allowed_types("SHA256") == digests.allowed_types("SHA1") == ("COMPOSITE",)
    assert set(digests.allowed_types("CRC32")) == set(digests.allowed_types("CRC32C")) == {"COMPOSITE", "FULL_OBJECT"}
    assert digests.checksum_type_default("CRC32") == digests.checksum_type_default("CRC32C") == "COMPOSITE"
    assert digests.checksum_type_default("CRC64NVME") == "FULL_OBJECT"


def test_names_of_headers_and_elements() -> None:
    assert digests.header_name("CRC64NVME") == "x-amz-checksum-crc64nvme"
    assert digests.element_name("CRC64NVME") == "ChecksumCRC64NVME"


def test_the_heavy_library_waits_for_its_first_use() -> None:
    """An idle server does not carry the 6 MB of awscrt."""
    script = (
        "import sys; from app.domain import digests\n"
        "digests.Digests(('CRC32', 'SHA256'), sha256=True).update(b'x')\n"
        "assert not any(name.startswith(('awscrt', '_awscrt')) for name in sys.modules)\n"
        "digests.Digests(('CRC64NVME',))\n"
        "assert 'awscrt.checksums' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
