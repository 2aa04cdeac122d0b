"""One client's connection: head, application, response, and again while both sides want to.

Between requests nobody waits here: the loop calls `_on_readable` when bytes come, and that receives and starts the
request at once in a runner. Ordinary code from there on, which may wait; most requests do not, and are answered before the
callback returns. Requests of one connection are answered in order, one in each turn of the loop.

Nothing here knows S3; what is refused here is refused in S3's words (app.server.refusals).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any

from app.domain.errors import InternalError, RequestTimeout, S3Error
from app.s3.outcome import Repeat
from app.s3.pipeline import Incoming, Routed
from app.s3.sending import SentBody
from app.server.body import NO_BODY, NoBody, Wire
from app.server.environ import make_environ
from app.server.head import HeadReader, RequestHead, check_arriving, refused_request
from app.server.pace import TooSlow
from app.server.receiver import HEAD_RECEIVE_BYTES, Disconnected, TimedOut
from app.server.refusals import render_refusal
from app.server.response import Response, repeated
from app.server.service import Service
from app.server.transport import Transport

HOT_METHODS = frozenset({"GET", "HEAD", "PUT", "DELETE"})
READING_METHODS = frozenset({"GET", "HEAD"})
READABLE = 1  # of gevent's watchers

_log = logging.getLogger("bleepstore.server")


class Connection:
    """`base_environ` is the listener's; `address` the client's, as accept gave it.

    `idle_since` is the monotonic time since which no request is under way; None while one is.
    """

    __slots__ = (
        "_base_environ",
        "_heads",
        "_peer",
        "_receive",
        "_service",
        "_sock",
        "_transport",
        "_watcher",
        "idle_since",
        "requests_served",
    )

    def __init__(self, sock: Any, address: Any, base_environ: dict[str, Any], service: Service) -> None:
        self._sock = sock
        self._receive = sock._sock.recv  # the kernel's, which never waits; gevent's is for runners
        self._peer = (str(address[0]), str(address[1])) if isinstance(address, tuple) else ("", "")
        self._base_environ = base_environ
        self._service = service
        self._transport = Transport(sock, service.turns, is_secure=False)
        self._heads = HeadReader(service.limits)
        self._watcher: Any = None
        self.idle_since: float | None = monotonic()
        self.requests_served = 0

    def start(self) -> None:
        """In a callback of the loop."""
        self._service.enter(self)
        self._watcher = self._service.loop.io(self._sock.fileno(), READABLE)
        self._watcher.start(self._on_readable)

    def give_up(self) -> None:
        """End an idle connection from outside, unless a request has just come, which is then served."""
        if self.idle_since is not None and not self._transport.buffered and not self._transport.has_arrived():
            self._leave_idle()

    def _leave_idle(self) -> None:
        if self._watcher is not None:
            self._end()

    # -- in the loop's callbacks ---------------------------------------------------------------------------------

    def _on_readable(self) -> None:
        if self.idle_since is None:
            self._watcher.stop()  # the request under way reads for itself, and its end starts the watcher again
            return
        try:
            received = self._receive(HEAD_RECEIVE_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            received = b""
        if not received:
            self._end()
            return
        if not self._repeat(received):
            self._transport.put(received)
            self._begin()

    def _repeat(self, received: bytes) -> bool:
        """Answer a head that has come alone, has come before, and asks for what is in memory; else do nothing."""
        service = self._service
        remembered = service.remembered.find(received[:-4])
        if remembered is None or received[-4:] != b"\r\n\r\n" or self._transport.buffered:
            return False
        answer = self._known_answer(*remembered)
        if answer is None:
            return False
        self.requests_served += 1
        service.requests_served += 1
        data = repeated(answer)
        try:
            sent = self._send_at_once(answer, data)
        except Disconnected as error:
            self._note_lost(error)
            self._end()
            return True
        if sent == len(data):
            answer.finish(len(answer.body))
            self.idle_since = monotonic()
        else:
            self.idle_since = None
            service.runners.run(partial(self._serve, partial(self._send_rest, answer, data, sent)))
        return True

    def _begin(self) -> None:
        """Serve what is buffered."""
        self.idle_since = None
        self._service.runners.run(partial(self._serve, self._serve_one))

    def _await_next(self) -> None:
        """Be idle until something comes. What is here already is served in the next turn: the others wait too."""
        self.idle_since = monotonic()
        self._transport.rouse_at(1)
        if self._transport.buffered:
            # Until then nothing is received: a client could be any number of requests ahead, and all would be kept here.
            self._watcher.stop()
            self._service.turns.call_next(self._begin_next)
        elif not self._watcher.active:
            self._watcher.start(self._on_readable)

    def _begin_next(self) -> None:
        if self.idle_since is not None and self._watcher is not None:
            self._begin()

    def _end(self) -> None:
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.stop()
            watcher.close()
        self._transport.close()
        self._service.leave(self)

    # -- in a runner ---------------------------------------------------------------------------------------------

    def _serve(self, serve: Callable[[], bool]) -> None:
        """`serve` says whether the connection may bring another request."""
        keeps = False
        try:
            keeps = serve()
        except (Disconnected, TooSlow) as error:
            if isinstance(error, TooSlow):
                self._service.note_rejected("too_slow")
            self._note_lost(error)
        finally:
            if keeps:
                self._await_next()
            else:
                self._end()

    def _note_lost(self, error: Exception) -> None:
        _log.debug("connection.lost", extra={"remote_address": self._peer[0], "reason": type(error).__name__})

    # -- one request ---------------------------------------------------------------------------------------------

    def _serve_one(self) -> bool:
        """Whether the connection may bring another request."""
        try:
            block = self._receive_head()
            if block is None:
                return False
            remembered = self._service.remembered.find(block)
            head = self._heads.read(block) if remembered is None else remembered.head
        except S3Error as error:
            self._refuse_head(error)
            return False
        self._transport.take(len(block) + 4)
        has_body = head.content_length is not None or head.is_chunked
        wire = Wire(self._transport, head, self._service.limits) if has_body else NO_BODY
        keeps = self._answer(block, head, wire, None if remembered is None else remembered.routed)
        self.requests_served += 1
        self._service.requests_served += 1
        if keeps:
            wire.drop_rest()
        elif not wire.is_consumed or self._transport.buffered or self._transport.has_arrived():
            self._linger()
        return keeps

    def _answer(self, block: bytes, head: RequestHead, wire: Wire | NoBody, routed: Routed | None) -> bool:
        """Run the application and send what it gives; whether the connection stays usable."""
        response = Response(self._transport, head, wire, self._service.limits)
        body: Any = None
        try:
            routed = routed or self._route(block, head, wire)
            known = self._known_answer(head, routed) if routed is not None and wire is NO_BODY else None
            if known is not None:
                return self._send_known(known)
            body = self._run(head, wire, routed, response)
            return response.send(body, may_keep=not self._service.is_stopping)
        except (Disconnected, TooSlow):
            raise
        except Exception as error:
            return self._answer_failure(error, head, response, is_counted=isinstance(body, SentBody))
        finally:
            close = getattr(body, "close", None)
            if close is not None:
                close()

    def _route(self, block: bytes, head: RequestHead, wire: Wire | NoBody) -> Routed | None:
        """Where the short way leads; None for what goes the long way."""
        service = self._service
        if service.short_way is None or head.method not in HOT_METHODS:
            return None
        routed = service.short_way.route(head.method, head.target, head.fields)
        if routed is not None and head.method in READING_METHODS and wire is NO_BODY:
            service.remembered.note(block, head, routed, service.short_way.prove)
        return routed

    def _run(self, head: RequestHead, wire: Wire | NoBody, routed: Routed | None, response: Response) -> Any:
        """The answer's body, by the short way or the long one."""
        service = self._service
        if routed is not None and service.short_way is not None:
            incoming = Incoming(head.method, head.target, head.fields, wire, self._peer[0], service.tls is not None)
            return service.short_way.answer(incoming, response.start_response, routed)
        environ = make_environ(self._base_environ, head, wire, self._peer)
        return service.application(environ, response.start_response)

    def _known_answer(self, head: RequestHead, routed: Routed) -> Repeat | None:
        """The whole answer where it is in memory, to a client that stays."""
        service = self._service
        if service.short_way is None or service.is_stopping or not head.keeps_alive or head.minor_version == 0:
            return None
        return service.short_way.repeat(routed, head.fields, self._peer[0])

    def _send_known(self, answer: Repeat) -> bool:
        """Whether the connection may bring another request. Raises: TooSlow, Disconnected."""
        data = repeated(answer)
        return self._send_rest(answer, data, self._send_at_once(answer, data))

    def _send_at_once(self, answer: Repeat, data: bytes) -> int:
        """How many of the answer's bytes the kernel took. Raises: Disconnected, which ends the answer."""
        try:
            return self._transport.send_now(data)
        except Disconnected:
            answer.finish(0, has_waited=True)
            raise

    def _send_rest(self, answer: Repeat, data: bytes, sent: int) -> bool:
        """As `_send_known`, of an answer of which so much is sent."""
        has_waited = sent < len(data)
        try:
            if has_waited:
                self._transport.send(memoryview(data)[sent:], self._service.limits.send_pace())
                sent = len(data)
        finally:
            answer.finish(max(0, sent - (len(data) - len(answer.body))), has_waited=has_waited)
        return not self._service.is_stopping

    def _answer_failure(self, error: Exception, head: RequestHead, response: Response, *, is_counted: bool) -> bool:
        """An error that the application let through: an answer where none has begun, in any case the end.

        `is_counted`: the pipeline counts the request when its body is closed.
        """
        if not isinstance(error, S3Error):
            _log.error("request.failed", extra={"method": head.method}, exc_info=error)
            error = InternalError()
        if not response.is_begun:
            if not is_counted:
                self._service.note_rejected("failed")
            self._refuse(error, head.method, head.target.partition("?")[0])
        return False

    # -- the head ------------------------------------------------------------------------------------------------

    def _receive_head(self) -> bytes | None:
        """The next head's bytes, still buffered; None where the client has nothing more to ask. Raises: S3Error."""
        limits = self._service.limits
        if not self._transport.buffered and not self._await_request():
            return None
        deadline = 0.0
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
            deadline = deadline or monotonic() + limits.head_timeout_ms / 1_000
            if not self._fill_before(deadline):
                return None

    def _await_request(self) -> bool:
        """Whether something came. Here a request is begun because something has, see `_on_readable`."""
        return False

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
        self._service.note_rejected("head_timeout" if isinstance(error, RequestTimeout) else "bad_request")
        method, path = refused_request(self._transport.peek())
        self._refuse(error, method, path)
        self._linger()

    def _refuse(self, error: S3Error, method: str, resource: str) -> None:
        _log.info("request.refused", extra={"code": error.code, "remote_address": self._peer[0]})
        answer = render_refusal(error.status, error.code, error.message, resource=resource, with_body=method != "HEAD")
        self._transport.send(answer, self._service.limits.send_pace())

    def _linger(self) -> None:
        limits = self._service.limits
        self._transport.linger(limits.linger_timeout_ms / 1_000, limits.linger_max_bytes)
