"""R-31: making and migrating the file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from app.domain.types import ListQuery, VersionQuery
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
    assert [version.sequence for version in store.list_versions(VersionQuery(BUCKET)).entries] == [3, 2, 5, 4]
    looked_up = [store.look_up(BUCKET, *where).version for where in (("a",), ("b",), ("a", "v2"), ("b", "v5"))]
    assert [version and version.sequence for version in looked_up] == [3, 5, 2, 5]
    assert store.verify() == []
    store.close()
