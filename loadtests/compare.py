"""Runs BleepStore and its peers in turn with the same client, and says how they compare.

    python -m loadtests.compare [--rounds 5] [--duration 3] [--cases 'GET-1KiB-*,PUT-1KiB-16' | --all]
    python -m loadtests.compare --peer other=http://127.0.0.1:9000,ACCESS,SECRET,PID
    python -m loadtests.compare --report bench-results/compare-….json

Prints a table; writes every round as JSON and the plots as PNG and HTML. loadtests/README.md says what it all means.
Exit code 1 where a request failed, 2 where there was nothing to compare.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from loadtests import cases, conditions, interrupts, peers, report, results, wrk
from loadtests.peers import OURS, PeerFailed, Server
from loadtests.results import OTHERS_SHARE_MAX, Comparison, ServerFacts
from loadtests.stage import Stage, StageFailed
from loadtests.turns import CLIENT_PROCESSES, Turns, pss_mb
from tests.servers import ROOT, ServerDied

RESULTS = ROOT / "bench-results"
QUIET_CHECK_S = 1.0
FREE_BYTES_MIN = 10 << 30


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    try:
        if options.report:
            comparison = results.read(Path(options.report))
            comparison.base = options.base or comparison.base
            return _tell(comparison, Path(options.report).with_suffix(""), options)
        return _compare(options)
    except (PeerFailed, ServerDied, StageFailed, ValueError, OSError) as error:
        _say(str(error))
        return 2


def _compare(options: argparse.Namespace) -> int:
    chosen = cases.chosen(options.cases, everything=options.all)
    interrupts.end_in_order()
    _allow_many_descriptors()
    options.data_dir.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(options.data_dir).free < FREE_BYTES_MIN:
        _say(f"warning: less than {FREE_BYTES_MIN >> 30} GiB are free in {options.data_dir}")
    others = conditions.busy_share(QUIET_CHECK_S)
    if others > OTHERS_SHARE_MAX:
        _say(f"warning: other programs take {others:.0%} of the processors, and the figures will be worth little")
        if options.strict:
            return 2
    path = options.output or RESULTS / f"compare-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        directory = Path(tempfile.mkdtemp(prefix="compare-", dir=options.data_dir))
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        one_worker_mb = _one_worker_mb(directory / "one", options)
        servers = _start(stack, directory, options)
        facts = [ServerFacts(each.name, each.description, each.processes) for each in servers]
        facts[0].memory.one_worker_idle_mb, facts[0].memory.one_worker_used_mb = one_worker_mb
        program = None if options.own_client else wrk.find()
        where = conditions.conditions(directory, program)
        where["others before"] = f"{others:.0%} of all processors"
        where["measured for"] = f"{options.duration:g} s each, {CLIENT_PROCESSES} threads or processes of clients"
        comparison = Comparison(options.base or servers[1].name, conditions.cores(), where, facts)
        Turns(options.rounds, options.duration, program, _say).take(servers, chosen, comparison, path)
    return _tell(comparison, path.with_suffix(""), options)


# -- servers -------------------------------------------------------------------------------------------------------


def _start(stack: ExitStack, directory: Path, options: argparse.Namespace) -> list[Server]:
    """Ours first, then the peers in the order in which they were named. Raises: PeerFailed where there is none."""
    named = options.peers if options.peers is not None else [name for name in peers.PEERS if peers.find(name)]
    foreign = [peers.foreign(text, options.region) for text in options.peer]
    names = [*named, *(server.name for server in foreign)]
    if not names:
        raise PeerFailed("there is no peer: set MINIO_BIN or GARAGE_BIN, or give --peer NAME=URL,ACCESS,SECRET[,PID]")
    if len(set(names)) < len(names) or (options.base and options.base not in names):
        raise PeerFailed(f"the peers are {', '.join(names)}: each has a name of its own, and --base is one of them")
    servers = [stack.enter_context(peers.bleepstore(_made(directory / OURS), options.server_flags))]
    for name in named:
        program = peers.find(name)
        if program is None:
            raise PeerFailed(f"{name} is not on the PATH, and {name.upper()}_BIN is not set")
        servers.append(stack.enter_context(peers.PEERS[name](_made(directory / name), program)))
    return [*servers, *foreign]


def _one_worker_mb(directory: Path, options: argparse.Namespace) -> tuple[float | None, float | None]:
    """Memory of ours with one worker, just started and after a few requests."""
    with peers.bleepstore(_made(directory), options.server_flags, workers="1") as server:
        started_mb = pss_mb(server)
        Stage(server).few_requests()
        return started_mb, pss_mb(server)


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True)
    return directory


def _allow_many_descriptors() -> None:
    """A thousand connections at each end; servers inherit the limit."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


