"""R-02: a server that is killed again and again loses nothing that it acknowledged, and tears nothing.

That the storm can find a loss is shown in tests/mutants: a server that answers before it commits fails it.
"""

from __future__ import annotations

import pytest

from tests.conftest import StartServer
from tests.reliability import aftermath
from tests.reliability.storm import Plan, Report, Storm
from tests.servers import RunningServer

SHORT = Plan(uptime_s=(0.7, 1.5), cycles_min=12, writes_min=1_000)
LONG = Plan(uptime_s=(2.0, 4.0), cycles_min=60, writes_min=5_000)


def weather(server: RunningServer, plan: Plan) -> tuple[Report, list[str]]:
    """Let a storm loose on a server; what was done, and everything that is wrong afterwards."""
    storm = Storm(server, plan)
    report = storm.run()
    wrong = list(report.tally.complaints)
    wrong += aftermath.complaints_of_listing(server, storm.history)
    wrong += aftermath.complaints_of_versions(server, report.tally.versions)
    aftermath.abort_uploads(server)
    server.kill9()
    aftermath.run(server, "fsck")
    aftermath.sweep(server)
    wrong += aftermath.complaints_of_disk(server.data_dir, storm.history.states().values())
    print(f"{report}\n{aftermath.run(server, 'fsck')}")
    return report, wrong


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_or_torn_in_a_short_storm(start_server: StartServer) -> None:
    report, wrong = weather(start_server(workers=2), SHORT)
    assert wrong == []
    assert report.tally.writes >= SHORT.writes_min


@pytest.mark.nightly
@pytest.mark.timeout(1_800)
def test_nothing_acknowledged_is_lost_or_torn_in_a_long_storm(start_server: StartServer) -> None:
    report, wrong = weather(start_server(workers=2), LONG)
    assert wrong == []
    assert report.tally.writes >= LONG.writes_min
    assert report.kills >= LONG.cycles_min
