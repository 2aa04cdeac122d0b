"""How much memory processes take, and took at most while something happened."""

from __future__ import annotations

import array
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.process_tree import tree

MIB = 1 << 20
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

# Of an entry of /proc/PID/pagemap, see proc(5).
PRESENT, OF_A_FILE = 1 << 63, 1 << 61


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


def own_bytes(pid: int) -> int:
    """Memory of a tree as if it were alone on the machine: what its processes share counts once, with others in full.

    The kernel's proportional set size divides the pages of libraries among all who map them, a test's Python included, so
    that it is some 15 MB less here and another figure there.
    """
    anonymous, of_files = 0, set[tuple[str, int]]()
    for each in tree(pid):
        rollup = Path(f"/proc/{each}/smaps_rollup").read_text()
        anonymous += sum(_field_bytes(rollup, field) for field in ("Pss_Anon", "Pss_Shmem"))
        of_files.update(_file_pages(each))
    return anonymous + len(of_files) * PAGE_BYTES


def _file_pages(pid: int) -> Iterator[tuple[str, int]]:
    """File and page number of every resident page that is the file's: none that was written to since it was mapped."""
    with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pagemap:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            # 7f0c2a000000-7f0c2a021000 r-xp 00002000 08:01 1835 /usr/lib/…
            span, _, offset, _, inode, *path = line.split(maxsplit=5)
            if inode == "0" or path[0].startswith(("/dev/shm/", "/dev/zero", "/memfd:", "/SYSV")):
                continue  # anonymous, or shared memory, which has been counted
            start, end = (int(address, 16) // PAGE_BYTES for address in span.split("-"))
            pagemap.seek(start * 8)
            entries = array.array("Q", pagemap.read((end - start) * 8))
            first = int(offset, 16) // PAGE_BYTES
            wanted = PRESENT | OF_A_FILE
            yield from ((path[0], first + at) for at, entry in enumerate(entries) if entry & wanted == wanted)


def _status_bytes(pid: int, field: str) -> int:
    return _field_bytes(Path(f"/proc/{pid}/status").read_text(), field)


def _field_bytes(text: str, field: str) -> int:
    """Of a file that says `Field:  123 kB` in a line."""
    return int(text.partition(f"{field}:")[2].split()[0]) * 1024
