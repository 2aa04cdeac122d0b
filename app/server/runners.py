"""Greenlets that are used again and again: one serves a request and goes back to the shelf.

A fresh greenlet costs more than all of a small request, for CPython maps a new stack of frames for each. A runner
starts its function at once, inside the loop's callback that asks for it; a function that never waits has ended when
`run` returns. One that waits leaves the callback, and the loop resumes it like any other greenlet.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from greenlet import getcurrent, greenlet

RUNNERS_KEPT_MAX = 256

_switch = greenlet.switch  # gevent's own looks for hooks that a runner does not have


class Runners:
    """One worker's. `hub` is the loop's greenlet: every runner ends in it."""

    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self._shelf: list[greenlet] = []

    def run(self, function: Callable[[], object]) -> None:
        """Begin a function in a greenlet of its own. Only for callbacks of the loop: a runner returns to the hub.

        What the function raises is the loop's to report.
        """
        shelf = self._shelf
        runner = shelf.pop() if shelf else greenlet(self._serve, self._hub)
        runner.switch(function)

    def _serve(self, function: Callable[[], object]) -> None:
        shelf, hub, this = self._shelf, self._hub, getcurrent()
        while True:
            try:
                function()
            except BaseException:
                hub.handle_error(function, *sys.exc_info())
            if len(shelf) >= RUNNERS_KEPT_MAX:
                return
            del function  # a runner on the shelf keeps nobody's connection alive
            shelf.append(this)
            function = _switch(hub)
