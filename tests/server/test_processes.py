"""Master and workers: what a fork inherits, how the server stops, and what is left when somebody is killed (R-17, R-32)."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from tests.server.conftest import AppServer, StartApp, eventually
from tests.server.wire import Answer, Truncated, Wire, get


def is_alive(pid: int) -> bool:
    """Neither gone nor a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def targets(pid: int) -> list[str]:
    """What a process's descriptors lead to."""
    found = []
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(os.readlink(each))
    return found


def test_the_master_has_no_hub_no_thread_and_no_control_socket(start_app: StartApp) -> None:
    server = start_app(workers=2)
    assert server.get("/x").status == 200
    assert "Threads:\t1\n" in Path(f"/proc/{server.pid}/status").read_text()
    assert not [target for target in targets(server.pid) if "event" in target]
    assert len([target for target in targets(server.pid) if target.startswith("socket:")]) == 1
    for pid in server.worker_pids():
        assert eventually(partial(_has_hub, pid)), "every worker has a hub of its own"


def _has_hub(pid: int) -> bool:
    return len([target for target in targets(pid) if "eventpoll" in target]) == 1


def test_a_worker_is_set_up_as_designed(app_server: AppServer) -> None:
    inside = app_server.get("/process").json
    assert inside["switch_interval_s"] == 0.0005
    assert inside["frozen"] > 1_000
    assert not inside["is_patched"]


# -- Stopping ----------------------------------------------------------------------------------------------------


class Client(threading.Thread):
    """One request on a connection of its own; keeps the answer or the error."""

    def __init__(self, server: AppServer, request: bytes) -> None:
        super().__init__()
        self.wire = server.wire()
        self.request = request
        self.answer: Answer | None = None

    def run(self) -> None:
        with contextlib.suppress(Truncated, OSError), self.wire:
            self.wire.send(self.request)
            self.answer = self.wire.answer()


def test_sigterm_finishes_what_is_in_flight_and_nothing_else(start_app: StartApp) -> None:
    """R-32: slow answers, long downloads and half-sent uploads end well; idle connections end at once."""
    times = {"body_stall_ms": 5_000, "body_window_ms": 10_000, "idle_timeout_ms": 60_000, "fresh_grace_ms": 5_000}
    server = start_app(workers=2, limits=times)
    idle = server.wire()
    idle.send(get("/x"))
    assert idle.answer().status == 200
    upload = server.wire()
    upload.send(get("/x", "Content-Length: 20", method="PUT") + b"0123456789")
    large = server.wire()
    large.send(get("/take", "Content-Length: 3000000", method="PUT") + bytes(1_000_000))
    clients = [Client(server, get("/slow?seconds=0.8")) for _ in range(20)]
    clients += [Client(server, get("/pieces?count=100&size=200000")) for _ in range(5)]
    for client in clients:
        client.start()
    time.sleep(0.3)
    began = time.monotonic()
    assert server.process is not None
    server.process.terminate()
    assert idle.is_closed()
    assert time.monotonic() - began < 0.5
    assert eventually(lambda: _refuses(server.port))
    upload.send(b"0123456789")
    large.send(bytes(2_000_000))
    for wire in (upload, large):
        answer = wire.answer()
        assert (answer.status, answer.header("connection")) == (200, "close")
    for client in clients:
        client.join(10)
        assert client.answer is not None
        assert client.answer.status == 200
    idle.close()
    upload.close()
    large.close()
    assert server.process.wait(5) == 0
    assert time.monotonic() - began < 3.0, "the end comes with the last answer, not with the deadline"


def test_what_waits_in_the_backlog_is_still_served(start_app: StartApp) -> None:
    """A listener's end resets what nobody has accepted yet, though the clients have sent their requests."""
    server = start_app()
    first = Client(server, get("/stuck?seconds=0.7"))
    first.start()
    time.sleep(0.2)
    waiting = [Client(server, get("/x")) for _ in range(20)]
    for client in waiting:
        client.start()
    time.sleep(0.1)
    assert server.terminate() == 0
    for client in (first, *waiting):
        client.join(5)
        assert client.answer is not None
        assert client.answer.status == 200


def test_a_request_that_takes_too_long_does_not_hold_the_stop(start_app: StartApp) -> None:
    server = start_app(shutdown_timeout_s=3)
    client = Client(server, get("/slow?seconds=30"))
    client.start()
    time.sleep(0.2)
    began = time.monotonic()
    assert server.terminate() == 0
    assert 1.0 < time.monotonic() - began < 2.5, "the worker ends before the master's patience does"
    client.join(5)
    assert client.answer is None
    assert "worker.stopped_unfinished" in server.log()


def test_a_new_connection_may_still_bring_its_first_request(start_app: StartApp) -> None:
    server = start_app(limits={"fresh_grace_ms": 1_000, "head_timeout_ms": 5_000})
    late, never = server.wire(), server.wire()
    time.sleep(0.1)
    assert server.process is not None
    server.process.terminate()
    time.sleep(0.3)
    late.send(get("/x"))
    assert late.answer().header("connection") == "close"
    assert never.is_closed()
    late.close()
    never.close()
    assert server.process.wait(3) == 0


