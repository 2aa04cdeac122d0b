"""Requests that are under way at the same time, and the worker that each connection belongs to."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.server.wire import Answer, Wire
from tests.servers import RunningServer

WORKER_TRIES = 40  # connections that are opened until every worker has one


class Volley:
    """Connections that are kept, over which as many requests are sent at once."""

    def __init__(self, port: int, size: int) -> None:
        self._wires = [Wire(port) for _ in range(size)]

    def fire(
        self, requests: Sequence[tuple[str, bytes]], later: Sequence[tuple[str, bytes]] = (), headway_s: float = 0.0
    ) -> list[Answer]:
        """One (method, bytes) a connection; all are sent before the first answer is read.

        Those of `later` follow after `headway_s`, or as soon as one of the others is answered.
        """
        everybody = [*requests, *later]
        wires = self._wires[: len(everybody)]
        for at, (wire, (_, data)) in enumerate(zip(wires, everybody, strict=True)):
            if at == len(requests):
                select.select([earlier.sock for earlier in wires[:at]], [], [], headway_s)
            wire.send(data)
        return [wire.answer(method) for wire, (method, _) in zip(wires, everybody, strict=True)]

    def close(self) -> None:
        for wire in self._wires:
            wire.close()


@contextmanager
def volley(port: int, size: int) -> Iterator[Volley]:
    made = Volley(port, size)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def wire_of_each_worker(server: RunningServer) -> Iterator[list[Wire]]:
    """A connection to every worker, in the workers' order."""
    pids = server.worker_pids()
    opened: list[Wire] = []
    by_worker: dict[int, Wire] = {}
    try:
        while len(by_worker) < len(pids):
            assert len(opened) < WORKER_TRIES, f"only {set(by_worker)} of {pids} took a connection"
            opened.append(Wire(server.port))
            opened[-1].send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            opened[-1].answer()
            by_worker.setdefault(_worker_of(opened[-1], server.port, pids), opened[-1])
        yield [by_worker[pid] for pid in pids]
    finally:
        for wire in opened:
            wire.close()


def _worker_of(wire: Wire, port: int, pids: Sequence[int]) -> int:
    """The process that holds the other end."""
    link = f"socket:[{_inode(port, wire.sock.getsockname()[1])}]"
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                if os.readlink(descriptor) == link:
                    return pid
            except FileNotFoundError:
                continue
    raise AssertionError(f"no worker holds {link}")


def _inode(port: int, peer: int) -> str:
    """Of the server's end of a connection on the loopback, as the kernel lists it."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(f":{port:04X}") and fields[2].endswith(f":{peer:04X}"):
            return fields[9]
    raise AssertionError(f"no connection from {peer} to {port}")
