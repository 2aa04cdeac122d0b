"""The contract on the memory engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.metadata.base import MetadataStore
from tests.contract.conftest import Engine
from tests.contract.metadata_contract import MetadataContract

pytest.importorskip("app.metadata.kv.memory")


class TestMemory(MetadataContract):
    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[Engine]:
        engine = Engine("memory", tmp_path)
        yield engine
        engine.close()

    @pytest.fixture
    def store(self, engine: Engine) -> MetadataStore:
        return engine.open()
