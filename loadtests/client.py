"""A client that costs little: prepared requests over keep-alive connections, one process, one epoll loop.

What is measured is the time from the first byte sent to the last byte received. A connection has one request under way
at a time, so the number of connections is the concurrency.
"""

from __future__ import annotations

import contextlib
import random
import select
import socket
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

RECEIVE_BYTES = 1 << 20
SMALL_BYTES = 64 << 10
POLL_S = 1.0
SILENCE_MAX_S = 30.0  # a server that says nothing for so long is given up
ERRORS_MAX = 1_000

_LENGTH = b"\r\ncontent-length:"
_CHUNKED = b"\r\ntransfer-encoding: chunked"
_LAST_CHUNK = b"0\r\n\r\n"


@dataclass
class Outcome:
    """`seconds` of the requests that were answered with 2xx; times of CLOCK_MONOTONIC, which all processes share."""

    seconds: array[float] = field(default_factory=lambda: array("d"))
    errors: int = 0
    first_error: str = ""
    began_s: float = 0.0
    ended_s: float = 0.0
    cpu_s: float = 0.0


class Load:
    """`requests` gives the heads to be sent, each followed by `body`; it may be endless."""

    def __init__(self, host: str, port: int, connections: int, *, is_head: bool) -> None:
        self._address = (host, port)
        self._is_head = is_head
        self._epoll = select.epoll()
        self._buffer = memoryview(bytearray(RECEIVE_BYTES))
        self._connections = {each.sock.fileno(): each for each in (self._connect() for _ in range(connections))}
        self._turn_bytes = self._at = 0

    def run(self, requests: Iterator[bytes], body: bytes, duration_s: float, turn_bytes: int = 0) -> Outcome:
        """Begin requests for so long, or until there are no more; returns when the last one is answered.

        With `turn_bytes` each body begins so much further on in `body` than the one before and goes round its end: a
        server that stores equal blocks once has to store them all. The first begins anywhere.
        """
        self._turn_bytes = turn_bytes
        self._at = random.randrange(len(body)) if turn_bytes else 0
        outcome = Outcome(began_s=time.monotonic())
        cpu_s = time.process_time()
        until_s = heard_s = outcome.began_s
        until_s += duration_s
        under_way = sum(self._begin(each, requests, body) for each in self._connections.values())
        while under_way and outcome.errors < ERRORS_MAX:
            for fd, event in self._epoll.poll(POLL_S):
                connection = self._connections[fd]
                try:
                    if event & select.EPOLLOUT:
                        self._send(connection)
                    if not event & ~select.EPOLLOUT or not self._receive(connection, outcome):
                        continue
                except (OSError, ValueError) as error:
                    outcome.errors += 1
                    outcome.first_error = outcome.first_error or repr(error)
                    connection = self._reconnect(connection)
                under_way -= 1
                heard_s = time.monotonic()
                if heard_s < until_s:
                    under_way += self._begin(connection, requests, body)
            if time.monotonic() - heard_s > SILENCE_MAX_S:
                outcome.errors += under_way
                outcome.first_error = outcome.first_error or "the server fell silent"
                break
        outcome.ended_s = time.monotonic()
        outcome.cpu_s = time.process_time() - cpu_s
        return outcome

    def close(self) -> None:
        for connection in self._connections.values():
            connection.sock.close()
        self._epoll.close()

    # -- one request ---------------------------------------------------------------------------------------------

    def _begin(self, connection: _Connection, requests: Iterator[bytes], body: bytes) -> int:
        """1 where there was a request to begin."""
        head = next(requests, None)
        if head is None:
            return 0
        connection.begin(head, body, self._at)
        if self._turn_bytes:
            self._at = (self._at + self._turn_bytes) % len(body)
        with contextlib.suppress(OSError):  # a connection that broke says so to the loop
            self._send(connection)
        return 1

    def _send(self, connection: _Connection) -> None:
        is_done = connection.send()
        if is_done == connection.is_watched_for_writing:
            connection.is_watched_for_writing = not is_done
            events = select.EPOLLIN if is_done else select.EPOLLIN | select.EPOLLOUT
            self._epoll.modify(connection.sock.fileno(), events)

    def _receive(self, connection: _Connection, outcome: Outcome) -> bool:
        """Whether the answer is complete; it is counted then. Raises: OSError, ValueError for what is no answer."""
        count = connection.sock.recv_into(self._buffer)
        if not count:
            raise ConnectionResetError("the server closed the connection")
        if not connection.take(self._buffer[:count], is_head=self._is_head):
            return False
        took_s = time.perf_counter() - connection.began_s
        if 200 <= connection.status < 300:
            outcome.seconds.append(took_s)
        else:
            outcome.errors += 1
            outcome.first_error = outcome.first_error or f"status {connection.status}: {connection.sample!r}"
        return True

    def _connect(self) -> _Connection:
        sock = socket.create_connection(self._address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        self._epoll.register(sock.fileno(), select.EPOLLIN)
        return _Connection(sock)

    def _reconnect(self, connection: _Connection) -> _Connection:
        del self._connections[connection.sock.fileno()]
        connection.sock.close()
        fresh = self._connect()
        self._connections[fresh.sock.fileno()] = fresh
        return fresh


class _Connection:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.is_watched_for_writing = False
        self.began_s = 0.0
        self.status = 0
        self.sample = b""  # of the answer's beginning, for messages
        self._unsent: list[memoryview] = []
        self._head = b""
        self._left: int | None = None  # bytes of the body still to come; None: they end with the last chunk
        self._tail = b""

    def begin(self, head: bytes, body: bytes, at: int = 0) -> None:
        """The body begins at its byte `at` and ends with the one before; a small one leaves with the head."""
        if len(body) <= SMALL_BYTES and not at:
            self._unsent = [memoryview(head + body)]
        else:
            whole = memoryview(body)
            self._unsent = [part for part in (memoryview(head), whole[at:], whole[:at]) if part]
        self.status, self._head = 0, b""
        self.began_s = time.perf_counter()

    def send(self) -> bool:
        """Send what the socket takes; whether that was all."""
        while self._unsent:
            try:
                count = self.sock.send(self._unsent[0])
            except BlockingIOError:
                return False
            self._unsent[0] = self._unsent[0][count:]
            if not self._unsent[0]:
                del self._unsent[0]
        return True

    def take(self, received: memoryview, *, is_head: bool) -> bool:
        """Whether the answer is complete with this."""
        if self.status:
            return self._take_body(received)
        self._head += bytes(received)
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            return False
        self.status, self.sample = int(self._head[9:12]), self._head[:300]
        rest = memoryview(self._head)[end + 4 :]
        if is_head or self.status in (204, 304):
            return True
        head = self._head[: end + 2].lower()
        self._left, self._tail = None, b""
        if _CHUNKED not in head:
            at = head.index(_LENGTH) + len(_LENGTH)
            self._left = int(head[at : head.index(b"\r\n", at)])
        return self._take_body(rest)

    def _take_body(self, received: memoryview) -> bool:
        if self._left is None:
            self._tail = (self._tail + bytes(received[-len(_LAST_CHUNK) :]))[-len(_LAST_CHUNK) :]
            return self._tail == _LAST_CHUNK
        self._left -= len(received)
        if self._left < 0:
            raise ValueError("more bytes than Content-Length")
        return self._left == 0
