"""S-01 over HTTP: no route does anything for a request whose signature is wrong, whatever is wrong about it.

Seen to fail: tests/mutants/test_security_mutants.py.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.inventory import blob_files, inventory
from tests.security.auth_matrix import MODES, RULES, Scene, check_right_is_let_in, check_wrong_is_denied
from tests.security.flaws import FLAWS
from tests.servers import RunningServer


@pytest.mark.slow
def test_every_wrong_signature_is_denied_on_every_route_and_nothing_is_stored(
    guarded: RunningServer, client: Any, scene: Scene
) -> None:
    """S-01."""
    before, blobs = inventory(client, scene.bucket), blob_files(guarded.data_dir)
    count = check_wrong_is_denied(scene)
    assert count == len(RULES) * len(MODES) * (1 + 2 * len(FLAWS))
    assert inventory(client, scene.bucket) == before
    assert blob_files(guarded.data_dir) == blobs


def test_the_same_requests_without_a_flaw_are_let_in(scene: Scene) -> None:
    """S-01: so it was the flaw that was refused."""
    check_right_is_let_in(scene)
