"""The records of requests taken apart: every family about requests, out of what was counted once (requests.py).

There may be thousands of records, one for each bucket, status and size, of each worker. What is wide, the histograms, is
added up by operation, method and path first, of which there are few.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from operator import add
from typing import Final

from app.domain.errors import SlowDown
from app.observe import families
from app.observe.cells import Key
from app.observe.families import SIZE_BUCKETS_BYTES
from app.observe.repeats import REPEAT, taken_apart
from app.observe.requests import (
    DURATIONS,
    FIRST_SECONDS,
    IN_BYTES,
    LAST,
    LAST_SECONDS,
    OUT,
    OUT_BYTES,
    PIECES,
    RECEIVED,
    SECONDS,
    SENT,
    SIZES,
    WHOLE,
)
from app.observe.tally import Tally

Values = list[float]

_SLOW_DOWN: Final = SlowDown.code


class Shape:
    """The histograms of one operation, method and path: in each bucket so many, and the sums."""

    __slots__ = ("durations", "first", "first_seconds", "received", "received_bytes", "seconds", "sent", "sent_bytes")

    def __init__(self) -> None:
        self.durations, self.first = [0.0] * DURATIONS, [0.0] * DURATIONS
        self.received, self.sent = [0.0] * SIZES, [0.0] * SIZES
        self.seconds = self.first_seconds = self.received_bytes = self.sent_bytes = 0.0

    def add_repeats(self, count: float, seconds: float, size_bytes: int) -> None:
        """Answers from memory, of one size and all in the first bucket of durations. They are whole."""
        self.durations[0] += count
        self.first[0] += count
        self.seconds += seconds
        self.first_seconds += seconds
        self.received[0] += count
        self.sent[bisect_left(SIZE_BUCKETS_BYTES, size_bytes)] += count
        self.sent_bytes += count * size_bytes

    def add_whole(self, values: Values, count: float, received_class: int, sent_class: int) -> None:
        """The first piece of an answer that is sent whole is its last."""
        durations = values[:DURATIONS]
        self.durations = list(map(add, self.durations, durations))
        self.first = list(map(add, self.first, durations))
        self.seconds += values[SECONDS]
        self.first_seconds += values[SECONDS]
        self.received[received_class] += count
        self.received_bytes += values[RECEIVED]
        self.sent[sent_class] += count
        self.sent_bytes += values[SENT]

    def add_pieces(self, values: Values, count: float, received_class: int) -> None:
        self.first = list(map(add, self.first, values[:DURATIONS]))
        self.first_seconds += values[FIRST_SECONDS]
        self.durations = list(map(add, self.durations, values[LAST : LAST + DURATIONS]))
        self.seconds += values[LAST_SECONDS]
        self.received[received_class] += count
        self.received_bytes += values[IN_BYTES]
        self.sent = list(map(add, self.sent, values[OUT : OUT + SIZES]))
        self.sent_bytes += values[OUT_BYTES]


class RequestSamples:
    def __init__(self) -> None:
        self._counts: dict[Key, float] = defaultdict(float)  # by operation, method, path, status, code and bucket
        self._shapes: dict[Key, Shape] = defaultdict(Shape)  # by operation, method and path

    def add(self, key: Key, values: Values) -> bool:
        """Take a record of any worker's; False where it is of another kind."""
        kind = key[0]
        if kind == WHOLE:
            count = sum(values[:DURATIONS])
            self._shapes[key[1:4]].add_whole(values, count, int(key[7]), int(key[8]))
        elif kind == REPEAT:
            count, seconds = taken_apart(values)
            self._shapes[key[1:4]].add_repeats(count, seconds, int(key[7]))
        elif kind == PIECES:
            count = sum(values[:DURATIONS])
            self._shapes[key[1:4]].add_pieces(values, count, int(key[7]))
        else:
            return False
        self._counts[key[1:7]] += count
        return True

    def give(self, tally: Tally) -> None:
        for key, count in self._counts.items():
            operation, method, path, status, code, bucket = map(str, key)
            tally.add(families.HTTP_REQUESTS, (method, path, status), count)
            if operation:
                tally.add(families.S3_OPERATIONS, (operation, status), count)
                tally.add(families.S3_REQUESTS, (operation, status, bucket), count)
            if code:
                tally.add(families.S3_ERRORS, (code,), count)
            if code == _SLOW_DOWN:
                tally.add(families.S3_REJECTED, ("slow_down",), count)
        for key, shape in self._shapes.items():
            operation, method, path = map(str, key)
            _give_shape(tally, operation, method, path, shape)


def _give_shape(tally: Tally, operation: str, method: str, path: str, shape: Shape) -> None:
    tally.add_buckets(families.HTTP_DURATION, (method, path), shape.durations, shape.seconds)
    tally.add_buckets(families.HTTP_REQUEST_SIZE, (method, path), shape.received, shape.received_bytes)
    tally.add_buckets(families.HTTP_RESPONSE_SIZE, (method, path), shape.sent, shape.sent_bytes)
    if operation:
        tally.add_buckets(families.S3_DURATION, (operation,), shape.durations, shape.seconds)
        tally.add_buckets(families.S3_FIRST_BYTE, (operation,), shape.first, shape.first_seconds)
        tally.add(families.BYTES_RECEIVED, (), shape.received_bytes)
        tally.add(families.BYTES_SENT, (), shape.sent_bytes)
