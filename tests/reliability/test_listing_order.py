"""R-25 over HTTP: listings are in the order of UTF-8 bytes, their pages disjoint and complete, whatever is asked."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote, unquote
from xml.etree import ElementTree as ET

import pytest

from tests.exchange import exchange
from tests.server.wire import Answer
from tests.servers import RunningServer
from tests.signing import Draft, Keys, sign

NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"
KEYS = 5_000
QUESTIONS = 48
COUNTS = (QUESTIONS, pytest.param(1_000, marks=pytest.mark.nightly))
VERSIONED_KEYS = 800
ROUNDS = 4
PAGES_MAX = 25  # of one listing; small pages are read this far
PAGE_SIZES = (1, 2, 3, 7, 50, 333, 999, 1_000)
DELIMITERS = (
    "",
    "/",
    "//",
    "-",
    "a",
    "ab",
    "\u00e9",
    "\U0001f600",
    "\x01",
    " ",
    "\uffff",
    "zz",
    "%",
    "/a/",
    "\U0010ffff",
)

# Letters that fold, combine, escape or end the ranges in which UTF-16 and UTF-8 sort differently.
ALPHABET = (
    "ab/-AB %+&<>\"'\\?#=;,.~_\t\n\r\x01\x7f\x80\u00df\u00e9e\u0301\u0131\u212a\u2028\ud7ff\ue000\ufb01\ufeff\ufffd"
    "\ufffe\uffff\U00010000\U0001f600\U0010ffff"
)


class Row(NamedTuple):
    """What a listing shows at one place: a version (`what` its id, or its ETag) or a common prefix (`what` None)."""

    key: str
    what: str | None


@pytest.fixture(scope="module")
def keys() -> list[str]:
    """Random and with common beginnings, so that every delimiter rolls some of them up."""
    dice = random.Random(25)
    made: set[str] = set()
    while len(made) < KEYS:
        length = dice.choice((1, 2, 3, 5, 9, 30))
        key = "".join(dice.choice(ALPHABET) if dice.random() < 0.5 else dice.choice("ab/-") for _ in range(length))
        made.add(key if dice.random() < 0.6 else dice.choice(("a/", "ab/", "\u00e9/", "a//")) + key)
    return sorted(made, key=str.encode)


@pytest.fixture(scope="module")
def filled(server: RunningServer, s3: Any, keys: list[str]) -> str:
    """A bucket with these keys, written in another order."""
    bucket = f"order-{secrets.token_hex(8)}"
    s3.create_bucket(Bucket=bucket)
    shuffled = random.Random(1).sample(keys, len(keys))
    answers = _change(server, bucket, [("PUT", key) for key in shuffled])
    assert {answer.status for answer in answers} == {200}
    return bucket


def _change(server: RunningServer, bucket: str, changes: Sequence[tuple[str, str]]) -> list[Answer]:
    """The answers to (method, key); the key is also the body."""
    signer = Keys(server.access_key, server.secret_key)
    drafts = [
        Draft(method, f"/{bucket}/{quote(key, safe='')}", body=key.encode() if method == "PUT" else b"")
        for method, key in changes
    ]
    return exchange(server.port, [(draft.method, sign(draft, signer).wire()) for draft in drafts])


# -- What is right -----------------------------------------------------------------------------------------------


def rolled_up(rows: Sequence[Row], prefix: str, delimiter: str) -> Iterator[Row]:
    """A listing by its definition: `rows` in order, those with the prefix, cut behind the delimiter, each cut once."""
    seen = set()
    for row in rows:
        if not row.key.startswith(prefix):
            continue
        at = row.key.find(delimiter, len(prefix)) if delimiter else -1
        if at < 0:
            yield row
        elif (common := row.key[: at + len(delimiter)]) not in seen:
            seen.add(common)
            yield Row(common, None)


def questions(keys: Sequence[str], count: int, seed: int) -> Iterator[tuple[str, str, int]]:
    """(prefix, delimiter, page size). Every delimiter and size comes up; half of the prefixes begin real keys."""
    dice = random.Random(seed)
    for number in range(count):
        key = dice.choice(keys)
        prefix = dice.choice(("", "", key[: dice.randrange(1, 4)], "a/", dice.choice(ALPHABET)))
        yield prefix, DELIMITERS[number % len(DELIMITERS)], PAGE_SIZES[number % len(PAGE_SIZES)]


def check_pages(pages: Sequence[list[Row]], expected: list[Row], size: int, is_cut: bool) -> None:
    """All pages together are what is expected; each but the last is full. `is_cut`: the rest was not read."""
    shown = [row for page in pages for row in page]
    assert shown == (expected[: len(shown)] if is_cut else expected)
    assert all(len(page) == size for page in pages[:-1])
    assert not is_cut or len(pages[-1]) == size


# -- Keys --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("operation", ["list_objects_v2", "list_objects"])
def test_keys_are_listed_in_byte_order_on_pages_of_any_size(
    s3: Any, filled: str, keys: list[str], operation: str, count: int
) -> None:
    """R-25: 5,000 keys, all delimiters and page sizes, by both operations."""
    rows = [Row(key, "") for key in keys]
    for prefix, delimiter, size in questions(keys, count, 25):
        expected = list(rolled_up(rows, prefix, delimiter))
        pages, is_cut = _object_pages(s3, operation, filled, prefix, delimiter, size)
        check_pages(pages, expected, size, is_cut)


@pytest.mark.parametrize("marker", ["StartAfter", "Marker"])
def test_a_listing_begins_behind_any_key_or_none(s3: Any, filled: str, keys: list[str], marker: str) -> None:
    """R-25: behind a key that is there, one that is not, and one inside a common prefix."""
    dice, rows = random.Random(5), [Row(key, "") for key in keys]
    call = s3.list_objects_v2 if marker == "StartAfter" else s3.list_objects
    for number in range(QUESTIONS):
        start = dice.choice((dice.choice(keys), dice.choice(keys)[:2], dice.choice(ALPHABET) * 2, "a/", "a/\x01"))
        delimiter = DELIMITERS[number % len(DELIMITERS)]
        answer = call(Bucket=filled, MaxKeys=100, Delimiter=delimiter, **{marker: start})
        later = list(rolled_up([row for row in rows if _is_behind(row.key, start, delimiter)], "", delimiter))
        assert _rows(answer) == later[:100], (start, delimiter)
        assert answer["IsTruncated"] == (len(later) > 100)


def _is_behind(key: str, start: str, delimiter: str) -> bool:
    """A start that is itself a common prefix passes over all keys below it (specs/decisions/0011)."""
    is_common_prefix = bool(delimiter) and start.find(delimiter) == len(start) - len(delimiter) >= 0
    return key.encode() > start.encode() and not (is_common_prefix and key.startswith(start))


def _object_pages(
    s3: Any, operation: str, bucket: str, prefix: str, delimiter: str, size: int
) -> tuple[list[list[Row]], bool]:
    """The pages, and whether reading stopped before the last one."""
    pages: list[list[Row]] = []
    more: dict[str, str] = {}
    while len(pages) < PAGES_MAX:
        answer = getattr(s3, operation)(Bucket=bucket, Prefix=prefix, Delimiter=delimiter, MaxKeys=size, **more)
        page = _rows(answer)
        pages.append(page)
        if not answer["IsTruncated"]:
            return pages, False
        if operation == "list_objects_v2":
            assert answer["KeyCount"] == len(page)
            more = {"ContinuationToken": answer["NextContinuationToken"]}
        else:
            assert ("NextMarker" in answer) == bool(delimiter)
            more = {"Marker": answer.get("NextMarker", page[-1].key)}
    return pages, True


def _rows(answer: Any) -> list[Row]:
    rows = [Row(entry["Key"], "") for entry in answer.get("Contents", [])]
    rows += [Row(entry["Prefix"], None) for entry in answer.get("CommonPrefixes", [])]
    return sorted(rows, key=lambda row: row.key.encode())


# -- Versions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", COUNTS)
def test_versions_are_listed_by_key_and_newest_first(
    server: RunningServer, s3: Any, keys: list[str], count: int
) -> None:
    """R-25: after a random history of writes and deletions, with all delimiters and page sizes."""
    bucket = f"versions-{secrets.token_hex(8)}"
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    dice = random.Random(52)
    used = sorted(dice.sample(keys, VERSIONED_KEYS), key=str.encode)
    history: dict[str, list[str]] = {key: [] for key in used}
    for _ in range(ROUNDS):
        changes = [(dice.choice(("PUT", "PUT", "DELETE")), key) for key in used if dice.random() < 0.7]
        for (_, key), answer in zip(changes, _change(server, bucket, changes), strict=True):
            version_id = answer.header("x-amz-version-id")
            assert version_id, answer.code
            history[key].insert(0, version_id)
    rows = [Row(key, version_id) for key in used for version_id in history[key]]
    for prefix, delimiter, size in questions(used, count, 52):
        pages, is_cut = _version_pages(server, bucket, prefix, delimiter, size)
        check_pages(pages, list(rolled_up(rows, prefix, delimiter)), size, is_cut)
    listed = list(s3.get_paginator("list_object_versions").paginate(Bucket=bucket))
    latest = {
        entry["Key"]: entry["VersionId"]
        for page in listed
        for entry in (*page.get("Versions", []), *page.get("DeleteMarkers", []))
        if entry["IsLatest"]
    }
    assert latest == {key: version_ids[0] for key, version_ids in history.items() if version_ids}


def _version_pages(
    server: RunningServer, bucket: str, prefix: str, delimiter: str, size: int
) -> tuple[list[list[Row]], bool]:
    """From the documents themselves: boto3 gives versions and markers in two lists, whose common order is lost."""
    query = {"prefix": prefix, "delimiter": delimiter, "max-keys": str(size), "encoding-type": "url"}
    pages: list[list[Row]] = []
    while len(pages) < PAGES_MAX:
        text = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
        draft = Draft("GET", f"/{bucket}?versions&{text}")
        (answer,) = exchange(server.port, [("GET", sign(draft, Keys(server.access_key, server.secret_key)).wire())])
        document = ET.fromstring(answer.body)
        pages.append(_version_rows(document))
        if _texts(document, "IsTruncated") == ["false"]:
            return pages, False
        query["key-marker"] = unquote(_texts(document, "NextKeyMarker")[0])
        query.pop("version-id-marker", None)
        for marker in _texts(document, "NextVersionIdMarker"):
            query["version-id-marker"] = marker
    return pages, True


def _version_rows(document: ET.Element) -> list[Row]:
    rows = []
    for entry in document:
        name = entry.tag.removeprefix(NAMESPACE)
        if name in ("Version", "DeleteMarker"):
            rows.append(Row(unquote(_texts(entry, "Key")[0]), _texts(entry, "VersionId")[0]))
        elif name == "CommonPrefixes":
            rows.append(Row(unquote(_texts(entry, "Prefix")[0]), None))
    # Prefixes come behind the versions; the sort is stable, so the versions of a key stay as they came.
    return sorted(rows, key=lambda row: row.key.encode())


def _texts(parent: ET.Element, name: str) -> list[str]:
    return [child.text or "" for child in parent.findall(NAMESPACE + name)]


# -- The judge ---------------------------------------------------------------------------------------------------

A, B, C, D = Row("a", ""), Row("b/", None), Row("\ufb01", ""), Row("\U00010000", "")


@pytest.mark.parametrize(
    "pages",
    [
        pytest.param([[A, B], [D, C]], id="in the order of UTF-16"),
        pytest.param([[A, B], [C]], id="one is missing"),
        pytest.param([[A, B], [B, C], [D]], id="one comes twice"),
        pytest.param([[A], [B, C], [D]], id="a page is not full"),
        pytest.param([[A, B], [C, D, A]], id="one too many"),
    ],
)
def test_wrong_pages_are_found_out(pages: list[list[Row]]) -> None:
    """R-25."""
    check_pages([[A, B], [C, D]], [A, B, C, D], 2, is_cut=False)
    with pytest.raises(AssertionError):
        check_pages(pages, [A, B, C, D], 2, is_cut=False)
