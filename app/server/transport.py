"""One client's socket, the half that sends, with a deadline on progress and files by sendfile; and its end."""

from __future__ import annotations

import contextlib
import errno
import os
from time import monotonic
from typing import Any

from gevent import socket

from app import runtime
from app.server.pace import Pace
from app.server.receiver import HEAD_RECEIVE_BYTES, TLS_RECORD_BYTES, Disconnected, Receiver
from app.server.turns import Turns

SENDFILE_SLICE_BYTES = 1 << 20
SOCKET_ROOM_BYTES = 1 << 14  # a lower bound of what has left a socket that becomes writable again
TURN_BYTES = 1 << 20  # sent without waiting before the other connections get a turn

_PROBE = (bytearray(1),)  # what is read into it does not matter

_NETWORK_ERRORS = frozenset(
    {errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH}
)


class Transport(Receiver):
    """Raises Disconnected, as its other half does."""

    __slots__ = ("_slice_left", "_turns", "_unyielded")

    def __init__(self, sock: Any, turns: Turns, *, is_secure: bool) -> None:
        super().__init__(sock, is_secure=is_secure)
        self._turns = turns
        self._unyielded = 0
        self._slice_left = 0  # of a slice that is being sent: it was seen to be in memory

    def send_now(self, data: bytes, behind: bytes = b"", *, more: bool = False) -> int:
        """Send what the kernel takes at once, of both together; how many bytes that was. Over TLS none.

        Raises: Disconnected.
        """
        if self.is_secure:
            return 0
        try:
            if behind:
                return int(self._sock._sock.sendmsg((data, behind)))
            return int(self._sock._sock.send(data, socket.MSG_MORE if more else 0))
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            raise Disconnected from error

    def send(self, data: bytes | memoryview, pace: Pace, *, more: bool = False) -> None:
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
