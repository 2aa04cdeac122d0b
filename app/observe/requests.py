"""Counting requests, each once; what is answered again from memory is counted still cheaper (repeats.py).

A request is counted into one record, found by all its labels together: operation, method, path, status, S3's code, bucket,
and the classes of size that its two bodies belong to. Of an answer that is sent whole it holds the durations' histogram and
the sums, so that one addition to a bucket counts the request in every family there is; a scrape takes them apart
(request_samples.py). Answers that are sent in pieces are counted when the first goes out, and measured when the last has.

    whole      [a request in each bucket of durations …, seconds, bytes in, bytes out]
    in pieces  [first pieces in each bucket …, seconds, durations …, seconds, sizes out …, bytes out, bytes in]

All is counted *before* the bytes go out that could make the client believe its request has ended: then whoever has got an
answer was counted, even if the worker is killed with its next breath (specs/decisions/0038).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Final, Protocol

from app.domain.errors import S3Error
from app.observe.bucket_labels import OTHER_BUCKETS, BucketLabels
from app.observe.cells import Cells
from app.observe.families import DURATION_BUCKETS_S, OBJECT_SIZE, S3_IN_FLIGHT, SIZE_BUCKETS_BYTES
from app.observe.repeats import Repeats

# Records of a process with bucket labels of their own; what comes later is counted to other buckets.
RECORDS_MAX: Final = 8_192

METHODS: Final = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"})
OTHER_METHOD: Final = "OTHER"
OTHER_CODE: Final = "Other"

DURATIONS: Final = len(DURATION_BUCKETS_S) + 1
SIZES: Final = len(SIZE_BUCKETS_BYTES) + 1

WHOLE: Final = "whole"
SECONDS: Final = DURATIONS
RECEIVED: Final = DURATIONS + 1
SENT: Final = DURATIONS + 2
WHOLE_WIDTH: Final = DURATIONS + 3

PIECES: Final = "pieces"
FIRST_SECONDS: Final = DURATIONS
LAST: Final = DURATIONS + 1
LAST_SECONDS: Final = LAST + DURATIONS
OUT: Final = LAST_SECONDS + 1
OUT_BYTES: Final = OUT + SIZES
IN_BYTES: Final = OUT_BYTES + 1
PIECES_WIDTH: Final = IN_BYTES + 1


Labels = tuple[str, str, str, int, str, str]  # operation, method, path, status, code, bucket
Classed = tuple[str, str, str, int, str, str, int, int]  # … and the classes of the sizes received and sent


class Request(Protocol):
    """What is known of a request when its answer begins."""

    method: str
    operation: str
    bucket: str
    key: str
    has_bucket: bool  # the bucket was looked up, and exists
    status: int
    code: str
    bytes_in: int
    object_bytes: int | None  # of the object that it wrote


class RequestCounts:
    """One process's, for its hub's thread. Made before the fork; its cells are made behind it, by the first request."""

    _cells: Cells
    values: memoryview[float]
    _repeats: Repeats
    _labels: BucketLabels
    _objects: int
    _in_flight: int

    def __init__(self, cells: Callable[[], Cells], labels: Callable[[], BucketLabels]) -> None:
        self._make_cells = cells
        self._make_labels = labels
        self._is_open = False
        self._places: dict[Classed, int] = {}
        self._slow: dict[int, int] = {}  # where repeats are counted that took longer, by their place
        self._codes = _codes(S3Error) | {""}

    def begun(self) -> None:
        """A request is under way that may have to wait."""
        if not self._is_open:
            self._open()
        self.values[self._in_flight] += 1.0

    def over(self) -> None:
        """It no longer is."""
        self.values[self._in_flight] -= 1.0

    def whole(self, request: Request, seconds: float, sent_bytes: int) -> None:
        """An answer is about to go out whole, and so to end."""
        place = self._place(request, request.bytes_in, sent_bytes)
        self._add(place, seconds, sent_bytes)
        if request.bytes_in:
            self.values[place + RECEIVED] += request.bytes_in
        if request.object_bytes is not None:
            self._note_object(request.object_bytes)

    def repeat_place(self, request: Request, sent_bytes: int) -> int:
        """Where answers of 200 that are the same as this one are counted: by one addition (repeats.py) where it is above 0,
        by `again` where it is below, and where they took long.
        """
        place = self._place(request, 0, sent_bytes)
        quick = self._repeats.place(*self._labels_of(request), sent_bytes)
        if quick is None:
            return -place
        self._slow[quick] = place
        return quick

    def again(self, repeat_place: int, seconds: float, sent_bytes: int) -> None:
        place = -repeat_place if repeat_place < 0 else self._slow[repeat_place]
        self._add(place, seconds, sent_bytes)

    def settle(self) -> None:
        """A few times a second."""
        if self._is_open:
            self._repeats.settle()

    def _add(self, place: int, seconds: float, sent_bytes: int) -> None:
        values = self.values
        values[place + bisect_left(DURATION_BUCKETS_S, seconds)] += 1.0
        values[place + SECONDS] += seconds
        values[place + SENT] += sent_bytes

    def first(self, request: Request, seconds: float) -> int:
        """The first piece of an answer is about to go out; gives the place for `last`."""
        place = self._found(request, -1, bisect_left(SIZE_BUCKETS_BYTES, request.bytes_in))
        values = self.values
        values[place + bisect_left(DURATION_BUCKETS_S, seconds)] += 1.0
        values[place + FIRST_SECONDS] += seconds
        values[place + IN_BYTES] += request.bytes_in
        if request.object_bytes is not None:
            self._note_object(request.object_bytes)
        return place

    def last(self, place: int, seconds: float, sent_bytes: int) -> None:
        """An answer that went out in pieces has ended."""
        values = self.values
        values[place + LAST + bisect_left(DURATION_BUCKETS_S, seconds)] += 1.0
        values[place + LAST_SECONDS] += seconds
        values[place + OUT + bisect_left(SIZE_BUCKETS_BYTES, sent_bytes)] += 1.0
        values[place + OUT_BYTES] += sent_bytes

    def _place(self, request: Request, received_bytes: int, sent_bytes: int) -> int:
        """Of a whole answer."""
        received = bisect_left(SIZE_BUCKETS_BYTES, received_bytes) if received_bytes else 0
        return self._found(request, bisect_left(SIZE_BUCKETS_BYTES, sent_bytes), received)

    def _found(self, request: Request, sent_class: int, received_class: int) -> int:
        """`sent_class` is -1 where it is not known before the end."""
        key: Classed = (*self._labels_of(request), received_class, sent_class)
        found = self._places.get(key)
        return self._made(key) if found is None else found

    def _labels_of(self, request: Request) -> Labels:
        code = request.code
        return (
            request.operation,
            request.method if request.method in METHODS else OTHER_METHOD,
            "/{bucket}/{key}" if request.key else "/{bucket}" if request.bucket else "/",
            request.status,
            code if code in self._codes else OTHER_CODE,
            self._labels.label(request.bucket) if request.has_bucket else "",
        )

    def service(self, method: str, path: str, status: int, seconds: float, sent_bytes: int) -> None:
        """A request to a path of the service, of a bounded set, is about to be answered whole. It is none of S3's."""
        if not self._is_open:
            self._open()
        method = method if method in METHODS else OTHER_METHOD
        key: Classed = ("", method, path, status, "", "", 0, bisect_left(SIZE_BUCKETS_BYTES, sent_bytes))
        self._add(self._places.get(key) or self._made(key), seconds, sent_bytes)

    def _open(self) -> None:
        self._cells, self._labels = self._make_cells(), self._make_labels()
        self.values = self._cells.values
        self._repeats = Repeats(self._cells)
        self._objects = self._cells.place((OBJECT_SIZE.name,), SIZES + 1)
        self._in_flight = self._cells.place((S3_IN_FLIGHT.name,), 1)
        self._is_open = True

    def _made(self, key: Classed) -> int:
        if len(self._places) >= RECORDS_MAX and key[5]:
            key = (*key[:5], OTHER_BUCKETS, *key[6:])
        is_whole = key[7] >= 0
        place = self._cells.place((WHOLE if is_whole else PIECES, *key), WHOLE_WIDTH if is_whole else PIECES_WIDTH)
        if len(self._places) < 2 * RECORDS_MAX:
            self._places[key] = place
        return place

    def _note_object(self, size_bytes: int) -> None:
        self.values[self._objects + bisect_left(SIZE_BUCKETS_BYTES, size_bytes)] += 1.0
        self.values[self._objects + SIZES] += size_bytes


def _codes(of: type[S3Error]) -> frozenset[str]:
    """Of an error's class and all below it."""
    return frozenset({of.code}).union(*map(_codes, of.__subclasses__()))
