"""Counting answers that are given again and again from memory: with one addition, before each is sent.

Such an answer takes some 20 us of processor time in all, and an addition to mapped memory, among all that, 0.13 us. So what
a request adds is packed into one number: 1 for itself, and its seconds as a fraction. A record is of answers of one size,
so that their bytes are a product. A few times a second (`settle`) what is packed is taken apart, before the fraction grows
to 1 or loses digits. That is several steps, and another process may look, or a signal end this one, between any two:

    0 ended     how often it was settled: as `begun`, unless it is being settled now
    1 packed    requests + their seconds x PACKED_PER_S
    2 count     of requests that were settled
    3 seconds   … and theirs
    4 new count, 5 new seconds   what they become, with `packed` 0: written before `begun` says so
    6 begun

Whoever reads takes the values in this order. Where `ended` and `begun` are the same, nothing happened between the two; else
the new ones are true.
"""

from __future__ import annotations

from math import floor
from typing import Final

from app.observe.cells import Cells, Key
from app.observe.families import DURATION_BUCKETS_S

REPEAT: Final = "repeat"
RECORDS_MAX: Final = 1_024  # of a process: sizes, by operation and bucket. Others are counted as all requests are
QUICK_S: Final = DURATION_BUCKETS_S[0]  # those that took longer, too: these are all in the first bucket of durations
PACKED_PER_S: Final = 1 / 256  # half a million requests do not come to 1
SETTLED_FROM: Final = 4_096

ENDED, PACKED, COUNT, SECONDS, NEW_COUNT, NEW_SECONDS, BEGUN, WIDTH = range(8)


class Repeats:
    """One process's, for its hub's thread."""

    def __init__(self, cells: Cells) -> None:
        self._cells = cells
        self._values = cells.values
        self._places: dict[Key, int] = {}

    def place(self, *key: str | int) -> int | None:
        """Where `1 + seconds * PACKED_PER_S` is to be added for each answer that took at most QUICK_S; None: no room.

        The key's last is the answer's size.
        """
        found = self._places.get(key)
        if found is None and len(self._places) < RECORDS_MAX:
            found = self._places[key] = self._cells.place((REPEAT, *key), WIDTH) + PACKED
            self._repair(found - PACKED)
        return found

    def settle(self) -> None:
        for place in self._places.values():
            if self._values[place] >= SETTLED_FROM:
                self._settle(place - PACKED)

    def _settle(self, base: int) -> None:
        values = self._values
        count, seconds = taken_apart(list(values[base : base + WIDTH]))
        values[base + NEW_COUNT], values[base + NEW_SECONDS] = count, seconds
        values[base + BEGUN] += 1.0
        self._finish(base)

    def _repair(self, base: int) -> None:
        """End what a predecessor began before it was killed."""
        if self._values[base + ENDED] != self._values[base + BEGUN]:
            self._finish(base)

    def _finish(self, base: int) -> None:
        values = self._values
        values[base + COUNT], values[base + SECONDS] = values[base + NEW_COUNT], values[base + NEW_SECONDS]
        values[base + PACKED] = 0.0
        values[base + ENDED] = values[base + BEGUN]


def taken_apart(values: list[float]) -> tuple[float, float]:
    """How many requests a record has, and their seconds."""
    if values[ENDED] != values[BEGUN]:
        return values[NEW_COUNT], values[NEW_SECONDS]
    packed = values[PACKED]
    count = floor(packed)
    return values[COUNT] + count, values[SECONDS] + (packed - count) / PACKED_PER_S
