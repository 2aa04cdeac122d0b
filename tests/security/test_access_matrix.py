"""S-09 over HTTP: everybody may do what the table says and nothing else, and a refusal changes nothing.

Seen to fail: tests/mutants/test_security_mutants.py.
"""

from __future__ import annotations

import pytest

from tests.security.access_matrix import (
    ANYBODY,
    BOB,
    BUCKETS,
    CALLERS,
    ROOT,
    World,
    check_refusals_change_nothing,
    check_table,
)
from tests.servers import RunningServer


@pytest.mark.parametrize("kind", BUCKETS)
@pytest.mark.parametrize("caller", CALLERS)
def test_everybody_may_do_what_the_table_says(guarded: RunningServer, caller: str, kind: str) -> None:
    """S-09: every rule of the router, with each kind of object where it speaks of one."""
    check_table(World(guarded), caller, kind)


@pytest.mark.parametrize("kind", BUCKETS)
@pytest.mark.parametrize("caller", [BOB, ROOT, ANYBODY])
def test_what_is_refused_changes_nothing(guarded: RunningServer, caller: str, kind: str) -> None:
    """S-09: the same requests, those alone that are refused; also for a version named by its id."""
    check_refusals_change_nothing(World(guarded), caller, kind)
