"""Counters of all worker processes as one `/metrics`: who counts what, and what a scrape is answered.

A worker counts into a file of its own that outlives it (slots.py, cells.py). Requests are counted in requests.py, all else
in counting.py; families.py says what there is, and collecting.py adds it up when a scrape asks whichever worker.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from app.observe import families, slots
from app.observe.backend_metrics import BackendMetrics
from app.observe.bucket_labels import BucketLabels
from app.observe.cells import Cells
from app.observe.counting import BackgroundMetrics, Series, SqliteMetrics, Vitals, adder, observer, reset_live
from app.observe.requests import RequestCounts
from app.observe.slots import LiveWorker, live_workers

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

    from app.config import Config

BUCKET_LABELS_MAX = 100

_log = logging.getLogger("bleepstore.observe")


class NoMetrics:
    """observability.metrics is false: nothing is imported, nothing is counted."""


class Metrics:
    """Made before the fork; a process begins to count with `open`, or with what it counts first."""

    def __init__(self, bucket_labels_max: int = BUCKET_LABELS_MAX) -> None:
        import prometheus_client  # noqa: F401  # in the master, so that workers share its memory

        self._bucket_labels_max = bucket_labels_max
        self._made: Cells | None = None
        self._making = threading.Lock()
        self._collectors: list[Collector] = []
        self.requests = RequestCounts(self.cells, self._labels)
        self._rejected = Series(self.cells, adder, families.S3_REJECTED)
        self._auth = Series(self.cells, observer, families.AUTH_DURATION)

    # -- who counts ----------------------------------------------------------------------------------------------
    # Each may be asked for before the fork, and counts behind it.

    def rejected(self, reason: str) -> None:
        """A request was refused without S3, for one of the reasons that families.py has. On the hub."""
        self._rejected(reason)(1)

    def auth_stage(self, stage: str, seconds: float) -> None:
        """Parse, canonical, key or compare took so long. On the hub."""
        self._auth(stage)(seconds)

    def backend(self, name: str) -> BackendMetrics:
        """A storage back end's requests."""
        return BackendMetrics(self.cells, name)

    def sqlite(self) -> SqliteMetrics:
        return SqliteMetrics(self.cells)

    def background(self, task: str) -> BackgroundMetrics:
        return BackgroundMetrics(self.cells, task)

    def vitals(self, queue_depth: Callable[[], int], sleep: Callable[[float], object]) -> Vitals:
        """This process's, behind the fork."""
        return Vitals(self.cells(), queue_depth, self.requests.settle, sleep)

    # -- where ---------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Take a slot, so that this worker is among the live ones."""
        self.cells()

    def cells(self) -> Cells:
        """This process's, made by whichever thread comes first."""
        with self._making:
            if self._made is None:
                self._made = _own_cells(slots.directory())
                reset_live(self._made)
            return self._made

    def _labels(self) -> BucketLabels:
        place = slots.directory()
        return BucketLabels(None if place is None else slots.bucket_file(place), self._bucket_labels_max)

    # -- a scrape ------------------------------------------------------------------------------------------------

    def register(self, collector: Collector) -> None:
        """Have a collector of prometheus_client's asked at each scrape, in the worker that answers it and in a thread.

        Before the fork or behind it. It adds what is read and not counted, so it must say the same in every worker.
        """
        self._collectors.append(collector)

    def render(
        self, accept: str | None = None, view: Callable[[Sequence[Collector]], Collector] | None = None
    ) -> tuple[bytes, str]:
        """What every worker counted, and its content type: Prometheus' text, or OpenMetrics where `accept` asks for it.

        With `view`, what that makes of all collectors instead.
        prometheus_flask_exporter collects and negotiates. Its hooks into Flask's requests stay unused: they would miss
        what is answered without Flask, and label by path.
        """
        from prometheus_client import CollectorRegistry
        from prometheus_flask_exporter import PrometheusMetrics

        from app.observe.collecting import CountedCollector

        registry = CollectorRegistry()
        collectors = (CountedCollector(self.cells()), *self._collectors)
        for collector in collectors if view is None else (view(collectors),):
            registry.register(collector)
        exporter = PrometheusMetrics(app=None, path=None, registry=registry, export_defaults=False)
        text, content_type = exporter.generate_metrics(accept)
        return text.encode(), content_type


def _own_cells(place: str | None) -> Cells:
    """Where there is no room for a file this process counts for itself alone: that is no reason to serve nobody."""
    if place is None:
        return Cells()
    try:
        return Cells(slots.take(place)[1])
    except OSError as error:
        _log.error("metrics.no_room", extra={"error": str(error)})
        return Cells()


def for_config(config: Config) -> Metrics | NoMetrics:
    observability = config.observability
    return Metrics(observability.bucket_labels_max) if observability.metrics else NoMetrics()


def setup(config: Config) -> None:
    """In the master, before the first fork and at a reload: the place where workers will count."""
    # prometheus_client would look for files of its own there.
    for name in ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"):
        os.environ.pop(name, None)
    slots.setup(is_on=config.observability.metrics)


__all__ = ["LiveWorker", "Metrics", "NoMetrics", "for_config", "live_workers", "setup"]
