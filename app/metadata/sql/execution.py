"""Requests, and how one is done in its savepoint."""

from __future__ import annotations

from typing import Any

import apsw

from app.domain.errors import InternalError, ServiceUnavailable
from app.domain.types import Condition, NewVersion, Removal
from app.metadata.sql import objects, params as values
from app.metadata.sql.mutation import LOG_CHANGE, Found, Mutation, Outcome
from app.metadata.sql.plain import Lane
from app.metadata.sql.refusals import NOTHING_TO_DO, REPEATED, refusal_in, s3_error
from app.metadata.sql.slots import slot_of, slot_of_key


class Request:
    """`size_bytes`: how much it writes, roughly; 0 for a row without bytes."""

    __slots__ = ("_params", "mutation", "op_id", "size_bytes")

    def __init__(self, mutation: Mutation, named: values.Named | None, op_id: str = "", size_bytes: int = 0) -> None:
        self.mutation = mutation
        self.op_id = op_id
        self.size_bytes = size_bytes
        self._params = named

    @property
    def params(self) -> values.Named:
        if self._params is None:
            self._params = self._named()
        return self._params

    def on(self, lane: Lane) -> object | None:
        """Its result or error by the short way of plain.py; None where it does not go there.

        Whatever it raises leaves the transaction in a state that must not be committed.
        """
        return None

    def slot(self) -> int | None:
        """What of the caches this makes stale (slots.py)."""
        return slot_of(self.mutation, self.params)

    def _named(self) -> values.Named:
        return {}


class PublishRequest(Request):
    """Done by the short way it gives Published, else an Outcome."""

    __slots__ = ("_columns", "_condition", "_new")

    def __init__(self, new: NewVersion, condition: Condition | None, op_id: str) -> None:
        content = new.content
        inline = content.inline
        super().__init__(objects.publish_of(new), None, op_id, 0 if inline is None else len(inline))
        self._new = new
        self._condition = condition
        # Made here, by the submitter: the writer's turn is short.
        self._columns = values.columns_of(new) if condition is None and content.manifest is None else None

    def on(self, lane: Lane) -> object | None:
        return None if self._columns is None else lane.publish(self._new, self._columns, self.op_id)

    def slot(self) -> int:
        return slot_of_key(self._new.bucket, self._new.key)

    def _named(self) -> values.Named:
        return values.of_version(self._new, self._condition)


class RemoveRequest(Request):
    """Done by the short way it gives Removed, else an Outcome."""

    __slots__ = ("_condition", "_removal")

    def __init__(self, removal: Removal, condition: Condition | None, op_id: str) -> None:
        super().__init__(objects.REMOVE, None, op_id)
        self._removal = removal
        self._condition = condition

    def on(self, lane: Lane) -> object | None:
        is_plain = self._condition is None and self._removal.version_id is None
        return lane.remove(self._removal, self.op_id) if is_plain else None

    def slot(self) -> int:
        return slot_of_key(self._removal.bucket, self._removal.key)

    def _named(self) -> values.Named:
        return values.of_removal(self._removal, self._condition)


def execute(connection: apsw.Connection, request: Request, is_logging: bool, now_ms: int) -> Outcome | Exception:
    """Do it, or undo it and give the error. The connection has left its transaction where the whole group is lost."""
    connection.execute("SAVEPOINT request")
    try:
        outcome = _statements(connection, request, is_logging, now_ms)
    except apsw.ConstraintError as error:
        name = refusal_in(str(error))
        _undo(connection)
        if name is None:
            return InternalError(f"The metadata database refused: {error}")
        return _refused(connection, request, name)
    except Exception as error:
        if connection.in_transaction:
            _undo(connection)
        return _as_answer(error, connection)
    connection.execute("RELEASE request")
    return outcome


def _statements(connection: apsw.Connection, request: Request, is_logging: bool, now_ms: int) -> Outcome:
    mutation, named = request.mutation, request.params
    found = None
    if mutation.plan is None:
        for step in mutation.steps:
            connection.execute(step.sql, named)
    else:
        row: Any = connection.execute(mutation.plan, named).get
        for step in mutation.steps:
            if step.index < 0 or row[step.index] is not None:
                connection.execute(step.sql, named)
        found = Found._make(row)
        if is_logging and mutation.kind:
            _log(connection, request, now_ms)
    rows = [] if mutation.answer is None else connection.execute(mutation.answer, named).fetchall()
    return Outcome(found, rows)


def _log(connection: apsw.Connection, request: Request, now_ms: int) -> None:
    named = request.params
    connection.execute(
        LOG_CHANGE,
        {
            "op_id": request.op_id,
            "kind": request.mutation.kind,
            "bucket": named["bucket"],
            "key": named.get("key", ""),
            "committed_ms": now_ms,
        },
    )


def _refused(connection: apsw.Connection, request: Request, name: str) -> Outcome | Exception:
    """Nothing was changed. What was done before, or had nothing to do, is answered all the same."""
    if name not in (REPEATED, NOTHING_TO_DO):
        return s3_error(name)
    recall = request.mutation.recall
    try:
        rows = [] if recall is None else connection.execute(recall, request.params).fetchall()
    except Exception as error:
        return _as_answer(error, connection)
    return Outcome(None, rows, name)


def _undo(connection: apsw.Connection) -> None:
    connection.execute("ROLLBACK TO request")
    connection.execute("RELEASE request")


def _as_answer(error: Exception, connection: apsw.Connection) -> Exception:
    """The error as the submitter may see it; as it is where it decides about the whole group."""
    if isinstance(error, apsw.FullError) or not isinstance(error, apsw.Error) or not connection.in_transaction:
        return error
    return ServiceUnavailable(f"The metadata database failed: {error}")
