"""R-13: another program holds the database. Reads do not notice, the hub does not stand still, writes wait or are told.

Proved able to fail in tests/mutants, by a server that lets SQLite wait on the hub.
"""

from __future__ import annotations

import http.client
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

from tests.conftest import StartServer
from tests.reliability.caller import Caller
from tests.s3.raw import Reply
from tests.servers import RunningServer

T = TypeVar("T")

HOLD_S = 3.0
GET_P99_MAX_S = 0.100
STALL_MAX_S = 0.050
WAIT_MAX_S = 10.0  # for the turn to write
READY_MAX_S = 3.0  # an answer to a probe is kept for a second
PAUSE_S = 0.002  # between two probes, so that the prober does not keep the server's core busy

_HOLDER = """
import sys, apsw
connection = apsw.Connection(sys.argv[1], flags=apsw.SQLITE_OPEN_READWRITE)
connection.set_busy_timeout(5000)
connection.execute("PRAGMA wal_autocheckpoint = 0")
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
"""


@pytest.fixture
def served(start_server: StartServer) -> RunningServer:
    return filled(start_server(workers=1))


def filled(server: RunningServer) -> RunningServer:
    """With what is read here. Of one worker: every request is to meet the same hub and the same writer."""
    with Caller(server) as caller:
        assert caller.call("PUT", "/bucket").status == 200
        assert caller.call("PUT", "/bucket/inline", b"inline").status == 200
        assert caller.call("PUT", "/bucket/blob", bytes(200_000)).status == 200
    return server


def test_reads_go_on_while_another_program_holds_the_database_and_writes_wait(served: RunningServer) -> None:
    assert complaints(served) == []


@pytest.mark.slow
def test_a_write_that_waited_ten_seconds_is_told_to_slow_down_and_nothing_is_stored(served: RunningServer) -> None:
    with Caller(served) as reader, held(served):
        writes = [Write(served, f"/bucket/refused{number}") for number in range(2)]
        for write in writes:
            write.join()
        print(f"refused after {', '.join(f'{write.took_s:.2f} s' for write in writes)}")
        assert [(write.status, write.code) for write in writes] == [(503, "SlowDown")] * len(writes)
        assert all(WAIT_MAX_S - 0.5 < write.took_s < WAIT_MAX_S + 2 for write in writes)
        assert ask(served, "/readyz") == 503
        assert reader.call("GET", "/bucket/inline").body == b"inline"
    with Caller(served) as caller:
        assert caller.call("PUT", "/bucket/after", b"after").status == 200
        assert [caller.call("GET", write.target).code for write in writes] == ["NoSuchKey"] * len(writes)
    until_s = time.monotonic() + READY_MAX_S
    while ask(served, "/readyz") != 200:
        assert time.monotonic() < until_s, "the server does not say that it can be written to again"
        time.sleep(PAUSE_S)


def complaints(server: RunningServer) -> list[str]:
    """What is wrong with reads and writes while the database is held for HOLD_S."""
    with held(server):
        writes = [Write(server, f"/bucket/waiting{number}") for number in range(4)]
        gets, others = probe(server, HOLD_S)
        wrong = [f"{write.target} was answered too early: {write.reply}" for write in writes if write.reply is not None]
    for write in writes:
        write.join()
    print(
        f"{len(gets)} GETs: median {statistics.median(gets) * 1e3:.1f} ms, p99 {p99(gets) * 1e3:.1f} ms, longest "
        f"{max(gets) * 1e3:.1f} ms; {len(others)} requests that need no database: longest {max(others) * 1e3:.1f} ms; "
        f"writes took "
        f"{min(write.took_s for write in writes):.2f} to {max(write.took_s for write in writes):.2f} s"
    )
    wrong += [f"the p99 of GETs is {p99(gets):.3f} s"] if p99(gets) >= GET_P99_MAX_S else []
    # One request was always under way: whenever the hub stood still, it stood still under one of these.
    stall_s = max(*gets, *others)
    wrong += [f"the hub stood still for {stall_s:.3f} s"] if stall_s >= STALL_MAX_S else []
    with Caller(server) as caller:
        for write in writes:
            if write.status != 200 or write.took_s > HOLD_S + 1:
                wrong.append(f"{write.target} ended with {write.reply} after {write.took_s:.2f} s")
            elif caller.call("GET", write.target).body != Write.BODY:
                wrong.append(f"{write.target} was acknowledged and is not there")
    return wrong


class Write(threading.Thread):
    """A PUT that is on its way as soon as this is made."""

    BODY = b"waited"

    def __init__(self, server: RunningServer, target: str) -> None:
        super().__init__()
        self.target = target
        self.reply: Reply | None = None
        self.took_s = 0.0
        self._server = server
        self.start()

    def run(self) -> None:
        began_s = time.monotonic()
        with Caller(self._server) as caller:
            self.reply = caller.call("PUT", self.target, self.BODY)
        self.took_s = time.monotonic() - began_s

    @property
    def status(self) -> int:
        return 0 if self.reply is None else self.reply.status

    @property
    def code(self) -> str:
        return "" if self.reply is None else self.reply.code


def probe(server: RunningServer, for_s: float) -> tuple[list[float], list[float]]:
    """Seconds of GETs, and of requests that ask the database for nothing."""
    gets: list[float] = []
    others: list[float] = []
    until_s = time.monotonic() + for_s
    with Caller(server) as caller:
        while time.monotonic() < until_s:
            for target in ("/bucket/inline", "/bucket/blob"):
                took_s, reply = timed(lambda target=target: caller.call("GET", target))  # type: ignore[misc]
                gets.append(took_s)
                assert reply.status == 200, reply
            took_s, status = timed(lambda: ask(server, "/healthz"))
            others.append(took_s)
            assert status == 200
    return gets, others


def timed(call: Callable[[], T]) -> tuple[float, T]:
    """How long it took, and what it gave; a rest after it, so that this process does not keep the server from its core."""
    began_s = time.monotonic()
    result = call()
    took_s = time.monotonic() - began_s
    time.sleep(PAUSE_S)
    return took_s, result


def ask(server: RunningServer, path: str) -> int:
    """The status of an unsigned GET."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


@contextmanager
def held(server: RunningServer) -> Iterator[None]:
    """Another program is in a write transaction on the server's database."""
    holder: Any = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(server.data_dir / "metadata.db")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with holder:
        assert holder.stdout.readline() == b"held\n"
        yield
        holder.stdin.close()
        assert holder.wait(5) == 0


def p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]
