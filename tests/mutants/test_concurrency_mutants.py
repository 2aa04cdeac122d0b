"""The checks of R-21 to R-24 and of freshness find a server that does in two steps what must be one, or remembers too long."""

from __future__ import annotations

import pytest

from tests.mutants.conftest import StartMutant
from tests.reliability import races
from tests.reliability.freshness import Freshness

RUNS_MAX = 5  # on a busy machine most of one run may be lost to killed workers


def test_a_server_that_remembers_reads_is_no_register(start_mutant: StartMutant) -> None:
    """R-21."""
    server = start_mutant("reads_are_remembered")
    with pytest.raises(AssertionError, match="was there before and after|was written while"):
        races.check_one_key(server, server.client(), 2.0)


@pytest.mark.parametrize("racers", [races.putters, races.copiers, races.completers])
def test_a_server_that_looks_first_has_several_winners(start_mutant: StartMutant, racers: races.Racers) -> None:
    """R-22."""
    server = start_mutant("conditions_are_looked_at_first")
    with pytest.raises(AssertionError, match="winners"):
        races.check_one_winner(server, server.client(), racers, 40)


def test_an_upload_without_a_fence_ends_twice(start_mutant: StartMutant) -> None:
    """R-23."""
    server = start_mutant("completes_are_not_fenced")
    with pytest.raises(AssertionError, match="objects|NoSuchUpload"):
        races.check_upload_ends_once(server, server.client(), 40)


def test_a_server_that_remembers_listings_shows_stale_ones(start_mutant: StartMutant) -> None:
    """R-24."""
    server = start_mutant("listings_are_remembered")
    with pytest.raises(AssertionError, match="step"):
        races.check_listings_are_fresh(server, server.client(), 400)


def test_a_cache_that_nobody_makes_stale_is_found_out(start_mutant: StartMutant) -> None:
    server = start_mutant("nobody_makes_the_caches_stale", workers=2)
    for _ in range(RUNS_MAX):
        freshness = Freshness(server, 2_000)
        freshness.run(server.client())
        if any("is none of" in fault for fault in freshness.faults):
            return
    pytest.fail(f"nothing stale in {RUNS_MAX} runs; the last: {freshness.counts} {freshness.faults}")
