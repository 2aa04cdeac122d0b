"""What the master does beside gunicorn's own: recovery before anything listens, and what it hands to its workers.

The master opens no connection, thread, hub or lock: whatever it had would be in every worker.
"""

from __future__ import annotations

import gc
import importlib
import os
import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from logging import getLogger
from typing import TYPE_CHECKING, Any

from app.observe import logging, metrics
from app.server.limits import WireLimits
from app.server.listeners import names_of
from app.server.recovery import recover_in_child
from app.server.shares import Shares

if TYPE_CHECKING:
    from app.config import Config
    from app.server.worker import BleepWorker


# What every worker uses and nothing has loaded by then: in the master its memory is shared, and no worker waits for it.
WORKERS_NEED = ("app.core.sweep", "concurrent.futures.thread", "gevent.threadpool", "gevent.time")

_log = getLogger("bleepstore.server")


@dataclass(frozen=True, slots=True)
class Reign:
    """One master's life. Kept on the arbiter, so that a reload of the configuration does not begin another.

    Of the `lifeline` pipe only the master holds the writing end: it breaks when the master dies, however that happens.
    """

    server_id: str
    lifeline_read: int
    lifeline_write: int
    shares: Shares
    config: Config  # with which it began


@dataclass(frozen=True, slots=True)
class MasterHooks:
    """Gunicorn's hooks, by its names. `shared`: the engines allow several worker processes."""

    config: Config
    limits: WireLimits
    shared: bool

    def on_starting(self, server: Any) -> None:
        """Before the listeners are bound. Ends the process where the data cannot be had."""
        self._observe()
        server.reign = Reign(secrets.token_hex(8), *os.pipe(), Shares(), self.config)
        if self.config.data_dir is not None and not recover_in_child(self.config, server.reign.server_id):
            sys.exit(1)

    def when_ready(self, server: Any) -> None:
        """Before the first fork."""
        server.setup = partial(_set_up_where_it_listens, server, server.setup)
        server.handle_usr2 = _refusal("usr2", "two masters must not share one directory")
        if not self.shared:
            for name in ("hup", "ttin"):
                setattr(server, f"handle_{name}", _refusal(name, "the chosen engines allow one process at a time"))
        for name in WORKERS_NEED:
            importlib.import_module(name)
        _share_flask(server)
        gc.collect()
        gc.freeze()  # what is here stays: collecting it in the workers would only unshare its memory

    def on_reload(self, server: Any) -> None:
        self._observe()  # the configuration may say something else now
        _share_flask(server)

    def pre_fork(self, server: Any, worker: BleepWorker) -> None:
        worker.limits = self.limits
        worker.listener_names = names_of(server.cfg.bind, server.reign.config, self.config)
        worker.data_dir = self.config.data_dir
        worker.server_id = server.reign.server_id
        worker.lifeline = server.reign.lifeline_read
        worker.shares = shares = server.reign.shares
        worker.slot = shares.take(each.slot for each in server.WORKERS.values())

    def post_fork(self, server: Any, worker: BleepWorker) -> None:
        os.close(server.reign.lifeline_write)

    def child_exit(self, server: Any, worker: BleepWorker) -> None:
        server.reign.shares.give_back(worker.slot)

    def _observe(self) -> None:
        logging.configure(self.config.server.log_level, self.config.server.log_format)
        metrics.setup(self.config)


def _share_flask(server: Any) -> None:
    """Load Flask where several workers share its memory; a lone worker does so when a request needs it."""
    load = getattr(server.app.wsgi(), "load", None)
    if load is not None and server.cfg.workers > 1:
        load()


def _set_up_where_it_listens(server: Any, setup: Callable[[Any], None], app: Any) -> None:
    """In place of gunicorn's, which a reload calls. To move some of its addresses it would bind all of them anew, also those
    on which its workers still listen; it would fail in that, and end."""
    bound = list(server.cfg.bind)
    setup(app)
    wanted = list(server.cfg.bind)
    if wanted != bound and set(wanted) & set(bound):
        server.cfg.set("bind", bound)
        _log.warning("reload.listeners_kept", extra={"kept": ",".join(bound), "wanted": ",".join(wanted)})


def _refusal(name: str, reason: str) -> Callable[[], None]:
    """In place of gunicorn's handler, which its main loop looks up by name."""

    def refuse() -> None:
        _log.warning("signal.refused", extra={"signal": f"SIG{name.upper()}", "reason": reason})

    return refuse
