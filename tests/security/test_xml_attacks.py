"""S-03 over HTTP: what is made to hurt a parser is refused at once, opens nothing and changes nothing.

Seen to fail: tests/mutants/test_security_mutants.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.s3.views import unconfigured
from tests.inventory import inventory
from tests.security.auth_matrix import RULES, Scene
from tests.security.document_check import bait, check_hostile_documents
from tests.security.xml_attacks import READ_NO_DOCUMENT, ROOTS
from tests.servers import RunningServer


def test_every_operation_with_a_body_is_known_to_read_a_document_or_not() -> None:
    with_body = {rule.operation for rule in RULES if rule.method in ("PUT", "POST")}
    refused = {rule.operation for rule in unconfigured.bp.rules}
    assert with_body - refused - READ_NO_DOCUMENT == set(ROOTS)


@pytest.mark.parametrize("operation", ROOTS)
def test_a_hostile_document_is_refused_at_once_and_changes_nothing(
    guarded: RunningServer, client: Any, scene: Scene, tmp_path: Path, operation: str
) -> None:
    """S-03: 400 in under 100 ms, under 10 MiB of memory, no file and no address opened."""
    before = inventory(client, scene.bucket)
    with bait(tmp_path) as laid:
        check_hostile_documents(scene, guarded.worker_pids(), laid, operation)
    assert inventory(client, scene.bucket) == before
