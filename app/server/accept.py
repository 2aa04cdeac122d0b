"""Taking connections from a listener, as many as the worker can hold."""

from __future__ import annotations

import errno
import logging
import resource
from dataclasses import replace
from typing import Any

import gevent

from app.server.connection import Connection
from app.server.environ import base_environ
from app.server.limits import WireLimits
from app.server.service import Service

FULL_PAUSE_S = 0.1  # a full worker looks again after so long
BACKLOG_TAKEN_MAX = 256  # connections that a stopping worker still takes from the backlog
DESCRIPTORS_KEPT = 96  # left to files, databases and logs
DESCRIPTORS_PER_CONNECTION = 2  # a socket, and the file that is sent through it

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_log = logging.getLogger("bleepstore.server")


class Acceptor:
    """One listener's greenlet. `sock` is a gevent socket."""

    def __init__(self, sock: Any, service: Service, *, is_multiprocess: bool) -> None:
        self._sock = sock
        self._service = service
        name, port = _server_name(sock)
        self._base_environ = base_environ(
            name, port, is_secure=service.tls is not None, is_multiprocess=is_multiprocess
        )
        self._greenlet: gevent.Greenlet | None = None

    def start(self) -> None:
        self._sock.settimeout(None)
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Take what is in the backlog, for closing would reset it, and close."""
        if self._greenlet is not None:
            self._greenlet.kill()
        self._sock.settimeout(0.0)
        for _ in range(BACKLOG_TAKEN_MAX):
            if not self._accept_one():
                break
        self._sock.close()

    def _run(self) -> None:
        while True:
            # After each one the others get their turn: this worker's new connection, and the other workers.
            gevent.sleep(0 if self._service.make_room() and self._accept_one() else FULL_PAUSE_S)

    def _accept_one(self) -> bool:
        """Whether a connection was taken. Waits for one unless the listener is set not to."""
        try:
            sock, address = self._sock.accept()
        except OSError as error:
            if error.errno in _EXHAUSTED:
                _log.warning("accept.exhausted", extra={"error": errno.errorcode.get(error.errno or 0, "?")})
            return error.errno == errno.ECONNABORTED
        Connection(sock, address, self._base_environ, self._service).start()
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
