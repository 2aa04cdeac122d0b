"""What If-… headers ask of an object."""

from __future__ import annotations

import time

import pytest

from app.domain.conditions import (
    delete_condition,
    evaluate_copy_source,
    evaluate_read,
    parse_etags,
    range_holds,
    write_condition,
)
from app.domain.dates import http_date
from app.domain.errors import InvalidArgument, NotModified, PreconditionFailed, S3NotImplemented
from app.domain.types import Condition

ETAG = "9b2cf535f27731c974343645a3985328"
MODIFIED_MS = 1_771_761_600_500
AT = http_date(MODIFIED_MS)
BEFORE = http_date(MODIFIED_MS - 1000)
AFTER = http_date(MODIFIED_MS + 1000)
NO_HEADERS: dict[str, str] = {}


def read(**headers: str) -> str:
    """The code of the answer to a read with these headers: "" when the object is sent."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        evaluate_read(named.get, ETAG, MODIFIED_MS)
    except (NotModified, PreconditionFailed) as answer:
        return answer.code
    return ""


@pytest.mark.parametrize(
    ("header", "tags"),
    [
        ("abc", ("abc",)),
        ('"abc"', ("abc",)),
        ('W/"abc"', ("W/abc",)),
        ('"a", b ,W/"c"', ("a", "b", "W/c")),
        ("*", ("*",)),
        (" * ", ("*",)),
        ("", ("",)),
        ('"', ('"',)),
        ('""', ("",)),
    ],
)
def test_etags_are_read_with_and_without_quotes(header: str, tags: tuple[str, ...]) -> None:
    assert parse_etags(header) == tags


@pytest.mark.parametrize("value", [ETAG, f'"{ETAG}"', f'"other", "{ETAG}"', "*", f'W/"x",{ETAG}'])
def test_if_match_passes_when_the_etag_is_listed(value: str) -> None:
    assert read(if_match=value) == ""


@pytest.mark.parametrize("value", ["other", f'W/"{ETAG}"', "", ETAG.upper(), '"*"'])
def test_if_match_fails_by_strong_comparison(value: str) -> None:
    assert read(if_match=value) == "PreconditionFailed"


@pytest.mark.parametrize("value", [ETAG, f'"{ETAG}"', f'W/"{ETAG}"', "*", f'"a","{ETAG}"'])
def test_if_none_match_says_not_modified_by_weak_comparison(value: str) -> None:
    assert read(if_none_match=value) == "NotModified"


@pytest.mark.parametrize("value", ["other", '"a","b"', ""])
def test_if_none_match_sends_another_object(value: str) -> None:
    assert read(if_none_match=value) == ""


@pytest.mark.parametrize(
    ("if_range", "holds"),
    [
        (None, True), (f'"{ETAG}"', True), (f' "{ETAG}" ', True), (AT, True), ('"another"', False), (f'W/"{ETAG}"', False),
        (BEFORE, False), (AFTER, False), (ETAG, False), ("", False),
    ],
)  # fmt: skip
def test_a_range_holds_for_the_object_that_if_range_names(if_range: str | None, holds: bool) -> None:
    assert range_holds(if_range, ETAG, MODIFIED_MS) is holds


def test_dates_compare_at_one_second() -> None:
    assert read(if_modified_since=BEFORE) == ""
    assert read(if_modified_since=AT) == "NotModified"
    assert read(if_modified_since=AFTER) == "NotModified"
    assert read(if_unmodified_since=BEFORE) == "PreconditionFailed"
    assert read(if_unmodified_since=AT) == ""
    assert read(if_unmodified_since=AFTER) == ""


@pytest.mark.parametrize("text", ["tomorrow", "", "0", "Sun, 99 Feb 2026 12:00:00 GMT"])
def test_an_unreadable_date_is_ignored_on_reads(text: str) -> None:
    assert read(if_modified_since=text) == ""
    assert read(if_unmodified_since=text) == ""


def test_an_etag_beats_a_date() -> None:
    assert read(if_match=ETAG, if_unmodified_since=BEFORE) == ""
    assert read(if_none_match="other", if_modified_since=AFTER) == ""
    assert read(if_none_match=ETAG, if_modified_since=BEFORE) == "NotModified"


def test_a_demand_is_checked_before_a_wish() -> None:
    assert read(if_match="other", if_none_match=ETAG) == "PreconditionFailed"
    assert read(if_unmodified_since=BEFORE, if_none_match=ETAG) == "PreconditionFailed"


def test_the_answers_name_what_they_must() -> None:
    with pytest.raises(NotModified) as unchanged:
        evaluate_read({"if-none-match": "*"}.get, ETAG, MODIFIED_MS)
    assert dict(unchanged.value.headers) == {"ETag": f'"{ETAG}"', "Last-Modified": AT}
    with pytest.raises(PreconditionFailed) as failed:
        evaluate_read({"if-match": "x"}.get, ETAG, MODIFIED_MS)
    assert failed.value.fields == {"Condition": "If-Match"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("if-match", "other"),
        ("if-none-match", ETAG),
        ("if-none-match", "*"),
        ("if-modified-since", AT),
        ("if-unmodified-since", BEFORE),
    ],
)
def test_a_copy_source_condition_always_fails_as_412(name: str, value: str) -> None:
    with pytest.raises(PreconditionFailed) as failed:
        evaluate_copy_source({f"x-amz-copy-source-{name}": value}.get, ETAG, MODIFIED_MS)
    assert failed.value.fields["Condition"] == f"x-amz-copy-source-{name}"


def test_copy_source_conditions_that_hold_pass() -> None:
    held = {"x-amz-copy-source-if-match": ETAG, "x-amz-copy-source-if-unmodified-since": BEFORE}
    evaluate_copy_source(held.get, ETAG, MODIFIED_MS)
    held = {"x-amz-copy-source-if-none-match": "other", "x-amz-copy-source-if-modified-since": AFTER}
    evaluate_copy_source(held.get, ETAG, MODIFIED_MS)
    evaluate_copy_source({"if-match": "of the destination"}.get, ETAG, MODIFIED_MS)


def test_a_write_asks_for_no_object_or_for_one_of_these() -> None:
    assert write_condition(NO_HEADERS.get) is None
    assert write_condition({"if-none-match": "*"}.get) == Condition(if_none_match_any=True)
    assert write_condition({"if-match": f'"{ETAG}"'}.get) == Condition(if_match=(ETAG,))
    assert write_condition({"if-match": "*"}.get) == Condition(if_match=("*",))
    assert write_condition({"if-match": ""}.get) == Condition(if_match=("",)), "an empty condition is still one"


@pytest.mark.parametrize(
    ("name", "value"), [("If-None-Match", f'"{ETAG}"'), ("If-None-Match", ""), ("If-Unmodified-Since", AT)]
)
def test_a_write_condition_that_cannot_be_checked_is_refused(name: str, value: str) -> None:
    with pytest.raises(S3NotImplemented) as refusal:
        write_condition({name.lower(): value}.get)
    assert refusal.value.fields == {"Header": name}


def test_a_delete_asks_for_etag_size_and_date() -> None:
    assert delete_condition(NO_HEADERS.get) is None
    asked = {"if-match": ETAG, "x-amz-if-match-size": "17", "x-amz-if-match-last-modified-time": AT}
    assert delete_condition(asked.get) == Condition(
        if_match=(ETAG,), if_match_size_bytes=17, if_match_modified_s=MODIFIED_MS // 1000
    )
    iso = {"x-amz-if-match-last-modified-time": "2026-02-22T12:00:00Z"}
    assert delete_condition(iso.get) == Condition(if_match_modified_s=MODIFIED_MS // 1000)


@pytest.mark.parametrize("name", ["x-amz-if-match-size", "x-amz-if-match-last-modified-time"])
@pytest.mark.parametrize("value", ["", "-1", "1.5", "many", "٣", "9" * 5000])
def test_a_delete_condition_that_cannot_be_read_deletes_nothing(name: str, value: str) -> None:
    with pytest.raises(InvalidArgument):
        delete_condition({name: value}.get)


@pytest.mark.parametrize("name", ["if-none-match", "if-unmodified-since"])
def test_a_delete_condition_that_is_not_checked_is_refused(name: str) -> None:
    with pytest.raises(S3NotImplemented):
        delete_condition({name: "*"}.get)


@pytest.mark.parametrize("piece", [",", '"', 'W/"', " ,", '"a",', "*", "W/", "\\"])
def test_a_64_kib_header_takes_no_time(piece: str) -> None:
    """S-23"""
    header = piece * (65_536 // len(piece))
    started = time.process_time()
    for name in ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since"):
        read(**{name.replace("-", "_"): header})
    assert time.process_time() - started < 0.2, "four headers of at most 50 ms"
