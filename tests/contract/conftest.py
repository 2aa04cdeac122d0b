"""How the contract's tests come by each engine: by its name in the registry."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from app.metadata.base import MetadataStore
from app.registry import METADATA_STORES

pytest.register_assert_rewrite("tests.contract.metadata")


class Engine:
    """Makes stores of one engine in one directory; opened ones are closed when the test ends."""

    def __init__(self, name: str, directory: Path, **options: Any) -> None:
        """`options`: further arguments of the engine's `from_path`."""
        module, _, class_name = METADATA_STORES[name].target.partition(":")
        self._options = options
        self._made: Any = getattr(importlib.import_module(module), class_name)
        self._path = directory / "metadata"
        self._opened: list[MetadataStore] = []

    def open(self) -> MetadataStore:
        """A store over this directory's data, or over nothing where the engine keeps none."""
        store = self._made.from_path(self._path, **self._options) if hasattr(self._made, "from_path") else self._made()
        if not self._opened:
            store.migrate()
            store.migrate()  # repeating is fine
        store.open()
        self._opened.append(store)
        return store

    def close(self) -> None:
        for store in self._opened:
            store.close()
