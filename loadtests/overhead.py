"""What a gateway costs: PUT and GET through it against the service behind it reached directly, in one run.

    python -m loadtests.overhead                           both are servers of ours, on this machine
    python -m loadtests.overhead --gateway http://127.0.0.1:9000 --service http://127.0.0.1:4566 …   any two

One request at a time; both take turns, so that what the machine does besides meets both. Medians.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from loadtests.gateway import PIECE_BYTES, Client, client_of, servers

MIB = 1 << 20


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    with _clients(options) as clients:
        print(f"{'':14}{'service':>12}{'gateway':>12}{'ratio':>8}   medians of {options.rounds}, one at a time")
        for size_mib in options.mib:
            times = _measure(clients, size_mib, options.rounds)
            for operation in ("PUT", "GET"):
                service_s, gateway_s = (statistics.median(times[name, operation]) for name in clients)
                print(
                    f"{operation} {size_mib:4} MiB  {service_s * 1e3:9.1f} ms{gateway_s * 1e3:9.1f} ms"
                    f"{gateway_s / service_s:8.2f}",
                    flush=True,
                )
    return 0


def _measure(clients: dict[str, Client], size_mib: int, rounds: int) -> dict[tuple[str, str], list[float]]:
    """Seconds by who was asked and for what. The first round is not counted."""
    piece = memoryview(os.urandom(PIECE_BYTES))
    times: dict[tuple[str, str], list[float]] = {(name, word): [] for name in clients for word in ("PUT", "GET")}
    for number in range(-1, rounds):
        for name, client in clients.items():
            put_s = client.put(f"{size_mib}", piece, size_mib * MIB // PIECE_BYTES)
            get_s = client.get(f"{size_mib}", size_mib * MIB)
            if number >= 0:
                times[name, "PUT"].append(put_s)
                times[name, "GET"].append(get_s)
    return times


@contextmanager
def _clients(options: argparse.Namespace) -> Iterator[dict[str, Client]]:
    """The service's and the gateway's, in this order."""
    if options.gateway:
        made = {
            name: Client(url, options.access_key, options.secret_key, options.bucket)
            for name, url in (("service", options.service), ("gateway", options.gateway))
        }
        yield made
        return
    with (
        tempfile.TemporaryDirectory(dir=options.directory) as directory,
        servers(Path(directory)) as (service, gateway),
    ):
        yield {"service": client_of(service), "gateway": client_of(gateway)}


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.overhead", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--mib", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--directory", help="for the data of our own servers")
    parser.add_argument("--gateway", help="URL of a gateway that runs already")
    parser.add_argument("--service", help="URL of what is behind it")
    parser.add_argument("--access-key", default="bleepstore", help="good for both")
    parser.add_argument("--secret-key", default="bleepstore-secret")
    parser.add_argument("--bucket", default="measured", help="which both have")
    options = parser.parse_args(arguments)
    if bool(options.gateway) != bool(options.service):
        parser.error("--gateway and --service go together")
    return options


if __name__ == "__main__":
    raise SystemExit(main())
