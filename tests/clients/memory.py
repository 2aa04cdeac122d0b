"""How much memory processes used at their peak, as the kernel counts it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

SAMPLE_EVERY_S = 0.05


@dataclass
class Peak:
    """Of one process, in bytes. `resident` is the kernel's own high-water mark, so nothing falls between samples."""

    idle_proportional: int
    proportional: int
    resident: int = 0


@dataclass
class MemoryWatch:
    """Samples the processes while the block runs; `peaks` are complete behind it."""

    pids: Sequence[int]
    peaks: dict[int, Peak] = field(default_factory=dict)

    def __enter__(self) -> Self:
        for pid in self.pids:
            now = _kib(pid, "smaps_rollup", "Pss")
            self.peaks[pid] = Peak(now, now)
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # the high-water mark starts anew
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()
        for pid, peak in self.peaks.items():
            peak.resident = _kib(pid, "status", "VmHWM")

    def _sample(self) -> None:
        while not self._ended.wait(SAMPLE_EVERY_S):
            for pid, peak in self.peaks.items():
                peak.proportional = max(peak.proportional, _kib(pid, "smaps_rollup", "Pss"))


def _kib(pid: int, file: str, name: str) -> int:
    """A line of a file in /proc that counts KiB, in bytes. Raises: ValueError."""
    for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
        found, _, value = line.partition(":")
        if found == name:
            return int(value.split()[0]) * 1024
    raise ValueError(f"{file} of process {pid} has no {name}")
