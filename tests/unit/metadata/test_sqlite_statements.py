"""The texts of the statements: how SQLite means to run them, and what must not be in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import apsw
import pytest

from app.metadata.sql import (
    buckets,
    changes,
    connections,
    garbage,
    listing,
    objects,
    plain,
    reading,
    scans,
    sqlite,
    uploads,
    verifying,
)
from app.metadata.sql.execution import execute
from app.metadata.sql.listing import successor
from app.metadata.sql.mutation import COLUMNS, LOG_CHANGE, Mutation
from app.metadata.sql.refusals import refusal_in, s3_error
from app.metadata.sql.schema import MIGRATIONS, REFUSALS
from tests.unit.metadata.sqlite_scenes import made_store, put

MODULES: tuple[ModuleType, ...] = (buckets, changes, garbage, listing, objects, plain, reading, scans, sqlite, uploads)
LARGE = ("versions", "version", "inline_data", "uploads", "upload", "parts", "part", "garbage", "condemned", "changes")
IS_STATEMENT = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH|REPLACE)\b")


def mutations() -> dict[str, Mutation]:
    return {
        f"{module.__name__}.{name}": value
        for module in MODULES
        for name, value in vars(module).items()
        if isinstance(value, Mutation)
    }


def statements() -> dict[str, str]:
    """Every statement of the engine by a name."""
    found = {"LOG_CHANGE": LOG_CHANGE}
    for name, mutation in mutations().items():
        texts = [mutation.plan, *(step.sql for step in mutation.steps), mutation.answer, mutation.recall]
        found |= {f"{name}[{number}]": text for number, text in enumerate(texts) if text is not None}
    for module in MODULES:
        for name, value in vars(module).items():
            if isinstance(value, str) and IS_STATEMENT.match(value):
                found[f"{module.__name__}.{name}"] = value
    found |= {f"look_up{key}": text for key, text in reading._LOOK_UP.items()}
    return found


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[apsw.Connection]:
    opened = connections.open_writer(made_store(tmp_path).path, "full")
    yield opened
    opened.close()


def test_there_are_statements() -> None:
    assert len(mutations()) >= 20
    assert len(statements()) >= 80


@pytest.mark.parametrize("name", sorted(statements()))
def test_every_statement_finds_its_rows_by_an_index(connection: apsw.Connection, name: str) -> None:
    """I5: nothing goes over a whole table."""
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statements()[name]}", _Any())]
    for line in plan:
        scanned = re.match(r"SCAN (\w+)(?! VIRTUAL)", line)
        has_limit = "LIMIT" in statements()[name]
        in_order = " USING " in line and has_limit  # the first rows of an index, in its order
        assert scanned is None or scanned[1] not in LARGE or in_order or _first_row(line, name), plan


@pytest.mark.parametrize("name", sorted(name for name in statements() if ".listing." in name or ".scans." in name))
def test_listings_take_their_order_from_an_index(connection: apsw.Connection, name: str) -> None:
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statements()[name]}", _Any())]
    assert not any("TEMP B-TREE" in line for line in plan), plan


class _Any(dict[str, object]):
    """Binds every name to NULL: the plan does not depend on values (and the engine holds SQLite to that)."""

    def __missing__(self, key: str) -> None:
        return None


def _first_row(line: str, name: str) -> bool:
    """EXISTS (SELECT 1 FROM changes) and the like end at the first row."""
    return name in ("app.metadata.sql.changes.HAS_CONSUMERS", "app.metadata.sql.changes.TRIM")


@pytest.mark.parametrize("name", sorted(statements()))
def test_no_statement_does_what_other_engines_cannot(name: str) -> None:
    text = statements()[name].upper()
    assert not re.search(r"\b(LIKE|GLOB|ROLLBACK|RAISE|REPLACE INTO|INSERT OR|UPDATE OR)\b", text)


def test_prepared_statements_are_never_planned_anew(connection: apsw.Connection) -> None:
    """A build with STAT4 would, for each value bound beside a partial index: five times the cost of a point read."""
    connection.execute("BEGIN IMMEDIATE")
    for number in range(20):
        assert execute(connection, put(f"k{number}"), False, 1)
    connection.execute("COMMIT")
    planned = []

    def note(*_: object) -> int:
        planned.append(1)
        return apsw.SQLITE_OK

    # The authorizer is asked whenever a statement is planned, and only then.
    connection.authorizer = note
    for sql in (objects.PUBLISH_BLOB.plan, *reading._LOOK_UP.values()):
        assert sql is not None
        for number in range(10):
            key = f"k{number}"
            values = put(key).params if ":key" in sql else ("bucket", key, "null")[: 3 if "?3" in sql else 2]
            connection.execute(sql, values).fetchall()
            if number == 0:
                assert planned
                planned.clear()
        assert not planned


def test_every_refusal_of_the_schema_has_its_answer(connection: apsw.Connection) -> None:
    for name in REFUSALS:
        with pytest.raises(apsw.ConstraintError) as caught:
            connection.execute("UPDATE plan SET refusal = ?", (name,))
        assert refusal_in(str(caught.value)) == name
        if name not in ("repeated", "nothing_to_do"):
            assert s3_error(name).status >= 400
    assert refusal_in("UNIQUE constraint failed: versions.bucket_id, versions.key") is None


def test_a_plan_row_has_the_columns_that_steps_ask_for() -> None:
    schema = "".join(MIGRATIONS[0])
    assert all(re.search(rf"\b{column}\b", schema) for column in COLUMNS)
    for mutation in mutations().values():
        assert all(step.needs is None or step.needs in COLUMNS for step in mutation.steps)


def test_a_turn_trims_a_bounded_number_of_changes(tmp_path: Path) -> None:
    store = made_store(tmp_path)
    connection = apsw.Connection(store.path)
    connection.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) "
        "INSERT INTO changes SELECT i, 'op', 'publish', 'b', 'k', 'null', 1 FROM n"
    )
    left = []
    store.open()
    for _ in range(4):
        store.lease("any", "me", 1, 1)
        left.append(connection.execute("SELECT count(*) FROM changes").get)
    connection.close()
    store.close()
    assert left == [1_500, 500, 0, 0]


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [("", None), ("a", "b"), ("a/", "a0"), ("\U0010ffff", None), ("a\U0010ffff", "b"), ("\ud7ff", "\ue000"), ("\x7f", "\x80")],
)  # fmt: skip
def test_the_successor_of_a_prefix_is_behind_all_that_begin_with_it(prefix: str, expected: str | None) -> None:
    assert successor(prefix) == expected


def test_checks_of_the_data_find_what_was_broken(tmp_path: Path) -> None:
    store = made_store(tmp_path)
    store.open()
    for key in ("a", "b", "c"):
        request = put(key, b"body")
        store.write(request.mutation, request.params)
    assert store.verify() == []
    connection = apsw.Connection(store.path)
    connection.execute("DELETE FROM inline_data WHERE sequence = (SELECT min(sequence) FROM versions)")
    connection.execute("UPDATE versions SET is_current = 0 WHERE key = 'b'")
    connection.execute("INSERT INTO inline_data VALUES (99999, x'00')")
    connection.execute("INSERT INTO bucket_usage VALUES (99998, 0, 0, 0)")
    connection.close()
    problems = store.verify()
    store.close()
    assert len(problems) == 5
    assert any("counted wrong" in problem for problem in problems)
    assert any("which is not there" in problem for problem in problems)
    assert any("inline bytes of version" in problem for problem in problems)
    assert any("is_current" in problem for problem in problems)
    assert any("belong to no version" in problem for problem in problems)
    assert verifying.PROBLEMS_MAX >= 10
