"""One operation at one size: several client processes at once, and what the server used meanwhile."""

from __future__ import annotations

import itertools
import multiprocessing
import signal
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Protocol

from loadtests.client import Load, Outcome
from loadtests.interrupts import held
from tests.process_tree import cpu_s, machine_cpu_s, pss_bytes

PATIENCE_S = 120.0

_FORK: Any = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Target:
    """Where the server listens; `pid` is its main process where it is one of this machine's."""

    host: str
    port: int
    pid: int | None


class Work(Protocol):
    """What clients do. `client` is called in the process of client `number` of `clients`, before the clock starts: it
    connects, and gives what runs for so many seconds.
    """

    def client(self, target: Target, number: int, clients: int, connections: int) -> Callable[[float], Outcome]: ...


@dataclass(frozen=True)
class Job:
    """Prepared requests. With `repeats` they are sent again and again until the time is over, else each once.

    A request may hold the beginning of its body; `body` follows each. `turn_bytes` is the client's (Load.run).
    """

    operation: str
    requests: Sequence[bytes]
    body: bytes
    repeats: bool
    turn_bytes: int = 0

    def client(self, target: Target, number: int, clients: int, connections: int) -> Callable[[float], Outcome]:
        load = Load(target.host, target.port, connections, is_head=self.operation == "HEAD")
        mine = self.requests[number::clients] or self.requests
        source = itertools.cycle(mine) if self.repeats else iter(mine)
        return lambda duration_s: load.run(source, self.body, duration_s, self.turn_bytes)


@dataclass(frozen=True)
class Answers:
    """What the clients saw, all together. `counts` are the requests that each sent; client n takes every n-th one."""

    requests: int  # answered with 2xx
    errors: int
    first_error: str
    elapsed_s: float
    cpu_s: float  # of the clients
    p50_s: float
    p95_s: float
    p99_s: float
    counts: Sequence[int]
    ran_out: bool = False  # of requests, before the time was over


@dataclass(frozen=True)
class Result:
    """Of one round, or the median of several. What belongs to the server is None where it is on another machine."""

    requests: int
    errors: int
    first_error: str
    ops_per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    server_cpu_us: float | None  # of one request
    client_cpu_us: float
    pss_mb: float | None  # of the server's processes, afterwards
    others_share: float | None  # of the processors' time that went to programs that are neither server nor client


def measure(target: Target, job: Work, connections: int, processes: int, duration_s: float) -> tuple[Result, list[int]]:
    """Run a job for so long; also gives how many requests each client sent: client n takes every n-th one.

    Raises: RuntimeError, when a client process dies or hangs.
    """
    result, answers = watched(target, lambda: run_clients(target, job, connections, processes, duration_s))
    return result, list(answers.counts)


def watched(target: Target, run: Callable[[], Answers]) -> tuple[Result, Answers]:
    """Run the clients, and count what the server and everybody else used meanwhile."""
    before_s = None if target.pid is None else cpu_s(target.pid)
    busy_s, there_s = machine_cpu_s()
    answers = run()
    busy_s, there_s = machine_cpu_s()[0] - busy_s, machine_cpu_s()[1] - there_s
    server_s = None if before_s is None or target.pid is None else cpu_s(target.pid) - before_s
    total = max(1, answers.requests + answers.errors)
    result = Result(
        requests=answers.requests,
        errors=answers.errors,
        first_error=answers.first_error,
        ops_per_s=answers.requests / answers.elapsed_s if answers.elapsed_s > 0 else 0.0,
        p50_ms=answers.p50_s * 1e3,
        p95_ms=answers.p95_s * 1e3,
        p99_ms=answers.p99_s * 1e3,
        server_cpu_us=None if server_s is None else server_s / total * 1e6,
        client_cpu_us=answers.cpu_s / total * 1e6,
        pss_mb=None if target.pid is None else pss_bytes(target.pid) / 1e6,
        others_share=None if server_s is None else max(0.0, busy_s - server_s - answers.cpu_s) / max(there_s, 1e-9),
    )
    return result, answers


def run_clients(target: Target, work: Work, connections: int, processes: int, duration_s: float) -> Answers:
    """Our own clients. Raises: RuntimeError, when one of them dies or hangs."""
    outcomes = _run_all(target, work, connections, processes, duration_s)
    seconds = sorted(itertools.chain.from_iterable(outcome.seconds for outcome in outcomes))
    ended_s = max(outcome.ended_s for outcome in outcomes)
    elapsed_s = ended_s - min(outcome.began_s for outcome in outcomes)
    return Answers(
        requests=len(seconds),
        errors=sum(outcome.errors for outcome in outcomes),
        first_error=next((outcome.first_error for outcome in outcomes if outcome.first_error), ""),
        elapsed_s=elapsed_s,
        cpu_s=sum(outcome.cpu_s for outcome in outcomes),
        p50_s=quantile(seconds, 0.50),
        p95_s=quantile(seconds, 0.95),
        p99_s=quantile(seconds, 0.99),
        counts=[len(outcome.seconds) + outcome.errors for outcome in outcomes],
        ran_out=elapsed_s < duration_s,
    )


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
        p95_ms=median("p95_ms"),
        p99_ms=median("p99_ms"),
        server_cpu_us=median("server_cpu_us"),
        client_cpu_us=median("client_cpu_us"),
        pss_mb=median("pss_mb"),
        others_share=median("others_share"),
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """The least value that is not exceeded by this share; 0 of nothing."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def _run_all(target: Target, work: Work, connections: int, processes: int, duration_s: float) -> list[Outcome]:
    """Start all, wait until each has its connections, let them go together."""
    processes = min(processes, connections)
    clients: list[tuple[Any, Connection]] = []
    try:
        for number in range(processes):
            ours, theirs = _FORK.Pipe()
            share = len(range(number, connections, processes))
            arguments = (theirs, target, work, number, processes, share, duration_s)
            client = _FORK.Process(target=_client, args=arguments, daemon=True)
            with held():
                client.start()
                clients.append((client, ours))
            theirs.close()
        for _, pipe in clients:
            _receive(pipe)
        for _, pipe in clients:
            pipe.send("go")
        return [_receive(pipe, duration_s) for _, pipe in clients]
    except BaseException:
        for client, _ in clients:
            client.kill()
        raise
    finally:
        for client, pipe in clients:
            pipe.close()
            client.join(1)
            client.kill()


def _client(
    pipe: Connection, target: Target, work: Work, number: int, clients: int, connections: int, duration_s: float
) -> None:
    """A client process: connect, wait for the word, run, report."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is told too, and ends this one
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    run = work.client(target, number, clients, connections)
    pipe.send("ready")
    pipe.recv()
    pipe.send(run(duration_s))


def _receive(pipe: Connection, longer_s: float = 0.0) -> Any:
    if not pipe.poll(PATIENCE_S + longer_s):
        raise RuntimeError("a client process hangs")
    try:
        return pipe.recv()
    except EOFError:
        raise RuntimeError("a client process died") from None
