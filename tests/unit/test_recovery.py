"""What the process that recovers a directory is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.config import load_config
from app.server.recovery import _child_environ


def test_a_migration_sorts_in_the_data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is room for the database, so there is for this; a container may have nowhere else to write."""
    monkeypatch.delenv("SQLITE_TMPDIR", raising=False)
    config = load_config({"data_dir": str(tmp_path)}, {})
    assert _child_environ(config)["SQLITE_TMPDIR"] == str(config.data_dir) == str(tmp_path)


def test_an_operator_may_name_another_place_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQLITE_TMPDIR", "/elsewhere")
    assert _child_environ(load_config({"data_dir": str(tmp_path)}, {}))["SQLITE_TMPDIR"] == "/elsewhere"
