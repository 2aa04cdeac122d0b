"""R-09 over HTTP: a short body is never taken for a whole one (I10).

Seen to fail: tests/mutants/test_body_mutants.py.
"""

from __future__ import annotations

from tests.conftest import StartServer
from tests.reliability.body_check import check_cut_bodies, check_whole_bodies


def test_a_body_cut_anywhere_is_refused_in_time_and_stores_nothing(start_server: StartServer) -> None:
    """R-09: at every byte, less than 2 s and 1 s of CPU each. Uncut, the same bodies are stored."""
    server = start_server(workers=2)
    check_cut_bodies(server, server.client())
    check_whole_bodies(server, server.client())
