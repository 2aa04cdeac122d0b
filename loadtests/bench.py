"""How fast the server is: PUT, GET, HEAD, LIST and DELETE at three sizes, over HTTP, with its default settings.

    python -m loadtests.bench [--sizes 1KiB,64KiB,1MiB] [--concurrency 16] [--duration 3] [--rounds 3] [-- SERVER FLAGS]
    python -m loadtests.bench --endpoint http://127.0.0.1:9000 --access-key … --secret-key … [--pid MASTER]

Prints a table of medians and writes every round to bench-results/. loadtests/README.md says what the columns mean.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import secrets
import shutil
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from app.version import __version__
from loadtests.conditions import file_system
from loadtests.measure import Result, Target, measure, median_of
from loadtests.prepare import LIST_KEYS, PUTS_PER_S_MAX, Signer, others, puts
from tests.process_tree import pss_bytes, tree
from tests.servers import ROOT, RunningServer

RESULTS = ROOT / "bench-results"
BUCKET = f"bench-{secrets.token_hex(4)}"
WARM_UP_S = 0.5
SIZES = {"1KiB": 1 << 10, "64KiB": 64 << 10, "1MiB": 1 << 20}
OPERATIONS = ("PUT", "GET", "HEAD", "LIST", "DELETE")

Results = dict[tuple[str, str], list[Result]]  # the rounds, by operation and size


@dataclass(frozen=True)
class Place:
    """A server that runs, and the keys to it."""

    target: Target
    signer: Signer
    description: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 where a request failed."""
    options = _parse(arguments)
    with _place(options) as place:
        _create_bucket(place.signer)
        _one_round(place, options, "warm-up", "1KiB", WARM_UP_S)
        idle_mb = None if place.target.pid is None else pss_bytes(place.target.pid) / 1e6
        results: Results = {(operation, size): [] for size in options.sizes for operation in OPERATIONS}
        for size in options.sizes:
            for number in range(options.rounds):
                _tell(f"{size}, round {number + 1} of {options.rounds} …")
                for operation, result in _one_round(place, options, f"{size}-{number}", size, options.duration):
                    results[operation, size].append(result)
        document = _document(place, options, results, idle_mb)
    print(_table(results, idle_mb))
    print(
        f"\n{document['server']}, {document['server_processes'] or 'unknown'} processes; {_conditions(options)}; medians of {options.rounds} rounds"
    )
    print(f"written to {_write(document, options.output)}")
    failed = [(key, each) for key, rounds in results.items() for each in rounds if each.errors]
    for (operation, size), each in failed[:10]:
        print(f"{operation} {size}: {each.errors} errors, the first: {each.first_error}", file=sys.stderr)
    return 1 if failed else 0


def _one_round(
    place: Place, options: argparse.Namespace, folder: str, size: str, duration_s: float
) -> list[tuple[str, Result]]:
    """The five operations, one after the other."""
    load = (options.concurrency, options.processes, duration_s)
    job, keys = puts(place.signer, BUCKET, folder, SIZES[size], duration_s)
    result, counts = measure(place.target, job, *load)
    done = [(job.operation, result)]
    written = [key for number, count in enumerate(counts) for key in keys[number :: len(counts)][:count]]
    if not written:
        raise SystemExit(f"nothing could be written: {result.first_error}")
    for job in others(place.signer, BUCKET, folder, written):
        done.append((job.operation, measure(place.target, job, *load)[0]))
    return done


# -- the server ----------------------------------------------------------------------------------------------------


@contextmanager
def _place(options: argparse.Namespace) -> Iterator[Place]:
    """The server at --endpoint, or one of our own on a directory that goes with it."""
    if options.endpoint:
        yield _place_at(options.endpoint.rstrip("/"), options, options.pid, options.endpoint)
        return
    directory = Path(tempfile.mkdtemp(prefix="bench-", dir=_made(options.data_dir)))
    # The flag stands behind the one that names a number of workers, and the last one counts.
    flags = ("--workers", "auto", *options.server_flags)
    server = RunningServer(directory / "data", args=flags, access_key=options.access_key, secret_key=options.secret_key)
    try:
        server.start()
        description = f"BleepStore {__version__} on {file_system(directory)}"
        yield _place_at(server.endpoint, options, server.pid, " ".join([description, *options.server_flags]))
    finally:
        server.kill9()
        shutil.rmtree(directory)


def _place_at(endpoint: str, options: argparse.Namespace, pid: int | None, description: str) -> Place:
    parts = urlsplit(endpoint)
    if parts.scheme != "http" or parts.hostname is None:
        raise SystemExit("--endpoint must be http://host:port")
    signer = Signer(endpoint, options.access_key, options.secret_key, options.region)
    return Place(Target(parts.hostname, parts.port or 80, pid), signer, description)


