"""Runs a contract class against a store outside pytest's own collection, to ask whether any of it fails."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest

from app.metadata.base import MetadataStore
from tests.contract.metadata.scene import Scene

Case = tuple[str, dict[str, Any]]


def cases(contract: type) -> Iterator[Case]:
    """Every test of the class with each set of its parameters; the property tests last, because they take longest."""
    names = [name for name in dir(contract) if name.startswith("test_")]
    for name in sorted(names, key=lambda name: hasattr(getattr(contract, name), "hypothesis")):
        marks = [mark for mark in getattr(getattr(contract, name), "pytestmark", []) if mark.name == "parametrize"]
        for values in product(*(mark.args[1] for mark in marks)):
            yield name, {mark.args[0]: value for mark, value in zip(marks, values, strict=True)}


def first_failure(contract: type, make_store: Callable[[], MetadataStore]) -> str | None:
    """The name of the first test that fails, each run on a store of its own; None when all pass."""
    for name, parameters in cases(contract):
        store = make_store()
        store.open()
        test = getattr(contract(), name)
        assert inspect.ismethod(test)
        try:
            test(scene=Scene(store), **parameters)
        except (Exception, pytest.fail.Exception):
            return name
        finally:
            store.close()
    return None
