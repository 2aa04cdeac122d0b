"""The run-length index of an object made of parts: which parts hold a range of bytes, and where a part begins.

Parts mostly have one size but the last, so ten thousand of them are two runs. Numbers ascend and may have gaps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from app.domain.types import PartRun

PART_NUMBER_MAX = 10_000


def runs_of(parts: Iterable[tuple[int, int]]) -> tuple[PartRun, ...]:
    """The index of parts given as (number, size in bytes), numbers strictly ascending."""
    runs: list[PartRun] = []
    first = count = size = 0
    for number, size_bytes in parts:
        assert number > first + count - 1, "part numbers ascend"
        if count and number == first + count and size_bytes == size:
            count += 1
            continue
        if count:
            runs.append(PartRun(first, count, size))
        first, count, size = number, 1, size_bytes
    if count:
        runs.append(PartRun(first, count, size))
    return tuple(runs)


def total_size_bytes(runs: Iterable[PartRun]) -> int:
    return sum(run.count * run.size_bytes for run in runs)


def part_sizes(runs: Iterable[PartRun], after_number: int = 0, limit: int = PART_NUMBER_MAX) -> list[tuple[int, int]]:
    """(number, size in bytes) of the parts numbered above `after_number`, ascending, at most `limit`."""
    parts: list[tuple[int, int]] = []
    for run in runs:
        end = run.first_number + run.count
        for number in range(max(run.first_number, after_number + 1), end):
            if len(parts) >= limit:
                return parts
            parts.append((number, run.size_bytes))
    return parts


def locate_part(runs: Iterable[PartRun], number: int) -> tuple[int, int] | None:
    """(offset in the object, size) of one part in bytes; None when the object has no part of that number."""
    offset = 0
    for run in runs:
        index = number - run.first_number
        if 0 <= index < run.count:
            return offset + index * run.size_bytes, run.size_bytes
        offset += run.count * run.size_bytes
    return None


def pieces(runs: Iterable[PartRun], start: int, length: int) -> Iterator[tuple[int, int, int]]:
    """The bytes [start, start + length) of the object, part by part: (number, offset in the part, count), count > 0.

    Bytes beyond the object's end are nobody's.
    """
    position = 0
    end = start + length
    for run in runs:
        run_end = position + run.count * run.size_bytes
        if position >= end:
            return
        if run_end > start:
            yield from _run_pieces(run, position, max(start, position), min(end, run_end))
        position = run_end


def _run_pieces(run: PartRun, position: int, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The pieces of one run, which begins at `position`; [start, end) lies inside it."""
    while start < end:
        index, offset = divmod(start - position, run.size_bytes)
        count = min(run.size_bytes - offset, end - start)
        yield run.first_number + index, offset, count
        start += count
