"""Counts of what storage back ends are asked for. Unlike requests of S3 they are counted in many threads."""

from __future__ import annotations

import threading
from collections.abc import Callable

from app.observe import families
from app.observe.cells import Cells
from app.observe.counting import Series, adder, observer

# How a back end's request ended, by what it says of it: a bounded set. The rest is "error".
_OUTCOMES = {
    "ok": "ok", "missing": "missing", "throttled": "slow_down", "full": "slow_down", "slow_down": "slow_down",
    "away": "unavailable", "refused": "unavailable", "unavailable": "unavailable",
}  # fmt: skip


class BackendMetrics:
    """Counts one storage back end's requests, from any thread. `op` is one of a few words of the back end's."""

    def __init__(self, cells: Callable[[], Cells], name: str) -> None:
        """`cells` gives this process's, once it is counted."""
        self._name = name
        self._lock = threading.Lock()
        self._requests = Series(cells, adder, families.BACKEND_REQUESTS)
        self._seconds = Series(cells, observer, families.BACKEND_DURATION)
        self._retries = Series(cells, adder, families.BACKEND_RETRIES)

    def request(self, op: str, outcome: str, seconds: float) -> None:
        with self._lock:
            self._requests(self._name, op, _OUTCOMES.get(outcome, "error"))(1)
            self._seconds(self._name, op)(seconds)

    def retry(self, op: str) -> None:
        with self._lock:
            self._retries(self._name, op)(1)
