"""S-24: whatever is sent, no worker ends and nothing is an internal error.

Seen to fail: tests/mutants/test_security_mutants.py.
"""

from __future__ import annotations

import pytest

from tests.conftest import StartServer
from tests.security.fuzz import check_nothing_hurts


@pytest.mark.parametrize(
    "count", [6_000, pytest.param(100_000, marks=[pytest.mark.nightly, pytest.mark.timeout(3_600)])]
)
def test_no_request_hurts_the_server(start_server: StartServer, count: int) -> None:
    """S-24: 0 worker exits, 0 HTTP 500, over requests changed before and after they were signed."""
    server = start_server(workers=2)
    check_nothing_hurts(server, server.client(), count)