def test_sigint_ends_at_once(start_app: StartApp) -> None:
    server = start_app(shutdown_timeout_s=10)
    client = Client(server, get("/slow?seconds=30"))
    client.start()
    time.sleep(0.2)
    began = time.monotonic()
    os.kill(server.pid, signal.SIGINT)
    assert server.process is not None
    assert server.process.wait(5) == 0
    assert time.monotonic() - began < 1.5


def _refuses(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


# -- Dying -------------------------------------------------------------------------------------------------------


def test_a_killed_worker_is_replaced_while_others_serve(start_app: StartApp) -> None:
    """R-03's part of the process: back in two seconds, nobody else notices."""
    server = start_app(workers=2)
    for _ in range(3):
        victim, survivor = server.worker_pids()
        os.kill(victim, signal.SIGKILL)
        for _ in range(5):
            assert server.get("/x").json["pid"] != victim
        assert eventually(partial(_has_workers, server, 2, victim), 2.0)
        assert is_alive(survivor)


def test_workers_end_with_their_master_at_once(start_app: StartApp) -> None:
    """The next server finds the port free: no orphan holds it."""
    server = start_app(workers=2)
    pids = server.worker_pids()
    os.kill(server.pid, signal.SIGKILL)
    assert server.process is not None
    server.process.wait()
    assert eventually(lambda: not any(is_alive(pid) for pid in pids), 0.6)
    assert _refuses(server.port)


def test_a_worker_that_stands_still_is_replaced_and_says_where(start_app: StartApp) -> None:
    server = start_app(settings={"timeout": 2})
    (pid,) = server.worker_pids()
    client = Client(server, get("/stuck?seconds=20"))
    client.start()
    assert eventually(lambda: not is_alive(pid), 8.0)
    assert server.get("/x").status == 200
    client.join(5)
    assert "worker.stood_still" in server.log()
    assert "in stuck" in server.log()


def _has_workers(server: AppServer, count: int, gone: int) -> bool:
    return len(set(server.worker_pids()) - {gone}) == count


# -- Signals -----------------------------------------------------------------------------------------------------


def test_sigusr2_is_refused(start_app: StartApp) -> None:
    server = start_app()
    pids = server.worker_pids()
    os.kill(server.pid, signal.SIGUSR2)
    assert eventually(lambda: "SIGUSR2" in server.log())
    assert server.worker_pids() == pids, "no second master was forked"
    assert server.get("/x").status == 200


def test_sighup_replaces_the_workers_without_a_failed_request(start_app: StartApp) -> None:
    server = start_app(workers=2)
    before = set(server.worker_pids())
    os.kill(server.pid, signal.SIGHUP)
    while before & set(server.worker_pids()):
        assert server.get("/x").status == 200
    assert len(server.worker_pids()) == 2
    assert server.get("/x").status == 200


@pytest.mark.parametrize("signal_number", [signal.SIGHUP, signal.SIGTTIN])
def test_a_second_process_is_refused_where_the_engines_allow_one(start_app: StartApp, signal_number: int) -> None:
    server = start_app(shared=False, workers=4)
    pids = server.worker_pids()
    assert len(pids) == 1
    os.kill(server.pid, signal_number)
    assert eventually(lambda: "signal.refused" in server.log())
    assert server.worker_pids() == pids


def test_max_requests_is_honoured_without_a_failed_request(start_app: StartApp) -> None:
    server = start_app(workers=2, settings={"max_requests": 20})
    served = set()
    for _ in range(100):
        served.add(server.get("/x").json["pid"])
        time.sleep(0.03)
    assert len(served) > 2


# -- Descriptors -------------------------------------------------------------------------------------------------


def test_idle_connections_beyond_the_descriptors_are_survived(start_app: StartApp) -> None:
    """R-17: 256 descriptors, 500 connections that say nothing; a new client is served all the same."""
    server = start_app(descriptors=256, limits={"head_timeout_ms": 60_000, "idle_timeout_ms": 60_000})
    (pid,) = server.worker_pids()
    wires = [Wire(server.port) for _ in range(500)]
    began = time.monotonic()
    assert server.get("/x").status == 200
    assert time.monotonic() - began < 5.0
    assert len(targets(pid)) < 200
    for wire in wires:
        wire.close()
    assert eventually(lambda: server.get("/x").json["fds"] < 30)
    assert server.worker_pids() == [pid]


def test_busy_connections_are_never_given_up_for_new_ones(start_app: StartApp) -> None:
    server = start_app(limits={"connections_max": 4})
    clients = [Client(server, get("/slow?seconds=1")) for _ in range(6)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(8)
        assert client.answer is not None
        assert client.answer.status == 200
