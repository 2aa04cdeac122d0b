"""The run-length index of an object made of parts: which parts hold a range of bytes, and where a part begins.

Parts mostly have one size but the last, so ten thousand of them are two runs. Numbers ascend and may have gaps.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from app.domain.types import PartRun

PART_NUMBER_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Stretch:
    """Bytes that lie in the parts first_number … last_number, every number between them included.

    `skip_bytes` are passed over in the first part, then `length_bytes` taken, which end inside the last part.
    """

    first_number: int
    last_number: int
    skip_bytes: int
    length_bytes: int


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


def locate(runs: Iterable[PartRun], start: int, length: int) -> list[Stretch]:
    """The parts that hold the bytes [start, start + length) of the object, in order.

    One stretch for each row of consecutive numbers, so that parts which are not the object's are never read. No bytes
    give no stretch; bytes beyond the object's end are nobody's.
    """
    stretches: list[Stretch] = []
    position, end = 0, start + length
    for run in runs:
        run_end = position + run.count * run.size_bytes
        if position >= end:
            break
        begin, stop = max(start, position), min(end, run_end)
        if begin < stop:
            first, skip_bytes = divmod(begin - position, run.size_bytes)
            last = (stop - 1 - position) // run.size_bytes
            found = Stretch(run.first_number + first, run.first_number + last, skip_bytes, stop - begin)
            _append(stretches, found)
        position = run_end
    return stretches


def _append(stretches: list[Stretch], found: Stretch) -> None:
    """Add a stretch, or lengthen the last one where the numbers go on without a gap."""
    if stretches and stretches[-1].last_number + 1 == found.first_number:
        before = stretches[-1]
        length_bytes = before.length_bytes + found.length_bytes
        stretches[-1] = Stretch(before.first_number, found.last_number, before.skip_bytes, length_bytes)
    else:
        stretches.append(found)
