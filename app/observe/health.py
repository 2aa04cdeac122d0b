"""Whether the parts of the server work, as each says of itself.

/healthz  the process answers: constant, touches nothing
/readyz   every part that all clients need would accept a write now; 503 else
/health   every part's word and how long it took to give it; 503 where one does not work

Probes cannot load the engines: an answer is kept for a second, and one check runs at a time. A part that does not
answer at all counts as failed for everybody who asks meanwhile.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from app import runtime
from app.domain.types import Health
from app.version import __version__

KEEP_S = 1.0
ANSWER_MAX_S = 5.0  # a check that runs for so long has failed
WAIT_STEP_S = 0.01

ALIVE = b'{"status": "ok"}'

Check = Callable[[], Health]


@dataclass(frozen=True, slots=True)
class Report:
    name: str
    health: Health
    latency_ms: float


class HealthChecks:
    """`checks` are the parts by name: {"metadata": store.metadata.check, "storage": store.storage.check}.

    The server is ready without those in `optional`.
    """

    def __init__(
        self,
        checks: Mapping[str, Check],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] | None = None,
        *,
        optional: Collection[str] = (),
    ) -> None:
        self._checks = dict(checks)
        self._optional = frozenset(optional)
        self._clock = clock
        self._sleep = sleep or runtime.sleep
        self._reports: tuple[Report, ...] = ()
        self._answered_s: float | None = None
        self._began_s: float | None = None  # of the check that runs now

    def liveness(self) -> tuple[int, bytes]:
        """Status and JSON for /healthz."""
        return 200, ALIVE

    def readiness(self) -> tuple[int, bytes]:
        """Status and JSON for /readyz."""
        failed = [each.name for each in self._current() if not (each.health.ok or each.name in self._optional)]
        if failed:
            return 503, _json({"status": "error", "failed": failed})
        return 200, ALIVE

    def health(self) -> tuple[int, bytes]:
        """Status and JSON for /health."""
        reports = self._current()
        is_ok = all(report.health.ok for report in reports)
        components = {report.name: _described(report) for report in reports}
        document = {"status": _status(is_ok), "version": __version__, "components": components}
        return 200 if is_ok else 503, _json(document)

    def _current(self) -> tuple[Report, ...]:
        now = self._clock()
        if self._answered_s is not None and now - self._answered_s < KEEP_S:
            return self._reports
        if self._began_s is not None:
            return self._while_running(self._began_s)
        self._began_s = now
        try:
            self._reports = tuple(self._ask(name, check) for name, check in self._checks.items())
            self._answered_s = self._clock()
        finally:
            self._began_s = None
        return self._reports

    def _while_running(self, began_s: float) -> tuple[Report, ...]:
        """Somebody else's check runs. What was known before holds on for a while; without that, wait for it."""
        while self._began_s == began_s and self._clock() - began_s < ANSWER_MAX_S:
            if self._answered_s is not None:
                return self._reports
            self._sleep(WAIT_STEP_S)
        if self._began_s != began_s and self._answered_s is not None:
            return self._reports
        running_s = self._clock() - began_s
        silent = Health(ok=False, detail=f"no answer for {running_s:.1f} s")
        return tuple(Report(name, silent, round(running_s * 1000, 3)) for name in self._checks)

    def _ask(self, name: str, check: Check) -> Report:
        began = self._clock()
        try:
            health = runtime.offload(check)
        except Exception as error:
            # A check that raises is an answer: the part does not work. Its text may hold a path, so the kind is enough.
            health = Health(ok=False, detail=f"the check failed: {type(error).__name__}")
        return Report(name, health, round((self._clock() - began) * 1000, 3))


PROBES: Mapping[str, Callable[[HealthChecks], tuple[int, bytes]]] = {
    "/healthz": HealthChecks.liveness,
    "/readyz": HealthChecks.readiness,
    "/health": HealthChecks.health,
    "/minio/health/live": HealthChecks.liveness,
    "/minio/health/ready": HealthChecks.readiness,
    "/minio/health/cluster": HealthChecks.readiness,
    "/minio/health/cluster/read": HealthChecks.readiness,
}
NOTHING_HERE = b'{"status": "error", "detail": "nothing is served here"}'  # of a 404
SERVICE_HEADERS = (("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store"))


def _described(report: Report) -> dict[str, object]:
    return {"status": _status(report.health.ok), "latency_ms": report.latency_ms, "detail": report.health.detail}


def _status(is_ok: bool) -> str:
    return "ok" if is_ok else "error"


def _json(document: object) -> bytes:
    return json.dumps(document).encode()
