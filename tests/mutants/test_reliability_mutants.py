"""R-02, R-05 and R-13 can fail: each check is let loose on a server that breaks what it guards, and says what is broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.reliability.storm import Plan, Storm
from tests.reliability.test_durability_order import watch_server
from tests.reliability.test_locked_database import complaints, filled

BRIEF = Plan(uptime_s=(0.7, 1.0), cycles_min=2, writes_min=100, cycles_max=10)


def test_the_storm_finds_what_a_server_lost_that_answers_before_it_commits(start_server: StartServer) -> None:
    report = Storm(start_server(workers=2, module="tests.mutants.serve_early_answers"), BRIEF).run()
    print(report, *report.tally.complaints, sep="\n")
    assert [complaint for complaint in report.tally.complaints if complaint.startswith("lost: ")]


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("tests.mutants.serve_early_answers", "nothing was committed between the bytes and the reply"),
        ("tests.mutants.serve_without_directory_sync", "its directory was not synced after the move"),
    ],
)
def test_the_order_of_durability_is_seen_to_be_broken(
    module: str, expected: str, start_server: StartServer, tmp_path: Path
) -> None:
    """What the server itself does with the same requests, and without its WAL's syncs, is in test_durability_order.py."""
    wrong = watch_server(tmp_path, start_server(module=module), 1)
    assert [sentence for sentence in wrong if expected in sentence], wrong


def test_a_hub_that_waits_for_the_database_is_seen_to_stand_still(start_server: StartServer) -> None:
    wrong = complaints(filled(start_server(module="tests.mutants.serve_waiting_on_the_hub")))
    assert [sentence for sentence in wrong if "the hub stood still" in sentence], wrong
