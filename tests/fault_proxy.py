"""A proxy between a back end and its service that does to requests what networks and services do.

    with FaultProxy("http://127.0.0.1:4566") as proxy:
        proxy.add(Fault(cut_upload(1_000), method="PUT"))          # once
        proxy.add(Fault(answer(503, b"…"), times=ALWAYS))

One request a connection; a fault that matches it is used up by it. What came is in `proxy.seen`.
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

ALWAYS = 1 << 30
RECEIVE_BYTES = 1 << 16
HANG_MAX_S = 60.0  # nothing waits for longer, so that no test leaves threads behind
_RESET = struct.pack("ii", 1, 0)  # linger for no time: closing sends a reset


@dataclass
class Exchange:
    """One request on its way. `head` ends with the empty line; `rest` is what came behind it."""

    client: socket.socket
    proxy: FaultProxy
    head: bytes
    rest: bytes

    @property
    def method(self) -> str:
        return self.head.split(b" ", 1)[0].decode()

    @property
    def target(self) -> str:
        return self.head.split(b" ", 2)[1].decode()

    def header(self, name: str) -> str:
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.strip().lower() == name.encode().lower():
                return value.strip().decode("latin-1")
        return ""

    def body(self, limit: int | None = None) -> bytes:
        """The body as it is framed, or its first bytes. A client that asks first is told to go on."""
        if "100-continue" in self.header("expect").lower():
            self.client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        is_chunked = "chunked" in self.header("transfer-encoding").lower()
        length = int(self.header("content-length") or 0)
        pieces, size_bytes = [self.rest], len(self.rest)
        while size_bytes < (length if limit is None else min(length, limit)) or (
            is_chunked and not pieces[-1].endswith(b"0\r\n\r\n") and (limit is None or size_bytes < limit)
        ):
            piece = self.client.recv(RECEIVE_BYTES)
            if not piece:
                raise ConnectionError("the client went away")
            pieces.append(piece)
            size_bytes += len(piece)
        return b"".join(pieces)

    def forward(self, body: bytes) -> socket.socket:
        """The request as it would have arrived; the socket gives the answer, and then its end."""
        lines = [
            line
            for line in self.head.rstrip(b"\r\n").split(b"\r\n")
            if line.partition(b":")[0].lower() not in (b"expect", b"connection")
        ]
        upstream = socket.create_connection(self.proxy.upstream, 30)
        upstream.sendall(b"\r\n".join([*lines, b"Connection: close", b"", b""]))
        upstream.sendall(body)
        return upstream

    def answer_head(self, upstream: socket.socket) -> tuple[bytes, bytes]:
        """The answer's head, which names us where it named the service, and what came behind it."""
        head, rest = receive_head(upstream)
        return head.replace(b"127.0.0.1:%d" % self.proxy.upstream[1], b"127.0.0.1:%d" % self.proxy.port), rest

    def reset(self) -> None:
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


Action = Callable[[Exchange], None]


@dataclass
class Fault:
    """What happens to the next `times` requests of this method whose target holds all of `contains`, after `skip` of them."""

    action: Action
    method: str = ""
    contains: tuple[str, ...] = ()
    times: int = 1
    skip: int = 0
    least_bytes: int = 0  # of the body
    met: int = field(default=0, init=False)  # requests that it was used on

    def takes(self, exchange: Exchange) -> bool:
        if self.method and exchange.method not in self.method.split("|"):
            return False
        if not all(text in exchange.target for text in self.contains) or self.met >= self.times:
            return False
        if int(exchange.header("content-length") or 0) < self.least_bytes:
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.met += 1
        return True


