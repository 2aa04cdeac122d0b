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
        self._first: Callable[[], object] = _nothing  # of a runner that begins: its arguments would live as long as it

    def run(self, function: Callable[[], object]) -> None:
        """Begin a function in a greenlet of its own. Only for callbacks of the loop: a runner returns to the hub.

        What the function raises is the loop's to report.
        """
        shelf = self._shelf
        if shelf:
            shelf.pop().switch(function)
        else:
            self._first = function
            greenlet(self._serve, self._hub).switch()

    def _serve(self) -> None:
        shelf, hub, this = self._shelf, self._hub, getcurrent()
        function, self._first = self._first, _nothing
        while True:
            try:
                function()
            except BaseException:
                hub.handle_error(function, *sys.exc_info())
            if len(shelf) >= RUNNERS_KEPT_MAX:
                return
            # A runner on the shelf keeps nobody's connection alive, and no context variable that a request has set.
            this.gr_context = None
            del function
            shelf.append(this)
            function = _switch(hub)


def _nothing() -> None:
    """Nobody's function."""
