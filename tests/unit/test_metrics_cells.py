"""Cells: numbers that outlive whoever counted them, whatever ended it, and never its process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.observe import cells, slots
from app.observe.cells import Cells, read
from app.observe.metrics import Metrics
from app.observe.repeats import (
    BEGUN,
    COUNT,
    ENDED,
    NEW_COUNT,
    NEW_SECONDS,
    PACKED,
    PACKED_PER_S,
    SETTLED_FROM,
    WIDTH,
    Repeats,
    taken_apart,
)


def test_a_successor_counts_on_where_its_predecessor_ended(tmp_path: Path) -> None:
    path = str(tmp_path / "a.cells")
    first = Cells(path)
    place = first.place(("requests", "GetObject", 200), 3)
    first.values[place + 1] += 5.0
    second = Cells(path)
    assert second.place(("requests", "GetObject", 200), 3) == place
    second.values[place + 1] += 1.0
    assert dict(read(path))["requests", "GetObject", 200] == [0.0, 6.0, 0.0]


def test_who_reads_sees_whole_records_only(tmp_path: Path) -> None:
    """A process that dies while it makes a record leaves none, and its successor makes it over what lies there."""
    path = str(tmp_path / "a.cells")
    writer = Cells(path)
    writer.values[writer.place(("whole",), 1)] = 1.0
    end = int(writer.values[1])
    for index in range(end, end + 20):
        writer.values[index] = 7.0  # the beginning of one, as far as the dead one came
    assert dict(read(path)).keys() == {("lost",), ("whole",)}
    place = Cells(path).place(("next",), 4)
    assert place > end
    assert dict(read(path))["next",] == [0.0] * 4


def test_a_file_that_is_not_ready_has_no_records(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert list(read(str(tmp_path / "empty"))) == []


def test_without_room_counts_are_lost_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "a.cells")
    full = Cells(path)

    def no_room(file: int, offset: int, length: int) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(os, "posix_fallocate", no_room)
    places = {full.place((f"name-{number}",), cells.VALUES_MAX) for number in range(200)}
    assert len(places) < 70  # what fitted into the room that was taken, and one place for all others
    for place in places:
        full.values[place] += 1.0
    assert sum(values[0] for key, values in read(path) if key[0] != "lost") == len(places) - 1


def test_a_full_file_takes_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "FILE_MAX_BYTES", 1 << 16)
    full = Cells(str(tmp_path / "a.cells"))
    places = [full.place((number,), cells.VALUES_MAX) for number in range(100)]
    assert len(set(places)) < 70
    assert places[-1] == places[-2]


def _record(owner: Cells) -> list[float]:
    (values,) = (values for key, values in owner.read() if key[0] == "repeat")
    return values


def test_packed_requests_are_settled_without_losing_one() -> None:
    owner = Cells()
    repeats = Repeats(owner)
    place = repeats.place("GetObject", 1024)
    assert place is not None
    for _ in range(3 * SETTLED_FROM):
        owner.values[place] += 1.0 + 0.00003 * PACKED_PER_S
        repeats.settle()
    count, seconds = taken_apart(_record(owner))
    assert count == 3 * SETTLED_FROM
    assert seconds == pytest.approx(3 * SETTLED_FROM * 0.00003, rel=1e-5)
    assert _record(owner)[COUNT] == 3 * SETTLED_FROM


def test_many_slow_requests_between_two_settlings_are_exact() -> None:
    """The hub stands still for minutes: the fraction must not become a request."""
    owner = Cells()
    place = Repeats(owner).place("GetObject", 0)
    assert place is not None
    owner.values[place] += 400_000 * (1.0 + 0.0005 * PACKED_PER_S)
    count, seconds = taken_apart(_record(owner))
    assert count == 400_000
    assert seconds == pytest.approx(200.0)


class _Dies(Exception):
    """In place of SIGKILL."""


class _Mortal:
    """A memory whose owner dies before its n-th write."""

    def __init__(self, values: memoryview[float], writes: int) -> None:
        self._values, self._left = values, writes

    def __getitem__(self, index: slice | int) -> object:
        return self._values[index]

    def __setitem__(self, index: int, value: float) -> None:
        if not self._left:
            raise _Dies
        self._left -= 1
        self._values[index] = value


@pytest.mark.parametrize("writes", range(8))
def test_a_worker_that_is_killed_while_it_settles_loses_no_request(writes: int, tmp_path: Path) -> None:
    path = str(tmp_path / "a.cells")
    owner = Cells(path)
    repeats = Repeats(owner)
    place = repeats.place("GetObject", 7)
    assert place is not None
    for _ in range(2):  # something was settled before
        owner.values[place] += 5_000.25
        repeats.settle()
    owner.values[place] += 4_500.5
    seconds = 1.0 / PACKED_PER_S
    repeats._values = _Mortal(owner.values, writes)  # type: ignore[assignment]
    try:
        repeats.settle()
        assert writes >= 7
    except _Dies:
        assert writes < 7
    values = next(values for key, values in read(path) if key[0] == "repeat")
    assert taken_apart(values) == pytest.approx((14_500, seconds))
    heir = Cells(path)
    again = Repeats(heir).place("GetObject", 7)
    assert again == place
    heir.values[place] += 1.0
    values = next(values for key, values in read(path) if key[0] == "repeat")
    assert taken_apart(values) == pytest.approx((14_501, seconds))
    assert values[ENDED] == values[BEGUN]


def test_who_reads_while_it_is_settled_sees_the_new_numbers() -> None:
    values = [0.0] * WIDTH
    values[PACKED], values[COUNT], values[ENDED], values[BEGUN] = 10.0, 5.0, 1.0, 2.0
    values[NEW_COUNT], values[NEW_SECONDS] = 15.0, 0.5
    assert taken_apart(values) == (15.0, 0.5)


def test_a_worker_without_room_for_its_file_serves_and_is_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_room(file: int, offset: int, length: int) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setenv(slots.DIRECTORY_VARIABLE, str(tmp_path))
    monkeypatch.setattr(os, "posix_fallocate", no_room)
    metrics = Metrics()
    metrics.open()
    metrics.requests.service("GET", "/healthz", 200, 0.001, 1)
    metrics.render()
    assert [record.message for record in caplog.records] == ["metrics.no_room"]
