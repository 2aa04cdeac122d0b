"""What a process and all that it started use, as the kernel counts it: for tests and for the benchmark."""

from __future__ import annotations

import os
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """The process and its living descendants."""
    found, waiting = [], [pid]
    while waiting:
        each = waiting.pop()
        found.append(each)
        for children in Path(f"/proc/{each}/task").glob("*/children"):
            try:
                waiting += map(int, children.read_text().split())
            except OSError:
                continue  # the thread has ended meanwhile
    return found


def pss_bytes(pid: int) -> int:
    """Memory of a tree, each shared page counted in parts that add up to one (proportional set size)."""
    return sum(_pss_bytes(each) for each in tree(pid))


def cpu_s(pid: int) -> float:
    """Seconds of processor time of a tree, of its children that have ended and were waited for too."""
    ticks = 0
    for each in tree(pid):
        # 4242 (name (with) brackets) S …: the fields are counted behind the last bracket.
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(") ")[2].split()
        ticks += sum(map(int, fields[11:15]))
    return ticks / TICKS_PER_S


def machine_cpu_s() -> tuple[float, float]:
    """Seconds that all processors were busy, and that they were there, since the machine started."""
    # cpu user nice system idle iowait irq softirq steal …: guests' time is in user's already.
    ticks = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / TICKS_PER_S, sum(ticks) / TICKS_PER_S


def _pss_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "Pss":
            return int(value.split()[0]) * 1_024
    raise ValueError(f"/proc/{pid}/smaps_rollup has no Pss")
