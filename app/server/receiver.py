"""One client's socket, the half that receives: bytes in through a small buffer, by its greenlet or by threads.

Cooperative through gevent's sockets. Every failure of the network is a `Disconnected`, so that it can never be taken
for an error of the application.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import ssl
import struct
import termios
from time import monotonic
from typing import Any

from gevent import socket

from app.server.pace import Pace

RECEIVE_MAX_BYTES = 1 << 20  # one recv of a body: larger ones only cost memory
HEAD_RECEIVE_BYTES = (1 << 16) + (1 << 13)  # a head, and a body that goes inline, come in one call
TLS_RECORD_BYTES = 1 << 14
FAST_S = 1.0  # a client that takes longer for what is waited for is a slow one
SLOW_ROUSE_BYTES = 1 << 16  # … of which so much rouses


class Disconnected(Exception):
    """The client is gone, or treated as gone."""


class TimedOut(Disconnected):
    """Nothing came in time."""


class Receiver:
    """Owned by one greenlet: only that one reads, writes and closes. `is_secure`: `sock` is a TLS socket."""

    __slots__ = ("_at", "_data", "_fd", "_least_bytes", "_sock", "is_secure")

    def __init__(self, sock: Any, *, is_secure: bool) -> None:
        self._sock = sock
        self.is_secure = is_secure
        self._data = b""  # received and not yet taken: _data[_at:]
        self._at = 0
        self._fd = sock.fileno()
        self._least_bytes = 1  # that make the kernel call the socket readable

    @property
    def buffered(self) -> int:
        return len(self._data) - self._at

    def peek(self) -> bytes:
        """What is buffered, without taking it."""
        if self._at:
            self._data, self._at = self._data[self._at :], 0
        return self._data

    def take(self, count: int) -> bytes:
        """At most `count` of the buffered bytes."""
        taken = self._data[self._at : self._at + count]
        self._at += len(taken)
        if self._at == len(self._data):
            self._data, self._at = b"", 0
        return taken

    def put(self, received: bytes) -> None:
        """Buffer what somebody else has received from the socket."""
        self._data = self._data[self._at :] + received if self._data else received
        self._at = 0

    def take_line(self, max_bytes: int) -> bytes | None:
        """A buffered line without its CR LF; None where its end is not here. Raises: ValueError for a longer one."""
        end = self._data.find(b"\r\n", self._at, self._at + max_bytes + 2)
        if end < 0:
            if self.buffered > max_bytes + 1:
                raise ValueError(f"the line has more than {max_bytes} bytes")
            return None
        line = self._data[self._at : end]
        self.take(len(line) + 2)
        return line

    def fill(self, timeout_s: float) -> bool:
        """Receive something more into the buffer; False at the end of input. Raises: TimedOut, Disconnected."""
        received = self.receive(HEAD_RECEIVE_BYTES, timeout_s)
        self._data, self._at = self._data[self._at :] + received, 0
        return bool(received)

    def fill_arrived(self, wanted: int) -> bool:
        """Buffer what has arrived already, without waiting; whether at least `wanted` bytes are buffered then."""
        while self.buffered < wanted:
            try:
                if not self.fill(0.0):
                    return False
            except Disconnected:
                return False
        return True

    def receive(self, max_bytes: int, timeout_s: float) -> bytes:
        """Bytes from the network, past the buffer; b"" at the end of input. Raises: TimedOut, Disconnected."""
        self._sock.settimeout(timeout_s)
        try:
            if self.is_secure:
                return self._receive_records(min(max_bytes, RECEIVE_MAX_BYTES))
            received: bytes = self._sock.recv(min(max_bytes, RECEIVE_MAX_BYTES))
        except (TimeoutError, BlockingIOError, ssl.SSLWantReadError) as error:
            raise TimedOut from error
        except OSError as error:
            raise Disconnected from error
        return received

    def _receive_records(self, max_bytes: int) -> bytes:
        """Of TLS: one call gives one record, so further ones that are here already are joined to the first."""
        pieces = [self._sock.recv(min(max_bytes, TLS_RECORD_BYTES))]
        left = max_bytes - len(pieces[0])
        self._sock.settimeout(0.0)
        while left and pieces[-1]:
            try:
                pieces.append(self._sock.recv(min(left, TLS_RECORD_BYTES)))
            except OSError:  # nothing is here, or an error that the next call meets again
                break
            left -= len(pieces[-1])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def receive_paced(self, max_bytes: int, pace: Pace) -> bytes:
        """As `receive`, for as long as the client keeps the pace. Raises: TooSlow, Disconnected."""
        while True:
            began = monotonic()
            try:
                received = self.receive(max_bytes, pace.wait_s())
            except TimedOut:
                pace.note(monotonic() - began, 0)
                continue
            if received:
                pace.note(monotonic() - began, len(received))
            return received

    def fill_paced(self, pace: Pace) -> bool:
        """As `fill`, for as long as the client keeps the pace. Raises: TooSlow, Disconnected."""
        received = self.receive_paced(HEAD_RECEIVE_BYTES, pace)
        self._data, self._at = self._data[self._at :] + received, 0
        return bool(received)

    # -- for threads, not for TLS --------------------------------------------------------------------------------

    def wait_paced(self, pace: Pace, least_bytes: int) -> float:
        """Wait, on the hub, until about so much or the end is here; how long that took, for `pace` to be told.

        Of a slow client less will do: what it sent waits in the kernel, which has not that much for everybody. What is
        less still has come when the client's time is up. Raises: TooSlow.
        """
        while True:
            began = monotonic()
            wait_s = pace.wait_s()
            if (
                self._is_roused(least_bytes, min(wait_s, FAST_S))
                or (wait_s > FAST_S and self._is_roused(min(least_bytes, SLOW_ROUSE_BYTES), wait_s - FAST_S))
                or self.has_arrived()
            ):
                return monotonic() - began
            pace.note(monotonic() - began, 0)

    def _is_roused(self, least_bytes: int, timeout_s: float) -> bool:
        """Whether so much, or the end, came in time."""
        self.rouse_at(least_bytes)
        try:
            socket.wait_read(self._fd, timeout=timeout_s)
        except TimeoutError:
            return False
        return True

    def rouse_at(self, least_bytes: int) -> None:
        """Whoever waits for input wakes when so much is here, or the end. Must be 1 wherever less may be all there is."""
        if least_bytes != self._least_bytes:
            self._least_bytes = least_bytes
            with contextlib.suppress(OSError):  # a socket that knows no such thing rouses at one
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, least_bytes)

    def take_into(self, room: memoryview) -> int | None:
        """What has arrived, into `room`: how many bytes; 0 at the end of input, None where nothing is here.

        In any thread, while the owner waits for it. Raises: Disconnected.
        """
        if self.buffered:
            taken = self.take(len(room))
            room[: len(taken)] = taken
            return len(taken)
        try:
            return os.readv(self._fd, (room,))
        except BlockingIOError:
            return None
        except OSError as error:
            raise Disconnected from error

    def take_arrived(self, max_bytes: int) -> bytes | None:
        """As `take_into`, as bytes."""
        if self.buffered:
            return self.take(max_bytes)
        try:
            return os.read(self._fd, max_bytes)
        except BlockingIOError:
            return None
        except OSError as error:
            raise Disconnected from error

    def linger_for_input(self, patience_ms: int) -> bool:
        """Wait in the calling thread; whether input came. Only for moments: nobody else gets the thread meanwhile."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return bool(poll.poll(patience_ms))

    def has_arrived(self) -> bool:
        """Whether the kernel holds input, TLS records included. May be asked by any greenlet."""
        try:
            answer = fcntl.ioctl(self._sock.fileno(), termios.FIONREAD, b"\0\0\0\0")
        except (OSError, ValueError):  # ValueError: closed meanwhile
            return False
        return bool(struct.unpack("i", answer)[0])
