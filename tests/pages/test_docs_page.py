"""The page at /docs in a browser: it shows the interface, complains of nothing, and speaks to nobody but its server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.conftest import StartServer
from tests.servers import RunningServer
from tests.unit.openapi import document, operations

SHOWN_WITHIN_MS = 30_000


@dataclass
class Visit:
    """A page and what happened on it."""

    page: Any
    server: RunningServer
    complaints: list[str] = field(default_factory=list)
    requested: list[str] = field(default_factory=list)


@pytest.fixture
def visit(browser: Any, start_server: StartServer) -> Iterator[Visit]:
    server = start_server("--metadata.engine", "memory", "--storage.backend", "memory")
    page = browser.new_page()
    visit = Visit(page, server)
    page.on("console", lambda message: visit.complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: visit.complaints.append(f"error: {error}"))
    page.on("requestfailed", lambda request: visit.complaints.append(f"failed: {request.url}"))
    page.on("request", lambda request: visit.requested.append(request.url))
    page.goto(f"{server.endpoint}/docs")
    page.wait_for_selector(".opblock-tag", timeout=SHOWN_WITHIN_MS)
    yield visit
    page.close()


def test_the_page_lists_the_tags_and_operations_of_the_contract(visit: Visit) -> None:
    page = visit.page
    assert page.title() == "BleepStore API"
    assert page.locator(".info .title").inner_text().startswith(document()["info"]["title"])
    tags = page.locator(".opblock-tag").evaluate_all("tags => tags.map(tag => tag.dataset.tag)")
    assert tags == [tag["name"] for tag in document()["tags"]]
    for tag in tags:
        page.locator(f'[data-tag="{tag}"]').click()
    page.wait_for_function(f"document.querySelectorAll('.opblock').length >= {len(operations())}")
    shown = page.locator(".opblock").evaluate_all("blocks => blocks.map(block => block.id.split('-').pop())")
    assert sorted(shown) == sorted(operations())


def test_an_operation_opens_with_parameters_and_answers(visit: Visit) -> None:
    page = visit.page
    page.locator("[data-tag=Objects]").click()
    page.locator("#operations-Objects-GetObject .opblock-summary-control").click()
    body = page.locator("#operations-Objects-GetObject .opblock-body")
    # The block is there before it has unfolded.
    for text in ("x-amz-checksum-mode", "416"):
        body.get_by_text(text, exact=True).first.wait_for(timeout=SHOWN_WITHIN_MS)
    assert page.locator(".try-out").count() == 0


def test_the_page_complains_of_nothing_and_asks_nobody_else(visit: Visit) -> None:
    page = visit.page
    page.locator("[data-tag=Listing]").click()
    page.locator("#operations-Listing-ListObjectsV2 .opblock-summary-control").click()
    page.locator("#operations-Listing-ListObjectsV2 .opblock-body").wait_for()
    assert visit.complaints == []
    assert len(visit.requested) >= 5
    # An icon in the page itself is a request of its own to a browser, and goes nowhere.
    assert [url for url in visit.requested if not url.startswith((visit.server.endpoint + "/", "data:"))] == []
