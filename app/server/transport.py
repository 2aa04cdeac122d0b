"""One client's socket: bytes in through a small buffer, bytes out with a deadline on progress, files by sendfile.

Cooperative through gevent's sockets. Every failure of the network is a `Disconnected`, so that it can never be taken
for an error of the application.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import ssl
import struct
import termios
from time import monotonic
from typing import Any

from gevent import socket

from app import runtime
from app.server.pace import Pace
from app.server.turns import Turns

RECEIVE_MAX_BYTES = 1 << 20  # one recv of a body: larger ones only cost memory
HEAD_RECEIVE_BYTES = 1 << 16
SENDFILE_SLICE_BYTES = 1 << 20
TLS_RECORD_BYTES = 1 << 14
SOCKET_ROOM_BYTES = 1 << 14  # a lower bound of what has left a socket that becomes writable again
TURN_BYTES = 8 << 20  # sent without waiting before the other connections get a turn

_NETWORK_ERRORS = frozenset(
    {errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH}
)


class Disconnected(Exception):
    """The client is gone, or treated as gone."""


class TimedOut(Disconnected):
    """Nothing came in time."""


class Transport:
    """Owned by one greenlet: only that one reads, writes and closes. `is_secure`: `sock` is a TLS socket."""

    __slots__ = ("_at", "_data", "_sock", "_turns", "_unyielded", "is_secure")

    def __init__(self, sock: Any, turns: Turns, *, is_secure: bool) -> None:
        self._sock = sock
        self._turns = turns
        self.is_secure = is_secure
        self._data = b""  # received and not yet taken: _data[_at:]
        self._at = 0
        self._unyielded = 0

    # -- input ---------------------------------------------------------------------------------------------------

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
            received: bytes = self._sock.recv(min(max_bytes, RECEIVE_MAX_BYTES))
        except (TimeoutError, BlockingIOError, ssl.SSLWantReadError) as error:
            raise TimedOut from error
        except OSError as error:
            raise Disconnected from error
        return received

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

    def has_arrived(self) -> bool:
        """Whether the kernel holds input, TLS records included. May be asked by any greenlet."""
        try:
            answer = fcntl.ioctl(self._sock.fileno(), termios.FIONREAD, b"\0\0\0\0")
        except (OSError, ValueError):  # ValueError: closed meanwhile
            return False
        return bool(struct.unpack("i", answer)[0])

    # -- output --------------------------------------------------------------------------------------------------

    def send_now(self, data: bytes, *, more: bool = False) -> int:
        """Send what the kernel takes at once; how many bytes that was. Over TLS none. Raises: Disconnected."""
        if self.is_secure:
            return 0
        try:
            return int(self._sock._sock.send(data, socket.MSG_MORE if more else 0))
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            raise Disconnected from error

    def send(self, data: bytes, pace: Pace, *, more: bool = False) -> None:
        """Send all of it. `more`: the kernel may wait for what follows and put both into one segment.

        Raises: TooSlow, Disconnected.
        """
        flags = socket.MSG_MORE if more and not self.is_secure else 0
        view = memoryview(data)
        while view:
            began = monotonic()
            sent = self._send_some(view, flags, pace.wait_s())
            pace.note(monotonic() - began, sent)
            self._take_turns(sent)
            view = view[sent:]

    def send_file_some(self, fd: int, offset: int, count: int, pace: Pace) -> int:
        """Send some of the bytes [offset, offset + count) of a file from kernel to kernel; not for TLS.

        Gives how many; 0 when the file ends before. Raises: TooSlow, Disconnected. An error in reading the file is the
        OSError it is.
        """
        count = min(count, SENDFILE_SLICE_BYTES)
        warm_up(fd, offset, count)
        while True:
            try:
                sent = os.sendfile(self._sock.fileno(), fd, offset, count)
            except BlockingIOError:
                self._wait_writable(pace)
            except OSError as error:
                if error.errno in _NETWORK_ERRORS:
                    raise Disconnected from error
                raise
            else:
                self._take_turns(sent)
                return sent

    def _send_some(self, view: memoryview, flags: int, wait_s: float) -> int:
        """How many bytes were taken; 0 when the wait ended without."""
        self._sock.settimeout(wait_s)
        try:
            if self.is_secure:
                return int(self._sock.send(view[:TLS_RECORD_BYTES]))
            return int(self._sock.send(view, flags))
        except TimeoutError:
            return 0
        except OSError as error:
            raise Disconnected from error

    def _wait_writable(self, pace: Pace) -> None:
        """Room in the socket counts as progress: what was there has gone."""
        while True:
            began = monotonic()
            try:
                socket.wait_write(self._sock.fileno(), timeout=pace.wait_s())
            except TimeoutError:
                pace.note(monotonic() - began, 0)
                continue
            pace.note(monotonic() - began, SOCKET_ROOM_BYTES)
            return

    def _take_turns(self, sent: int) -> None:
        """A client as fast as we are would otherwise keep the hub to itself for a whole object."""
        self._unyielded += sent
        if self._unyielded >= TURN_BYTES:
            self._unyielded = 0
            self._turns.wait_for_next()

    # -- end -----------------------------------------------------------------------------------------------------

    def linger(self, timeout_s: float, max_bytes: int) -> None:
        """Say that nothing more will be sent, then drop input for a bounded while.

        Closing with unread input resets the connection, and a reset may destroy the answer before the client reads it.
        """
        deadline = monotonic() + timeout_s
        dropped = self.take(self.buffered)
        left = max_bytes - len(dropped)
        with contextlib.suppress(Disconnected, OSError):
            self._sock.shutdown(socket.SHUT_WR)
            while left > 0 and (wait_s := deadline - monotonic()) > 0:
                received = self.receive(min(left, HEAD_RECEIVE_BYTES), wait_s)
                if not received:
                    return
                left -= len(received)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.close()


def warm_up(fd: int, offset: int, count: int) -> None:
    """Bring a file's bytes into memory in the disk pool where they are not: sendfile would wait for the disk on the hub (I8)."""
    for place in (offset, offset + count - 1):
        try:
            os.preadv(fd, [bytearray(1)], place, os.RWF_NOWAIT)
        except BlockingIOError:
            runtime.offload(os.pread, fd, count, offset)
            return
        except OSError:
            return  # the file system cannot tell; sendfile finds out what is wrong
