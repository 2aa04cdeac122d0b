"""S-21: requests of which two parsers might make two different things. Behind each, or inside, stands one that must never be served.

What is refused as malformed is in test_framing.py; here are those that are right, or that proxies make right.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.server.test_framing import BROKEN_CHUNKS, CHUNKED, REFUSED

BUCKET = "open"  # everybody may write to it


def smuggled(name: str) -> bytes:
    """The request that must not be served; its key says where it came from."""
    return b"GET /open/smuggled-%b HTTP/1.1\r\nHost: localhost\r\n\r\n" % name.replace(" ", "-").encode()


def request(method: bytes, *lines: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join([method + b" /open/k HTTP/1.1", b"Host: localhost", *lines, b"", b""]) + body


def ambiguous() -> Iterator[tuple[str, bytes]]:
    """(name, bytes): where the hidden request is inside a body, what is sent is one whole request."""
    for name, (sent, _, _) in REFUSED.items():
        yield name, sent + smuggled("behind")
    for name, body in BROKEN_CHUNKS.items():
        yield f"chunks: {name}", request(b"PUT", CHUNKED, body=body) + smuggled("behind")
    for method in (b"GET", b"HEAD", b"DELETE", b"PUT", b"POST", b"OPTIONS", b"PATCH"):
        yield from _inside(method)
    yield from _disguised()


def _inside(method: bytes) -> Iterator[tuple[str, bytes]]:
    """The hidden request is the body, or in it."""
    hidden = smuggled("inside")
    named = method.decode()
    length = b"Content-Length: %d"
    yield f"{named}: body", request(method, length % len(hidden), body=hidden)
    yield f"{named}: body that is expected", request(method, length % len(hidden), b"Expect: 100-continue", body=hidden)
    yield f"{named}: body, closing", request(method, length % len(hidden), b"Connection: close", body=hidden)
    large = b"x" * 100_000 + b"\r\n\r\n" + hidden
    yield f"{named}: end of a large body", request(method, length % len(large), body=large)
    chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (len(hidden), hidden)
    yield f"{named}: chunk", request(method, CHUNKED, body=chunk)
    yield f"{named}: chunk that is expected", request(method, CHUNKED, b"Expect: 100-continue", body=chunk)
    yield (
        f"{named}: signed wrongly",
        request(method, length % len(hidden), b"Authorization: AWS4-HMAC-SHA256 x", body=hidden),
    )
    yield f"{named}: cut short", request(method, length % (len(hidden) + 7), body=hidden)


def _disguised() -> Iterator[tuple[str, bytes]]:
    """Lengths and codings that one of two may overlook: the hidden request is inside for whoever sees the first."""
    hidden = smuggled("inside")
    length = b"Content-Length: %d" % len(hidden)
    ended = b"0\r\n\r\n" + hidden
    for name, line in (
        ("underscore", b"Transfer_Encoding: chunked"), ("blank in front", b" Transfer-Encoding: chunked"), ("tab behind", b"Transfer-Encoding\t: chunked"),
        ("vertical tab", b"Transfer-Encoding: \x0bchunked"), ("form feed", b"Transfer-Encoding:\x0cchunked"), ("cow", b"Transfer-Encoding: cow"),
        ("trailing comma", b"Transfer-Encoding: chunked,"), ("parameter", b"Transfer-Encoding: chunked;q=1"), ("identity first", b"Transfer-Encoding: identity, chunked"),
        ("upper case", b"TRANSFER-ENCODING: CHUNKED"), ("folded", b"Transfer-Encoding:\r\n chunked"), ("NUL", b"Transfer-Encoding\x00: chunked"),
        ("CR alone", b"X: y\rTransfer-Encoding: chunked"), ("LF alone", b"X: y\nTransfer-Encoding: chunked"), ("quoted", b'Transfer-Encoding: "chunked"'),
        ("TE", b"TE: chunked"), ("two lines", b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked"),
    ):  # fmt: skip
        hides = b"Content-Length: %d" % len(ended)
        yield f"coding, {name}", request(b"PUT", hides, line, body=ended)
        yield f"coding before length, {name}", request(b"PUT", line, hides, body=ended)
    for name, line in (
        ("underscore", b"Content_Length: 0"), ("zero first", b"Content-Length: 00"), ("plus", b"Content-Length: +0"), ("list", b"Content-Length: 0, 0"),
        ("blank in front", b" Content-Length: 0"), ("tab behind", b"Content-Length\t: 0"), ("connection names it", b"Connection: content-length"),
        ("CR alone", b"X: y\rContent-Length: 0"), ("LF alone", b"X: y\nContent-Length: 0"), ("other case", b"content-LENGTH: 0"),
    ):  # fmt: skip
        yield f"length, {name}", request(b"PUT", length, line, body=hidden)
        yield f"length first, {name}", request(b"PUT", line, length, body=hidden)
    for name, body in (
        ("trailer is a length", b"0\r\nContent-Length: 60\r\n\r\n"), ("trailer is a coding", b"0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("many zeros", b"0000000000\r\n\r\n"), ("extension", b'0;a="\\"b"\r\n\r\n'), ("size in upper case", b"A\r\n0123456789\r\n0\r\n\r\n"),
    ):  # fmt: skip
        yield f"chunks, {name}", request(b"PUT", CHUNKED, body=body)
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__"
    yield "upgrade", request(b"PUT", upgrade, length, body=hidden)
    yield (
        "other host in the target",
        b"PUT http://evil/open/k HTTP/1.1\r\nHost: localhost\r\n" + length + b"\r\n\r\n" + hidden,
    )
    yield "length of HTTP/1.0", request(b"PUT", length, body=hidden).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
