"""Counts of what storage back ends are asked for. Unlike requests of S3 they are counted in many threads."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable
from typing import TYPE_CHECKING

from app.observe.adders import Add, adder, observers

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

# Of a back end's requests: a file's opening takes microseconds, and one that is repeated may take half a minute.
BACKEND_BUCKETS_S = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

# How a back end's request ended, by what it says of it: a bounded set. The rest is "error".
_OUTCOMES = {
    "ok": "ok", "missing": "missing", "throttled": "slow_down", "full": "slow_down", "slow_down": "slow_down",
    "away": "unavailable", "refused": "unavailable", "unavailable": "unavailable",
}  # fmt: skip


class BackendMetrics:
    """Counts one storage back end's requests, from any thread. `op` is one of a few words of the back end's."""

    def __init__(self, series: Callable[[], BackendSeries], name: str) -> None:
        """`series` gives this process's, once it is counted."""
        self._series = series
        self._name = name
        self._lock = threading.Lock()
        self._requests: dict[tuple[str, str], tuple[Add, Add, list[Add]]] = {}
        self._retries: dict[str, Add] = {}

    def request(self, op: str, outcome: str, seconds: float) -> None:
        with self._lock:
            adds = self._requests.get((op, outcome))
            if adds is None:
                adds = self._series().adders(self._name, op, _OUTCOMES.get(outcome, "error"))
                self._requests[op, outcome] = adds
            count, add_seconds, buckets = adds
            count(1)
            add_seconds(seconds)
            buckets[bisect_left(BACKEND_BUCKETS_S, seconds)](1)

    def retry(self, op: str) -> None:
        with self._lock:
            add = self._retries.get(op)
            if add is None:
                add = self._retries[op] = self._series().retries_adder(self._name, op)
            add(1)


class BackendSeries:
    """Of one process; made after the fork."""

    def __init__(self, registry: CollectorRegistry) -> None:
        from prometheus_client import Counter, Histogram

        self._requests = Counter(
            "bleepstore_backend_requests",
            "Requests to a storage back end that ended, each attempt by itself",
            ["backend", "op", "outcome"],
            registry=registry,
        )
        self._durations = Histogram(
            "bleepstore_backend_duration_seconds",
            "How long they took",
            ["backend", "op"],
            buckets=BACKEND_BUCKETS_S,
            registry=registry,
        )
        self._retries = Counter(
            "bleepstore_backend_retries",
            "Attempts that failed and were repeated",
            ["backend", "op"],
            registry=registry,
        )

    def adders(self, backend: str, op: str, outcome: str) -> tuple[Add, Add, list[Add]]:
        """Of the count, and of the sum and the buckets of its durations. For one thread at a time."""
        count = adder(self._requests.labels(backend, op, outcome))
        return count, *observers(self._durations.labels(backend, op))

    def retries_adder(self, backend: str, op: str) -> Add:
        return adder(self._retries.labels(backend, op))
