"""R-21 to R-24 over HTTP: requests at the same time, on two workers that share one database.

Seen to fail: tests/mutants/test_concurrency_mutants.py, and the histories below.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.reliability import races
from tests.reliability.register import Operation, violations
from tests.servers import RunningServer

NIGHTLY = pytest.mark.nightly


@pytest.mark.parametrize("seconds", [8, pytest.param(60, marks=NIGHTLY)])
def test_sixteen_writers_and_sixteen_readers_share_one_register(server: RunningServer, s3: Any, seconds: int) -> None:
    """R-21: every body matches its ETag, and the history is linearizable."""
    assert races.check_one_key(server, s3, seconds) > 100 * seconds


@pytest.mark.parametrize(
    ("racers", "rounds"),
    [(races.putters, 40), (races.copiers, 20), (races.completers, 20), (races.all_kinds, 20)]
    + [
        pytest.param(racers, 200, marks=NIGHTLY)
        for racers in (races.putters, races.copiers, races.completers, races.all_kinds)
    ],
)
def test_if_none_match_star_has_exactly_one_winner(
    server: RunningServer, s3: Any, racers: races.Racers, rounds: int
) -> None:
    """R-22: of 64 PUTs, 64 copies, 16 Completes, and of all kinds against each other."""
    races.check_one_winner(server, s3, racers, rounds)


@pytest.mark.parametrize("rounds", [40, pytest.param(200, marks=NIGHTLY)])
def test_an_upload_that_eight_end_at_once_ends_once(server: RunningServer, s3: Any, rounds: int) -> None:
    """R-23: one outcome, which stays; who repeats the Complete gets the same ETag."""
    outcomes = races.check_upload_ends_once(server, s3, rounds)
    assert min(outcomes.values()) > 0, f"the race was none: {outcomes}"


@pytest.mark.parametrize("steps", [2_000, pytest.param(20_000, marks=NIGHTLY)])
def test_what_one_worker_acknowledged_the_other_lists(server: RunningServer, s3: Any, steps: int) -> None:
    """R-24: 0 stale, whichever listing."""
    races.check_listings_are_fresh(server, s3, steps)


# -- The judge of R-21 -------------------------------------------------------------------------------------------


def write(value: str, start: float, end: float) -> Operation:
    return Operation(True, value, start, end)


def read(value: str, start: float, end: float) -> Operation:
    return Operation(False, value, start, end)


@pytest.mark.parametrize(
    "history",
    [
        pytest.param([write("a", 0, 1), read("a", 2, 3), write("b", 4, 5), read("b", 6, 7)], id="one after the other"),
        pytest.param([write("a", 0, 9), write("b", 1, 8), read("b", 2, 3), read("a", 4, 5)], id="overlapping writes"),
        pytest.param([write("a", 0, 1), write("b", 2, 9), read("b", 3, 4), read("b", 5, 6)], id="read before the write ends"),
        pytest.param([write("a", 0, 1), write("b", 2, 9), read("a", 3, 4), read("b", 5, 6)], id="old, then new"),
        pytest.param([write("a", 0, 1), write("b", 0, 1), read("b", 2, 3), read("b", 4, 5)], id="never read"),
    ],
)  # fmt: skip
def test_a_history_that_could_have_been_is_accepted(history: list[Operation]) -> None:
    """R-21."""
    assert violations(history) == []


@pytest.mark.parametrize(
    "history",
    [
        pytest.param([write("a", 0, 1), write("b", 2, 3), read("a", 4, 5)], id="a stale read"),
        pytest.param([write("a", 0, 1), write("b", 2, 9), read("b", 3, 4), read("a", 5, 6)], id="new, then old"),
        pytest.param([write("a", 0, 9), write("b", 0, 9), read("a", 1, 2), read("b", 3, 4), read("a", 5, 6)], id="to and fro"),
        pytest.param([write("a", 2, 3), read("a", 0, 1)], id="read before it was written"),
        pytest.param([write("a", 0, 1), read("b", 2, 3)], id="written by nobody"),
        pytest.param([write("a", 0, 1), write("a", 2, 3)], id="written twice"),
        pytest.param([write("a", 0, 1), write("b", 2, 3), read("a", 2.5, 5), read("b", 3.5, 4), read("a", 4.5, 6)], id="a lost update"),
    ],
)  # fmt: skip
def test_a_history_that_could_not_have_been_is_found_out(history: list[Operation]) -> None:
    """R-21."""
    assert violations(history) != []
