"""One client's connection over TLS. A runner stays with it: what the kernel has to read says little about what TLS has."""

from __future__ import annotations

from time import monotonic
from typing import Any

from gevent.socket import MSG_PEEK
from greenlet import getcurrent, greenlet

from app.domain.errors import BadRequest
from app.server.connection import Connection
from app.server.pace import TooSlow
from app.server.receiver import Disconnected, TimedOut
from app.server.service import Service
from app.server.transport import Transport

_HANDSHAKE = b"\x16"  # the first byte of a TLS client's first record


class SecureConnection(Connection):
    """As any connection, once both have shaken hands."""

    __slots__ = ("_waiting",)

    def __init__(self, sock: Any, address: Any, base_environ: dict[str, Any], service: Service) -> None:
        super().__init__(sock, address, base_environ, service)
        self._waiting: greenlet | None = None  # the runner, while it waits for a request to begin

    def start(self) -> None:
        self._service.enter(self)
        self._service.runners.run(self._serve_tls)

    def _leave_idle(self) -> None:
        if self._waiting is not None:
            self.idle_since = None  # nobody gives it up twice
            self._service.loop.run_callback(self._interrupt)

    def _interrupt(self) -> None:
        """End the wait of a runner, if it is waiting still: one whose time was over meanwhile may serve somebody else."""
        runner, self._waiting = self._waiting, None
        if runner is not None:
            runner.throw(Disconnected())

    # -- in a runner ---------------------------------------------------------------------------------------------

    def _serve_tls(self) -> None:
        try:
            self._begin_tls()
            while self._serve_one():
                if self._transport.buffered or self._transport.has_arrived():
                    self._service.turns.wait_for_next()  # a client as fast as we are would keep the hub to itself
        except (Disconnected, TooSlow) as error:
            self._note_lost(error)
        finally:
            self._end()

    def _await_request(self) -> bool:
        """Be idle until something comes; False when nothing does."""
        service = self._service
        limits = service.limits
        if self.requests_served and service.is_stopping and not self._transport.has_arrived():
            return False
        timeout_ms = limits.idle_timeout_ms if self.requests_served else limits.head_timeout_ms
        self.idle_since = monotonic()
        self._waiting = getcurrent()
        try:
            return self._transport.fill(timeout_ms / 1_000)
        except TimedOut:
            return False
        finally:
            self.idle_since = self._waiting = None

    def _begin_tls(self) -> None:
        """Shake hands, within a request head's time. Who speaks plain HTTP is told so. Raises: Disconnected."""
        context = self._service.tls
        assert context is not None
        timeout_s = self._service.limits.head_timeout_ms / 1_000
        if not self._speaks_tls(timeout_s):
            return
        try:
            secure = context.wrap_socket(self._sock, server_side=True, do_handshake_on_connect=False)
            self._transport = Transport(secure, self._service.turns, is_secure=True)
            secure.settimeout(timeout_s)
            secure.do_handshake()
        except OSError as error:  # SSLError and TimeoutError are OSErrors
            raise Disconnected from error

    def _speaks_tls(self, timeout_s: float) -> bool:
        self._sock.settimeout(timeout_s)
        self._waiting = getcurrent()
        try:
            first = self._sock.recv(1, MSG_PEEK)
        except OSError as error:
            raise Disconnected from error
        finally:
            self.idle_since = self._waiting = None
        if first == _HANDSHAKE:
            return True
        if first:
            self._refuse(BadRequest("This port speaks HTTPS."), "", "/")
            self._linger()
        raise Disconnected
