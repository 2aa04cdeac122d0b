"""The run-length index of an object's parts."""

from __future__ import annotations

from hypothesis import given, strategies as st

from app.domain.multipart import Stretch, locate, locate_part, part_sizes, runs_of, total_size_bytes
from app.domain.types import PartRun

MIB = 1 << 20


def test_ten_thousand_equal_parts_and_a_last_one_are_two_runs() -> None:
    parts = [(number, 5 * MIB) for number in range(1, 10_000)] + [(10_000, 17)]
    runs = runs_of(parts)
    assert runs == (PartRun(1, 9_999, 5 * MIB), PartRun(10_000, 1, 17))
    assert total_size_bytes(runs) == 9_999 * 5 * MIB + 17
    assert part_sizes(runs) == parts


def test_a_gap_or_another_size_begins_a_run() -> None:
    runs = runs_of([(1, 10), (2, 10), (4, 10), (5, 8), (6, 8), (9, 3)])
    assert runs == (PartRun(1, 2, 10), PartRun(4, 1, 10), PartRun(5, 2, 8), PartRun(9, 1, 3))


def test_no_parts_have_no_runs() -> None:
    assert runs_of([]) == ()
    assert total_size_bytes(()) == 0
    assert locate((), 0, 0) == []


def test_a_part_is_found_by_its_number() -> None:
    runs = runs_of([(1, 10), (2, 10), (4, 10), (5, 8)])
    assert locate_part(runs, 1) == (0, 10)
    assert locate_part(runs, 2) == (10, 10)
    assert locate_part(runs, 3) is None
    assert locate_part(runs, 4) == (20, 10)
    assert locate_part(runs, 5) == (30, 8)
    assert locate_part(runs, 6) is None
    assert locate_part(runs, 0) is None


def test_parts_are_paged_by_number() -> None:
    runs = runs_of([(1, 10), (2, 10), (4, 10), (5, 8)])
    assert part_sizes(runs, after_number=1, limit=2) == [(2, 10), (4, 10)]
    assert part_sizes(runs, after_number=4) == [(5, 8)]
    assert part_sizes(runs, after_number=5) == []
    assert part_sizes(runs, limit=0) == []


def test_a_range_is_stretches_of_consecutive_numbers() -> None:
    runs = runs_of([(1, 10), (2, 10), (3, 5), (7, 10)])
    assert locate(runs, 0, 35) == [Stretch(1, 3, 0, 25), Stretch(7, 7, 0, 10)]
    assert locate(runs, 9, 2) == [Stretch(1, 2, 9, 2)]
    assert locate(runs, 10, 10) == [Stretch(2, 2, 0, 10)]
    assert locate(runs, 24, 2) == [Stretch(3, 3, 4, 1), Stretch(7, 7, 0, 1)]
    assert locate(runs, 34, 1) == [Stretch(7, 7, 9, 1)]
    assert locate(runs, 12, 0) == []


def test_parts_of_all_sizes_are_still_one_stretch() -> None:
    runs = runs_of([(number, number) for number in range(1, 1000)])
    assert locate(runs, 1, 5) == [Stretch(2, 3, 0, 5)]
    assert len(locate(runs, 0, total_size_bytes(runs))) == 1


def test_bytes_beyond_the_end_are_nobodys() -> None:
    assert locate(runs_of([(1, 10)]), 5, 100) == [Stretch(1, 1, 5, 5)]


@given(
    st.dictionaries(st.integers(1, 40), st.binary(max_size=9), min_size=1, max_size=20),
    st.integers(0, 200),
    st.integers(0, 200),
)
def test_stretches_read_exactly_the_range(parts: dict[int, bytes], start: int, length: int) -> None:
    """Empty parts included: they lie in stretches and give no bytes."""
    ordered = sorted(parts.items())
    runs = runs_of([(number, len(data)) for number, data in ordered])
    whole = b"".join(data for _, data in ordered)
    assert total_size_bytes(runs) == len(whole)
    found = b""
    for stretch in locate(runs, start, length):
        numbers = range(stretch.first_number, stretch.last_number + 1)
        assert all(number in parts for number in numbers), "no part that is not the object's"
        joined = b"".join(parts[number] for number in numbers)
        found += joined[stretch.skip_bytes : stretch.skip_bytes + stretch.length_bytes]
    assert found == whole[start : start + length]
    for number, data in ordered:
        place = locate_part(runs, number)
        assert place is not None
        assert whole[place[0] : place[0] + place[1]] == data
