"""Where a comparison was made: what a reader must know to believe it, and what the machine did besides."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

from loadtests import wrk
from tests.process_tree import machine_cpu_s


def conditions(directory: Path, wrk_program: str | None) -> dict[str, str]:
    """For readers, in order."""
    return {
        "measured": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "processors": f"{cores()} cores that servers and clients share, {_processor()}",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.1f} GB",
        "kernel": platform.release(),
        "file system": file_system(directory),
        "Python": platform.python_version(),
        "client": f"{wrk.version(wrk_program)}, else our own" if wrk_program else "our own",
    }


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0))


def file_system(path: Path) -> str:
    """Its kind: a durable write costs nothing on a tmpfs."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    fitting = [(point, kind) for point, kind in mounts if path.resolve().is_relative_to(point)]
    return max(fitting, key=lambda mount: len(mount[0]))[1]


def busy_share(over_s: float) -> float:
    """Of all processors' time, for so long from now."""
    busy_s, there_s = machine_cpu_s()
    time.sleep(over_s)
    now_busy_s, now_there_s = machine_cpu_s()
    return (now_busy_s - busy_s) / max(now_there_s - there_s, 1e-9)


def settle(at_most_s: float = 1.5, quiet_share: float = 0.05) -> None:
    """Let what was written reach the disk and what was begun end, so that no server pays for the one before it."""
    os.sync()
    until_s = time.monotonic() + at_most_s
    while time.monotonic() < until_s and busy_share(0.1) > quiet_share:
        pass


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
