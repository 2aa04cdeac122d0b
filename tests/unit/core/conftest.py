"""The store that the tests of the sweep and of fsck run over: once with every embedded engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.metadata.base import MetadataStore
from app.metadata.kv.memory import MemoryStore
from app.metadata.sql.sqlite import SqliteStore


@pytest.fixture(params=["memory", "sqlite"])
def metadata(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MetadataStore]:
    """An empty engine, opened; closed when the test ends."""
    if request.param == "memory":
        yield MemoryStore()
        return
    store = SqliteStore(str(tmp_path_factory.mktemp("metadata") / "metadata.db"), reserve_bytes=0)
    store.migrate()
    store.open()
    yield store
    store.close()
