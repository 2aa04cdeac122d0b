"""The worker process: gunicorn starts, watches and ends it; the connections are ours.

Life: fork -> init_process (fresh hub) -> load_wsgi (lock, open the engines) -> run -> SIGTERM -> drain -> _exit.
There is no clean shut-down to rely on: after the requests in flight the process ends without joining anything.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
import traceback
from dataclasses import replace
from functools import partial
from itertools import zip_longest
from time import monotonic
from types import FrameType
from typing import Any, NoReturn

import gevent
from gevent.event import Event
from gunicorn.workers.base import Worker

from app import runtime
from app.server.accept import Acceptor, fitting_limits
from app.server.limits import WireLimits
from app.server.listeners import S3, SERVICE_CONNECTIONS_MAX
from app.server.locks import DataLock
from app.server.service import Service
from app.server.shares import Shares

HEARTBEAT_S = 1.0
SWITCH_INTERVAL_S = 0.0005  # a computing thread gives the hub its turn after so long
# Objects made and not gone before the collector looks at them. A hundred requests that wait for one commit hold thousands,
# and are no garbage: with 256 clients that write, looking at every 700 took 4 % of the processor time.
YOUNG_OBJECTS_MAX = 10_000
STOP_RESERVE_S = 2.0  # a worker is done before the master's patience ends

_log = logging.getLogger("bleepstore.server")


class BleepWorker(Worker):  # type: ignore[misc]  # gunicorn has no types
    """Set by the master before the fork: `limits`, and with a data directory `data_dir` and `server_id`.

    `lifeline` is the reading end of a pipe that breaks when the master dies; `slot` is this worker's among the `shares`.
    `listener_names` say what each of the sockets is for.
    """

    sockets: list[Any]
    limits = WireLimits()
    data_dir: str | None = None
    server_id: str | None = None
    lifeline: int | None = None
    shares: Shares | None = None
    slot = 0
    listener_names: tuple[str, ...] = (S3,)

    # -- start ---------------------------------------------------------------------------------------------------

    def init_process(self) -> None:
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        gevent.reinit()
        # The listeners become the hub's. Nothing of the standard library is patched: what may wait outside our own code,
        # an SDK or a driver, runs in threads, and shares sockets and locks between them as it is used to.
        self.sockets = [
            gevent.socket.socket(each.FAMILY, gevent.socket.SOCK_STREAM, fileno=each.sock.detach())
            for each in self.sockets
        ]
        super().init_process()

    def init_signals(self) -> None:
        self._wake = Event()
        super().init_signals()

    def load_wsgi(self) -> None:
        runtime.enable_gevent()
        self._lock = self._share_data()
        super().load_wsgi()
        _open(self.wsgi)
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG_OBJECTS_MAX, *gc.get_threshold()[1:])

    def _share_data(self) -> DataLock | None:
        """The lock lives as long as the process. Raises: DataLocked."""
        if self.data_dir is None or self.server_id is None:
            return None
        lock = DataLock(self.data_dir)
        lock.share(self.server_id)
        return lock

    # -- life ----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        services = self._services()
        acceptors = self._acceptors(services)
        self._watch_master()
        for acceptor in acceptors:
            acceptor.start()
        while self.alive:
            self.notify()
            if services[S3].requests_served >= self.max_requests:
                _log.info("worker.served_its_share", extra={"requests": services[S3].requests_served})
                break
            self._wake.wait(HEARTBEAT_S)
        self._drain(list(services.values()), acceptors)
        leave = getattr(getattr(self.wsgi, "lifecycle", None), "leave", None)
        if leave is not None:
            leave()
        _exit(0)

    def _services(self) -> dict[str, Service]:
        """By listener: S3's, and one without the short way and with room of its own for each of the others."""
        tls = _tls_context(self.cfg.certfile, self.cfg.keyfile) if self.cfg.is_ssl else None
        shares, limits = self.shares, fitting_limits(self.limits)
        lifecycle = getattr(self.wsgi, "lifecycle", None)
        short_way, counters = getattr(lifecycle, "short_way", None), getattr(lifecycle, "counters", None)
        rejected = None if counters is None else counters.rejected
        note = None if shares is None else partial(shares.note, self.slot)
        services = {S3: Service(self.wsgi, limits, tls, short_way, note, rejected)}
        few = replace(limits, connections_max=min(limits.connections_max, SERVICE_CONNECTIONS_MAX))
        services |= {name: Service(self.wsgi, few, tls) for name in self.listener_names if name != S3}
        return services

    def _acceptors(self, services: dict[str, Service]) -> list[Acceptor]:
        """One a socket. Sockets of which nobody has said what they are for, as systemd hands them over, are S3's."""
        is_ahead = None if self.shares is None else partial(self.shares.is_ahead, self.slot)
        is_multiprocess = self.cfg.workers > 1
        return [
            Acceptor(
                sock,
                services[name],
                is_ahead if name == S3 else None,
                is_multiprocess=is_multiprocess,
                listener=name,
            )
            for sock, name in zip_longest(self.sockets, self.listener_names[: len(self.sockets)], fillvalue=S3)
        ]

    def notify(self) -> None:
        """The heartbeat, and a second look at the master should there be no lifeline."""
        self.tmp.notify()
        if self.ppid != os.getppid():
            self._end_as_orphan()

    def _watch_master(self) -> None:
        if self.lifeline is not None:
            self._lifeline_watcher = gevent.get_hub().loop.io(self.lifeline, 1)
            self._lifeline_watcher.start(self._end_as_orphan)

    def _end_as_orphan(self) -> NoReturn:
        """Nobody would replace or stop this worker, and the next server needs its port and its data."""
        _log.info("worker.orphaned", extra={"pid": os.getpid()})
        _exit(0)

    # -- end -----------------------------------------------------------------------------------------------------

    def _drain(self, services: list[Service], acceptors: list[Acceptor]) -> None:
        """Close the listeners and idle connections, then wait for the requests in flight; bounded."""
        began = monotonic()
        patience_s = max(self.cfg.graceful_timeout - STOP_RESERVE_S, self.cfg.graceful_timeout / 2)
        for service in services:
            service.is_stopping = True
        for acceptor in acceptors:
            acceptor.stop()
        for service in services:
            service.stop()
            gevent.spawn_later(service.limits.fresh_grace_ms / 1_000, service.end_idle)
        while (left_s := began + patience_s - monotonic()) > 0:
            self.notify()
            unfinished = [service for service in services if service.connections]
            if not unfinished:
                return
            unfinished[0].is_empty.wait(min(left_s, HEARTBEAT_S))
        connections = sum(service.connections for service in services)
        _log.warning("worker.stopped_unfinished", extra={"pid": os.getpid(), "connections": connections})

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.alive = False
        gevent.get_hub().loop.run_callback(self._wake.set)

    def handle_quit(self, sig: int, frame: FrameType | None) -> NoReturn:
        """SIGINT and SIGQUIT: at once. Every start is a recovery."""
        _exit(0)

    def handle_abort(self, sig: int, frame: FrameType | None) -> NoReturn:
        """The master has seen no heartbeat: say what stands still, and end."""
        _log.critical("worker.stood_still", extra={"pid": os.getpid(), "stack": "".join(traceback.format_stack(frame))})
        _exit(1)


def _open(application: Any) -> None:
    """Open the engines of an application that has any, now that this is a process of its own."""
    lifecycle = getattr(application, "lifecycle", None)
    if lifecycle is not None:
        lifecycle.open()


def _exit(status: int) -> NoReturn:
    """End without joining, closing or calling anybody: crash-only."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass
    os._exit(status)


def _tls_context(cert_file: str, key_file: str) -> Any:
    """Loaded here: a server without TLS does without."""
    from gevent import ssl

    # gevent's own class: what create_default_context makes would wait on the hub.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert_file, key_file)
    return context