class FaultProxy:
    def __init__(self, url: str) -> None:
        """`url` is the service's, plain HTTP on 127.0.0.1."""
        parts = urlsplit(url)
        self.upstream = parts.hostname or "127.0.0.1", parts.port or 80
        self._path = parts.path
        self.seen: list[tuple[str, str]] = []  # method and target
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self.is_over = threading.Event()
        self._listener = self._listen(0)
        self.port: int = self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        """Where the back end goes instead."""
        return f"http://127.0.0.1:{self.port}{self._path}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over.set()
        self.go_away()

    def add(self, fault: Fault) -> Fault:
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """No faults any more, and nothing was seen; what hangs goes on to hang."""
        with self._lock:
            self._faults.clear()
            self.seen.clear()

    def count(self, method: str = "", contains: str = "") -> int:
        with self._lock:
            return sum(contains in target and seen in (method or seen) for seen, target in self.seen)

    def go_away(self) -> None:
        """From now on connections are refused."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def come_back(self) -> None:
        self._listener = self._listen(self.port)

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port), backlog=128)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.settimeout(HANG_MAX_S)
            head, rest = receive_head(client)
            if head:
                exchange = Exchange(client, self, head, rest)
                self._action(exchange)(exchange)

    def _action(self, exchange: Exchange) -> Action:
        with self._lock:
            self.seen.append((exchange.method, exchange.target))
            return next((fault.action for fault in self._faults if fault.takes(exchange)), passing)


# -- what can happen ---------------------------------------------------------------------------------------------


def passing(exchange: Exchange) -> None:
    """Nothing."""
    with exchange.forward(exchange.body()) as upstream:
        head, rest = exchange.answer_head(upstream)
        exchange.client.sendall(head + rest)
        for piece in receive_all(upstream):
            exchange.client.sendall(piece)


def answer(status: int, body: bytes = b"", content_type: str = "application/xml") -> Action:
    """The service says this, whatever was asked, and sees nothing of it."""

    def act(exchange: Exchange) -> None:
        body_given = b"" if exchange.method == "HEAD" else body
        exchange.body()
        exchange.client.sendall(
            b"HTTP/1.1 %d Fault\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
            % (status, content_type.encode(), len(body_given))
            + body_given
        )

    return act


def cut_upload(after_bytes: int) -> Action:
    """The connection is reset in the middle of the request's body."""

    def act(exchange: Exchange) -> None:
        exchange.body(after_bytes)
        exchange.reset()

    return act


def cut_download(after_bytes: int, *, is_reset: bool = True) -> Action:
    """The answer begins, and after so much of its body the connection is reset, or just ends."""

    def act(exchange: Exchange) -> None:
        with exchange.forward(exchange.body()) as upstream:
            head, rest = exchange.answer_head(upstream)
            body = rest + b"".join(receive_all(upstream))
            exchange.client.sendall(head + body[:after_bytes])
        if is_reset:
            exchange.proxy.is_over.wait(0.05)  # a reset throws away what was not read yet
            exchange.reset()

    return act


def swallow(exchange: Exchange) -> None:
    """The service does it, and its answer is lost with the connection."""
    _done(exchange)
    exchange.reset()


def swallow_and_hang(exchange: Exchange) -> None:
    """The service does it, and its answer never comes."""
    _done(exchange)
    exchange.proxy.is_over.wait(HANG_MAX_S)


def hang(exchange: Exchange) -> None:
    """Nothing comes back and nothing happens."""
    exchange.proxy.is_over.wait(HANG_MAX_S)


def spoil_upload(exchange: Exchange) -> None:
    """One bit of the request's body is turned over on its way."""
    body = bytearray(exchange.body())
    body[len(body) // 2] ^= 1
    with exchange.forward(bytes(body)) as upstream:
        for piece in receive_all(upstream):
            exchange.client.sendall(piece)


def spoil_download(exchange: Exchange) -> None:
    """One bit of the answer's body is turned over on its way."""
    with exchange.forward(exchange.body()) as upstream:
        head, rest = exchange.answer_head(upstream)
        body = bytearray(rest + b"".join(receive_all(upstream)))
        body[len(body) // 2] ^= 1
        exchange.client.sendall(head + body)


def sometimes(share: float, actions: Sequence[Action], dice: random.Random) -> Action:
    """One of these, for so large a share of the requests."""

    def act(exchange: Exchange) -> None:
        action = dice.choice(actions) if dice.random() < share else passing
        action(exchange)

    return act


def _done(exchange: Exchange) -> None:
    with exchange.forward(exchange.body()) as upstream:
        for _ in receive_all(upstream):
            pass


def receive_head(connection: socket.socket) -> tuple[bytes, bytes]:
    """A head with the empty line behind it, and what else has come; both empty where nothing came."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(RECEIVE_BYTES)
        if not piece:
            return b"", b""
        received += piece
    head, _, rest = received.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", rest


def receive_all(connection: socket.socket) -> Iterator[bytes]:
    while piece := connection.recv(RECEIVE_BYTES):
        yield piece
