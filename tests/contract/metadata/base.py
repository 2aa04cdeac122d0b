"""What the classes of the contract have in common: the two fixtures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.metadata.base import MetadataStore
from tests.contract.metadata.scene import Scene

USAGES_MAX = 1_000


class Contract:
    """`remembers_ops`: the engine records op ids without a consumer too, so a repeat answers as the first call did."""

    remembers_ops = False

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[MetadataStore]:
        """An open, empty store; closed by the fixture. A concrete test class overrides this."""
        pytest.fail("a class that takes the contract over overrides the fixture `store`")

    @pytest.fixture
    def scene(self, store: MetadataStore) -> Iterator[Scene]:
        """What a test leaves behind, whatever it has done, is counted as it is."""
        scene = Scene(store)
        yield scene
        assert scene.store.usage(USAGES_MAX) == scene.counted()
