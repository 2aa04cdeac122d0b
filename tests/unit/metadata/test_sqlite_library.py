"""R-12: which SQLite several workers may share."""

from __future__ import annotations

import apsw
import pytest

from app.config import load_config
from app.metadata.sql.library import check_library, is_safe_for_several
from app.metadata.sql.sqlite import SqliteStore
from app.settings import ConfigError


@pytest.mark.parametrize("version", ["3.40.1", "3.51.2", "3.50.99"])
def test_several_workers_are_refused_on_a_library_that_may_corrupt_the_wal(version: str) -> None:
    """R-12."""
    assert not is_safe_for_several(version)
    with pytest.raises(ConfigError, match=rf"2 workers need SQLite 3\.51\.3 or newer, and this is {version}"):
        check_library(version, 2)
    check_library(version, 1)


@pytest.mark.parametrize("version", ["3.51.3", "3.52.0", "4.0", "3.51.3.1"])
def test_a_newer_library_serves_any_number_of_workers(version: str) -> None:
    assert is_safe_for_several(version)
    check_library(version, 8)


def test_a_library_without_the_statements_that_are_needed_is_refused() -> None:
    with pytest.raises(ConfigError, match="too old"):
        check_library("3.34.1", 1)


def test_the_library_that_is_installed_is_safe() -> None:
    assert is_safe_for_several(apsw.sqlite_lib_version())


def test_the_configured_engine_asks_about_the_library_that_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """R-12: `workers: auto` gets one worker, two are refused."""
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.40.1")
    with pytest.raises(ConfigError, match=r"3\.40\.1"):
        SqliteStore.from_config(load_config({"server.workers": "2"}, {}))
    assert not SqliteStore.from_config(load_config({"server.workers": "auto"}, {})).shared
