"""How the cost of an operation grows with the number of keys, buckets, users and clients.

    python -m loadtests.growth [--axes keys,buckets,users,clients] [--keys-max 10000000] [--rounds 3] [--duration 2]
    python -m loadtests.growth --quick
    python -m loadtests.growth --report bench-results/growth-….json [ANOTHER.json]

Starts a server, stops it, fills it through its metadata engine, starts it and asks, step by step. Prints tables; writes every
round as JSON and the plots as PNG. loadtests/README.md says more. Exit code 1 where a request failed.
"""

from __future__ import annotations

import argparse
import random
import resource
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from loadtests import conditions, interrupts, ladder, questions, wrk
from loadtests.filling import fill, user_of
from loadtests.ladder import Growth, Measured, Size
from loadtests.measure import Answers, Job, Result, Target, run_clients, watched
from loadtests.peers import ACCESS_KEY, REGION
from loadtests.prepare import Signer
from loadtests.questions import Question
from tests.process_tree import cpu_s, pss_bytes
from tests.servers import ROOT, RunningServer, ServerDied

RESULTS = ROOT / "bench-results"
KEYS = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
MANY = (1, 10, 100, 1_000, 10_000)
CLIENTS = (1, 4, 16, 64, 256, 1_000)
KEYS_FOR_CLIENTS = 1_000
# With --quick: enough to see that everything works.
QUICK = {"keys": (1_000, 2_000), "buckets": (1, 5), "users": (1, 5), "clients": (1, 4)}
CLIENT_PROCESSES = 2
WARM_UP_S, WARM_UP_MAX_S = 0.5, 60.0
DELETE_TIMEOUT_S = 60.0
BYTES_OF_KEY = 400  # of the database, about
FREE_BYTES_MIN = 4 << 30
DATABASE = "metadata.db"
FILLED = "filled"  # a file beside the data: up to which number


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    try:
        if options.report:
            growth = ladder.read(options.report[0])
            for path in options.report[1:]:
                growth.take(ladder.read(path))
            return _tell(growth, options.output or options.report[0], options)
        return _measure(options)
    except (ServerDied, subprocess.CalledProcessError, RuntimeError, ValueError, OSError) as error:
        _say(str(error))
        return 2


def _measure(options: argparse.Namespace) -> int:
    interrupts.end_in_order()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    steps = _steps(options)
    options.data_dir.mkdir(parents=True, exist_ok=True)
    needed = FREE_BYTES_MIN * (not options.quick) + max(steps.get("keys", (0,))) * BYTES_OF_KEY
    if shutil.disk_usage(options.data_dir).free < needed:
        raise OSError(f"{needed >> 20} MiB must be free in {options.data_dir}")
    path = options.output or RESULTS / f"growth-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    program = None if options.own_client else wrk.find()
    growth = Growth(conditions.conditions(options.data_dir, program))
    growth.conditions["server"] = f"{options.workers} workers, defaults {' '.join(options.server_flags)}".strip()
    growth.conditions["measured for"] = f"{options.duration:g} s, {options.rounds} rounds, {options.clients} clients"
    for axis, numbers in steps.items():
        directory = options.resume or Path(tempfile.mkdtemp(prefix="growth-", dir=options.data_dir))
        try:
            for measured, size in Climb(axis, directory, program, options).up(numbers):
                growth.measured += measured
                growth.sizes += [size]
                ladder.write(growth, path)
        finally:
            shutil.rmtree(directory, ignore_errors=True)
    return _tell(growth, path, options)


def _steps(options: argparse.Namespace) -> dict[str, Sequence[int]]:
    every = {
        "keys": [number for number in KEYS if number <= options.keys_max],
        "buckets": MANY, "users": MANY, "clients": CLIENTS,
    }  # fmt: skip
    return {axis: (QUICK if options.quick else every)[axis] for axis in options.axes}


# -- one axis ----------------------------------------------------------------------------------------------------------


