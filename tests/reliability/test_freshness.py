"""Two workers that remember small objects, a process that writes beside them, and workers that are killed.

Seen to fail: tests/mutants/test_concurrency_mutants.py.
"""

from __future__ import annotations

from tests.conftest import StartServer
from tests.reliability.freshness import Freshness

STEPS = 100_000


def test_no_answer_is_older_than_the_last_change_that_was_acknowledged(start_server: StartServer) -> None:
    """I4, of a cache that several processes must make stale."""
    server = start_server(workers=2)
    freshness = Freshness(server, STEPS)
    freshness.run(server.client())
    print(freshness.counts, freshness.kills, "kills")
    assert freshness.faults == []
    done = sum(count for kind, count in freshness.counts.items() if "lost" not in kind)
    assert done > 0.9 * STEPS
    assert freshness.kills > 1
    assert (
        min(freshness.counts[kind] for kind in ("put", "delete", "tag", "acl", "outside put", "anonymous"))
        > STEPS / 200
    )
