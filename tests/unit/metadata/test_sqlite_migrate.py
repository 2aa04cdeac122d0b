"""R-31: making and migrating the file."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from app.domain.types import BucketUsage, Listed, ListQuery, VersionQuery
from app.metadata.sql import migrate as migrating
from app.metadata.sql.connections import PAGE_SIZE_BYTES, SchemaMismatch
from app.metadata.sql.schema import MIGRATIONS, SCHEMA_VERSION
from app.metadata.sql.sqlite import SqliteStore
from tests.unit.metadata.sqlite_scenes import BUCKET, made_store, new_version

ROOT = Path(__file__).parent.parent.parent.parent
NEXT = ("ALTER TABLE leases ADD COLUMN note TEXT", "UPDATE leases SET note = name", "CREATE TABLE extra (a)")

KILLED = """
import os, signal, sys
from app.metadata.sql import migrate
statements, stop_at = eval(sys.argv[2]), int(sys.argv[3])
real = migrate.apsw.Connection
class Connection(real):
    count = 0
    def execute(self, sql, *rest, **options):
        if sql in statements or sql == "COMMIT":
            if Connection.count == stop_at:
                os.kill(os.getpid(), signal.SIGKILL)
            Connection.count += 1
        return super().execute(sql, *rest, **options)
migrate.apsw.Connection = Connection
migrate.migrate(sys.argv[1], (*migrate.MIGRATIONS, statements))
"""

# As KILLED, in the midst of building the index of the third schema: after so many steps of a thousand.
KILLED_IN_INDEX = """
import os, signal, sys
from app.metadata.sql import migrate
real, kill_after = migrate.apsw.Connection, int(sys.argv[2])
class Connection(real):
    steps = 0
    def execute(self, sql, *rest, **options):
        if "CREATE INDEX versions_listed" in sql:
            self.set_progress_handler(self.step, 1_000)
        return super().execute(sql, *rest, **options)
    def step(self):
        self.steps += 1
        if self.steps == kill_after:
            os.kill(os.getpid(), signal.SIGKILL)
        return False
