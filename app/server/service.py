"""What the connections of one worker share: the application, the limits, who is connected, and whether we are stopping."""

from __future__ import annotations

import heapq
import ssl
from collections.abc import Callable, Iterable
from time import monotonic
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import Event

from app.server.limits import WireLimits
from app.server.remembered import RememberedHeads
from app.server.runners import Runners
from app.server.turns import Turns

if TYPE_CHECKING:
    from app.s3.short_way import ShortWay
    from app.server.connection import Connection

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

IDLE_LOOK_MAX_S = 0.25  # a connection ends so much later than its time is over, at most
EVICTED_AT_ONCE = 32  # to look for the idlest costs a walk over all


class Service:
    """One per worker, made in it. Connections enter and leave by themselves.

    `short_way` is the application's, for requests that it answers without WSGI; None: it has none. `note_connections` is
    told how many connections there are whenever that changes, `note_rejected` why a request was refused here, in a word.
    """

    def __init__(
        self,
        application: Application,
        limits: WireLimits,
        tls: ssl.SSLContext | None = None,
        short_way: ShortWay | None = None,
        note_connections: Callable[[int], None] | None = None,
        note_rejected: Callable[[str], None] | None = None,
    ) -> None:
        self.application = application
        self.limits = limits
        self.tls = tls
        self.short_way = short_way
        self._note_connections = note_connections or _nothing
        self.note_rejected: Callable[[str], None] = note_rejected or _nothing
        self.is_stopping = False
        self.requests_served = 0
        self.loop = gevent.get_hub().loop
        self.runners = Runners(gevent.get_hub())
        self.remembered = RememberedHeads()
        self.turns = Turns(gevent.get_hub())
        self._connections: set[Connection] = set()
        self.is_empty = Event()
        self.is_empty.set()
        look_s = min(IDLE_LOOK_MAX_S, limits.head_timeout_ms / 4_000, limits.idle_timeout_ms / 4_000)
        self._idle_watch = self.loop.timer(look_s, look_s)
        self._idle_watch.start(self._end_overdue)

    @property
    def connections(self) -> int:
        return len(self._connections)

    def enter(self, connection: Connection) -> None:
        self._connections.add(connection)
        self.is_empty.clear()
        self._note_connections(len(self._connections))

    def leave(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._note_connections(len(self._connections))
        if not self._connections:
            self.is_empty.set()

    def make_room(self) -> bool:
        """Whether one more connection may be taken; a full worker first gives up those that are idle for longest."""
        if len(self._connections) < self.limits.connections_max:
            return True
        since_max_s = monotonic() - self.limits.evictable_after_ms / 1_000
        idle = [each for each in self._connections if each.idle_since is not None and each.idle_since <= since_max_s]
        for connection in heapq.nsmallest(EVICTED_AT_ONCE, idle, key=_idle_since):
            connection.give_up()
        return len(self._connections) < self.limits.connections_max

    def stop(self) -> None:
        """Answer no further request on any connection, once a request that is already here is answered.

        Idle connections end at once; one that never brought a request has `fresh_grace_ms` to do so (`end_idle`).
        """
        self.is_stopping = True
        for connection in list(self._connections):
            if connection.requests_served and connection.idle_since is not None:
                connection.give_up()

    def end_idle(self) -> None:
        for connection in list(self._connections):
            if connection.idle_since is not None:
                connection.give_up()

    def _end_overdue(self) -> None:
        """End whoever has had nothing to ask for too long. A first request has less time than a further one."""
        now = monotonic()
        further_s, first_s = self.limits.idle_timeout_ms / 1_000, self.limits.head_timeout_ms / 1_000
        for connection in list(self._connections):
            since = connection.idle_since
            if since is not None and now - since >= (further_s if connection.requests_served else first_s):
                connection.give_up()


def _nothing(told: object) -> None:
    """There is nobody to be told."""


def _idle_since(connection: Connection) -> float:
    return connection.idle_since or 0.0
