"""How connections are spread over workers, given up, and served by greenlets that are used again and again."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import gevent
import gevent.event
import pytest

from app.server.runners import RUNNERS_KEPT_MAX, Runners
from app.server.shares import SLOTS_MAX, Shares
from tests.server.conftest import AppServer, StartApp, eventually
from tests.server.wire import Wire, get

WiresTo = Callable[[AppServer, int], list[Wire]]

LONG = {"head_timeout_ms": 60_000, "idle_timeout_ms": 60_000}
CONNECTIONS = 16
STUCK_S = 3.0
ROUNDS = 5
UNEVEN_MAX = 4  # a worker that the kernel lets wait for longer than the others do gets less than its share


@pytest.fixture
def wires_to() -> Iterator[WiresTo]:
    """Open so many connections; all end with the test."""
    with contextlib.ExitStack() as opened:
        yield lambda server, count: [opened.enter_context(server.wire()) for _ in range(count)]


def pid_of(wire: Wire) -> int:
    wire.send(get("/process"))
    return int(wire.answer().json["pid"])


# -- Shares ------------------------------------------------------------------------------------------------------


def test_a_worker_is_ahead_while_another_holds_fewer() -> None:
    shares = Shares()
    first, second = shares.take([]), shares.take([0])
    assert (first, second) == (0, 1)
    assert not shares.is_ahead(first)
    shares.note(first, 1)
    assert shares.is_ahead(first)
    assert not shares.is_ahead(second)
    shares.note(second, 1)
    assert not shares.is_ahead(first)


def test_among_many_connections_a_few_more_are_no_lead() -> None:
    shares = Shares()
    first, second = shares.take([]), shares.take([0])
    shares.note(second, 80)
    for held, leads in ((80, False), (90, False), (91, True)):
        shares.note(first, held)
        assert shares.is_ahead(first) is leads


def test_a_worker_that_has_gone_is_nobody_to_wait_for() -> None:
    shares = Shares()
    for slot in range(3):
        assert shares.take(range(slot)) == slot
        shares.note(slot, slot)
    shares.give_back(0)
    assert not shares.is_ahead(1)
    assert shares.take([1, 2]) == 0
    assert shares.is_ahead(1)


def test_there_are_so_many_slots() -> None:
    with pytest.raises(ValueError, match="empty"):
        Shares().take(range(SLOTS_MAX))


def test_connections_are_spread_evenly(start_app: StartApp, wires_to: WiresTo) -> None:
    """One listener wakes every worker; without shares the first one took all. Seen to fail without."""
    server = start_app(workers=2, limits=LONG)

    def differ_by() -> int:
        wires = wires_to(server, CONNECTIONS)
        held = Counter(pid_of(wire) for wire in wires)
        for wire in wires:
            wire.close()
        assert set(held) <= set(server.worker_pids())
        return max(held.values()) - (min(held.values()) if len(held) == 2 else 0)

    assert sorted(differ_by() for _ in range(ROUNDS))[ROUNDS // 2] <= UNEVEN_MAX


def test_the_worker_that_replaces_a_dead_one_catches_up(start_app: StartApp, wires_to: WiresTo) -> None:
    server = start_app(workers=2, limits=LONG)
    wires = wires_to(server, CONNECTIONS)
    held = Counter(pid_of(wire) for wire in wires)
    dead, (kept,) = held.most_common(1)[0][0], [pid for pid in held if pid != held.most_common(1)[0][0]]
    os.kill(dead, signal.SIGKILL)
    assert eventually(lambda: len(set(server.worker_pids()) - {dead}) == 2)
    (fresh,) = set(server.worker_pids()) - {dead, kept}
    # The new one must be listening before it can be waited for.
    assert eventually(lambda: _pid_of_new_connection(server) == fresh)
    more = wires_to(server, CONNECTIONS)
    now = Counter({kept: held[kept]}) + Counter(pid_of(wire) for wire in more)
    assert abs(now[kept] - now[fresh]) <= UNEVEN_MAX


def _pid_of_new_connection(server: AppServer) -> int:
    with server.wire() as wire:
        return pid_of(wire)


def test_a_worker_that_stands_still_is_not_waited_for_long(start_app: StartApp, wires_to: WiresTo) -> None:
    """It holds fewer than the other, and takes none."""
    server = start_app(workers=2, limits=LONG)
    wires = wires_to(server, 4)
    pids = [pid_of(wire) for wire in wires]
    stuck = next(wire for wire, pid in zip(wires, pids, strict=True) if pid == pids[0])
    stuck.send(get(f"/stuck?seconds={STUCK_S}"))
    time.sleep(0.1)  # until it stands still
    began_s = time.monotonic()
    more = wires_to(server, 4)
    assert pids[0] not in {pid_of(wire) for wire in more}
    assert time.monotonic() - began_s < STUCK_S / 2


# -- Giving up ---------------------------------------------------------------------------------------------------


def test_a_full_worker_gives_up_those_that_are_idle_for_longest(start_app: StartApp, wires_to: WiresTo) -> None:
    server = start_app(limits=LONG | {"connections_max": 40, "evictable_after_ms": 200})
    wires = wires_to(server, 40)
    for wire in wires:
        pid_of(wire)
    time.sleep(0.3)
    assert server.get("/x").status == 200
    assert all(wire.is_closed() for wire in wires[:32])
    for wire in wires[32:]:
        pid_of(wire)


def test_a_full_worker_keeps_those_that_were_served_just_now(start_app: StartApp, wires_to: WiresTo) -> None:
    server = start_app(limits=LONG | {"connections_max": 4, "evictable_after_ms": 600})
    wires = wires_to(server, 4)
    for wire in wires:
        pid_of(wire)
    with server.wire() as late:
        late.send(get("/x"))
        for _ in range(10):
            time.sleep(0.02)
            assert [pid_of(wire) for wire in wires], "who asks again and again is served"
        for wire in wires:
            wire.close()
        assert late.answer().status == 200


def test_a_request_that_has_just_come_is_served_and_not_given_up(start_app: StartApp, wires_to: WiresTo) -> None:
    """While the worker stands still, requests come on connections whose time is over by then."""
    server = start_app(limits={"idle_timeout_ms": 300, "head_timeout_ms": 300})
    wires = wires_to(server, 8)
    for wire in wires:
        pid_of(wire)
    with server.wire() as holder:
        holder.send(get("/stuck?seconds=0.6"))
        time.sleep(0.1)
        for wire in wires:
            wire.send(get("/x"))
        for wire in wires:
            assert wire.answer().status == 200


# -- Runners -----------------------------------------------------------------------------------------------------


@pytest.fixture
def runners() -> Runners:
    return Runners(gevent.get_hub())


def in_the_hub(*functions: Callable[[], object]) -> None:
    """Call them as the loop does, one after the other, and wait until the last has returned."""
    done = gevent.event.Event()

    def call() -> None:
        for function in functions:
            function()
        done.set()

    gevent.get_hub().loop.run_callback(call)
    assert done.wait(5)


def test_a_runner_serves_again(runners: Runners) -> None:
    seen: list[Any] = []
    in_the_hub(*[partial(runners.run, lambda: seen.append(gevent.getcurrent()))] * 3)
    assert len(seen) == 3
    assert len(set(map(id, seen))) == 1


def test_one_that_waits_leaves_the_callback_and_comes_back(runners: Runners) -> None:
    order: list[str] = []

    def waiting() -> None:
        order.append("begun")
        gevent.sleep(0.001)
        order.append("woken")

    in_the_hub(partial(runners.run, waiting), partial(order.append, "returned"))
    gevent.sleep(0.01)
    assert order == ["begun", "returned", "woken"]


def test_a_failure_is_the_loops_to_report_and_the_runner_serves_on(
    runners: Runners, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults: list[Any] = []
    seen: list[int] = []
    monkeypatch.setattr(gevent.get_hub(), "handle_error", lambda *fault: faults.append(fault[1]))
    in_the_hub(partial(runners.run, lambda: 1 // 0), partial(runners.run, partial(seen.append, 1)))
    assert faults == [ZeroDivisionError]
    assert seen == [1]


def test_a_runner_on_the_shelf_keeps_nothing(runners: Runners) -> None:
    class Request:
        def serve(self) -> None:
            """Nothing waits."""

    gone = []

    def serve_one() -> None:
        request = Request()
        gone.append(weakref.ref(request))
        runners.run(request.serve)

    in_the_hub(serve_one, serve_one)
    assert [each() for each in gone] == [None, None]


def test_no_more_runners_are_kept_than_the_bound(runners: Runners) -> None:
    free = gevent.event.Event()
    in_the_hub(*[partial(runners.run, partial(free.wait, 5))] * (RUNNERS_KEPT_MAX + 10))
    free.set()
    assert eventually(lambda: gevent.sleep(0.01) or len(runners._shelf) == RUNNERS_KEPT_MAX)


@pytest.mark.parametrize("seconds", [0, 0.01])
@pytest.mark.parametrize("fails", ["", "&fails"])
def test_no_request_finds_what_another_has_left(start_app: StartApp, seconds: float, fails: str) -> None:
    """Neither on its connection nor on others, whether the one before waited, ended well or failed."""
    server = start_app()
    for number in range(20):
        server.get(f"/own?note=first-{number}&seconds={seconds}{fails}")
    with server.wire() as wire:
        wire.send(b"".join(get(f"/own?note=n{number}&seconds={seconds}") for number in range(20)))
        answers = [wire.answer().json for _ in range(20)]
    assert [each["left"] for each in answers] == [f"n{number}" for number in range(20)]
    assert [each["found"] for each in answers] == [None] * 20
