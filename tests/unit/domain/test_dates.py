"""Dates in headers and XML."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from app.domain.dates import http_date, iso_date, parse_date

NOON = 1_771_761_600  # 2026-02-22T12:00:00Z, a Sunday


def test_a_moment_is_written_as_headers_and_xml_have_it() -> None:
    assert http_date(NOON * 1000) == "Sun, 22 Feb 2026 12:00:00 GMT"
    assert iso_date(NOON * 1000) == "2026-02-22T12:00:00.000Z"


def test_both_forms_show_the_same_whole_second() -> None:
    assert iso_date(NOON * 1000 + 999) == "2026-02-22T12:00:00.000Z"
    assert http_date(NOON * 1000 + 999) == http_date(NOON * 1000)


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 22 Feb 2026 12:00:00 GMT",
        "Sunday, 22-Feb-26 12:00:00 GMT",
        "Sun Feb 22 12:00:00 2026",
        "sun, 22 feb 2026 12:00:00 gmt",
        "Sun, 22 Feb 2026 12:00:00 +0000",
        "2026-02-22T12:00:00Z",
        "2026-02-22T12:00:00.000Z",
        "2026-02-22T12:00:00.999Z",
        "2026-02-22T13:00:00+01:00",
        "20260222T120000Z",
        " Sun, 22 Feb 2026 12:00:00 GMT ",
    ],
)
def test_every_form_of_a_date_is_read(text: str) -> None:
    assert parse_date(text) == NOON


def test_asctime_pads_the_day_with_a_blank() -> None:
    assert parse_date("Sun Nov  6 08:49:37 1994") == parse_date("Sunday, 06-Nov-94 08:49:37 GMT") == 784_111_777


def test_a_leap_second_is_a_date() -> None:
    assert parse_date("Sat, 31 Dec 2016 23:59:60 GMT") == 1_483_228_799


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "12",
        "Sun, 22 Feb 2026",
        "Sun, 22 Feb 2026 12:00:00 PST",
        "Sun, 31 Feb 2026 12:00:00 GMT",
        "Xyz, 22 Feb 2026 12:00:00 GMT",
        "Sun, 22 Foo 2026 12:00:00 GMT",
        "Sun, 22 Feb 2026 25:00:00 GMT",
        "Sun, 22 Feb 99999 12:00:00 GMT",
        "Sun, ²² Feb 2026 12:00:00 GMT",
        "Sun, " * 20_000,
        "9" * 65_536,
    ],
)
def test_what_is_no_date_is_none(text: str) -> None:
    assert parse_date(text) is None


@given(st.integers(min_value=0, max_value=253_402_300_799))
def test_a_written_date_reads_back(moment_s: int) -> None:
    assert parse_date(http_date(moment_s * 1000)) == moment_s
    assert parse_date(iso_date(moment_s * 1000)) == moment_s


@given(st.text(max_size=70))
def test_no_text_breaks_the_reader(text: str) -> None:
    assert parse_date(text) is None or isinstance(parse_date(text), int)