@dataclass
class Climb:
    """One axis on one directory, from step to step. `program` is wrk's path, or None for our own client."""

    axis: str
    directory: Path
    program: str | None
    options: argparse.Namespace
    secret_key: str = ""
    filled: int = 0

    def up(self, numbers: Sequence[int]) -> Iterator[tuple[list[Measured], Size]]:
        self.secret_key = secrets.token_hex(16)
        note = self.directory / FILLED
        self.filled = there = int(note.read_text()) if note.exists() else 0
        for at in numbers:
            if at >= there:
                yield self._step(at)

    def _step(self, at: int) -> tuple[list[Measured], Size]:
        server = self._server(at)
        fill_s = self._fill(server, at)
        with _running(server):
            start_s, start_cpu_s = server.started_s, cpu_s(server.pid)
            idle_mb = pss_bytes(server.pid) / 1e6
            measured = list(self._ask_all(server, at))
            used_mb = pss_bytes(server.pid) / 1e6
            server.restart()
            crash_start_s = server.started_s
        database_mb = (server.data_dir / DATABASE).stat().st_size / 1e6
        size = Size(self.axis, at, fill_s, start_s, start_cpu_s, crash_start_s, idle_mb, used_mb, database_mb)
        _say(f"{self.axis} {at:,}: filled in {fill_s:.0f} s, started in {start_s:.2f} s, {used_mb:.0f} MB")
        return measured, size

    def _server(self, at: int) -> RunningServer:
        flags = ["--workers", str(self.options.workers), *self.options.server_flags]
        if self.axis == "users":
            config = self.directory / "users.yaml"
            config.write_text(_users_yaml(at))
            flags += ["--config", str(config)]
        return RunningServer(
            self.directory / "data", args=flags, workers=self.options.workers, access_key=ACCESS_KEY,
            secret_key=self.secret_key,
        )  # fmt: skip

    def _fill(self, server: RunningServer, at: int) -> float:
        """Up to this step; seconds."""
        if not self.filled:
            with _running(server):
                pass  # its first start lays the store out
        wanted = KEYS_FOR_CLIENTS if self.axis == "clients" else at
        begin_s = time.monotonic()
        if wanted > self.filled:
            what = "keys" if self.axis == "clients" else self.axis
            fill(server.data_dir / DATABASE, what, self.filled, wanted)
            self.filled = wanted
            (self.directory / FILLED).write_text(str(wanted))
        return time.monotonic() - begin_s

    def _questions(self, server: RunningServer, at: int) -> list[Question]:
        signer, clients = Signer(server.endpoint, ACCESS_KEY, self.secret_key, REGION), self.options.clients
        match self.axis:
            case "keys":
                return questions.over_keys(signer, at, clients)
            case "buckets":
                return questions.over_buckets(signer, at, clients)
            case "users":
                return questions.over_users(signer, at, clients)
            case _:
                return questions.over_clients(signer, KEYS_FOR_CLIENTS, at)

    def _ask_all(self, server: RunningServer, at: int) -> Iterator[Measured]:
        dice = random.Random(at)
        for question in self._questions(server, at):
            rounds, deletes = [], []
            signer = Signer(server.endpoint, ACCESS_KEY, self.secret_key, REGION)
            self._warm_up(server, question, dice)
            for _ in range(self.options.rounds):
                job = question.prepare(dice, self.options.duration)
                result, answers = self._ask(server, question, job, self.options.duration)
                rounds.append(result)
                if question.name == "PUT" and self.axis == "keys":
                    undo = questions.deletes(signer, job, answers.counts, question.clients)
                    deletes.append(self._ask(server, undo, undo.prepare(dice, 0.0), DELETE_TIMEOUT_S)[0])
            for name, found in ((question.name, rounds), ("DELETE", deletes)):
                if found:
                    measured = Measured(self.axis, at, name, found)
                    _say(f"{self.axis} {at:,} {name}: {_brief(measured)}")
                    yield measured

    def _warm_up(self, server: RunningServer, question: Question, dice: random.Random) -> None:
        """Each request that will be repeated once at least; of what writes, some."""
        job = question.prepare(dice, WARM_UP_S)
        if job.repeats:
            times = -(-question.warm_up // len(job.requests))
            job = Job(job.operation, [*job.requests] * times, job.body, repeats=False)
        target, limit_s = Target(server.host, server.port, server.pid), WARM_UP_MAX_S
        if job.body or self.options.quick:
            limit_s = min(WARM_UP_S, self.options.duration)
        run_clients(target, job, question.clients, CLIENT_PROCESSES, limit_s)

    def _ask(self, server: RunningServer, question: Question, job: Job, duration_s: float) -> tuple[Result, Answers]:
        target = Target(server.host, server.port, server.pid)
        if not self.options.quick:
            conditions.settle(at_most_s=0.3)

        def run() -> Answers:
            # wrk cannot HEAD, and it waits for the end of its time when all is deleted.
            if self.program is None or job.operation in ("HEAD", "DELETE"):
                return run_clients(target, job, question.clients, CLIENT_PROCESSES, duration_s)
            return wrk.run(
                self.program, target, job, question.clients, CLIENT_PROCESSES, duration_s, question.least_bytes
            )

        return watched(target, run)


@contextmanager
def _running(server: RunningServer) -> Iterator[None]:
    """Stopped in order behind it; killed where that does not work."""
    try:
        with interrupts.held():
            server.start(wait=False)
        server.wait_until_ready(timeout_s=120.0)
        yield
        server.terminate()
    finally:
        server.kill9()


def _users_yaml(count: int) -> str:
    """The server's configuration with so many users."""
    lines = ["auth:", "  users:"]
    for number in range(count):
        name, access_key, secret_key = user_of(number)
        lines.append(f'    - {{name: "{name}", access_key: "{access_key}", secret_key: "{secret_key}"}}')
    return "\n".join(lines) + "\n"


# -- what is said ------------------------------------------------------------------------------------------------------


def _tell(growth: Growth, path: Path, options: argparse.Namespace) -> int:
    print(ladder.text(growth))
    if options.plots:
        from loadtests import growth_plots

        for picture in growth_plots.write(growth, path.with_suffix("")):
            _say(f"written: {picture}")
    failed = growth.failed()
    for bad in failed[:20]:
        said = bad.median
        _say(f"{bad.axis} {bad.at:,} {bad.question}: {said.errors} errors, the first: {said.first_error}")
    return 1 if failed else 0


def _brief(measured: Measured) -> str:
    result = measured.median
    errors = f", {result.errors} errors ({result.first_error[:80]})" if result.errors else ""
    return f"{measured.cpu_us:,.0f} µs, {result.ops_per_s:,.0f} ops/s, p99 {result.p99_ms:.1f} ms{errors}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.growth", description="How the cost of operations grows.")
    parser.add_argument("--axes", type=_axes, default=list(ladder.AXES), metavar="NAMES", help=", ".join(ladder.AXES))
    parser.add_argument("--keys-max", type=int, default=KEYS[-1], metavar="KEYS", help="the last step of keys")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--duration", type=float, default=2.0, metavar="SECONDS", help="of one round; wrk takes whole ones"
    )
    parser.add_argument("--clients", type=int, default=16, help="on the other axes")
    parser.add_argument("--workers", type=int, default=2, help="of the server")
    parser.add_argument("--quick", action="store_true", help="two small steps of each axis")
    parser.add_argument("--own-client", action="store_true", help="do without wrk")
    parser.add_argument(
        "--data-dir", type=Path, default=RESULTS, metavar="DIR", help="below which the server has its data"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="where the JSON goes; the plots go beside it")
    parser.add_argument("--resume", type=Path, metavar="DIR", help="where a run that broke off has filled in its axis")
    parser.add_argument("--no-plots", dest="plots", action="store_false")
    parser.add_argument(
        "--report", type=Path, nargs="+", metavar="FILE", help="show what such files hold; of each axis the last"
    )
    parser.add_argument("server_flags", nargs="*", metavar="-- SERVER FLAG")
    options = parser.parse_args(arguments)
    if options.resume and len(options.axes) > 1:
        parser.error("--resume goes on with one axis")
    return options


def _axes(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in ladder.AXES]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"expected some of {', '.join(ladder.AXES)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
