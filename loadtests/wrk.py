"""wrk as the client: it takes a few microseconds for a request, so that the server is measured and not the client.

It is given prepared requests as files (wrk.lua reads them), and tells what it saw as JSON. It hangs on HEAD, whose answers
have no body, and it copies every body twice: both are left to our own client.
"""

from __future__ import annotations

import json
import math
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from loadtests.measure import Answers, Job, Target

SCRIPT = Path(__file__).with_name("wrk.lua")
TIMEOUT_S = 30  # of one request
PATIENCE_S = 120.0
LENGTH_DIGITS = 8


def find() -> str | None:
    """The program's path, where it is installed."""
    return shutil.which("wrk")


def version(program: str) -> str:
    """As it says itself, "wrk debian/4.1.0-3+b2"."""
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=False, timeout=10)
    return (said.stdout + said.stderr).partition(" [")[0].strip()


def run(
    program: str, target: Target, job: Job, connections: int, threads: int, duration_s: float, answer_bytes_min: int = 0
) -> Answers:
    """Run a job, of whole seconds and of one at least. An answer is an error when it is no 2xx, and all are when they have
    fewer than `answer_bytes_min` bytes on average. Raises: RuntimeError, when wrk fails or hangs.
    """
    if job.turn_bytes or job.operation == "HEAD":
        raise ValueError("a job for our own client")
    threads = min(threads, connections)
    seconds = max(1, math.ceil(duration_s))
    with tempfile.TemporaryDirectory(prefix="wrk-") as name:
        folder = Path(name)
        write_requests(folder, job, threads)
        command = [
            program, f"-t{threads}", f"-c{connections}", f"-d{seconds}s", f"--timeout={TIMEOUT_S}s", "--latency",
            f"--script={SCRIPT}", f"http://{target.host}:{target.port}/", "--", name, "repeat" if job.repeats else "once",
        ]  # fmt: skip
        cpu_s = _run(command, seconds + PATIENCE_S)
        return answers((folder / "summary.json").read_text(), cpu_s, answer_bytes_min)


def write_requests(folder: Path, job: Job, threads: int) -> None:
    """A file for each thread, so that no two of them send the same; and the body that follows every request."""
    (folder / "body").write_bytes(job.body)
    for number in range(threads):
        mine: Sequence[bytes] = job.requests[number::threads]
        if job.repeats:
            mine = mine or job.requests
        with open(folder / str(number), "wb") as file:
            for request in mine:
                file.write(b"%0*d" % (LENGTH_DIGITS, len(request)))
                file.write(request)


def answers(summary: str, cpu_s: float, answer_bytes_min: int = 0) -> Answers:
    """From what wrk.lua wrote."""
    told = json.loads(summary)
    kinds = ("status", "connect", "read", "write", "timeout")
    errors = sum(told[kind] for kind in kinds)
    first_error = ", ".join(f"{told[kind]} of kind {kind}" for kind in kinds if told[kind])
    good = told["requests"] - told["status"]
    if told["bytes"] < good * answer_bytes_min:
        errors, good, first_error = errors + good, 0, f"{told['bytes']} bytes in {good} answers are too few"
    return Answers(
        requests=good,
        errors=errors,
        first_error=first_error,
        elapsed_s=told["elapsed_s"],
        cpu_s=cpu_s,
        p50_s=told["p50_us"] / 1e6,
        p95_s=told["p95_us"] / 1e6,
        p99_s=told["p99_us"] / 1e6,
        counts=told["counts"],
        ran_out=told["ran_out"],
    )


def _run(command: Sequence[str], patience_s: float) -> float:
    """Seconds of processor time that it took."""
    before_s = _children_cpu_s()
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=patience_s)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError("wrk hangs") from error
    if done.returncode:
        raise RuntimeError(f"wrk failed: {' '.join((done.stdout + done.stderr).split())[-500:]}")
    return _children_cpu_s() - before_s


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
