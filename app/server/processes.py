"""How many workers, and where their heartbeat files go."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Literal

AUTO_WORKERS_MAX = 8
CGROUP_ROOT = Path("/sys/fs/cgroup")
MEMORY_FILES = Path("/dev/shm")  # noqa: S108  # a tmpfs: a heartbeat must not wait for a disk


def resolve_workers(setting: int | Literal["auto"], affinity: int, cgroup_root: Path, *, shared: bool) -> int:
    """The number of worker processes. `affinity`: CPUs this process may run on. `shared`: the engines allow several.

    "auto" is the least of the CPU quota rounded up, `affinity` and AUTO_WORKERS_MAX. One where an engine is not shared.
    """
    if not shared:
        return 1
    if setting != "auto":
        return setting
    quota = cpu_quota(cgroup_root)
    return max(1, min(affinity, AUTO_WORKERS_MAX, affinity if quota is None else quota))


def cpu_quota(cgroup_root: Path) -> int | None:
    """CPUs that the control group may use, rounded up; None without a limit. Both versions of cgroups."""
    unified = _words(cgroup_root / "cpu.max")
    if len(unified) == 2:
        return _rounded_up(unified[0], unified[1])
    for folder in ("cpu", "cpu,cpuacct"):
        quota = _words(cgroup_root / folder / "cpu.cfs_quota_us")
        period = _words(cgroup_root / folder / "cpu.cfs_period_us")
        if quota and period:
            return _rounded_up(quota[0], period[0])
    return None


def usable_cpus() -> int:
    return len(os.sched_getaffinity(0))


def heartbeat_dir() -> str:
    """A directory in memory where there is a usable one, else the system's for temporary files."""
    if MEMORY_FILES.is_dir() and os.access(MEMORY_FILES, os.W_OK | os.X_OK):
        return str(MEMORY_FILES)
    return tempfile.gettempdir()


def _rounded_up(quota: str, period: str) -> int | None:
    """ "max" and -1 are no limit."""
    if not quota.isdigit() or not period.isdigit() or int(period) == 0 or int(quota) == 0:
        return None
    return -(-int(quota) // int(period))


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        return []
