"""What counting costs: the same requests to a server with metrics and to one without, in turns, and to the counter alone.

    python -m loadtests.metrics_cost
    python -m loadtests.metrics_cost --cases GET-1KiB-16,PUT-1KiB-16 --starts 5 --rounds 4 --seconds 3

Both servers have one worker. Two processes of the same program differ by a per cent or two for as long as they live, so
both are started anew several times; the share is the median of what the rounds say, each of which asks both. Needs wrk.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import timeit
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from app.observe.metrics import Metrics
from app.observe.repeats import PACKED_PER_S
from app.s3.outcome import Handled
from loadtests import wrk
from loadtests.cases import Case, chosen
from loadtests.conditions import settle
from loadtests.measure import Job, Result, watched
from loadtests.peers import bleepstore
from loadtests.stage import Stage

OFF = ("--observability.metrics", "false")
CALLS, REPEATS = 200_000, 7

Rounds = dict[tuple[str, bool], list[Result]]  # by case, and whether somebody counted


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    program = wrk.find()
    if program is None:
        raise SystemExit("wrk is not installed")
    for what, seconds in _alone().items():
        print(f"{what:34} {seconds * 1e6:6.3f} us", flush=True)
    cases = chosen(options.cases.split(","))
    rounds: Rounds = {(case.name, is_on): [] for case in cases for is_on in (True, False)}
    for _ in range(options.starts):
        _one_start(program, cases, rounds, options)
    print(f"{'':24}{'off':>9}{'on':>9}   us of processor time for a request{'':8}{'off':>9}{'on':>9}   requests/s")
    for case in cases:
        off, on = (rounds[case.name, is_on] for is_on in (False, True))
        cpu = _compared([each.server_cpu_us or 0.0 for each in off], [each.server_cpu_us or 0.0 for each in on])
        rate = _compared([each.ops_per_s for each in off], [each.ops_per_s for each in on])
        print(
            f"{case.name:24}{cpu[0]:9.2f}{cpu[1]:9.2f}   {cpu[2] * 100:+5.1f} %{'':34}"
            f"{rate[0]:9.0f}{rate[1]:9.0f}   {rate[2] * 100:+5.1f} %"
        )
    return 0


def _compared(off: Sequence[float], on: Sequence[float]) -> tuple[float, float, float]:
    """Both medians, and the median of what the rounds say one by one: by how much `on` is more."""
    surplus = [after / before - 1 for before, after in zip(off, on, strict=True)]
    return statistics.median(off), statistics.median(on), statistics.median(surplus)


def _one_start(program: str, cases: Sequence[Case], rounds: Rounds, options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(dir=options.directory) as directory, ExitStack() as stack:
        stages = {
            is_on: Stage(stack.enter_context(bleepstore(_made(Path(directory) / name), flags, "1")))
            for name, is_on, flags in (("on", True, ()), ("off", False, OFF))
        }
        for number in range(options.rounds):
            for case in cases:
                # Whoever comes second finds a warmer machine, or a hotter one.
                for is_on in (True, False) if number % 2 else (False, True):
                    rounds[case.name, is_on].append(_measure(program, stages[is_on], case, options.seconds))


def _measure(program: str, stage: Stage, case: Case, seconds: float) -> Result:
    job = stage.prepare(case, seconds).work
    if not isinstance(job, Job):
        raise SystemExit(f"{case.name} is not for wrk")
    settle()
    target = stage.server.target
    result, _ = watched(target, partial(wrk.run, program, target, job, case.clients, 1, seconds))
    if result.errors:
        raise SystemExit(f"{case.name}: {result.first_error}")
    return result


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory


def _alone() -> dict[str, float]:
    """Seconds of one call of what counts, the least of some."""
    requests = Metrics().requests
    requests.begun()
    get = Handled("", "GET", "GetObject", "bucket", "key", status=200, has_bucket=True)
    put = Handled(
        "", "PUT", "PutObject", "bucket", "key", status=200, bytes_in=1024, has_bucket=True, object_bytes=1024
    )
    place, values = requests.repeat_place(get, 1024), requests.values

    def repeat() -> None:
        values[place] += 1.0 + 0.00003 * PACKED_PER_S

    def wait() -> None:
        requests.begun()
        requests.over()

    return {
        "answered whole from memory": _least(repeat),
        "answered whole, GET": _least(lambda: requests.whole(get, 0.00006, 1024)),
        "answered whole, PUT": _least(lambda: requests.whole(put, 0.0003, 0)),
        "begun and over": _least(wait),
    }


def _least(call: Callable[[], object]) -> float:
    empty = min(timeit.repeat(lambda: None, number=CALLS, repeat=REPEATS))
    return (min(timeit.repeat(call, number=CALLS, repeat=REPEATS)) - empty) / CALLS


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.metrics_cost", description=__doc__)
    parser.add_argument("--cases", default="GET-1KiB-16,PUT-1KiB-16", help="as of loadtests.compare, by commas")
    parser.add_argument("--starts", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=4, help="of each start")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each round")
    parser.add_argument("--directory", help="for the servers' data")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
