"""A client that knows what a failure means: the request was never sent, or its outcome is unknown."""

from __future__ import annotations

import hashlib
import http.client
import socket
from types import TracebackType
from typing import Self

from tests.s3.raw import Place, Reply, signed

TIMEOUT_S = 20.0


class NotSent(Exception):
    """Nobody listened."""


class CutOff(Exception):
    """The connection broke before the whole answer was here. The request is over on the other side too."""


class Caller:
    """One connection at a time, kept alive as long as it lives. For one thread."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._connection: http.client.HTTPConnection | None = None

    def call(self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Reply:
        """Raises: NotSent, CutOff; TimeoutError, after which the request may still be under way."""
        wanted = {"x-amz-content-sha256": hashlib.sha256(body).hexdigest(), **(headers or {})}
        sent = signed(self._place, method, target, wanted)
        connection = self._connection or self._connect()
        try:
            connection.request(method, target, body or None, sent)
            answer = connection.getresponse()
            return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if isinstance(error, TimeoutError):
                raise
            raise CutOff(repr(error)) from error

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _connect(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(self._place.host, self._place.port, timeout=TIMEOUT_S)
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise NotSent(repr(error)) from error
        assert connection.sock is not None
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection = connection
        return connection