# -- what is said --------------------------------------------------------------------------------------------------


def _tell(comparison: Comparison, stem: Path, options: argparse.Namespace) -> int:
    """The table and the plots; exit code 1 where a cell has an error."""
    print(report.text(comparison))
    if options.plots:
        from loadtests import plots

        for path in plots.write(comparison, stem):
            _say(f"written: {path}")
    busy = [each for each in comparison.cells if (each.median("others_share") or 0.0) > OTHERS_SHARE_MAX]
    if busy:
        _say(
            f"warning: others took over {OTHERS_SHARE_MAX:.0%} of the processors in {len(busy)} of {len(comparison.cells)} cells"
        )
    failed = comparison.failed()
    for cell in failed[:20]:
        _say(f"{cell.case} at {cell.server}: {cell.errors} errors, the first: {cell.first_error}")
    return 1 if failed else 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.compare", description="Compare BleepStore with its peers."
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--duration", type=float, default=3.0, metavar="SECONDS", help="of one measurement; wrk takes whole ones"
    )
    parser.add_argument("--cases", type=_words, default=(), metavar="PATTERNS", help="such as 'GET-1KiB-*,PUT-*-16'")
    parser.add_argument("--all", action="store_true", help="every size, operation and number of clients")
    parser.add_argument("--list-cases", action="store_true", help="say which there are, and end")
    parser.add_argument(
        "--peers", type=_words, metavar="NAMES", help=f"of {', '.join(peers.PEERS)}; default: those that are found"
    )
    parser.add_argument(
        "--peer", action="append", default=[], metavar="NAME=URL,ACCESS,SECRET[,PID]", help="one that runs already"
    )
    parser.add_argument("--base", default="", metavar="NAME", help="the peer that ratios are to; default: the first")
    parser.add_argument("--region", default=peers.REGION, help="of peers that run already")
    parser.add_argument("--own-client", action="store_true", help="do without wrk")
    parser.add_argument("--strict", action="store_true", help="refuse a machine that is busy already")
    parser.add_argument(
        "--data-dir", type=Path, default=RESULTS, metavar="DIR", help="below which the servers have their data"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="where the JSON goes; the plots go beside it")
    parser.add_argument("--no-plots", dest="plots", action="store_false")
    parser.add_argument("--report", default="", metavar="FILE", help="only show what such a JSON holds")
    parser.add_argument("server_flags", nargs="*", metavar="-- SERVER FLAG", help="for BleepStore")
    options = parser.parse_args(arguments)
    if options.list_cases:
        print("\n".join(f"{case.name}{'  *' if case.name in cases.DEFAULT else ''}" for case in cases.every()))
        parser.exit()
    if options.rounds < 1 or options.duration <= 0:
        parser.error("there is at least one round, of some duration")
    unknown = [name for name in options.peers or () if name not in peers.PEERS]
    if unknown:
        parser.error(f"{unknown[0]} cannot be started; --peer takes any server that runs")
    return options


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


if __name__ == "__main__":
    sys.exit(main())
