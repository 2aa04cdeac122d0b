"""Health: each part's own word, asked at most once a second, and a failure that a probe can see."""

from __future__ import annotations

import json
from collections.abc import Callable

from app.domain.types import Health
from app.observe.health import ANSWER_MAX_S, KEEP_S, HealthChecks


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def checks(clock: Clock, **parts: Callable[[], Health]) -> HealthChecks:
    return HealthChecks(parts, clock, clock.sleep)


def well() -> Health:
    return Health(ok=True, detail="fine")


def ill() -> Health:
    return Health(ok=False, detail="the disk is full")


def test_everything_works() -> None:
    health = checks(Clock(), metadata=well, storage=well)
    assert health.liveness() == (200, b'{"status": "ok"}')
    assert health.readiness() == (200, b'{"status": "ok"}')
    status, body = health.health()
    document = json.loads(body)
    assert (status, document["status"]) == (200, "ok")
    assert document["components"]["metadata"] == {"status": "ok", "latency_ms": 0.0, "detail": "fine"}
    assert list(document["components"]) == ["metadata", "storage"]


def test_one_failing_part_makes_the_server_unready_but_alive() -> None:
    health = checks(Clock(), metadata=well, storage=ill)
    assert health.liveness()[0] == 200
    status, body = health.readiness()
    assert (status, json.loads(body)) == (503, {"status": "error", "failed": ["storage"]})
    status, body = health.health()
    assert status == 503
    assert json.loads(body)["components"]["storage"]["detail"] == "the disk is full"


def test_a_part_that_is_optional_is_reported_but_the_server_is_ready() -> None:
    parts = {"metadata": well, "storage": well, "storage.cold": ill}
    health = HealthChecks(parts, Clock(), optional=["storage.cold"])
    assert health.readiness()[0] == 200
    status, body = health.health()
    assert (status, json.loads(body)["components"]["storage.cold"]["status"]) == (503, "error")
    assert HealthChecks(parts, Clock()).readiness()[0] == 503


def test_a_check_that_raises_is_a_failure_without_its_text() -> None:
    def broken() -> Health:
        raise OSError("/srv/secret/place")

    status, body = checks(Clock(), storage=broken).health()
    assert status == 503
    assert json.loads(body)["components"]["storage"]["detail"] == "the check failed: OSError"


def test_latency_is_what_the_check_took() -> None:
    clock = Clock()

    def slow() -> Health:
        clock.now_s += 0.25
        return well()

    assert json.loads(checks(clock, storage=slow).health()[1])["components"]["storage"]["latency_ms"] == 250.0


def test_probes_cannot_load_the_engines() -> None:
    clock, asked = Clock(), []

    def counted() -> Health:
        asked.append(clock.now_s)
        return well()

    health = checks(clock, metadata=counted)
    for _ in range(100):
        health.readiness()
        health.health()
    assert len(asked) == 1
    clock.now_s += KEEP_S
    health.readiness()
    assert len(asked) == 2


def test_whoever_asks_while_a_check_runs_gets_the_last_word_and_then_a_failure() -> None:
    clock = Clock()
    meanwhile: list[int] = []
    probe: list[HealthChecks] = []
    hangs = [False]

    def check() -> Health:
        if hangs[0]:
            meanwhile.append(probe[0].readiness()[0])
            clock.now_s += ANSWER_MAX_S
            meanwhile.append(probe[0].readiness()[0])
        return well()

    probe.append(checks(clock, storage=check))
    assert probe[0].readiness()[0] == 200
    hangs[0] = True
    clock.now_s += KEEP_S
    assert probe[0].readiness()[0] == 200
    assert meanwhile == [200, 503]


def test_the_first_probes_wait_for_the_first_check() -> None:
    clock = Clock()
    meanwhile: list[int] = []
    probe: list[HealthChecks] = []

    def hangs() -> Health:
        meanwhile.append(probe[0].readiness()[0])
        return well()

    probe.append(checks(clock, storage=hangs))
    assert probe[0].readiness()[0] == 200
    assert meanwhile == [503]
    assert clock.now_s >= 100 + ANSWER_MAX_S