def _create_bucket(signer: Signer) -> None:
    target = signer.head("PUT", f"/{BUCKET}").split(b" ")[1].decode()
    request = urllib.request.Request(signer.endpoint + target, method="PUT", data=b"")
    try:
        with urllib.request.urlopen(request, timeout=30):
            pass
    except urllib.error.URLError as error:
        raise SystemExit(f"the bucket could not be created: {error}") from error


# -- the report ----------------------------------------------------------------------------------------------------


def _table(results: Results, idle_mb: float | None) -> str:
    lines = [
        f"{'':8}{'':>7}{'ops/s':>10}{'MB/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'errors':>8}{'server':>10}{'client':>9}{'PSS MB':>9}{'others':>8}",
        f"{'':8}{'':>7}{'':>10}{'':>9}{'':>9}{'':>9}{'':>8}{'µs/op':>10}{'µs/op':>9}{'':>9}{'CPU %':>8}",
    ]
    for (operation, size), rounds in results.items():
        each = median_of(rounds)
        moved = each.ops_per_s * SIZES[size] / 1e6 if operation in ("PUT", "GET") else None
        lines.append(
            f"{operation:8}{size:>7}{each.ops_per_s:>10,.0f}{_cell(moved, 9, 1)}{each.p50_ms:>9.2f}{each.p99_ms:>9.2f}"
            f"{each.errors:>8}{_cell(each.server_cpu_us, 10)}{each.client_cpu_us:>9.0f}{_cell(each.pss_mb, 9, 1)}"
            f"{_cell(None if each.others_share is None else each.others_share * 100, 8)}"
        )
    return "\n".join(lines) + f"\n\nPSS before: {_cell(idle_mb, 0, 1)} MB. LIST: pages of {LIST_KEYS} keys."


def _cell(value: float | None, width: int, digits: int = 0) -> str:
    return f"{'–' if value is None else format(value, f',.{digits}f'):>{width}}"


def _conditions(options: argparse.Namespace) -> str:
    return (
        f"{options.concurrency} connections from {options.processes} client processes, {options.duration:g} s each, "
        f"on {os.cpu_count()} cores that server and client share"
    )


def _document(place: Place, options: argparse.Namespace, results: Results, idle_mb: float | None) -> dict[str, object]:
    rows = [
        {"operation": operation, "size": size, **asdict(median_of(rounds)), "rounds": [asdict(each) for each in rounds]}
        for (operation, size), rounds in results.items()
    ]
    return {
        "ended": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "server": place.description,
        "server_processes": None if place.target.pid is None else len(tree(place.target.pid)),
        "concurrency": options.concurrency,
        "client_processes": options.processes,
        "duration_s": options.duration,
        "list_keys": LIST_KEYS,
        "pss_before_mb": idle_mb,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "results": rows,
    }


def _write(document: dict[str, object], output: str) -> str:
    path = Path(output) if output else _made(RESULTS) / f"bench-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.json"
    path.write_text(json.dumps(document, indent=2) + "\n")
    return os.path.relpath(path)


def _made(directory: str | Path) -> Path:
    Path(directory).mkdir(parents=True, exist_ok=True)
    return Path(directory)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench", description="Measure an S3 server.")
    parser.add_argument("--sizes", default=",".join(SIZES), help=f"of objects, from {', '.join(SIZES)}")
    parser.add_argument("--concurrency", type=int, default=16, help="connections, each with one request at a time")
    parser.add_argument("--processes", type=int, default=2, help="client processes that share the connections")
    parser.add_argument("--duration", type=float, default=3.0, metavar="SECONDS", help="of each operation in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", default="", metavar="FILE", help="where the JSON goes instead of bench-results/")
    parser.add_argument("--data-dir", default=str(RESULTS), metavar="DIR", help="below which the server has its data")
    parser.add_argument("--endpoint", default="", help="measure the server there instead of one of our own")
    parser.add_argument("--access-key", default="bench-access-key")
    parser.add_argument("--secret-key", default="bench-secret-key-0123456789")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--pid", type=int, help="main process of the server at --endpoint, if it is on this machine")
    parser.add_argument("server_flags", nargs="*", metavar="-- SERVER FLAG", help="for our own server")
    options = parser.parse_args(arguments)
    options.sizes = [size.strip() for size in options.sizes.split(",")]
    unknown = [size for size in options.sizes if SIZES.get(size) not in PUTS_PER_S_MAX]
    if unknown or options.rounds < 1 or options.concurrency < 1 or options.processes < 1:
        parser.error(f"sizes are {', '.join(SIZES)}; rounds, concurrency and processes are at least 1")
    return options


if __name__ == "__main__":
    sys.exit(main())
