"""S-01: AWS's published S3 signing examples, to the last digit.

Source: "Examples: Signature Calculations", "Chunked Upload", "Including Trailing Headers" and "Using Query Parameters",
AWS S3 API reference.
"""

from __future__ import annotations

import pytest

from app.auth.chunked import ChunkedDecoder, ChunkSigner
from app.auth.payload_mode import STREAMING_SIGNED, STREAMING_SIGNED_TRAILER, UNSIGNED, PayloadMode
from app.auth.signing import presign, sign_headers
from app.domain.errors import SignatureDoesNotMatch
from tests.unit.auth.examples import (
    CREDENTIAL,
    EMPTY_SHA256,
    HOST,
    NOW_S,
    OWNER,
    REGION,
    TIMESTAMP,
    Headers,
    authenticate,
    authorization,
)

DATE = ("x-amz-date", TIMESTAMP)
EMPTY = ("x-amz-content-sha256", EMPTY_SHA256)

PUT_SHA256 = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"

EXAMPLES: dict[str, tuple[str, str, Headers, str]] = {
    "get-object-range": (
        "GET",
        "/test.txt",
        [("host", HOST), ("range", "bytes=0-9"), EMPTY, DATE],
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    "put-object": (
        "PUT",
        "/test$file.text",
        [
            ("host", HOST),
            ("date", "Fri, 24 May 2013 00:00:00 GMT"),
            DATE,
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ("x-amz-content-sha256", PUT_SHA256),
        ],
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ),
    "get-bucket-lifecycle": (
        "GET",
        "/?lifecycle",
        [("host", HOST), EMPTY, DATE],
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ),
    "list-objects": (
        "GET",
        "/?max-keys=2&prefix=J",
        [("host", HOST), EMPTY, DATE],
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_published_example_is_accepted(name: str) -> None:
    method, target, headers, signature = EXAMPLES[name]
    signed = ";".join(sorted(name for name, _ in headers))
    result = authenticate(method, target, [*headers, authorization(signed, signature)])
    assert result.principal is OWNER
    assert result.payload == PayloadMode(PUT_SHA256 if method == "PUT" else EMPTY_SHA256)
    assert result.seed is None
    assert not result.is_presigned


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_published_example_with_one_digit_changed_is_refused(name: str) -> None:
    method, target, headers, signature = EXAMPLES[name]
    signed = ";".join(sorted(name for name, _ in headers))
    other = signature[:-1] + ("0" if signature[-1] != "0" else "1")
    with pytest.raises(SignatureDoesNotMatch):
        authenticate(method, target, [*headers, authorization(signed, other)])


@pytest.mark.parametrize("name", EXAMPLES)
def test_signing_a_published_example_gives_its_signature(name: str) -> None:
    method, target, headers, signature = EXAMPLES[name]
    payload_hash = dict(headers)["x-amz-content-sha256"]
    given = [pair for pair in headers if pair[0] not in ("x-amz-date", "x-amz-content-sha256")]
    signed = sign_headers(
        method, f"https://{HOST}{target}", given, CREDENTIAL, region=REGION, now_s=NOW_S, payload_hash=payload_hash
    )
    assert dict(signed.headers)["authorization"].endswith("Signature=" + signature)
    assert authenticate(method, target, signed.headers).principal is OWNER


PRESIGNED = (
    "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
    "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
    "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
    "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
)


def test_the_published_presigned_url_is_accepted() -> None:
    result = authenticate("GET", PRESIGNED, [("host", HOST)])
    assert (result.principal, result.payload, result.is_presigned) == (OWNER, UNSIGNED, True)


def test_presigning_gives_the_published_url() -> None:
    url = presign("GET", f"https://{HOST}/test.txt", CREDENTIAL, expires_s=86_400, region=REGION, now_s=NOW_S)
    assert url == f"https://{HOST}{PRESIGNED}"


CHUNK_SIGNATURES = (
    "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
    "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
    "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
)
CHUNK_SIGNATURES_WITH_TRAILER = (
    "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
    "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
    "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
)
DATA = b"a" * 66_560


def chunks(signatures: tuple[str, ...], end: str) -> bytes:
    sizes = (65_536, 1024, 0)
    encoded = b"".join(
        f"{size:x};chunk-signature={signature}\r\n".encode() + b"a" * size + (b"\r\n" if size else b"")
        for size, signature in zip(sizes, signatures, strict=True)
    )
    return encoded + end.encode()


def streaming_seed(extra: Headers, payload_hash: str, signature: str) -> ChunkSigner:
    headers = [
        ("host", "s3.amazonaws.com"),
        ("content-encoding", "aws-chunked"),
        DATE,
        ("x-amz-content-sha256", payload_hash),
        ("x-amz-decoded-content-length", "66560"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        *extra,
    ]
    signed = ";".join(sorted(name for name, _ in headers))
    result = authenticate("PUT", "/examplebucket/chunkObject.txt", [*headers, authorization(signed, signature)])
    assert result.payload == (STREAMING_SIGNED_TRAILER if payload_hash.endswith("TRAILER") else STREAMING_SIGNED)
    assert result.seed is not None
    return result.seed


def test_the_published_chunked_upload_is_decoded_and_verified() -> None:
    seed = streaming_seed(
        [("content-length", "66824")],
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
    )
    body = chunks(CHUNK_SIGNATURES, "\r\n")
    assert len(body) == 66_824
    decoder = ChunkedDecoder(seed, False, frozenset(), 66_560)
    assert decoder.feed(body) == DATA
    assert decoder.finish() == {}


def test_the_published_upload_with_a_trailer_is_decoded_and_verified() -> None:
    seed = streaming_seed(
        [("x-amz-trailer", "x-amz-checksum-crc32c")],
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
    )
    trailer = (
        "x-amz-checksum-crc32c:sOO8/Q==\r\n"
        "x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"
    )
    decoder = ChunkedDecoder(seed, True, frozenset({"x-amz-checksum-crc32c"}), 66_560)
    assert decoder.feed(chunks(CHUNK_SIGNATURES_WITH_TRAILER, trailer)) == DATA
    assert decoder.finish() == {"x-amz-checksum-crc32c": "sOO8/Q=="}
