"""A headless browser: Debian's Chromium, driven by playwright."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.components import require, require_python

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser with a profile of its own; open pages with `new_page()` and close them."""
    chromium = require("chromium")
    playwright = require_python("playwright.sync_api", "playwright")
    profile: Path = tmp_path_factory.mktemp("chromium")
    with playwright.sync_playwright() as driver:
        context = driver.chromium.launch_persistent_context(
            str(profile), executable_path=chromium, headless=True, args=list(FLAGS)
        )
        yield context
        context.close()
