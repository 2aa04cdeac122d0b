"""What counting adds to an answer from memory: two servers' connections in one process, one counted and one not, by turns.

    python -m loadtests.metrics_inside

Two processes of one program differ by more than counting costs, as long as they live. Here both are one: the same code, warm
for both, with sixteen connections each, of pairs of sockets. What is left is where in memory each of the two lies, so several
processes are asked, and in every other one the other is made first. Processor time, of client and server together.
"""

from __future__ import annotations

import argparse
import os
import select
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, NoReturn

import gevent
from gevent.socket import socket as gevent_socket

from app import Lifecycle, create_app, ensure_default_buckets, runtime
from app.config import load_config
from app.observe import metrics, slots
from app.server.connection import Connection
from app.server.environ import base_environ
from app.server.limits import WireLimits
from app.server.service import Service
from loadtests.prepare import Signer

CONNECTIONS = 16
KEYS, BODY_BYTES = 200, 1_024
TURNS = 60  # of one round
PORT = 9000  # in the signatures; nobody listens
NAP_S = 1e-7  # the loop goes round once
ANSWER_MAX_BYTES = 1 << 16


class Side:
    """One server with its connections and the requests that they send."""

    def __init__(self, directory: Path, *, is_counted: bool) -> None:
        config = load_config(
            {
                "data_dir": str(directory),
                "server.default_buckets": "measured",
                "observability.metrics": str(is_counted).lower(),
            },
            {},
        )
        lifecycle = create_app(config).lifecycle
        assert isinstance(lifecycle, Lifecycle)
        lifecycle.store.metadata.migrate()
        lifecycle.open()
        ensure_default_buckets(config, lifecycle.store)
        service = Service(_nothing_else, WireLimits(), None, lifecycle.short_way)
        base = base_environ("localhost", str(PORT), is_secure=False, is_multiprocess=False, listener="")
        self._clients: dict[int, socket.socket] = {}
        self._poll = select.poll()
        for _ in range(CONNECTIONS):
            ours, theirs = socket.socketpair()
            theirs.setblocking(False)
            served = gevent_socket(theirs.family, theirs.type, theirs.proto, fileno=theirs.detach())
            gevent.get_hub().loop.run_callback(Connection(served, ("127.0.0.1", 1), base, service).start)
            self._clients[ours.fileno()] = ours
            self._poll.register(ours, select.POLLIN)
        signer = Signer(
            f"http://localhost:{PORT}", config.auth.access_key, config.auth.secret_key, config.server.region
        )
        paths = [f"/measured/{number:03d}" for number in range(KEYS)]
        for path in paths:
            self._ask([signer.head("PUT", path, BODY_BYTES) + bytes(BODY_BYTES)])
        self._requests = cycle([signer.head("GET", path) for path in paths])
        self.round()

    def round(self) -> float:
        """Microseconds of processor time for a request."""
        began_s = time.process_time()
        for _ in range(TURNS):
            self._ask([next(self._requests) for _ in range(CONNECTIONS)])
        return (time.process_time() - began_s) / (TURNS * CONNECTIONS) * 1e6

    def _ask(self, requests: Sequence[bytes]) -> None:
        for client, request in zip(self._clients.values(), requests, strict=False):
            client.send(request)
        left = len(requests)
        while left:
            gevent.sleep(NAP_S)
            for number, _ in self._poll.poll(0):
                answer = self._clients[number].recv(ANSWER_MAX_BYTES)
                if not answer.startswith(b"HTTP/1.1 200"):
                    raise RuntimeError(answer[:500].decode("latin-1"))
                left -= 1


def _nothing_else(_environ: dict[str, Any], _start: Callable[..., Any]) -> list[bytes]:
    """Every request here is for the short way."""
    raise NotImplementedError


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtests.metrics_inside", description=__doc__)
    parser.add_argument("--starts", type=int, default=8, help="processes, one after the other; 0: this one")
    parser.add_argument("--rounds", type=int, default=100, help="of each")
    parser.add_argument("--counted-first", action="store_true", help="make the server with metrics first")
    options = parser.parse_args(arguments)
    if not options.starts:
        _measure(options.rounds, is_counted_first=options.counted_first)
    command = [sys.executable, "-m", "loadtests.metrics_inside", "--starts", "0", "--rounds", str(options.rounds)]
    results = []
    for number in range(options.starts):
        order = ["--counted-first"] if number % 2 else []
        done = subprocess.run([*command, *order], capture_output=True, text=True, check=True)
        results.append([float(word) for word in done.stdout.split()])
        print("off {:.2f} us, on {:.2f} us, median of the differences {:+.2f} us".format(*results[-1]), flush=True)
    off, on, surplus = (statistics.median(column) for column in zip(*results, strict=True))
    print(f"medians: off {off:.2f} us, on {on:.2f} us, {surplus:+.2f} us")
    return 0


def _measure(rounds: int, *, is_counted_first: bool) -> NoReturn:
    """Prints three numbers, and ends the process: threads and greenlets are at work for ever."""
    runtime.enable_gevent()
    with tempfile.TemporaryDirectory() as directory, open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)  # a line of the log for each request: written, and read by nobody
        metrics.setup(load_config({}, {}))
        sides = {
            is_counted: Side(Path(directory) / str(is_counted), is_counted=is_counted)
            for is_counted in ((True, False) if is_counted_first else (False, True))
        }
        costs: dict[bool, list[float]] = {True: [], False: []}
        for number in range(rounds):
            for is_counted in (True, False) if number % 2 else (False, True):
                costs[is_counted].append(sides[is_counted].round())
    shutil.rmtree(slots.directory() or "", ignore_errors=True)
    surplus = statistics.median(on - off for on, off in zip(costs[True], costs[False], strict=True))
    print(statistics.median(costs[False]), statistics.median(costs[True]), surplus, flush=True)
    os._exit(0)


if __name__ == "__main__":
    raise SystemExit(main())
