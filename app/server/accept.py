"""Taking connections from a listener, as many as the worker can hold."""

from __future__ import annotations

import errno
import logging
import resource
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from app.server.congestion import is_paced, send_freely_within_machine
from app.server.connection import READABLE, Connection
from app.server.environ import base_environ
from app.server.limits import WireLimits
from app.server.listeners import S3
from app.server.secure import SecureConnection
from app.server.service import Service

TAKEN_AT_ONCE_MAX = 16
FULL_PAUSE_S = 0.1  # a full worker looks again after so long
YIELD_PAUSE_S = 0.001  # a worker that holds more than another one lets that one go first …
YIELDS_MAX = 5  # … so often; it may be stuck
BACKLOG_TAKEN_MAX = 256  # connections that a stopping worker still takes from the backlog
DESCRIPTORS_KEPT = 96  # left to files, databases and logs
DESCRIPTORS_PER_CONNECTION = 2  # a socket, and the file that is sent through it

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_log = logging.getLogger("bleepstore.server")


class Acceptor:
    """One listener, watched by the loop. `sock` is a gevent socket. `is_ahead`: whether another worker should go first.

    `listener` is its name, see listeners.py.
    """

    def __init__(
        self,
        sock: Any,
        service: Service,
        is_ahead: Callable[[], bool] | None,
        *,
        is_multiprocess: bool,
        listener: str = S3,
    ) -> None:
        self._sock = sock
        self._service = service
        self._is_ahead = is_ahead
        self._is_paced = is_paced(sock)
        self._yields = 0
        self._is_exhausted = False  # the last look found no descriptor or memory for a connection
        name, port = _server_name(sock)
        self._base_environ = base_environ(
            name, port, is_secure=service.tls is not None, is_multiprocess=is_multiprocess, listener=listener
        )
        self._watcher = service.loop.io(sock.fileno(), READABLE)
        self._pause = service.loop.timer(YIELD_PAUSE_S)

    def start(self) -> None:
        self._sock.settimeout(0.0)
        self._watcher.start(self._on_readable)

    def stop(self) -> None:
        """Take what is in the backlog, for closing would reset it, and close."""
        for watcher in (self._watcher, self._pause):
            watcher.stop()
            watcher.close()
        for _ in range(BACKLOG_TAKEN_MAX):
            if not self._accept_one():
                break
        self._sock.close()

    def _on_readable(self) -> None:
        """Take some connections, until others should get their turn: those that are here already, and the other workers.

        A turn of a full worker takes milliseconds: many new clients would wait long for one connection in each.
        """
        for taken in range(TAKEN_AT_ONCE_MAX):
            if not self._service.make_room():
                if not taken:
                    self._service.note_rejected("connection_limit")  # somebody waits, or nothing were readable
                self._look_again(FULL_PAUSE_S)
                return
            if self._yields < YIELDS_MAX and self._is_ahead is not None and self._is_ahead():
                self._yields += 1
                self._look_again(YIELD_PAUSE_S)
                return
            self._yields = 0
            if not self._accept_one():
                if self._is_exhausted:
                    self._look_again(FULL_PAUSE_S)
                return

    def _look_again(self, after_s: float) -> None:
        self._watcher.stop()
        self._pause.close()
        self._pause = self._service.loop.timer(after_s)
        self._pause.start(self._resume)

    def _resume(self) -> None:
        """The backlog is looked at again; where another worker has emptied it, nothing is readable."""
        self._watcher.start(self._on_readable)

    def _accept_one(self) -> bool:
        """Whether a connection was taken."""
        self._is_exhausted = False
        try:
            sock, address = self._sock.accept()
        except OSError as error:
            if error.errno in _EXHAUSTED:
                self._is_exhausted = True
                self._service.note_rejected("descriptors")
                _log.warning("accept.exhausted", extra={"error": errno.errorcode.get(error.errno or 0, "?")})
            return error.errno == errno.ECONNABORTED
        if self._is_paced:
            send_freely_within_machine(sock, address)
        kind = Connection if self._service.tls is None else SecureConnection
        kind(sock, address, self._base_environ, self._service).start()
        return True


def fitting_limits(limits: WireLimits) -> WireLimits:
    """The limits with as many connections as the process has descriptors for."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return limits
    affordable = max(1, (soft - DESCRIPTORS_KEPT) // DESCRIPTORS_PER_CONNECTION)
    return replace(limits, connections_max=min(limits.connections_max, affordable))


def _server_name(sock: Any) -> tuple[str, str]:
    name = sock.getsockname()
    return (str(name[0]), str(name[1])) if isinstance(name, tuple) else (str(name), "")
