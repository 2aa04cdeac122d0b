"""Which back end a bucket's new bytes go to."""

from __future__ import annotations

import pytest

from app.core.placement import DOCUMENT, MAIN, Placement, Rule, document
from app.domain.errors import ServiceUnavailable
from app.domain.types import Bucket
from app.storage.memory import MemoryStorage
from app.storage.places import Places

PLACES = Places(MemoryStorage(), {name: MemoryStorage() for name in ("cold", "warm", "new")})


def bucket(name: str, backend: str | None = None) -> Bucket:
    return Bucket(1, name, "me", "us-east-1", 0, documents={} if backend is None else {DOCUMENT: document(backend)})


def test_document_then_pattern_in_the_order_of_the_file_then_default_then_main() -> None:
    rules = [Rule("cold", ("archive-*", "?1"), "deep"), Rule("warm", ("archive-b*", "x"), "warm"), Rule("new")]
    placement = Placement(PLACES, rules)
    assert placement.name_for(bucket("archive-a")) == "cold"
    assert placement.name_for(bucket("archive-b")) == "cold"
    assert placement.name_for(bucket("x")) == "warm"
    assert placement.name_for(bucket("b1")) == "cold"
    assert placement.name_for(bucket("bb1")) == MAIN
    assert placement.name_for(bucket("archive-a", "warm")) == "warm"
    assert placement.name_for(bucket("archive-a", MAIN)) == MAIN
    placement = Placement(PLACES, [*rules[:2], Rule("new", is_default=True)])
    assert placement.name_for(bucket("bb1")) == "new"
    assert placement.name_for(bucket("x")) == "warm"
    assert placement.name_for(bucket("bb1", MAIN)) == MAIN
    assert placement.storage_for(bucket("bb1")) is PLACES.members()["new"]


def test_a_location_leads_to_its_back_end() -> None:
    placement = Placement(PLACES, [Rule("cold", location="deep"), Rule("warm", location="warm")])
    assert placement.at_location("deep") == "cold"
    assert placement.at_location("cold") is None
    assert placement.at_location("eu-west-1") is None


def test_a_bucket_on_a_back_end_that_is_not_configured_takes_nothing() -> None:
    with pytest.raises(ServiceUnavailable, match=r"gone.*not configured"):
        Placement(PLACES, [Rule("cold")]).storage_for(bucket("b", "gone"))
