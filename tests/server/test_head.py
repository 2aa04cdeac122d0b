"""The parser of request heads as a pure function: whatever comes, an S3 error or a head, and fast (S-23, S-24, S-29)."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given, strategies as st

from app.domain.errors import S3Error
from app.server.head import RequestHead, check_arriving, parse_head, refused_request
from app.server.limits import WireLimits

LIMITS = WireLimits()
HEAD = (
    b"PUT /bucket/key?versionId=1 HTTP/1.1\r\nHost: localhost:9000\r\nContent-Length: 5\r\nExpect: 100-continue\r\n"
    b"x-amz-meta-my_key: \xff\r\nConnection: keep-alive"
)
PIECES = st.sampled_from(
    [b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"\0", b"chunked", b"Transfer-Encoding: ", b"Host: ", b"5"]
)


def outcome(block: bytes) -> RequestHead | None:
    with contextlib.suppress(S3Error):
        return parse_head(block, LIMITS)
    return None


@given(st.binary(max_size=300))
def test_garbage_is_refused_or_read_but_nothing_else_happens(block: bytes) -> None:
    outcome(block)
    refused_request(block)
    if block:
        with contextlib.suppress(S3Error):
            check_arriving(block, LIMITS)


@given(st.lists(st.tuples(st.integers(0, len(HEAD)), PIECES | st.binary(max_size=3)), max_size=4))
def test_a_mutated_head_never_has_two_readings(mutations: list[tuple[int, bytes]]) -> None:
    block = HEAD
    for place, piece in mutations:
        block = block[:place] + piece + block[place + len(piece) :]
    head = outcome(block)
    if head is None:
        return
    names = [name.lower() for name, _ in head.headers]
    assert names.count("host") == 1 or head.minor_version == 0
    assert names.count("content-length") <= 1
    assert not (head.is_chunked and head.content_length is not None)
    assert head.is_chunked == ("transfer-encoding" in names)
    for name, value in head.headers:
        assert not set(name) & set(" \t:\r\n\0")
        assert not set(value) & set("\r\n\0")


@given(st.integers(1, len(HEAD) - 1))
def test_no_part_of_a_good_head_is_refused(cut: int) -> None:
    check_arriving(HEAD[:cut], LIMITS)


def test_a_good_head_is_read() -> None:
    head = parse_head(HEAD, LIMITS)
    assert (head.method, head.target, head.minor_version) == ("PUT", "/bucket/key?versionId=1", 1)
    assert (head.content_length, head.is_chunked) == (5, False)
    assert head.expects_continue
    assert head.keeps_alive
    assert head.headers[3] == ("x-amz-meta-my_key", "\xff")


@pytest.mark.parametrize(
    "section",
    [
        b"X:" + b" " * 8_000 + b"\x01",
        (b"X: " + b"a\t" * 4_000 + b"\r\n") * 4 + b"\x01",
        b"X: y\r\n" * 190 + b"a" * 30_000,
        b"".join(b"h%d:\r\n" % n for n in range(4_000)),
        b"Connection: " + b"," * 8_000,
        b"Host: " + b"a" * 8_000 + b"/",
        b"Content-Length: " + b"9" * 8_000,
    ],
)
def test_no_section_is_expensive_to_refuse(section: bytes) -> None:
    """S-23: at most 50 ms of CPU; the possessive patterns cannot backtrack."""
    began = time.process_time()
    outcome(b"GET / HTTP/1.1\r\n" + section)
    assert time.process_time() - began < 0.05
