"""Who may use a data directory: `<data>/.lock`, shared by one server's workers, exclusive for recovery and migration.

The file names the server that recovered the directory last, on one line:

    <server id> <master's process id> <host name>

A server id is made anew at every start, so two masters are never taken for one, not even in two containers where both
have process id 1. A lock is opened after the fork and not inherited by children (O_CLOEXEC): the kernel frees it with
its holder, however that ends.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

LOCK_NAME = ".lock"
WAIT_MS = 5_000
POLL_S = 0.02
CONTENT_MAX_BYTES = 512


class DataLocked(Exception):
    """Somebody else uses the directory. The message names who."""


class DataLock:
    """`directory` is made where it is absent. One per process; `release` is for tests, a process's end does it too."""

    def __init__(self, directory: str | os.PathLike[str], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = Path(directory) / LOCK_NAME
        self._monotonic = monotonic
        self._fd: int | None = None

    def share(self, server_id: str | None, wait_ms: int = WAIT_MS) -> None:
        """Hold the directory as one of a server's workers, or with None as a tool beside whichever server there is.

        Raises: DataLocked; also when another server has recovered the directory.
        """
        self._take(fcntl.LOCK_SH, wait_ms)
        owner = self._read()
        if server_id is not None and owner.split(" ")[0] != server_id:
            self.release()
            raise DataLocked(f"{self._path.parent} now belongs to another server: {describe_owner(owner)}")

    @contextlib.contextmanager
    def exclusive(self, wait_ms: int = WAIT_MS) -> Iterator[DataLock]:
        """Hold the directory alone. Raises: DataLocked after `wait_ms`."""
        self._take(fcntl.LOCK_EX, wait_ms)
        try:
            yield self
        finally:
            self.release()

    def claim(self, server_id: str, master_pid: int) -> None:
        """Write down, under `exclusive`, whose workers may share the directory from now on."""
        assert self._fd is not None, "claim needs the lock"
        line = f"{server_id} {master_pid} {os.uname().nodename}\n".encode()
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, line, 0)

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _take(self, operation: int, wait_ms: int) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        deadline = self._monotonic() + wait_ms / 1_000
        while True:
            try:
                fcntl.flock(fd, operation | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES) or self._monotonic() >= deadline:
                    holders = self._complain(fd)
                    os.close(fd)
                    raise DataLocked(holders) from error
                time.sleep(POLL_S)
            else:
                self._fd = fd
                return

    def _read(self) -> str:
        assert self._fd is not None
        return os.pread(self._fd, CONTENT_MAX_BYTES, 0).decode("utf-8", "replace").strip()

    def _complain(self, fd: int) -> str:
        """Who holds the lock: by process id where the kernel tells, else as the file has it."""
        pids = lock_holders(os.fstat(fd).st_ino)
        owner = describe_owner(os.pread(fd, CONTENT_MAX_BYTES, 0).decode("utf-8", "replace").strip())
        held = f"held by process {', '.join(map(str, pids))}; " if pids else ""
        return f"{self._path.parent} is in use: {held}{owner}"


def describe_owner(line: str) -> str:
    """The lock file's line in words."""
    words = line.split(" ")
    if len(words) != 3:
        return "it does not say by whom"
    return f"its server's master is process {words[1]} on {words[2]}"


def lock_holders(inode: int, table: Path = Path("/proc/locks")) -> list[int]:
    """Process ids that hold an flock on a file, in ascending order; none where the kernel does not tell."""
    try:
        lines = table.read_text(encoding="ascii").splitlines()
    except OSError:
        return []
    pids = set()
    for line in lines:
        # 1: FLOCK  ADVISORY  WRITE 4242 fe:01:1835010 0 EOF      ("->" behind the number: waiting, not holding)
        words = line.split()
        if len(words) >= 6 and words[1] == "FLOCK" and words[5].rpartition(":")[2] == str(inode):
            pids.add(int(words[4]))
    return sorted(pid for pid in pids if pid > 0)
