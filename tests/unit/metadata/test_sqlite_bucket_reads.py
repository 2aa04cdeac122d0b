"""A version is answered with the bucket as it was in the version's snapshot, or as both were at one later moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw

from app.domain.types import NewBucket
from app.metadata.sql.sqlite import SqliteStore
from tests.unit.metadata.sqlite_scenes import BUCKET, OWNER


def test_a_bucket_that_changes_between_the_two_reads_is_read_with_the_version_again(tmp_path: Path) -> None:
    store = SqliteStore.from_path(tmp_path / "metadata.db")
    store.migrate()
    store.open()
    try:
        made = store.create_bucket(NewBucket(BUCKET, OWNER, "us-east-1", 1), "op-1")
        asked: list[str] = []

        def interfere(_cursor: object, sql: str, _bindings: Any) -> bool:
            """Somebody sets a document just before the bucket is read for the first time."""
            asked.append(sql)
            if "bucket_documents" in sql and len(asked) == 2:
                store.put_document(BUCKET, "policy", "new", "op-2")
            return True

        watch(store, interfere)
        found = store.look_up(BUCKET, "key").bucket
        assert found.documents == {"policy": "new"}
        assert found.generation > made.generation
        assert [sql for sql in asked if sql in ("BEGIN", "COMMIT")] == ["BEGIN", "COMMIT"]
    finally:
        store.close()


def test_a_bucket_not_seen_before_costs_one_statement_more(tmp_path: Path) -> None:
    store = SqliteStore.from_path(tmp_path / "metadata.db")
    store.migrate()
    store.open()
    try:
        store.create_bucket(NewBucket(BUCKET, OWNER, "us-east-1", 1), "op-1")
        asked: list[str] = []

        def count(_cursor: object, sql: str, _bindings: Any) -> bool:
            asked.append(sql)
            return True

        watch(store, count)
        counts = []
        for _ in range(2):
            asked.clear()
            store.look_up(BUCKET, "key")
            counts.append(len(asked))
        assert counts == [2, 1]
    finally:
        store.close()


def watch(store: SqliteStore, trace: apsw.ExecTracer) -> None:
    """Of the connection that reads points."""
    assert store._reader is not None
    connection = store._reader.points.borrow()
    connection.exec_trace = trace
    store._reader.points.give_back(connection)
