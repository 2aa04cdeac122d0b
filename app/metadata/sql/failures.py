"""What becomes of requests whose transaction failed."""

from __future__ import annotations

import copy
from typing import Any

import apsw

from app import runtime
from app.domain.errors import ServiceUnavailable, SlowDown
from app.metadata.base import OutcomeUnknown
from app.metadata.sql.execution import Request

Ticket = runtime.Ticket[Request, Any]


class Lost(Exception):
    """The transaction is over, and nothing of it happened."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def fail(tickets: list[Ticket], error: Exception) -> None:
    """Each gets an exception of its own: raising one in many places would tangle their tracebacks."""
    for ticket in tickets:
        ticket.error = copy.copy(error)


def error_of(outcome: object) -> Exception:
    return outcome if isinstance(outcome, Exception) else ServiceUnavailable("The transaction ended by itself.")


def refusal_of(error: BaseException) -> SlowDown | ServiceUnavailable:
    if isinstance(error, SlowDown | ServiceUnavailable):
        return error
    if isinstance(error, apsw.FullError):
        return SlowDown("The disk is full. Delete something or add space.")
    return ServiceUnavailable(f"The metadata database cannot be written: {error}")


def unknown(error: BaseException) -> OutcomeUnknown:
    return OutcomeUnknown(f"The outcome is unknown: {error}")
