"""One resumable upload to Google Cloud Storage.

    PUT session   Content-Range: bytes 0-8388607/*                  308, Range: bytes=0-8388607
    PUT session   Content-Range: bytes 8388608-16777215/*           308, Range: bytes=0-16777215
    PUT session   Content-Range: bytes 16777216-16777220/16777221   200, the object's size and CRC32C
    PUT session   Content-Range: bytes */*                          how far it has come: any of these answers

After a failure nobody knows how much of a chunk has come, so the service is asked, and the chunk is gone on with from
there. The session's URL lets anybody write to it: it is never logged.
Source: "Resumable uploads", Google Cloud documentation.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import requests
from google.api_core.exceptions import GoogleAPICallError, PreconditionFailed

from app.domain.digests import Digests
from app.storage.remote_calls import Kind, Trouble, UpstreamError
from app.storage.remote_upstream import Upload

if TYPE_CHECKING:
    from app.storage.gcp import GcpUpstream

_RESUME = 308
_ABORTED = 499
_GONE = frozenset({404, 410})
_RANGE = re.compile(r"bytes=0-(\d+)", re.ASCII)
_GOES_BACK = Trouble(Kind.WRONG, "UploadGoesBack")
_UNFINISHED = Trouble(Kind.WRONG, "UploadUnfinished")
_LOST = Trouble(Kind.AWAY, "UploadLost")


class Stored(NamedTuple):
    """What the service says of an object: base64 of the CRC32C, big-endian."""

    size_bytes: int
    crc32c: str


class ResumableUpload(Upload):
    """Use by one thread at a time."""

    def __init__(self, upstream: GcpUpstream, name: str, session_url: str) -> None:
        self._upstream = upstream
        self._name = name
        self._session_url = session_url
        self._digests = Digests(("CRC32C",))
        self._number = 0  # of the part that is being sent, or was sent last
        self._start = 0  # of that part
        self._end = 0
        self._is_finished = False

    def put_part(self, number: int, content: memoryview, is_last: bool) -> None:
        if number == self._number:
            position = self._ask(is_last)  # an attempt has failed
        else:
            self._number, self._start, self._end = number, self._end, self._end + len(content)
            self._digests.update_others(content)
            position = self._start
        while not self._is_finished and position < self._end:
            gone_on = self._send(content[position - self._start :], position, is_last)
            if not self._is_finished and gone_on <= position:
                raise UpstreamError(_GOES_BACK)
            position = gone_on
        if self._is_finished != is_last:
            raise UpstreamError(_UNFINISHED)

    def complete(self, size_bytes: int) -> None:
        """The last part has done it."""
        assert self._is_finished, "the last part was sent"
        assert size_bytes == self._end, "all that was sent"

    def abort(self) -> None:
        answer = self._upstream.session.send("DELETE", self._session_url)
        if answer.status_code != _ABORTED and answer.status_code not in _GONE:
            self._upstream.require_success(answer)

    # -- one request ---------------------------------------------------------------------------------------------

    def _send(self, content: memoryview, position: int, is_last: bool) -> int:
        """Gives where the upload has come to."""
        headers = {"Content-Range": f"bytes {position}-{self._end - 1}/{self._end if is_last else '*'}"}
        if is_last:
            headers["X-Goog-Hash"] = f"crc32c={self._crc32c}"
        return self._position(self._upstream.session.send("PUT", self._session_url, headers, content), is_last)

    def _ask(self, is_last: bool) -> int:
        headers = {"Content-Range": f"bytes */{self._end if is_last else '*'}"}
        position = self._position(self._upstream.session.send("PUT", self._session_url, headers), is_last)
        if position < self._start:
            raise UpstreamError(_GOES_BACK)
        return position

    def _position(self, answer: requests.Response, is_last: bool) -> int:
        """Of the next byte that is wanted. Raises: GoogleAPICallError, UpstreamError."""
        if answer.status_code == _RESUME:
            came = _RANGE.fullmatch(answer.headers.get("Range", ""))
            return int(came[1]) + 1 if came else 0
        try:
            self._upstream.require_success(answer)
            found = self._upstream.stored(answer.json()) if is_last else None
        except PreconditionFailed:
            found = self._upstream.find(self._name)  # of an attempt whose answer was lost, or nobody's
        except GoogleAPICallError as error:
            if error.code not in _GONE:
                raise
            found = self._upstream.find(self._name) if is_last else None
            if found is None:
                raise UpstreamError(_LOST) from error
        self._upstream.require_same(found, Stored(self._end, self._crc32c))
        self._is_finished = True
        return self._end

    @property
    def _crc32c(self) -> str:
        return self._digests.checksum("CRC32C")
