"""Bytes to and from an S3 service, as botocore's client takes and gives them, and what its ETags are worth."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from app.storage.remote_calls import Kind, Trouble, UpstreamError
from app.storage.remote_upstream import Download

BYTES_MAX = 1 << 16  # sent as one piece
PIECE_BYTES = 1 << 18  # must leave within the connection's time-out, however slow the line is
EXPECT_MIN_BYTES = 4 << 20  # from here on a refusal before the body is worth a round trip

_ETAG_DIFFERS = Trouble(Kind.WRONG, "ETagDiffers")
_RANGE_IGNORED = Trouble(Kind.WRONG, "RangeIgnored")


def md5_of(content: memoryview) -> bytes:
    return hashlib.md5(content, usedforsecurity=False).digest()


def body_of(content: memoryview) -> bytes | PartBody:
    """A request's body; for longer ones nothing is copied."""
    return bytes(content) if len(content) <= BYTES_MAX else PartBody(content)


class PartBody:
    """Memory as the file that botocore and http.client read, in pieces no smaller than they ask for."""

    def __init__(self, content: memoryview) -> None:
        self._content = content
        self._at = 0

    def __len__(self) -> int:
        return len(self._content)

    def read(self, count: int = -1) -> memoryview:
        """Nobody who sends needs pieces of 16 KiB: a larger one is one system call too."""
        end = len(self._content) if count < 0 else self._at + max(count, PIECE_BYTES)
        piece = self._content[self._at : end]
        self._at += len(piece)
        return piece

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, len(self._content))[whence]
        return self._at

    def tell(self) -> int:
        return self._at


def without_needless_wait(request: Any, **_: object) -> None:
    """botocore asks before every body that is a file; for small ones that costs more than it can save."""
    headers = request.headers
    if "Expect" in headers and int(headers.get("Content-Length", 0)) < EXPECT_MIN_BYTES:
        del headers["Expect"]


class Etags:
    """Compares ETags with the MD5s that they are in S3, unless this service's never were.

    They are not where the service encrypts with a key of its user, and in some that are not S3. So one that differs is an
    error where the same sort of answer, by the encryption that it names, has been right before.
    """

    def __init__(self) -> None:
        self._trusted: set[tuple[str, bool]] = set()

    def compare(self, answer: Mapping[str, Any], expected: str) -> None:
        """`expected` is the hexadecimal MD5, with "-n" behind it for an object in parts. Raises: UpstreamError."""
        sort = str(answer.get("ServerSideEncryption") or ""), "-" in expected
        if str(answer.get("ETag", "")).strip('"').lower() == expected:
            self._trusted.add(sort)
        elif sort in self._trusted:
            raise UpstreamError(_ETAG_DIFFERS)


class AwsDownload(Download):
    def __init__(self, answer: Mapping[str, Any], start: int, end: int | None) -> None:
        """Of a request for [start, end). Raises: UpstreamError for an answer that begins elsewhere, closed."""
        self._body = answer["Body"]
        self._left_bytes = int(answer["ContentLength"])
        span, _, total = str(answer.get("ContentRange", "")).rpartition("/")
        self.size_bytes = int(total) if total.isdigit() else self._left_bytes
        is_whole = not span and not start and end in (None, self._left_bytes)
        if not is_whole and not span.startswith(f"bytes {start}-"):
            self.close()
            raise UpstreamError(_RANGE_IGNORED)

    def read(self, count: int) -> bytes:
        """What has come, as soon as something has: a service that trickles is noticed by its slowness."""
        raw = self._body._raw_stream  # botocore's class around urllib3's waits for all that was asked for
        piece: bytes = raw.read1(count)
        self._left_bytes -= len(piece)
        if piece and not self._left_bytes:
            raw.read(1)  # sees the end, so that the connection can be used again
        return piece

    def close(self) -> None:
        self._body.close()
