"""Connections of one worker take turns, however fast a client is."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import gevent
import pytest

from app.server.turns import Turns
from tests.conftest import StartServer
from tests.server.conftest import AppServer
from tests.server.ways import stream_of
from tests.server.wire import Wire, get
from tests.signing import Draft, Keys, presign

BUSY_S = 0.02
REQUESTS = 75
TURN_MAX_S = 20 * BUSY_S
AHEAD = 300
LANES = 4
GREED = 1_000
TURNS = 100
TURN_COST_MAX_S = 3e-5  # a timer's is 50 µs on the quickest of machines, and milliseconds on others


def test_a_client_whose_next_request_is_always_there_already_does_not_keep_others_waiting(
    app_server: AppServer,
) -> None:
    """It is one request ahead, so the worker never finds it idle: without turns, nobody else is heard for 1.5 s."""
    with app_server.wire() as patient, app_server.wire() as hasty:
        patient.send(get("/process"))
        patient.answer()
        ahead = threading.Thread(target=_keep_ahead, args=(hasty,))
        ahead.start()
        try:
            time.sleep(5 * BUSY_S)  # until the hasty client has got going
            began_s = time.monotonic()
            patient.send(get("/process"))
            patient.answer()
            waited_s = time.monotonic() - began_s
            assert ahead.is_alive()
        finally:
            ahead.join()
    assert waited_s < TURN_MAX_S


def _keep_ahead(wire: Wire) -> None:
    request = get(f"/stuck?seconds={BUSY_S}")
    wire.send(request)
    time.sleep(BUSY_S / 4)  # while the first is being answered
    for _ in range(REQUESTS - 2):
        wire.send(request)
        wire.answer()
    wire.answer()


def test_one_request_of_a_connection_is_served_in_each_turn(app_server: AppServer) -> None:
    """However many are here already: more of them are received only when those are served."""
    request = get("/turn", "X: " + "a" * 8_000)
    with app_server.wire() as wire:
        ahead = threading.Thread(target=wire.send, args=(request * AHEAD,))
        ahead.start()
        turns = [wire.answer().json for _ in range(AHEAD)]
        ahead.join()
    assert all(later > earlier for earlier, later in pairwise(turns))


def test_clients_that_are_ahead_get_a_turn_each(app_server: AppServer) -> None:
    """All of them are served side by side: nobody is a request behind."""
    request = get("/turn")
    with app_server.wire() as holder:
        lanes = [app_server.wire() for _ in range(LANES)]
        for lane in lanes:
            lane.send(request)
            lane.answer()
        holder.send(get(f"/stuck?seconds={10 * BUSY_S}"))
        time.sleep(2 * BUSY_S)  # until the worker stands still
        for lane in lanes:
            lane.send(request * TURNS)
        holder.answer()
        turns = [[lane.answer().json for _ in range(TURNS)] for lane in lanes]
        for lane in lanes:
            lane.close()
    assert len({served[0] for served in turns}) == 1
    assert len({served[-1] for served in turns}) == 1


@pytest.mark.parametrize("short_way", ["true", "false"])
def test_clients_that_are_ahead_starve_nobody(start_server: StartServer, short_way: str) -> None:
    """Whoever asks when he was answered gets his turn beside three that have asked for hundreds of objects at once."""
    server = start_server(environ={"BLEEPSTORE_SERVER_SHORT_WAY": short_way})
    server.client().create_bucket(Bucket="turns")
    server.client().put_object(Bucket="turns", Key="k", Body=b"x" * 1_024)
    request = presign(Draft("GET", "/turns/k"), Keys(server.access_key, server.secret_key)).wire()
    greedy = [threading.Thread(target=stream_of, args=(server.port, request * GREED)) for _ in range(3)]
    answered = 0
    with Wire(server.port) as patient:
        patient.send(request)
        patient.answer()
        for each in greedy:
            each.start()
        while any(each.is_alive() for each in greedy):
            patient.send(request)
            assert patient.answer().status == 200
            answered += 1
    assert answered >= GREED / 20


# -- Turns by themselves -----------------------------------------------------------------------------------------


@pytest.fixture
def hub() -> Iterator[Any]:
    """Of this thread."""
    yield gevent.get_hub()
    gevent.sleep(0.001)  # the test itself may run in a turn, whose end is still to come


def test_what_asks_again_gets_the_next_turn(hub: Any) -> None:
    turns, seen = Turns(hub), []

    def again() -> None:
        seen.append(hub.loop.iteration)
        if len(seen) < TURNS:
            turns.call_next(again)

    turns.call_next(again)
    while len(seen) < TURNS:
        turns.wait_for_next()
    assert all(later == earlier + 1 for earlier, later in pairwise(seen))


def test_one_that_fails_takes_nobodys_turn(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    turns, seen, faults = Turns(hub), [], []
    monkeypatch.setattr(hub, "handle_error", lambda *fault: faults.append(fault))
    turns.call_next(lambda: seen.append(1))
    turns.call_next(lambda: 1 // 0)
    turns.call_next(lambda: seen.append(2))
    turns.wait_for_next()
    assert seen == [1, 2]
    assert [fault[1] for fault in faults] == [ZeroDivisionError]


def test_a_turn_waits_for_nothing_and_the_loop_does_where_nobody_wants_one(hub: Any) -> None:
    turns = Turns(hub)

    def cost_s() -> float:
        began_s = time.perf_counter()
        for _ in range(TURNS):
            turns.wait_for_next()
        return (time.perf_counter() - began_s) / TURNS

    assert min(cost_s() for _ in range(20)) < TURN_COST_MAX_S
    before = hub.loop.iteration
    gevent.sleep(BUSY_S)
    assert hub.loop.iteration - before < 10
