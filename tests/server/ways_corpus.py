"""What is asked of both ways: every hot operation, with all that a client may put on it, right and wrong.

`seed` makes what these requests read. Expected statuses are there so that a whole group cannot be refused unseen.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from tests.server.ways import Case
from tests.servers import ACCESS_KEY, SECRET_KEY, RunningServer
from tests.signing import (
    STREAMING,
    STREAMING_TRAILER,
    STREAMING_UNSIGNED_TRAILER,
    UNSIGNED,
    Draft,
    Keys,
    Sign,
    anonymous,
    aws_chunked,
    presign,
    sign,
)

ROOT = Keys(ACCESS_KEY, SECRET_KEY)
DOMAIN = "s3.test"
SMALL = bytes(range(256)) * 4
LARGE = hashlib.shake_128(b"large").digest(200_000)  # above the inline limit: a file
PART = hashlib.shake_128(b"part").digest(5 << 20)
PAST, FUTURE = "Thu, 01 Jan 2015 00:00:00 GMT", "Thu, 01 Jan 2099 00:00:00 GMT"
ODD_KEYS = (
    "a b+c",
    "ü/€",
    "//",
    "a//b",
    "../..",
    "a/./b",
    "%41",
    "a?b&c#d",
    "\x7f\x01",
    "a\nb",
    "😀",
    "x" * 1_024,
    "-",
    "~",
)


def seed(server: RunningServer) -> None:
    client = server.client()
    for name in ("plain", "versions", "public", "open"):
        client.create_bucket(Bucket=name)
    client.put_bucket_acl(Bucket="open", ACL="public-read-write")
    client.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
    client.put_bucket_acl(Bucket="public", ACL="public-read")
    client.put_object(
        Bucket="plain", Key="small", Body=SMALL, ContentType="text/plain", CacheControl="max-age=1",
        ContentDisposition="inline", ContentLanguage="en", Metadata={"a_b": "one", "a-b": "two"}, Tagging="a=b",
        ChecksumAlgorithm="SHA256", WebsiteRedirectLocation="/x",
    )  # fmt: skip
    client.put_object(Bucket="plain", Key="empty", Body=b"")
    client.put_object(Bucket="plain", Key="large", Body=LARGE)
    _put_in_parts(client)
    for key in ODD_KEYS:
        client.put_object(Bucket="plain", Key=key, Body=key.encode())
    for body in (b"one", b"two"):
        client.put_object(Bucket="versions", Key="k", Body=body)
    client.put_object(Bucket="versions", Key="gone", Body=b"gone")
    client.delete_object(Bucket="versions", Key="gone")
    client.put_object(Bucket="public", Key="k", Body=SMALL, ACL="public-read")
    client.put_object(Bucket="public", Key="private", Body=SMALL)


def _put_in_parts(client: Any) -> None:
    upload = client.create_multipart_upload(Bucket="plain", Key="parts", ChecksumAlgorithm="CRC32")["UploadId"]
    parts = []
    for number, body in enumerate((PART, b"the end"), 1):
        part = client.upload_part(Bucket="plain", Key="parts", UploadId=upload, PartNumber=number, Body=body)
        parts.append({name: part[name] for name in ("ETag", "ChecksumCRC32")} | {"PartNumber": number})
    client.complete_multipart_upload(Bucket="plain", Key="parts", UploadId=upload, MultipartUpload={"Parts": parts})


def case(
    status: int | None, method: str, target: str, *headers: str, body: bytes = b"", by: Sign = presign, name: str = "",
    length: int | None = None, keys: Keys = ROOT, **draft: Any,
) -> Case:  # fmt: skip
    """One request; `headers` are "Name: value"."""
    pairs = [(line.partition(":")[0], line.partition(":")[2].strip()) for line in headers]
    drafted = Draft(method, target, pairs, body, **draft)
    signed = anonymous(drafted) if by is anonymous else by(drafted, keys)
    shown = name or f"{method} {target[:80]} {' | '.join(headers)[:120]}"
    return Case(f"{shown} ({by.__name__})", status, (signed.wire(length=length),), method)


def by_all(status: int, method: str, target: str, *headers: str, **options: Any) -> Iterator[Case]:
    for by in (sign, presign):
        yield case(status, method, target, *headers, by=by, **options)


# -- Reading -----------------------------------------------------------------------------------------------------


def reads() -> Iterator[Case]:
    for method in ("GET", "HEAD"):
        for target, status in (
            ("small", 200), ("empty", 200), ("large", 200), ("parts?partNumber=2", 206), ("parts?partNumber=3", 416),
            ("parts?partNumber=0", 400), ("small?partNumber=1", 206), ("small?partNumber=x", 400), ("absent", 404),
            ("small?versionId=null", 200), ("small?versionId=none", 400), ("small?versionId=", 400), ("absent?versionId=null", 404),
            (f"small?versionId={'A' * 32}", 404), ("small?x-id=GetObject", 200), ("small?unknown=1", 200), ("small?a=1&a=2&&=", 200),
            ("small?response-content-type=a%2Fb&response-cache-control=no-store&response-expires=never", 200),
            ("small?response-content-disposition=%0D%0Ax", 400),
        ):  # fmt: skip
            yield from by_all(status, method, f"/plain/{target}")
        yield from by_all(200, method, "/versions/k")
        yield from by_all(404, method, "/versions/gone")
        yield from by_all(404, method, "/nosuchbucket/k")
        yield from by_all(404, method, "/Not_A_Bucket/k")
        for key in ODD_KEYS:
            yield from by_all(200, method, f"/plain/{quote(key, safe='/')}")
            yield case(200, method, f"/plain/{quote(key, safe='/').lower()}" if "%" in quote(key) else "/plain/small")
    for headers, status in CONDITIONS:
        yield case(status, "GET", "/plain/small", *headers)
        yield case(status, "HEAD", "/plain/small", *headers)
    for value, status in RANGES:
        for key in ("small", "large", "empty"):
            yield case(416 if key == "empty" and status == 206 else status, "GET", f"/plain/{key}", f"Range: {value}")
        yield case(status, "HEAD", "/plain/small", f"Range: {value}")


_ETAG = f'"{hashlib.md5(SMALL).hexdigest()}"'
CONDITIONS: tuple[tuple[tuple[str, ...], int], ...] = (
    ((f"If-Match: {_ETAG}",), 200), (('If-Match: "x"',), 412), (("If-Match: *",), 200), (("If-Match:",), 412),
    ((f"If-None-Match: {_ETAG}",), 304), ((f"If-None-Match: W/{_ETAG}",), 304), (("If-None-Match: *",), 304),
    (('If-None-Match: "x", "y"',), 200), ((f"If-Modified-Since: {PAST}",), 200), ((f"If-Modified-Since: {FUTURE}",), 304),
    ((f"If-Unmodified-Since: {PAST}",), 412), ((f"If-Unmodified-Since: {FUTURE}",), 200), (("If-Modified-Since: soon",), 200),
    ((f"If-Match: {_ETAG}", f"If-Unmodified-Since: {PAST}"), 200), ((f"If-None-Match: {_ETAG}", f"If-Modified-Since: {PAST}"), 304),
    ((f"If-Range: {_ETAG}", "Range: bytes=1-2"), 206), (('If-Range: "x"', "Range: bytes=1-2"), 200),
    ((f"If-Range: W/{_ETAG}", "Range: bytes=1-2"), 200), ((f"If-Range: {PAST}", "Range: bytes=1-2"), 200),
    (("x-amz-checksum-mode: ENABLED",), 200), (("x-amz-expected-bucket-owner: 0",), 403), (("x-amz-request-payer: requester",), 200),
    (("Cookie: a=b; c",), 200), (("X-Forwarded-For: 6.6.6.6", "X_Forwarded_For: a"), 200), (("Accept-Encoding: gzip, br",), 200),
    (("x-amz-server-side-encryption-customer-algorithm: AES256",), 501), (("Connection: close",), 200), (("Connection: Keep-Alive",), 200),
    (("Upgrade: h2c", "Connection: upgrade"), 200), (("TE: trailers",), 200), (("Expect: 100-continue",), 200), (("Expect: nothing",), 200),
)  # fmt: skip
RANGES = (
    ("bytes=0-0", 206), ("bytes=5-", 206), ("bytes=-5", 206), ("bytes=0-999999999", 206), ("bytes=999999999-", 416), ("bytes=-0", 416),
    ("bytes=1-2,4-5", 200), ("bytes=5-1", 200), ("bytes=a-b", 200), ("lines=1-2", 200), ("bytes=", 200), ("bytes= 1 - 2", 200),
)  # fmt: skip


# -- Writing -----------------------------------------------------------------------------------------------------


def writes() -> Iterator[Case]:
    md5 = base64.b64encode(hashlib.md5(SMALL).digest()).decode()
    sha256 = base64.b64encode(hashlib.sha256(SMALL).digest()).decode()
    crc32 = base64.b64encode(zlib.crc32(SMALL).to_bytes(4, "big")).decode()
    other = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    for body in (b"", SMALL, LARGE):
        yield from by_all(200, "PUT", "/plain/new", body=body)
        yield from by_all(200, "PUT", "/versions/new", body=body)
    for headers, status in (
        ([f"Content-MD5: {md5}"], 200), ([f"Content-MD5: {other}"], 400), (["Content-MD5: x"], 400), ([f"x-amz-checksum-sha256: {sha256}"], 200),
        ([f"x-amz-checksum-crc32: {crc32}"], 200), (["x-amz-checksum-crc32: AAAAAA=="], 400), (["x-amz-checksum-crc32: x"], 400),
        ([f"x-amz-checksum-crc32: {crc32}", f"x-amz-checksum-sha256: {sha256}"], 400), (["x-amz-sdk-checksum-algorithm: CRC32"], 400),
        (["If-None-Match: *"], 412), (["If-None-Match: x"], 501), (['If-Match: "x"'], 412), (["If-Match: *"], 200), (["x-amz-acl: private"], 200),
        (["x-amz-acl: nobody"], 400), (["x-amz-tagging: a=b&c"], 200), (["x-amz-tagging: a=b&a=c"], 400), (["x-amz-storage-class: STANDARD"], 200),
        (["x-amz-storage-class: x"], 400), (["x-amz-server-side-encryption: aws:kms"], 501), (["x-amz-object-lock-mode: GOVERNANCE"], 400),
        (["x-amz-meta-a_b: \xff", "x-amz-meta-A-B: 1", "x-amz-meta-a-b:"], 200), ([f"x-amz-meta-a: {'x' * 2_100}"], 400), (["Content-Type: a\tb"], 200),
        (["Expires: never", "Content-Encoding: gzip,aws-chunked", "Cache-Control: a, b"], 200), (["x-amz-website-redirect-location: x"], 400),
        (["x-amz-copy-source: /plain/small"], 200), (["x-amz-copy-source: /plain/absent"], 404), (["x-amz-expected-bucket-owner: 0"], 403),
    ):  # fmt: skip
        yield from by_all(status, "PUT", "/plain/put", *headers, body=SMALL)
    yield from by_all(404, "PUT", "/plain/absent", "If-Match: *", body=SMALL)
    yield case(200, "PUT", "/plain/once", "If-None-Match: *", body=SMALL)
    yield case(400, "PUT", f"/plain/{'x' * 1_025}", body=SMALL, name="key of 1,025 bytes")
    yield case(404, "PUT", "/nosuchbucket/k", body=SMALL)
    yield case(404, "PUT", "/nosuchbucket/k", body=LARGE)
    yield case(400, "PUT", "/plain/put", body=SMALL, by=sign, payload_hash="0" * 64, name="other hash")
    yield case(400, "PUT", "/plain/put", body=LARGE, by=sign, payload_hash="0" * 64, name="other hash of a large body")
    yield case(200, "PUT", "/plain/put", body=SMALL, by=sign, payload_hash=UNSIGNED, name="unsigned payload")
    yield case(400, "PUT", "/plain/put", body=SMALL, by=sign, payload_hash="x", name="no hash")
    yield from deletes()
    yield from streams()


def deletes() -> Iterator[Case]:
    for target, status in (
        ("/plain/put", 204), ("/plain/put", 204), ("/plain/absent", 204), ("/versions/new", 204), ("/versions/new?versionId=null", 204),
        ("/versions/new?versionId=x", 400), ("/nosuchbucket/k", 404), ("/plain/new?tagging", 204), ("/plain/new?acl", 405),
    ):  # fmt: skip
        yield case(status, "DELETE", target)
    yield case(412, "DELETE", "/plain/new", 'If-Match: "x"')
    yield case(204, "DELETE", "/plain/new", "Content-Length: 0", by=sign)
    yield case(204, "DELETE", "/plain/new", body=b"nobody reads this")


def streams() -> Iterator[Case]:
    """aws-chunked bodies: signed chunk by chunk, by trailer, wrong, and cut short."""
    for mode, by, has_trailer in (
        (STREAMING, sign, False), (STREAMING_TRAILER, sign, True), (STREAMING_UNSIGNED_TRAILER, sign, True), (STREAMING, presign, False),
    ):  # fmt: skip
        for flaw, status in (("", 200), ("signature", 403), ("checksum", 400), ("length", 400), ("cut", 400)):
            made = _stream(mode, by, flaw, has_trailer=has_trailer)
            if made is not None:
                yield Case(f"{mode} {flaw} ({by.__name__})", status, (made,), "PUT", ends=flaw == "cut")


def _stream(mode: str, by: Sign, flaw: str, *, has_trailer: bool) -> bytes | None:
    """None where the mode cannot have the flaw."""
    is_chained = mode != STREAMING_UNSIGNED_TRAILER
    if (flaw == "signature" and not is_chained) or (flaw == "checksum" and not has_trailer):
        return None
    length = len(SMALL) + (flaw == "length")
    headers = [("x-amz-decoded-content-length", str(length))]
    trailers = []
    if has_trailer:
        headers.append(("x-amz-trailer", "x-amz-checksum-crc32"))
        crc = zlib.crc32(SMALL) ^ (flaw == "checksum")
        trailers.append(("x-amz-checksum-crc32", base64.b64encode(crc.to_bytes(4, "big")).decode()))
    signed = by(Draft("PUT", "/plain/streamed", headers, SMALL, payload_hash=mode), ROOT)
    body = aws_chunked(
        [SMALL[:1_000], SMALL[1_000:]], signed.chain if is_chained else None, trailers, signs_trailer=is_chained and has_trailer,
    )  # fmt: skip
    if flaw == "signature":
        at = body.index(b"chunk-signature=") + 16
        body = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
    return signed.wire(body)[:-40] if flaw == "cut" else signed.wire(body)
