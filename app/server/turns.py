"""The loop's turns: what is to be done only when every socket has been looked at once more.

A timer would do, but libev waits a millisecond at least for it, and three are usual. The loop's callbacks would not: those
that are added while they run are run at once, up to a thousand of them before the next look at a socket.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from gevent.hub import Waiter


class Turns:
    """One worker's. `hub` is the loop's greenlet."""

    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self._waiting: list[Callable[[], object]] = []
        self._check = hub.loop.check()  # called in each turn, right behind the look at the sockets
        self._idle = hub.loop.idle()  # while it is started, that look does not wait for anything

    def call_next(self, function: Callable[[], object]) -> None:
        """Call it in the next turn, once. What it raises is the loop's to report."""
        if not self._waiting:
            self._check.start(self._on_turn)
            self._idle.start(_nothing)
        self._waiting.append(function)

    def wait_for_next(self) -> None:
        """Let everybody else go first. In a greenlet that is not the hub's."""
        waiter = Waiter(self._hub)
        self.call_next(partial(waiter.switch, None))
        waiter.get()

    def _on_turn(self) -> None:
        """Those that ask for another turn while they are called get the next one."""
        waiting, self._waiting = self._waiting, []
        for function in waiting:
            try:
                function()
            except BaseException:
                self._hub.handle_error(function, *sys.exc_info())
        if not self._waiting:
            self._check.stop()
            self._idle.stop()


def _nothing() -> None:
    """That it waits to be called is all that it is for."""
