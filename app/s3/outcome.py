"""What a request came to, for whoever counts and logs it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from app.domain.types import ANONYMOUS, Described, Principal


@dataclass(slots=True)
class Outcome:
    """What is known of a request when it ends; `record` gets it once the last byte is sent or given up."""

    request_id: str
    method: str
    operation: str = "Unknown"
    bucket: str = ""
    key: str = ""
    principal: Principal = ANONYMOUS
    remote_address: str = ""
    status: int = 500
    code: str = ""
    bytes_in: int = 0
    bytes_out: int = 0
    started: float = field(default_factory=time.perf_counter)


class Recorder(Protocol):
    def __call__(self, outcome: Outcome, seconds: float) -> None: ...


class Repeat(NamedTuple):
    """A whole answer of 200. Whoever sends it calls `finish` in the end."""

    described: Described
    body: bytes
    outcome: Outcome
    record: Recorder

    def finish(self, sent_bytes: int) -> None:
        """`sent_bytes`: of the body."""
        outcome = self.outcome
        outcome.bytes_out = sent_bytes
        self.record(outcome, time.perf_counter() - outcome.started)
