"""The memory of a gateway's worker while a large object goes through it.

    python -m loadtests.large_object [--mib 2048]

Peak RSS is the kernel's own high-water mark, anew for each step; PSS is sampled, the master's share apart.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from loadtests.gateway import PIECE_BYTES, client_of, servers, worker_of

MIB = 1 << 20
SAMPLE_EVERY_S = 0.1


class Memory:
    """Of one process, from here to the end of the block."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.pss_max_bytes = 0
        self.rss_max_bytes = 0
        self._is_over = threading.Event()

    @contextmanager
    def watched(self) -> Iterator[Memory]:
        Path(f"/proc/{self._pid}/clear_refs").write_text("5")
        thread = threading.Thread(target=self._sample)
        thread.start()
        try:
            yield self
        finally:
            self._is_over.set()
            thread.join()
            self.rss_max_bytes = _field(self._pid, "status", "VmHWM")

    def _sample(self) -> None:
        while not self._is_over.wait(SAMPLE_EVERY_S):
            self.pss_max_bytes = max(self.pss_max_bytes, _field(self._pid, "smaps_rollup", "Pss"))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtests.large_object", description=__doc__)
    parser.add_argument("--mib", type=int, default=2_048)
    parser.add_argument("--directory", help="for the data of the servers, twice the object's size")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=options.directory) as directory, servers(Path(directory)) as (_, gateway):
        client, worker = client_of(gateway), worker_of(gateway)
        idle = _field(worker, "smaps_rollup", "Rss")
        print(f"idle: RSS {idle / MIB:.0f} MiB, PSS {_field(worker, 'smaps_rollup', 'Pss') / MIB:.0f} MiB")
        piece = memoryview(os.urandom(PIECE_BYTES))
        steps: dict[str, Callable[[], float]] = {
            "PUT": lambda: client.put("large", piece, options.mib * MIB // PIECE_BYTES),
            "GET": lambda: client.get("large", options.mib * MIB),
        }
        for operation, step in steps.items():
            with Memory(worker).watched() as memory:
                seconds = step()
            print(
                f"{operation} {options.mib} MiB: {seconds:.1f} s, {options.mib / seconds:.0f} MiB/s; worker at most "
                f"RSS {memory.rss_max_bytes / MIB:.0f} MiB, PSS {memory.pss_max_bytes / MIB:.0f} MiB",
                flush=True,
            )
    return 0


def _field(pid: int, file: str, name: str) -> int:
    """Bytes of a line "name: 123 kB" of /proc."""
    for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) << 10
    raise ValueError(f"/proc/{pid}/{file} has no {name}")


if __name__ == "__main__":
    raise SystemExit(main())
