"""How much memory processes took at most while something happened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20


@dataclass
class Growth:
    """`peak_bytes` is set at the end: by how much the resident memory of the process that grew most had grown at most."""

    peak_bytes: int = 0


@contextmanager
def growth(pids: Iterable[int]) -> Iterator[Growth]:
    """Measures each process from here to the end of the block, by the kernel's own high-water mark."""
    measured = Growth()
    before = {}
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # the mark starts anew from what is resident now
        before[pid] = _status_bytes(pid, "VmRSS")
    yield measured
    measured.peak_bytes = max(_status_bytes(pid, "VmHWM") - resident for pid, resident in before.items())


def _status_bytes(pid: int, field: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition(f"{field}:")[2].split()[0]) * 1024
