"""One request in its savepoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import apsw

from app.domain.errors import InternalError, ServiceUnavailable
from app.metadata.sql.mutation import LOG_CHANGE, Found, Mutation, Outcome, Value
from app.metadata.sql.refusals import NOTHING_TO_DO, REPEATED, refusal_in, s3_error


@dataclass(frozen=True, slots=True)
class Request:
    """`size_bytes`: how much it writes, roughly; 0 for a plain row."""

    mutation: Mutation
    params: dict[str, Value]
    op_id: str = ""
    size_bytes: int = 0


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
    mutation, params = request.mutation, request.params
    found = None
    if mutation.plan is None:
        for step in mutation.steps:
            connection.execute(step.sql, params)
    else:
        row: Any = connection.execute(mutation.plan, params).get
        for step in mutation.steps:
            if step.index < 0 or row[step.index] is not None:
                connection.execute(step.sql, params)
        found = Found._make(row)
        if is_logging:
            _log(connection, request, now_ms)
    rows = [] if mutation.answer is None else connection.execute(mutation.answer, params).fetchall()
    return Outcome(found, rows)


def _log(connection: apsw.Connection, request: Request, now_ms: int) -> None:
    params = request.params
    connection.execute(
        LOG_CHANGE,
        {
            "op_id": request.op_id,
            "kind": request.mutation.kind,
            "bucket": params["bucket"],
            "key": params.get("key", ""),
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
