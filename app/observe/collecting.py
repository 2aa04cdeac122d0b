"""Every worker's cells as one answer: the collector that a scrape asks for all that was counted."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from app.observe import families, slots
from app.observe.cells import Cells, Key, read
from app.observe.counting import LIVE_GAUGES, lag_at
from app.observe.request_samples import RequestSamples
from app.observe.tally import Tally
from app.version import __version__

if TYPE_CHECKING:
    from prometheus_client import Metric

Records = Iterator[tuple[Key, list[float]]]

_LIVE = frozenset(family.name for family in LIVE_GAUGES)


class CountedCollector:
    """Gives the same whichever worker is asked. `own` is this process's where it counts alone."""

    def __init__(self, own: Cells) -> None:
        self._own = own

    def collect(self) -> Iterator[Metric]:
        tally = Tally()
        tally.add(families.BUILD_INFO, (__version__,), 1.0)
        requests = RequestSamples()
        for slot, is_live, records in self._everybody():
            for key, values in records:
                if not requests.add(key, values):
                    _add(tally, key, values, slot, is_live=is_live)
        requests.give(tally)
        return tally.metrics()

    def _everybody(self) -> Iterator[tuple[int, bool, Records]]:
        place = slots.directory()
        if place is None:
            yield 0, True, self._own.read()
            return
        live = {worker.slot for worker in slots.live_workers()}
        for slot, path in slots.cell_files(place):
            with contextlib.suppress(FileNotFoundError):
                yield slot, slot in live, read(path)


def _add(tally: Tally, key: Key, values: list[float], slot: int, *, is_live: bool) -> None:
    family = families.BY_NAME.get(str(key[0]))
    if family is None or (family.name in _LIVE and not is_live):
        return
    labels = tuple(map(str, key[1:]))
    if family is families.HUB_LAG:
        tally.add(family, (str(slot),), lag_at(time.monotonic(), *values))
    elif family.kind == "histogram":
        tally.add_buckets(family, labels, values[:-1], values[-1])
    elif family is families.BACKGROUND_LAST:
        tally.raise_to(family, labels, values[0])
    else:
        tally.add(family, labels, values[0])
