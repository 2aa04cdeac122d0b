"""Every path that a server's processes name to the kernel, and which of them it has any business with."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.components import require
from tests.servers import ROOT

ATTACH_TRIES = 1_000

# What may lie in the data directory (app/storage/local.py, app/metadata/sql). Nothing in it was chosen by a client.
LAYOUT = re.compile(
    r"(/\.lock|/metadata\.db(-wal|-shm|-journal|\.[a-z]+)?"
    r"|/objects(/blobs(/[0-9a-f](/[0-9a-f](/[0-9a-f]{32})?)?)?|/tmp(/[0-9]+-[0-9a-f]+(/lock|/[0-9a-f]{32})?)?)?)?"
)
# Code that is imported when it is first needed, and what the interpreter looks at then.
CODE = tuple(
    f"{place}/" for place in {sys.prefix, sys.base_prefix, str(ROOT / "app"), "/proc/self", "/usr/lib", "/lib"}
)

_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_CHANGES = re.compile(
    r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|^\d+ +(mkdir|rename|link|symlink|unlink|rmdir|truncate|chmod|chown|mknod)"
)


@contextmanager
def watched_files(pids: Sequence[int], trace: Path) -> Iterator[None]:
    """Write every call that names a path to `trace` until the block ends."""
    attached = [argument for pid in pids for argument in ("-p", str(pid))]
    command = [require("strace"), "-f", "-qq", "-s", "4096", "-e", "trace=%file", "-e", "signal=none", "-o", str(trace)]
    watching = subprocess.Popen([*command, *attached])
    try:
        _wait_until_attached(watching, pids)
        yield
    finally:
        watching.terminate()
        watching.wait()


def foreign_paths(trace: Path, data_dir: Path) -> list[str]:
    """The calls that name a path which is neither the store's nor, only to be read, the program's."""
    lines = trace.read_text(errors="replace").splitlines()
    return [line for line in lines if not all(_is_own(path, line, data_dir) for path in _QUOTED.findall(line))]


def foreign_files(data_dir: Path) -> list[str]:
    """What lies in the data directory and has no place there."""
    return [path for path in _files(data_dir) if not LAYOUT.fullmatch(path)]


def _files(data_dir: Path) -> Iterable[str]:
    return ("/" + str(path.relative_to(data_dir)) for path in data_dir.rglob("*"))


def _is_own(path: str, line: str, data_dir: Path) -> bool:
    root = str(data_dir)
    if path.startswith(root) and LAYOUT.fullmatch(path[len(root) :]):
        return True
    # SQLite asks of each directory on the way whether it is a link.
    is_above = (root + "/").startswith(path.rstrip("/") + "/")
    return not _CHANGES.search(line) and (path == "" or is_above or path.startswith(CODE))


def _wait_until_attached(watching: subprocess.Popen[bytes], pids: Sequence[int]) -> None:
    for _ in range(ATTACH_TRIES):
        tasks = [task.read_text() for pid in pids for task in Path(f"/proc/{pid}/task").glob("*/status")]
        if all(f"TracerPid:\t{watching.pid}\n" in status for status in tasks):
            return
        time.sleep(0.01)  # the other side of a process boundary: there is no clock to pass
    raise AssertionError(f"strace did not attach to {pids}")
