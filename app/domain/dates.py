"""Points in time as S3 writes and reads them: HTTP dates in headers, ISO 8601 in XML.

Both forms carry whole seconds: XML dates end in ".000Z" as AWS's do, so that an object's date is the same in a listing,
in its headers and in a condition. Source: RFC 9110, section 5.6.7; "Common data types", AWS S3 API reference.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache

DATE_TEXT_MAX = 64  # characters; the longest legal form has 33

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH_NUMBERS = {name.lower(): number for number, name in enumerate(_MONTHS, start=1)}
_DAY_S = 86_400
_ISO_MINUTES = tuple(f"{minute // 60:02d}:{minute % 60:02d}:" for minute in range(1_440))
_ISO_SECONDS = tuple(f"{second:02d}.000Z" for second in range(60))
_GREENWICH = frozenset({"gmt", "utc", "ut", "z", "+0000", "-0000"})


def http_date(moment_ms: int) -> str:
    """The moment as a header has it: "Sun, 22 Feb 2026 12:00:00 GMT"."""
    return _http_date(moment_ms // 1000)


def iso_date(moment_ms: int) -> str:
    """The moment as XML has it: "2026-02-22T12:00:00.000Z", always whole seconds."""
    return iso_dates((moment_ms,))[0]


def iso_dates(moments_ms: Iterable[int]) -> list[str]:
    """`iso_date` of each. In a listing days are few, and no two seconds are alike."""
    return [
        f"{_iso_day(moment_s // _DAY_S)}{_ISO_MINUTES[moment_s // 60 % 1_440]}{_ISO_SECONDS[moment_s % 60]}"
        for moment_s in [moment_ms // 1000 for moment_ms in moments_ms]
    ]


@lru_cache(maxsize=4096)
def _http_date(moment_s: int) -> str:
    at = time.gmtime(moment_s)
    return (
        f"{_DAYS[at.tm_wday]}, {at.tm_mday:02d} {_MONTHS[at.tm_mon - 1]} {at.tm_year:04d} "
        f"{at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d} GMT"
    )


@lru_cache(maxsize=4096)
def _iso_day(day: int) -> str:
    """The beginning of every moment of a day, which is counted from the epoch."""
    at = time.gmtime(day * _DAY_S)
    return f"{at.tm_year:04d}-{at.tm_mon:02d}-{at.tm_mday:02d}T"


def parse_date(text: str) -> int | None:
    """Whole seconds since the epoch, from any of HTTP's three forms or ISO 8601; None for anything else."""
    if len(text) > DATE_TEXT_MAX or not text.isascii():
        return None
    text = text.strip()
    try:
        return _parse_iso(text) if text[:4].isdigit() else _parse_http(text)
    except (ValueError, KeyError, OverflowError):
        return None


def _parse_http(text: str) -> int:
    """Raises: ValueError, KeyError for what is no date.

    Sun, 06 Nov 1994 08:49:37 GMT     IMF-fixdate
    Sunday, 06-Nov-94 08:49:37 GMT    RFC 850
    Sun Nov  6 08:49:37 1994          asctime
    """
    weekday, comma, rest = text.partition(",")
    if not comma:
        _, month, day, clock, year = text.split()
        return _seconds(year, month, day, clock)
    if weekday[:3].title() not in _DAYS:
        raise ValueError(text)
    words = rest.split()
    if len(words) == 3:
        words = [*words[0].split("-"), *words[1:]]
    day, month, year, clock, zone = words
    if zone.lower() not in _GREENWICH:
        raise ValueError(text)
    return _seconds(year, month, day, clock)


def _seconds(year: str, month: str, day: str, clock: str) -> int:
    number = int(year)
    if len(year) == 2:
        # Two digits were given up before 1999: what is not the last century is a client of this one.
        number += 1900 if number >= 70 else 2000
    hour, minute, second = (int(part) for part in clock.split(":"))
    # A leap second is a legal date that datetime does not know.
    moment = datetime(number, _MONTH_NUMBERS[month.lower()], int(day), hour, minute, min(second, 59), tzinfo=UTC)
    return int(moment.timestamp())


def _parse_iso(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    # The floor, as for an object's own date: the fraction is dropped before the epoch too.
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
