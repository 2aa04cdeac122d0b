"""An answer's body on its way out, whichever way the server takes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http import HTTPStatus

from app.core import content
from app.domain.names import HOST_ID
from app.domain.types import Described, FileSpan
from app.s3.request import S3Response

_STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class SentBody:
    """Iterates a body and reports its end once.

    `length` is the body's as the head tells it: for HEAD, of a body that is not sent.
    A server that knows `span` may send the file itself, and one that knows `whole` all bytes at once; it then sets `sent`,
    and calls `begin` before the first byte goes out: with the number of bytes where all go out, else with None.
    """

    __slots__ = ("_body", "_finish", "begin", "length", "sent", "span", "whole")

    def __init__(
        self, answer: S3Response, finish: Callable[[int], None], begin: Callable[[int | None], None] | None = None
    ) -> None:
        self.begin = begin or _nobody_counts
        self._body = body = answer.body
        self._finish: Callable[[int], None] | None = finish
        self.whole = body if isinstance(body, bytes) else None
        self.span = body if isinstance(body, FileSpan) else None
        self.sent = 0
        self.length = answer.content_length

    def __iter__(self) -> Iterator[bytes]:
        body = self._body
        if not isinstance(body, bytes):
            # Who reads the body closes it at its end. A descriptor closed twice may be another request's by then.
            body = self._body = content.chunks(body)
        for chunk in (body,) if isinstance(body, bytes) else body:
            if chunk:
                if not self.sent:
                    self.begin(None)
                yield chunk
                self.sent += len(chunk)
        self.begin(None)

    def close(self) -> None:
        if self._finish is None:
            return
        finish, self._finish = self._finish, None
        try:
            if self.whole is None:
                content.close(self._body)
        finally:
            finish(self.sent)


def _nobody_counts(whole_bytes: int | None) -> None:
    """Where metrics are off."""


def describe(answer: S3Response, place: int) -> Described | None:
    """The headers of an answer of 200 as bytes, and where it is counted; None for other answers, and where a header cannot be sent as it is."""
    if answer.status != 200 or answer.content_length is None:
        return None
    before = "".join([f"{name}: {value}\r\n" for name, value in answer.headers])
    if before.count("\n") != len(answer.headers) or before.count("\r") != len(answer.headers) or "\0" in before:
        return None
    behind = f"\r\nx-amz-id-2: {HOST_ID}\r\nContent-Length: {answer.content_length}\r\n\r\n"
    try:
        return Described(f"\r\n{before}x-amz-request-id: ".encode("latin-1"), behind.encode("latin-1"), place)
    except UnicodeEncodeError:
        return None


def start_line(answer: S3Response) -> tuple[str, list[tuple[str, str]]]:
    """Status line and headers as WSGI has them. Content-Length is there unless the status forbids it."""
    headers = answer.headers
    if answer.content_length is not None and answer.status not in (204, 304):
        headers.append(("Content-Length", str(answer.content_length)))
    return _STATUS_LINES[answer.status], headers
