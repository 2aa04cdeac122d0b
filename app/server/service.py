"""What the connections of one worker share: the application, the limits, who is connected, and whether we are stopping."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from time import monotonic
from typing import TYPE_CHECKING, Any

from gevent.event import Event

from app.server.limits import WireLimits

if TYPE_CHECKING:
    from app.server.connection import Connection

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Service:
    """One per worker. Connections enter and leave by themselves."""

    def __init__(self, application: Application, limits: WireLimits, tls: ssl.SSLContext | None = None) -> None:
        self.application = application
        self.limits = limits
        self.tls = tls
        self.is_stopping = False
        self.requests_served = 0
        self._connections: set[Connection] = set()
        self._idle: dict[Connection, float] = {}  # since when; in that order
        self.is_empty = Event()
        self.is_empty.set()

    @property
    def connections(self) -> int:
        return len(self._connections)

    def enter(self, connection: Connection) -> None:
        self._connections.add(connection)
        self.is_empty.clear()

    def leave(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._idle.pop(connection, None)
        if not self._connections:
            self.is_empty.set()

    def note_idle(self, connection: Connection) -> None:
        self._idle[connection] = monotonic()

    def note_busy(self, connection: Connection) -> None:
        self._idle.pop(connection, None)

    def make_room(self) -> bool:
        """Whether one more connection may be taken; a full worker first gives up the one that is idle for longest."""
        if self.connections < self.limits.connections_max:
            return True
        now = monotonic()
        for connection, since in list(self._idle.items()):
            if (now - since) * 1_000 < self.limits.evictable_after_ms:
                break
            if connection.give_up():
                return True
        return False

    def stop(self) -> None:
        """Answer no further request on any connection, once a request that is already here is answered.

        Idle connections end at once; one that never brought a request has `fresh_grace_ms` to do so (`end_idle`).
        """
        self.is_stopping = True
        for connection in list(self._idle):
            if connection.requests_served:
                connection.give_up()

    def end_idle(self) -> None:
        for connection in list(self._idle):
            connection.give_up()