migrate.apsw.Connection = Connection
migrate.migrate(sys.argv[1])
"""
# ETags, checksums and attributes of all kinds: what an index says in other words must come back as it was.
ETAGS = ("0123456789abcdef" * 2, "0123456789abcdef" * 2 + "-12", "ABCDEF", "abc", "", "x" * 32)
CHECKSUMS = (
    (None, None),
    ("CRC64NVME", "FULL_OBJECT"),
    ("CRC32", "FULL_OBJECT"),
    ("CRC32", "COMPOSITE"),
    ("SHA256", "COMPOSITE"),
)
ATTRIBUTES = (None, '[[],[],"STANDARD",null]', '[[["Content-Type","a/b"]],[],"REDUCED_REDUNDANCY",null]')


def tables(path: str) -> set[str]:
    connection = apsw.Connection(path)
    found = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema")}
    connection.close()
    return found


def version(path: str) -> int:
    connection = apsw.Connection(path)
    found = int(connection.execute("PRAGMA user_version").get)
    connection.close()
    return found


def test_migrating_again_changes_nothing(tmp_path: Path) -> None:
    store = made_store(tmp_path)
    for _ in range(3):
        store.migrate()
    store.open()
    assert store.bucket(BUCKET).name == BUCKET
    store.close()
    assert version(store.path) == SCHEMA_VERSION


def test_the_files_settings_are_chosen_when_it_is_made(tmp_path: Path) -> None:
    connection = apsw.Connection(made_store(tmp_path).path)
    settings = {name: connection.execute(f"PRAGMA {name}").get for name in ("page_size", "auto_vacuum", "journal_mode")}
    settings["reserve_bytes"] = connection.reserve_bytes()
    connection.close()
    assert settings == {"page_size": PAGE_SIZE_BYTES, "auto_vacuum": 2, "journal_mode": "wal", "reserve_bytes": 8}


def test_a_file_that_was_never_migrated_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "metadata.db"
    apsw.Connection(str(path)).close()
    with pytest.raises(SchemaMismatch, match="bleepstore migrate"):
        SqliteStore.from_path(path).open()


def test_a_file_of_a_newer_program_is_refused_by_open_and_migrate(tmp_path: Path) -> None:
    store = made_store(tmp_path)
    connection = apsw.Connection(store.path)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    for attempt in (store.open, store.migrate):
        with pytest.raises(SchemaMismatch, match="newer BleepStore"):
            attempt()


def test_a_migration_keeps_what_is_there(tmp_path: Path) -> None:
    store = made_store(tmp_path)
    store.open()
    store.publish(new_version("k", b"body"), None, "op")
    store.lease("sweep", "me", 1, 1_000)
    store.close()
    migrating.migrate(store.path, (*MIGRATIONS, NEXT))
    connection = apsw.Connection(store.path)
    assert connection.execute("SELECT note FROM leases").get == "sweep"
    assert connection.execute("SELECT bytes FROM inline_data").get == b"body"
    connection.close()


@pytest.mark.parametrize("stop_at", [0, 1, 2, 3])
def test_a_migration_killed_anywhere_is_not_begun_and_is_done_next_time(tmp_path: Path, stop_at: int) -> None:
    """Also the very first one, which makes the file."""
    path = made_store(tmp_path).path
    done = subprocess.run(
        [sys.executable, "-c", KILLED, path, repr(NEXT), str(stop_at)], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == -9, done.stderr
    assert version(path) == SCHEMA_VERSION
    assert "extra" not in tables(path)
    migrating.migrate(path, (*MIGRATIONS, NEXT))
    assert version(path) == SCHEMA_VERSION + 1
    assert "extra" in tables(path)


@pytest.mark.parametrize("stop_at", [0, 7, len(MIGRATIONS[0]) - 1, len(MIGRATIONS[0])])
def test_a_creation_killed_anywhere_is_done_next_time(tmp_path: Path, stop_at: int) -> None:
    path = str(tmp_path / "metadata.db")
    code = KILLED.replace("(*migrate.MIGRATIONS, statements)", "migrate.MIGRATIONS").replace(
        "eval(sys.argv[2])", "migrate.MIGRATIONS[0]"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path, "()", str(stop_at)], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == -9, done.stderr
    store = SqliteStore.from_path(path)
    store.migrate()
    store.open()
    assert store.verify() == []
    store.close()


def test_rows_of_the_first_schema_are_found_by_the_indexes_of_the_second(tmp_path: Path) -> None:
    path = str(tmp_path / "metadata.db")
    migrating.migrate(path, MIGRATIONS[:1])
    connection = apsw.Connection(path)
    connection.execute(
        "INSERT INTO buckets VALUES (1, 'bucket', 'o', 'r', 1, 'Enabled', 1); UPDATE plan SET sequence = 9"
    )
    for sequence, key, is_current, is_marker in [(2, "a", 0, 0), (3, "a", 1, 0), (4, "b", 0, 0), (5, "b", 1, 1)]:
        connection.execute(
            "INSERT INTO versions (sequence, bucket_id, key, version_id, is_current, is_marker, owner_id, modified_ms, "
            "size_bytes, etag, is_inline, blob) VALUES (?, 1, ?, ?, ?, ?, 'o', 1, 0, '', 0, ?)",
            (sequence, key, f"v{sequence}", is_current, is_marker, None if is_marker else f"blob {sequence}"),
        )
    connection.close()
    store = SqliteStore.from_path(path)
    store.migrate()
    store.open()
    assert [version.key for version in store.list_current(ListQuery(BUCKET)).entries] == ["a"]
    assert [row.key for row in store.list_current(ListQuery(BUCKET), brief=True).entries] == ["a"]
    assert [version.sequence for version in store.list_versions(VersionQuery(BUCKET)).entries] == [3, 2, 5, 4]
    looked_up = [store.look_up(BUCKET, *where).version for where in (("a",), ("b",), ("a", "v2"), ("b", "v5"))]
    assert [version and version.sequence for version in looked_up] == [3, 5, 2, 5]
    assert store.verify() == []
    store.close()


def made_second(path: str, rows: int = 0) -> None:
    """A file of the second schema: each kind of row, and so many more."""
    migrating.migrate(path, MIGRATIONS[:2])
    connection = apsw.Connection(path)
    connection.execute("INSERT INTO buckets VALUES (1, 'bucket', 'o', 'r', 1, 'Enabled', 1)")
    kinds = [*itertools.product(ETAGS, CHECKSUMS, ATTRIBUTES), *[(ETAGS[0], CHECKSUMS[1], None)] * rows]
    with connection:
        for sequence, (etag, (algorithm, type_), attributes) in enumerate(kinds, 2):
            # A hash scatters the keys; one in seven has an older row, one in eleven a marker as the newest.
            key = hashlib.md5(b"%d" % (sequence - (sequence % 7 == 0)), usedforsecurity=False).hexdigest()
            if sequence % 7 == 0:
                connection.execute("UPDATE versions SET is_current = 0 WHERE key = ?", (key,))
            is_marker = sequence % 11 == 0
            connection.execute(
                "INSERT INTO versions (sequence, bucket_id, key, version_id, is_current, is_marker, owner_id, modified_ms, "
                "size_bytes, etag, is_inline, blob, attributes, checksum_algorithm, checksum_value, checksum_type) "
                "VALUES (?, 1, ?, ?, 1, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?)",
                (
                    sequence,
                    key,
                    f"v{sequence}",
                    is_marker,
                    f"o{sequence % 3}",
                    1_700_000_000_000 + sequence,
                    sequence % 5,
                )
                + (
                    ("", None, None, None, None, None)
                    if is_marker
                    else (etag, f"b{sequence}", attributes, algorithm, "A=", type_)
                ),
            )
        connection.execute("UPDATE plan SET sequence = ?", (len(kinds) + 2,))
    connection.close()


def shown(row: Listed) -> tuple[object, ...]:
    return (
        row.key, row.modified_ms, row.size_bytes, row.etag, row.checksum_algorithm, row.checksum_type, row.storage_class,
        row.owner_id,
    )  # fmt: skip


def is_right(path: str) -> bool:
    """Whether the migrated file verifies, and its index shows of each current object what the object's row says."""
    store = SqliteStore.from_path(path)
    store.migrate()
    store.open()
    try:
        query = ListQuery(BUCKET, limit=10_000_000)
        whole, brief = store.list_current(query).entries, store.list_current(query, brief=True).entries
        return store.verify() == [] and len(whole) > 50 and [*map(shown, whole)] == [*map(shown, brief)]
    finally:
        store.close()


