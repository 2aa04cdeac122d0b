"""Resumable uploads as Google documents them, before fake-gcs-server, which keeps to less.

There, asking for an upload's state ends it, and bytes that come twice are kept twice. So this proxy keeps the sessions
itself and hands a finished object on; every other request it passes on as it is. It is strict: bytes that come again are
left out, a gap or a chunk of an odd size is refused, and of a chunk that breaks off whole 256 KiB are kept.

Source: "Perform resumable uploads", Google Cloud documentation.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

UNIT_BYTES = 1 << 18
_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")
_HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length", "date", "server"}


@dataclass
class Session:
    target: str  # of the request that hands the object on
    name: str
    content: bytearray = field(default_factory=bytearray)
    answer: tuple[int, bytes] | None = None  # once it is finished


class ResumableProxy(ThreadingHTTPServer):
    """`breaks` says of which chunks, counted from 0, how many bytes come before the connection breaks."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(upstream).netloc
        self.sessions: dict[str, Session] = {}
        self.breaks: dict[int, int] = {}
        self.chunks = 0
        self.requests: list[str] = []  # the Content-Range of every request to a session
        self.aborted = 0

    def handle_error(self, *_: Any) -> None:
        """Connections that break are what this is for."""

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def forward(
        self, method: str, target: str, headers: dict[str, str], body: bytes | tuple[bytes | bytearray, ...]
    ) -> tuple[int, dict[str, str], bytes]:
        with contextlib.closing(http.client.HTTPConnection(self.upstream, timeout=30)) as connection:
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()


@contextlib.contextmanager
def resumable_proxy(upstream: str) -> Iterator[ResumableProxy]:
    proxy = ResumableProxy(upstream)
    thread = threading.Thread(target=proxy.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # a head and its body leave together
    server: ResumableProxy

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""

    def do_GET(self) -> None:
        self._pass_on()

    def do_POST(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        if query.get("uploadType") != ["resumable"]:
            self._pass_on()
            return
        body = json.loads(self._body() or b"{}")
        key = secrets.token_hex(8)
        target = self.path.replace("uploadType=resumable", "uploadType=multipart")
        self.server.sessions[key] = Session(target, body.get("name") or query["name"][0])
        self._answer(200, b"{}", {"Location": f"{self.server.endpoint}/session?upload_id={key}"})

    def do_DELETE(self) -> None:
        if not self.path.startswith("/session"):
            self._pass_on()
        elif self.server.sessions.pop(self._key(), None) is None:
            self._answer(404, b"")
        else:
            self.server.aborted += 1
            self._answer(499, b"")

    def do_PUT(self) -> None:
        session = self.server.sessions.get(self._key())
        if session is None:
            self._answer(404, b"")
            return
        header = self.headers.get("Content-Range", "")
        asked = _RANGE.fullmatch(header)
        assert asked is not None, header
        self.server.requests.append(header)
        if asked[1] is not None and session.answer is None and not self._take(session, int(asked[1]), asked[3] == "*"):
            return
        if session.answer is None and asked[3] == str(len(session.content)):
            session.answer = self._finish(session)
        self._tell(session)

    def _take(self, session: Session, start: int, is_more_to_come: bool) -> bool:
        """The chunk's bytes. Whether there is to be an answer."""
        chunk = self._body()
        if start > len(session.content) or (is_more_to_come and len(chunk) % UNIT_BYTES):
            self._answer(400, b'{"error": {"message": "not a chunk that follows"}}')
            return False
        came = self.server.breaks.get(self.server.chunks)
        self.server.chunks += 1
        kept = chunk if came is None or came >= len(chunk) else chunk[: came - came % UNIT_BYTES]
        session.content += kept[len(session.content) - start :]
        if came is None:
            return True
        if came >= len(chunk) and not is_more_to_come:
            session.answer = self._finish(session)
        self.close_connection = True
        return False

    def _tell(self, session: Session) -> None:
        if session.answer is not None:
            self._answer(*session.answer)
        elif session.content:
            self._answer(308, b"", {"Range": f"bytes=0-{len(session.content) - 1}"})
        else:
            self._answer(308, b"")

    def _finish(self, session: Session) -> tuple[int, bytes]:
        boundary = secrets.token_hex(16)
        about = {"name": session.name, "contentType": "application/octet-stream"}
        claimed = re.match(r"crc32c=(.*)", self.headers.get("X-Goog-Hash", ""))
        if claimed:
            about["crc32c"] = claimed[1]
        head = f"--{boundary}\r\nContent-Type: application/json\r\n\r\n{json.dumps(about)}\r\n--{boundary}\r\n\r\n"
        pieces = (head.encode(), session.content, f"\r\n--{boundary}--".encode())
        headers = {
            "Content-Type": f"multipart/related; boundary={boundary}",
            "Content-Length": str(sum(map(len, pieces))),
        }
        status, _, body = self.server.forward("POST", session.target, headers, pieces)
        return status, body

    def _pass_on(self) -> None:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
        status, found, body = self.server.forward(self.command, self.path, headers, self._body())
        self._answer(status, body, {name: value for name, value in found.items() if name.lower() not in _HOP_BY_HOP})

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _key(self) -> str:
        return parse_qs(urlsplit(self.path).query).get("upload_id", [""])[0]

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
