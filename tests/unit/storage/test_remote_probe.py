"""Whether a service would take a write: answered at once, also where the service hangs."""

from __future__ import annotations

import threading
import time

from app.storage.remote_calls import Kind
from app.storage.remote_probe import FRESH_S, SLOW_S, Probe
from tests.unit.storage.service import Service, TestedStorage


def test_a_service_that_refuses_is_named_by_its_code() -> None:
    service = Service()
    service.faults["put"] = [Kind.REFUSED]
    health = TestedStorage(service).check()
    assert (health.ok, health.detail) == (False, "VendorCode")


def test_a_probe_leaves_nothing_and_is_good_for_a_while() -> None:
    service = Service()
    storage = TestedStorage(service)
    assert storage.check().ok
    assert storage.check().ok
    assert service.called == ["put", "delete"]
    assert service.objects == {}


def test_one_that_hangs_is_told_at_once_and_recovers() -> None:
    now_s = [0.0]
    may_end = threading.Event()
    attempts: list[object] = []

    def attempt() -> None:
        attempts.append(None)
        if len(attempts) == 2:
            may_end.wait(30)

    probe = Probe(attempt, repr, monotonic=lambda: now_s[0])
    assert probe.health().ok
    now_s[0] += FRESH_S
    assert probe.health().ok  # it has hung for a moment only
    now_s[0] += SLOW_S + 1
    began_s = time.monotonic()
    assert not probe.health().ok
    assert time.monotonic() - began_s < 1
    assert len(attempts) == 2
    may_end.set()
    while not probe.health().ok:
        time.sleep(0.001)  # the other thread needs a moment
