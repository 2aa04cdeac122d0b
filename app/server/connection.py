"""One client's connection: head, application, response, and again while both sides want to.

A greenlet runs `Connection.run`. Nothing here knows S3; what is refused here is refused in S3's words (app.server.refusals).
"""

from __future__ import annotations

import logging
import ssl
from time import monotonic
from typing import Any

import gevent
from gevent.socket import MSG_PEEK

from app.domain.errors import BadRequest, InternalError, RequestTimeout, S3Error
from app.server.body import Wire
from app.server.environ import make_environ
from app.server.head import RequestHead, check_arriving, parse_head, refused_request
from app.server.pace import Pace, TooSlow
from app.server.refusals import render_refusal
from app.server.response import Response
from app.server.service import Service
from app.server.transport import TURN_S, Disconnected, TimedOut, Transport

_TLS_HANDSHAKE = b"\x16"  # the first byte of a TLS client's first record

_log = logging.getLogger("bleepstore.server")


class Connection:
    """`base_environ` is the listener's; `address` the client's, as accept gave it."""

    __slots__ = ("_base_environ", "_greenlet", "_peer", "_service", "_sock", "_transport", "requests_served")

    def __init__(self, sock: Any, address: Any, base_environ: dict[str, Any], service: Service) -> None:
        self._sock = sock
        self._peer = (str(address[0]), str(address[1])) if isinstance(address, tuple) else ("", "")
        self._base_environ = base_environ
        self._service = service
        self._transport = Transport(sock, is_secure=False)
        self._greenlet: gevent.Greenlet | None = None
        self.requests_served = 0

    def start(self) -> None:
        self._service.enter(self)
        self._greenlet = gevent.spawn(self.run)

    def run(self) -> None:
        try:
            if self._service.tls is not None:
                self._begin_tls(self._service.tls)
            while self._serve_one():
                if self._transport.buffered or self._transport.has_arrived():
                    gevent.sleep(TURN_S)  # a client as fast as we are would otherwise never leave the hub to the others
        except (Disconnected, TooSlow) as error:
            _log.debug("connection.lost", extra={"remote_address": self._peer[0], "reason": type(error).__name__})
        finally:
            self._transport.close()
            self._service.leave(self)

    def give_up(self) -> bool:
        """End an idle connection from outside; False where a request has just come, which is then served."""
        if self._greenlet is None or self._transport.has_arrived():
            return False
        self._service.note_busy(self)  # nobody gives it up twice
        self._greenlet.kill(block=False)
        return True

    # -- one request ---------------------------------------------------------------------------------------------

    def _serve_one(self) -> bool:
        """Whether the connection may bring another request."""
        try:
            block = self._receive_head()
            if block is None:
                return False
            head = parse_head(block, self._service.limits)
        except S3Error as error:
            self._refuse_head(error)
            return False
        self._transport.take(len(block) + 4)
        wire = Wire(self._transport, head, self._service.limits, self._send_pace())
        keeps = self._answer(head, wire)
        self.requests_served += 1
        self._service.requests_served += 1
        if keeps:
            wire.drop_rest()
        elif not wire.is_consumed or self._transport.buffered or self._transport.has_arrived():
            self._linger()
        return keeps

    def _answer(self, head: RequestHead, wire: Wire) -> bool:
        """Run the application and send what it gives; whether the connection stays usable."""
        response = Response(self._transport, head, wire, self._send_pace())
        environ = make_environ(self._base_environ, head, wire, self._peer)
        service = self._service
        body = None
        try:
            body = service.application(environ, response.start_response)
            return response.send(body, may_keep=not service.is_stopping, rest_max_bytes=service.limits.rest_max_bytes)
        except (Disconnected, TooSlow):
            raise
        except Exception as error:
            return self._answer_failure(error, head, response)
        finally:
            close = getattr(body, "close", None)
            if close is not None:
                close()

    def _answer_failure(self, error: Exception, head: RequestHead, response: Response) -> bool:
        """An error that the application let through: an answer where none has begun, in any case the end."""
        if not isinstance(error, S3Error):
            _log.error("request.failed", extra={"method": head.method}, exc_info=error)
            error = InternalError()
        if not response.is_begun:
            self._refuse(error, head.method, head.target.partition("?")[0])
        return False

    # -- the head ------------------------------------------------------------------------------------------------

    def _receive_head(self) -> bytes | None:
        """The next head's bytes, still buffered; None where the client has nothing more to ask. Raises: S3Error."""
        limits = self._service.limits
        if not self._transport.buffered and not self._await_request():
            return None
        deadline = monotonic() + limits.head_timeout_ms / 1_000
        may_skip = True  # one empty line: old clients send it behind a body (RFC 9112 section 2.2)
        while True:
            received = self._transport.peek()
            if may_skip and received.startswith(b"\r\n"):
                self._transport.take(2)
                may_skip = False
                continue
            end = received.find(b"\r\n\r\n")
            if end >= 0:
                return received[:end]
            if received:
                check_arriving(received, limits)
            if not self._fill_before(deadline):
                return None

    def _await_request(self) -> bool:
        """Be idle until something comes; False when nothing does. A first request has less time than a further one."""
        service = self._service
        limits = service.limits
        if self.requests_served and service.is_stopping and not self._transport.has_arrived():
            return False
        timeout_ms = limits.idle_timeout_ms if self.requests_served else limits.head_timeout_ms
        service.note_idle(self)
        try:
            return self._transport.fill(timeout_ms / 1_000)
        except TimedOut:
            return False
        finally:
            service.note_busy(self)

    def _fill_before(self, deadline: float) -> bool:
        """More of the head; False when the client left. Raises: RequestTimeout where it began one."""
        wait_s = deadline - monotonic()
        try:
            if wait_s > 0:
                return self._transport.fill(wait_s)
        except TimedOut:
            pass
        if self._transport.buffered:
            raise RequestTimeout
        return False

    # -- refusals ------------------------------------------------------------------------------------------------

    def _refuse_head(self, error: S3Error) -> None:
        method, path = refused_request(self._transport.peek())
        self._refuse(error, method, path)
        self._linger()

    def _refuse(self, error: S3Error, method: str, resource: str) -> None:
        _log.info("request.refused", extra={"code": error.code, "remote_address": self._peer[0]})
        answer = render_refusal(error.status, error.code, error.message, resource=resource, with_body=method != "HEAD")
        self._transport.send(answer, self._send_pace())

    def _linger(self) -> None:
        limits = self._service.limits
        self._transport.linger(limits.linger_timeout_ms / 1_000, limits.linger_max_bytes)

    def _send_pace(self) -> Pace:
        limits = self._service.limits
        return Pace(limits.send_stall_ms, limits.send_stall_ms, limits.send_rate_min_bytes_per_s)

    # -- TLS -----------------------------------------------------------------------------------------------------

    def _begin_tls(self, context: ssl.SSLContext) -> None:
        """Shake hands, within a request head's time. Who speaks plain HTTP is told so. Raises: Disconnected."""
        timeout_s = self._service.limits.head_timeout_ms / 1_000
        if not self._speaks_tls(timeout_s):
            return
        try:
            secure = context.wrap_socket(self._sock, server_side=True, do_handshake_on_connect=False)
            self._transport = Transport(secure, is_secure=True)
            secure.settimeout(timeout_s)
            secure.do_handshake()
        except OSError as error:  # SSLError and TimeoutError are OSErrors
            raise Disconnected from error

    def _speaks_tls(self, timeout_s: float) -> bool:
        self._sock.settimeout(timeout_s)
        self._service.note_idle(self)
        try:
            first = self._sock.recv(1, MSG_PEEK)
        except OSError as error:
            raise Disconnected from error
        finally:
            self._service.note_busy(self)
        if first == _TLS_HANDSHAKE:
            return True
        if first:
            self._refuse(BadRequest("This port speaks HTTPS."), "", "/")
            self._linger()
        raise Disconnected
