"""One client's socket: bytes in through a small buffer, bytes out with a deadline on progress, files by sendfile.

Cooperative through gevent's sockets. Every failure of the network is a `Disconnected`, so that it can never be taken
for an error of the application.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import ssl
import struct
import termios
from time import monotonic
from typing import Any

from gevent import socket
from gevent.monkey import get_original

from app import runtime
from app.server.pace import Pace
from app.server.turns import Turns

RECEIVE_MAX_BYTES = 1 << 20  # one recv of a body: larger ones only cost memory
HEAD_RECEIVE_BYTES = 1 << 16
SENDFILE_SLICE_BYTES = 1 << 20
TLS_RECORD_BYTES = 1 << 14
SOCKET_ROOM_BYTES = 1 << 14  # a lower bound of what has left a socket that becomes writable again
TURN_BYTES = 8 << 20  # sent without waiting before the other connections get a turn

_PROBE = (bytearray(1),)  # what is read into it does not matter

_NETWORK_ERRORS = frozenset(
    {errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH}
)


class Disconnected(Exception):
    """The client is gone, or treated as gone."""


class TimedOut(Disconnected):
    """Nothing came in time."""


class Transport:
    """Owned by one greenlet: only that one reads, writes and closes. `is_secure`: `sock` is a TLS socket."""

    __slots__ = ("_at", "_data", "_fd", "_least_bytes", "_slice_left", "_sock", "_turns", "_unyielded", "is_secure")

    def __init__(self, sock: Any, turns: Turns, *, is_secure: bool) -> None:
        self._sock = sock
        self._turns = turns
        self.is_secure = is_secure
        self._data = b""  # received and not yet taken: _data[_at:]
        self._at = 0
        self._unyielded = 0
        self._slice_left = 0  # of a slice that is being sent: it was seen to be in memory
        self._fd = sock.fileno()
        self._least_bytes = 1  # that make the kernel call the socket readable

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

    # -- input for threads: not for TLS ----------------------------------------------------------------------------

    def wait_paced(self, pace: Pace, least_bytes: int) -> float:
        """Wait, on the hub, until about so much or the end is here; how long that took, for `pace` to be told.

        What is less has come when the client's time is up. Raises: TooSlow.
        """
        self.rouse_at(least_bytes)
        while True:
            began = monotonic()
            wait_s = pace.wait_s()
            try:
                socket.wait_read(self._fd, timeout=wait_s)
            except TimeoutError:
                if not self.has_arrived():
                    pace.note(monotonic() - began, 0)
                    continue
            return monotonic() - began

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
        poll = get_original("select", "poll")()
        poll.register(self._fd, select.POLLIN)
        return bool(poll.poll(patience_ms))

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
        while True:
            try:
                sent = self._send_slice(fd, offset, count)
            except BlockingIOError:
                self._wait_writable(pace)
            except OSError as error:
                if error.errno in _NETWORK_ERRORS:
                    raise Disconnected from error
                raise
            else:
                self._take_turns(sent)
                return sent

    def _send_slice(self, fd: int, offset: int, count: int) -> int:
        """Looks at each slice once; in the disk pool what is not in memory: sendfile would wait for the disk here (I8)."""
        if self._slice_left:
            count = min(count, self._slice_left)
        else:
            count = min(count, SENDFILE_SLICE_BYTES)
            if not is_warm(fd, offset, count):
                return runtime.offload(os.sendfile, self._fd, fd, offset, count)
            self._slice_left = count
        sent = os.sendfile(self._fd, fd, offset, count)
        self._slice_left = self._slice_left - sent if sent else 0
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
        self.rouse_at(1)
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


def is_warm(fd: int, offset: int, count: int) -> bool:
    """Whether a file's bytes seem to be in memory: the first and the last are. True where the system cannot tell."""
    try:
        for place in (offset, offset + count - 1):
            os.preadv(fd, _PROBE, place, os.RWF_NOWAIT)
    except BlockingIOError:
        return False
    except OSError:
        pass  # sendfile finds out what is wrong
    return True
