"""The checks of R-09 and R-10 find a server that takes a short or another body for the right one."""

from __future__ import annotations

import pytest

from tests.mutants.conftest import StartMutant
from tests.reliability.body_check import check_cut_bodies
from tests.reliability.test_bodies import check_wrong_bodies


@pytest.mark.parametrize("mutant", ["bodies_are_not_counted", "chunked_bodies_end_quietly", "aws_chunks_need_no_end"])
def test_a_server_that_does_not_count_stores_what_was_cut(start_mutant: StartMutant, mutant: str) -> None:
    """R-09."""
    server = start_mutant(mutant)
    with pytest.raises(AssertionError, match="cut at|whole at"):
        check_cut_bodies(server, server.client())


def test_counting_holds_whatever_the_wire_believes(start_mutant: StartMutant) -> None:
    """R-09, I10: with a wire that ends quietly when its client dies, the payload's own count still refuses."""
    server = start_mutant("short_bodies_end_quietly")
    check_cut_bodies(server, server.client())


def test_a_server_that_compares_no_digest_is_found(start_mutant: StartMutant) -> None:
    """R-10."""
    with pytest.raises(AssertionError, match="a longer body"):
        check_wrong_bodies(start_mutant("digests_are_not_compared"))
