"""The contract on embedded SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.metadata.base import MetadataStore
from tests.contract.conftest import Engine
from tests.contract.metadata.durable import Reopen
from tests.contract.metadata_contract import DurableMetadataContract

pytest.importorskip("app.metadata.sql.sqlite")


class TestSqlite(DurableMetadataContract):
    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[Engine]:
        engine = Engine("sqlite", tmp_path)
        yield engine
        engine.close()

    @pytest.fixture
    def store(self, engine: Engine) -> MetadataStore:
        return engine.open()

    @pytest.fixture
    def reopen(self, engine: Engine) -> Reopen:
        return engine.open


class TestSqliteWithCache(TestSqlite):
    """What is remembered must not be told from what is read."""

    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[Engine]:
        engine = Engine("sqlite", tmp_path, cache_max_bytes=1 << 20)
        yield engine
        engine.close()
