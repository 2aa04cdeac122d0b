"""Raw HTTP over a socket: what a well-behaved client library would never send, and exactly what came back."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

TIMEOUT_S = 10.0


@dataclass
class Answer:
    """One response. `headers` in order, names in lower case. `body` is what the framing gave, chunks removed."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The header's one value; it must not be repeated."""
        values = [value for each, value in self.headers if each == name]
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The S3 error's code."""
        return self.body.partition(b"<Code>")[2].partition(b"</Code>")[0].decode()


class Truncated(AssertionError):
    """The connection ended inside a response."""


class Wire:
    """A client's connection. Reads answers one by one; `rest` is what came behind the last one."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None, receive_buffer: int = 0) -> None:
        plain = socket.socket()
        if receive_buffer:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.settimeout(TIMEOUT_S)
        plain.connect(("127.0.0.1", port))
        self.sock = tls.wrap_socket(plain, server_hostname="localhost") if tls else plain
        self.rest = b""

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def answer(self, method: str = "GET") -> Answer:
        """The next response to a request of this method, 100 Continue passed over by the caller."""
        while b"\r\n\r\n" not in self.rest:
            self._more()
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        pairs = [line.split(": ", 1) for line in lines[1:]]
        answer = Answer(int(lines[0].split(" ")[1]), [(name.lower(), value) for name, value in pairs], b"")
        if method != "HEAD" and answer.status >= 200 and answer.status not in (204, 304):
            answer.body = self._body(answer)
        return answer

    def is_closed(self) -> bool:
        """Whether the server ends the connection without another byte."""
        with contextlib.suppress(ConnectionResetError):
            return not self.rest and self.sock.recv(1) == b""
        return True

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _body(self, answer: Answer) -> bytes:
        if answer.header("transfer-encoding") == "chunked":
            return b"".join(self._chunks())
        length = answer.header("content-length")
        if length is None:
            with contextlib.suppress(Truncated):
                while True:
                    self._more()
            body, self.rest = self.rest, b""
            return body
        return self._exactly(int(length))

    def _chunks(self) -> Iterator[bytes]:
        while True:
            while b"\r\n" not in self.rest:
                self._more()
            line, _, self.rest = self.rest.partition(b"\r\n")
            piece = self._exactly(int(line, 16))
            assert self._exactly(2) == b"\r\n"
            if not piece:
                return
            yield piece

    def _exactly(self, count: int) -> bytes:
        pieces, have = [self.rest], len(self.rest)
        while have < count:
            pieces.append(self._received())
            have += len(pieces[-1])
        data = b"".join(pieces)
        self.rest = data[count:]
        return data[:count]

    def _more(self) -> None:
        self.rest += self._received()

    def _received(self) -> bytes:
        received = self.sock.recv(1 << 20)
        if not received:
            raise Truncated(self.rest[:200])
        return received


def ask(port: int, data: bytes, method: str = "GET", tls: ssl.SSLContext | None = None) -> Answer:
    """Send bytes, take one answer, close."""
    with Wire(port, tls) as wire:
        wire.send(data)
        return wire.answer(method)


def get(path: str, *headers: str, method: str = "GET", body: bytes = b"") -> bytes:
    """A well-formed request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    if body and not any(line.lower().startswith(("content-length", "transfer-encoding")) for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