def test_the_index_of_the_third_schema_shows_what_rows_of_the_second_say(tmp_path: Path) -> None:
    path = str(tmp_path / "metadata.db")
    made_second(path)
    assert is_right(path)
    assert version(path) == SCHEMA_VERSION


@pytest.mark.parametrize("kill_after", [1, 100, 250, 400, 550])
def test_building_an_index_killed_anywhere_is_done_next_time(tmp_path: Path, kill_after: int) -> None:
    path = str(tmp_path / "metadata.db")
    made_second(path, rows=20_000)
    done = subprocess.run(
        [sys.executable, "-c", KILLED_IN_INDEX, path, str(kill_after)], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == -9, done.stderr
    assert version(path) == 2
    assert is_right(path)


def test_what_is_there_is_counted_by_the_fifth_schema(tmp_path: Path) -> None:
    path = str(tmp_path / "metadata.db")
    made_second(path)
    migrating.migrate(path, MIGRATIONS[:2])
    connection = apsw.Connection(path)
    connection.execute("INSERT INTO buckets VALUES (2, 'empty', 'o', 'r', 1, '', 1)")
    query = "SELECT sum(is_current AND NOT is_marker), sum(NOT is_marker), sum(size_bytes) FROM versions"
    counted = connection.execute(query).get
    connection.close()
    store = SqliteStore.from_path(path)
    store.migrate()
    store.open()
    usage = store.usage(10)
    assert usage.largest == (BucketUsage(BUCKET, *counted), BucketUsage("empty", 0, 0, 0))
    assert (usage.buckets, usage.objects, usage.versions, usage.size_bytes) == (2, *counted)
    assert store.usage(1).largest == usage.largest[:1]
    assert store.usage(0) == dataclasses.replace(usage, largest=())
    assert store.verify() == []
    store.close()
