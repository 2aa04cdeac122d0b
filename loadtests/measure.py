"""One operation at one size: several client processes at once, and what the server used meanwhile."""

from __future__ import annotations

import itertools
import multiprocessing
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from loadtests.client import Load, Outcome
from tests.process_tree import cpu_s, machine_cpu_s, pss_bytes

PATIENCE_S = 120.0

_FORK: Any = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Target:
    """Where the server listens; `pid` is its main process where it is one of this machine's."""

    host: str
    port: int
    pid: int | None


@dataclass(frozen=True)
class Job:
    """Prepared requests. With `repeats` they are sent again and again until the time is over, else each once."""

    operation: str
    requests: Sequence[bytes]
    body: bytes
    repeats: bool


@dataclass(frozen=True)
class Result:
    """Of one round, or the median of several. What belongs to the server is None where it is on another machine."""

    requests: int
    errors: int
    first_error: str
    ops_per_s: float
    p50_ms: float
    p99_ms: float
    server_cpu_us: float | None  # of one request
    client_cpu_us: float
    pss_mb: float | None  # of the server's processes, afterwards
    others_share: float | None  # of the processors' time that went to programs that are neither server nor client


def measure(target: Target, job: Job, connections: int, processes: int, duration_s: float) -> tuple[Result, list[int]]:
    """Run a job for so long; also gives how many requests each client had answered: client n takes every n-th one.

    Raises: RuntimeError, when a client process dies or hangs.
    """
    before_s = None if target.pid is None else cpu_s(target.pid)
    busy_s, there_s = machine_cpu_s()
    outcomes = _run_clients(target, job, connections, processes, duration_s)
    busy_s, there_s = machine_cpu_s()[0] - busy_s, machine_cpu_s()[1] - there_s
    server_s = None if before_s is None or target.pid is None else cpu_s(target.pid) - before_s
    client_s = sum(outcome.cpu_s for outcome in outcomes)
    seconds = sorted(itertools.chain.from_iterable(outcome.seconds for outcome in outcomes))
    errors = sum(outcome.errors for outcome in outcomes)
    total = max(1, len(seconds) + errors)
    elapsed_s = max(outcome.ended_s for outcome in outcomes) - min(outcome.began_s for outcome in outcomes)
    result = Result(
        requests=len(seconds),
        errors=errors,
        first_error=next((outcome.first_error for outcome in outcomes if outcome.first_error), ""),
        ops_per_s=len(seconds) / elapsed_s,
        p50_ms=quantile(seconds, 0.50) * 1e3,
        p99_ms=quantile(seconds, 0.99) * 1e3,
        server_cpu_us=None if server_s is None else server_s / total * 1e6,
        client_cpu_us=client_s / total * 1e6,
        pss_mb=None if target.pid is None else pss_bytes(target.pid) / 1e6,
        others_share=None if server_s is None else max(0.0, busy_s - server_s - client_s) / there_s,
    )
    return result, [len(outcome.seconds) for outcome in outcomes]


def median_of(rounds: Sequence[Result]) -> Result:
    """Each figure's median; requests and errors are added up."""

    def median(name: str) -> Any:
        values = [getattr(each, name) for each in rounds]
        return None if None in values else statistics.median(values)

    return Result(
        requests=sum(each.requests for each in rounds),
        errors=sum(each.errors for each in rounds),
        first_error=next((each.first_error for each in rounds if each.first_error), ""),
        ops_per_s=median("ops_per_s"),
        p50_ms=median("p50_ms"),
        p99_ms=median("p99_ms"),
        server_cpu_us=median("server_cpu_us"),
        client_cpu_us=median("client_cpu_us"),
        pss_mb=median("pss_mb"),
        others_share=median("others_share"),
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """The least value that is not exceeded by this share; 0 of nothing."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def _run_clients(target: Target, job: Job, connections: int, processes: int, duration_s: float) -> list[Outcome]:
    """Start all, wait until each has its connections, let them go together."""
    processes = min(processes, connections)
    clients: list[tuple[Any, Connection]] = []
    for number in range(processes):
        ours, theirs = _FORK.Pipe()
        share = len(range(number, connections, processes))
        arguments = (theirs, target, job, job.requests[number::processes], share, duration_s)
        client = _FORK.Process(target=_client, args=arguments, daemon=True)
        client.start()
        theirs.close()
        clients.append((client, ours))
    try:
        for _, pipe in clients:
            _receive(pipe)
        for _, pipe in clients:
            pipe.send("go")
        return [_receive(pipe) for _, pipe in clients]
    finally:
        for client, pipe in clients:
            pipe.close()
            client.join(1)
            client.kill()


def _client(
    pipe: Connection, target: Target, job: Job, requests: Sequence[bytes], connections: int, duration_s: float
) -> None:
    """A client process: connect, wait for the word, run, report."""
    load = Load(target.host, target.port, connections, is_head=job.operation == "HEAD")
    pipe.send("ready")
    pipe.recv()
    source = itertools.cycle(requests) if job.repeats else iter(requests)
    pipe.send(load.run(source, job.body, duration_s))
    load.close()


def _receive(pipe: Connection) -> Any:
    if not pipe.poll(PATIENCE_S):
        raise RuntimeError("a client process hangs")
    try:
        return pipe.recv()
    except EOFError:
        raise RuntimeError("a client process died") from None
