"""How long a gateway's hub stands still while the service behind it hangs under many requests.

    python -m loadtests.hanging [--requests 60] [--seconds 10]

One small request that needs nothing of the service is always under way on a connection of its own: whenever the hub stood
still, it stood still under one of these. The same is measured before, with nothing that hangs, for comparison.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from loadtests.gateway import OBJECTS, PIECE_BYTES, client_of, servers
from tests.fault_proxy import ALWAYS, Fault, FaultProxy, hang
from tests.gateways import aws_environment
from tests.servers import RunningServer

SETTLE_S = 1.0
REST_S = 0.002  # so that this process does not keep the server from its core


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtests.hanging", description=__doc__)
    parser.add_argument("--requests", type=int, default=60, help="half GETs, half PUTs, which hang")
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory() as directory,
        servers(Path(directory)) as (service, gateway),
        FaultProxy(service.endpoint) as proxy,
    ):
        gateway.kill9()
        gateway.environ = aws_environment(proxy.url, service)
        gateway.start()
        piece = memoryview(os.urandom(PIECE_BYTES))
        client = client_of(gateway)
        client.put("large", piece, 1)
        client.put("small", piece[:1_000], 1)
        _tell("nothing hangs", _probe(gateway, options.seconds))
        proxy.add(Fault(hang, times=ALWAYS))
        ended: list[float] = []
        for number in range(options.requests):
            threading.Thread(target=_wait, args=(gateway, number, piece, ended), daemon=True).start()
        time.sleep(SETTLE_S)
        _tell(f"{options.requests} requests hang", _probe(gateway, options.seconds))
        print(f"{len(ended)} of them were answered meanwhile, the first after {min(ended, default=0):.1f} s")
    return 0


def _wait(gateway: RunningServer, number: int, piece: memoryview, ended: list[float]) -> None:
    """A request that cannot be answered well: GET or PUT of what is not in the metadata."""
    client, began_s = client_of(gateway), time.monotonic()
    try:
        if number % 2:
            client.put(f"hanging{number}", piece, 1)
        else:
            client.get("large", PIECE_BYTES)
    except (OSError, ValueError):
        ended.append(time.monotonic() - began_s)


def _probe(gateway: RunningServer, for_s: float) -> list[float]:
    """Seconds of small GETs."""
    client, times, until_s = client_of(gateway), [], time.monotonic() + for_s
    while time.monotonic() < until_s:
        times.append(client.get("small", 1_000))
        time.sleep(REST_S)
    return times


def _tell(what: str, times: list[float]) -> None:
    p99_s = statistics.quantiles(times, n=100)[98]
    print(
        f"{what}: {len(times)} small GETs of {OBJECTS}: median {statistics.median(times) * 1e3:.2f} ms, p99 "
        f"{p99_s * 1e3:.2f} ms, longest {max(times) * 1e3:.1f} ms",
        flush=True,
    )


if __name__ == "__main__":
    raise SystemExit(main())
