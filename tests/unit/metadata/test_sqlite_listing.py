"""What a page of a listing reads of the file, and what the index that it is read from does not hold SQLite to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from app.domain.names import canonical_id
from app.domain.types import Attributes, Checksum, Content, ListQuery, NewVersion
from app.metadata.sql import listing
from app.metadata.sql.connections import OTHER_CACHE_KIB, open_reader, open_writer
from app.metadata.sql.execution import PublishRequest
from app.metadata.sql.schema import ROOT_ID
from app.metadata.sql.sqlite import SqliteStore
from tests.unit.metadata.sqlite_scenes import BUCKET, OWNER, made_store

KEYS = 6_000
PAGE_KEYS = 1_000
PAGES_READ_MAX = 75  # of the file, for a page of so many keys: some twenty to thirty keys lie on each


def scattered(number: int) -> NewVersion:
    """Neighbours by key are written far apart. One in six under a common prefix of its own; one in a hundred is not root's."""
    digest = hashlib.md5(b"%d" % number, usedforsecurity=False).hexdigest()
    key = f"{digest[:4]}/{digest}" if number % 6 == 0 else digest
    attributes = Attributes((("Content-Type", "application/octet-stream"),))
    checksum = Checksum("CRC64NVME", "AAAAAAAAAAA=")
    content = Content(is_inline=True, inline=digest.encode())
    return NewVersion(
        BUCKET,
        key,
        "",
        ROOT_ID if number % 100 else OWNER,
        1_700_000_000_000 + number,
        32,
        digest,
        content,
        attributes,
        checksum=checksum,
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteStore]:
    made = made_store(tmp_path_factory.mktemp("listing"))
    made.open()
    for outcome in made.submit_all([PublishRequest(scattered(number), None, f"{number}") for number in range(KEYS)]):
        assert not isinstance(outcome, Exception)
    yield made
    made.close()


@pytest.mark.parametrize("statement", ["_FLAT_SHOWN_BARE", "_WALK_SHOWN_BARE", "_FLAT_SHOWN", "_WALK_SHOWN"])
def test_a_page_reads_no_rows_but_of_owners_beside_root(store: SqliteStore, statement: str) -> None:
    """Else it would read a page of the file for each key."""
    connection = open_reader(store.path, OTHER_CACHE_KIB)
    delimiter = "/" if "WALK" in statement else ""
    query = ListQuery(BUCKET, delimiter=delimiter, after="2", limit=PAGE_KEYS)
    params = listing._params(store.bucket(BUCKET).id, query)
    connection.execute(getattr(listing, statement), params).fetchall()
    pages_read = connection.status(apsw.SQLITE_DBSTATUS_CACHE_MISS)[0]
    connection.close()
    # A jump over a common prefix may land on another page.
    assert 0 < pages_read <= PAGES_READ_MAX


@pytest.mark.parametrize("delimiter", ["", "/"])
def test_a_page_shows_what_the_rows_say(store: SqliteStore, delimiter: str) -> None:
    query = ListQuery(BUCKET, delimiter=delimiter, limit=KEYS + 1)
    whole, brief = store.list_current(query), store.list_current(query, brief=True)
    assert [(row.key, row.etag, row.storage_class, row.owner_id) for row in brief.entries] == [
        (row.key, row.etag, row.storage_class, row.owner_id) for row in whole.entries
    ]
    assert brief.common_prefixes == whole.common_prefixes
    assert len(whole.entries) + len(whole.common_prefixes) >= KEYS * 0.9


def test_the_index_knows_root_by_its_id() -> None:
    assert canonical_id("root") == ROOT_ID


def test_a_key_with_two_current_rows_is_a_problem_that_verify_finds(tmp_path: Path) -> None:
    """The index by which current objects are found has more than the key, and so is not unique."""
    store = made_store(tmp_path)
    store.open()
    for number in (1, 2):
        store.publish(scattered(number), None, f"{number}")
    assert store.verify() == []
    connection = open_writer(store.path, "full")
    connection.execute("UPDATE versions SET key = 'same'")
    connection.close()
    assert [problem for problem in store.verify() if problem.startswith("is_current of")]
    store.close()
