"""The workers as the kernel sees them, read when a scrape asks: memory, descriptors, processor time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from app.observe.scrape import attempted, gauge
from app.observe.slots import LiveWorker, live_workers

if TYPE_CHECKING:
    from prometheus_client import Metric

PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
# Of the fields of /proc/PID/stat behind the command's name, which may hold anything. Source: proc_pid_stat(5).
_USER, _SYSTEM, _BEGUN, _RESIDENT = 11, 12, 19, 21


class Process(NamedTuple):
    resident_bytes: int
    open_fds: int
    cpu_seconds: float


def read_process(pid: int) -> Process | None:
    """None of one that has ended meanwhile, or that is not ours to look at."""
    try:
        fields = _stat(pid)
        open_fds = len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None
    cpu_seconds = (int(fields[_USER]) + int(fields[_SYSTEM])) / TICKS_PER_S
    return Process(int(fields[_RESIDENT]) * PAGE_BYTES, open_fds, cpu_seconds)


def begun_s(pid: int) -> float:
    """When a process began, in seconds of the epoch. Raises: OSError."""
    with open("/proc/stat", encoding="ascii") as file:
        booted_s = next(int(line.split()[1]) for line in file if line.startswith("btime "))
    return booted_s + int(_stat(pid)[_BEGUN]) / TICKS_PER_S


def _stat(pid: int) -> list[str]:
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        return file.read().rpartition(")")[2].split()


class ProcessCollector:
    """For the registry of a scrape. The server began when its master did, whose child each worker is."""

    def __init__(
        self, workers: Callable[[], Sequence[LiveWorker]] = live_workers, master: Callable[[], int] = os.getppid
    ) -> None:
        self._workers = workers
        self._master = master

    def collect(self) -> Iterator[Metric]:
        yield from attempted("processes", self._processes)

    def _processes(self) -> list[Metric]:
        seen = {str(slot): read_process(pid) for slot, pid in self._workers()}
        living = {slot: process for slot, process in seen.items() if process is not None}
        columns = {
            "process_resident_memory_bytes": ("Memory that a worker holds, shared pages included", "resident_bytes"),
            "process_open_fds": ("Files and sockets that a worker has open", "open_fds"),
        }
        return [
            gauge("workers", "Worker processes that live", {(): len(living)}),
            gauge(
                "process_start_time_seconds", "When the server began, since the epoch", {(): begun_s(self._master())}
            ),
            *(
                gauge(name, text, {(slot,): getattr(each, field) for slot, each in living.items()}, "worker")
                for name, (text, field) in columns.items()
            ),
            _counter("process_cpu_seconds", "Processor time of a worker", living),
        ]


def _counter(name: str, text: str, living: dict[str, Process]) -> Metric:
    from prometheus_client.metrics_core import CounterMetricFamily

    family = CounterMetricFamily(f"bleepstore_{name}", text, labels=["worker"])
    for slot, process in living.items():
        family.add_metric([slot], process.cpu_seconds)
    return family
