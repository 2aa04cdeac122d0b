"""Servers with a fault in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.mutants.servers import MutantServer

StartMutant = Callable[..., MutantServer]


@pytest.fixture
def start_mutant(tmp_path: Path) -> Iterator[StartMutant]:
    """`start_mutant("dots_are_resolved")`: one worker on data of its own; killed when the test ends.

    Further arguments are fields of RunningServer.
    """
    running: list[MutantServer] = []

    def start(name: str, **fields: Any) -> MutantServer:
        running.append(MutantServer(tmp_path / name, mutant=name, **fields))
        running[-1].start()
        return running[-1]

    yield start
    for server in running:
        server.kill9()
