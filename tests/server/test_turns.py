"""Connections of one worker take turns, however fast a client is."""

from __future__ import annotations

import threading
import time
from itertools import pairwise

from tests.server.conftest import AppServer
from tests.server.wire import Wire, get

BUSY_S = 0.02
REQUESTS = 75
TURN_MAX_S = 20 * BUSY_S
AHEAD = 300


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
