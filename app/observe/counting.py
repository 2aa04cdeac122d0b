"""Counters, histograms and gauges of one process, in its cells (cells.py). A value is for one thread at a time."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable
from typing import Final

from app.observe import families
from app.observe.cells import Cells, Key
from app.observe.families import Family

Add = Callable[[float], None]

VITALS_EVERY_S: Final = 0.25
LAG_KEPT_S: Final = 15.0  # for so long at least, and up to twice as long, the worst lag is told
LIVE_GAUGES: Final = (families.S3_IN_FLIGHT, families.SQLITE_QUEUE, families.HUB_LAG)
HUB_LAG_WIDTH: Final = 2  # seconds, and when that was written


def adder(cells: Cells, family: Family, *labels: str) -> Add:
    values, place = cells.values, cells.place(_key(family, labels), 1)

    def add(amount: float) -> None:
        values[place] += amount

    return add


def setter(cells: Cells, family: Family, *labels: str) -> Add:
    values, place = cells.values, cells.place(_key(family, labels), 1)

    def set_to(value: float) -> None:
        values[place] = value

    return set_to


def observer(cells: Cells, family: Family, *labels: str) -> Add:
    """Each value into its bucket, and into the sum behind the buckets."""
    bounds, width = family.buckets, len(family.buckets) + 2
    values, place = cells.values, cells.place(_key(family, labels), width)
    total = place + width - 1

    def observe(value: float) -> None:
        values[place + bisect_left(bounds, value)] += 1.0
        values[total] += value

    return observe


def _key(family: Family, labels: tuple[str, ...]) -> Key:
    return (family.name, *labels)


class Series:
    """A family's adders or observers by label, made when they are first asked for, after the fork."""

    def __init__(self, cells: Callable[[], Cells], make: Callable[..., Add], family: Family) -> None:
        self._cells = cells
        self._make = make
        self._family = family
        self._made: dict[tuple[str, ...], Add] = {}

    def __call__(self, *labels: str) -> Add:
        """Labels are of a bounded set."""
        made = self._made.get(labels)
        if made is None:
            made = self._made[labels] = self._make(self._cells(), self._family, *labels)
        return made


class SqliteMetrics:
    """For the writer's thread."""

    def __init__(self, cells: Callable[[], Cells]) -> None:
        self._commit_seconds = Series(cells, observer, families.SQLITE_COMMIT)
        self._batch = Series(cells, observer, families.SQLITE_BATCH)
        self._busy = Series(cells, adder, families.SQLITE_BUSY)
        self._checkpoint_seconds = Series(cells, observer, families.SQLITE_CHECKPOINT)

    def committed(self, writes: int, seconds: float) -> None:
        self._batch()(writes)
        self._commit_seconds()(seconds)

    def busy(self) -> None:
        self._busy()(1)

    def checkpointed(self, seconds: float) -> None:
        self._checkpoint_seconds()(seconds)


class BackgroundMetrics:
    """Of one task, by the one greenlet or thread that does it."""

    def __init__(self, cells: Callable[[], Cells], task: str, wall_clock_s: Callable[[], float] = time.time) -> None:
        self._task = task
        self._wall_clock_s = wall_clock_s
        self._runs = Series(cells, adder, families.BACKGROUND_RUNS)
        self._actions = Series(cells, adder, families.BACKGROUND_ACTIONS)
        self._last = Series(cells, setter, families.BACKGROUND_LAST)
        self._seconds = Series(cells, observer, families.BACKGROUND_DURATION)

    def ran(self, seconds: float) -> None:
        """A run went well."""
        self._runs(self._task, "ok")(1)
        self._seconds(self._task)(seconds)
        self._last(self._task)(self._wall_clock_s())

    def failed(self) -> None:
        self._runs(self._task, "failed")(1)

    def did(self, action: str, count: int) -> None:
        """`action` is one of a few words of the task's."""
        self._actions(self._task, action)(count)


class Vitals:
    """How this process's hub does, looked at a few times a second by a greenlet of its own."""

    def __init__(
        self,
        cells: Cells,
        queue_depth: Callable[[], int],
        settle: Callable[[], None],
        sleep: Callable[[float], object],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`queue_depth`: how many writes wait for the metadata engine. `settle` is to be called as often as is looked."""
        self._values = cells.values
        self._lag = cells.place((families.HUB_LAG.name,), HUB_LAG_WIDTH)
        self._set_depth = setter(cells, families.SQLITE_QUEUE)
        self._queue_depth = queue_depth
        self._settle = settle
        self._sleep = sleep
        self._monotonic = monotonic
        self._worst_s, self._worst_before_s = 0.0, 0.0
        self._turned_s = self._values[self._lag + 1] = monotonic()

    def run_forever(self) -> None:
        while True:
            self.look()

    def look(self) -> None:
        """Sleep once, and note what was seen behind it."""
        began_s = self._monotonic()
        self._sleep(VITALS_EVERY_S)
        now_s = self._monotonic()
        self._worst_s = max(self._worst_s, now_s - began_s - VITALS_EVERY_S)
        self._values[self._lag] = max(self._worst_s, self._worst_before_s)
        self._values[self._lag + 1] = now_s
        self._set_depth(self._queue_depth())
        self._settle()
        if now_s - self._turned_s >= LAG_KEPT_S:
            self._worst_before_s, self._worst_s, self._turned_s = self._worst_s, 0.0, now_s


def lag_at(now_s: float, lag_s: float, written_s: float) -> float:
    """The lag as it is now: a hub that stands still has written nothing for longer than that."""
    return max(lag_s, now_s - written_s - VITALS_EVERY_S) if written_s else 0.0


def reset_live(cells: Cells) -> None:
    """What a predecessor said of itself is not this process's."""
    for family in LIVE_GAUGES:
        width = HUB_LAG_WIDTH if family is families.HUB_LAG else 1
        place = cells.place(_key(family, ()), width)
        for index in range(place, place + width):
            cells.values[index] = 0.0
