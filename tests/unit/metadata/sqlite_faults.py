"""A file layer below SQLite that fails when told to: for errors that a healthy disk does not give."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import apsw

from app.metadata.sql import checksums

_numbers = itertools.count(1)


class FaultyDisk(apsw.VFS):
    """`failing` maps a method ("write", "sync") to the error it raises for the WAL, and for the database where `everywhere`;
    "database write" one for the database alone.

    While `held`, writes into the database wait: a checkpoint that does not end. The first one sets `is_waiting`.
    """

    def __init__(self) -> None:
        self.vfs_name = f"faulty-{next(_numbers)}"
        self.failing: dict[str, Exception] = {}
        self.everywhere = False
        self.syncs = 0
        self._goes_on = threading.Event()
        self._goes_on.set()
        self.is_waiting = threading.Event()
        super().__init__(self.vfs_name, base=checksums.VFS if checksums.load() else "")

    @contextmanager
    def held(self) -> Iterator[None]:
        self._goes_on.clear()
        try:
            yield
        finally:
            self._goes_on.set()

    def is_going_on(self) -> bool:
        return self._goes_on.is_set()

    def wait_while_held(self) -> None:
        if not self._goes_on.is_set():
            self.is_waiting.set()
            self._goes_on.wait()

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's name
        return _FaultyFile(self, name, flags)


class _FaultyFile(apsw.VFSFile):
    def __init__(self, disk: FaultyDisk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        self._is_wal = bool(flags[0] & apsw.SQLITE_OPEN_WAL)
        super().__init__(checksums.VFS if checksums.load() else "", name, flags)

    def _may_fail(self, method: str) -> None:
        error = self._disk.failing.get(method)
        if not self._is_wal:
            error = self._disk.failing.get(f"database {method}") or (error if self._disk.everywhere else None)
        if error is not None:
            raise error

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802
        self._may_fail("write")
        if not self._is_wal:
            self._disk.wait_while_held()
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._may_fail("sync")
        self._disk.syncs += self._is_wal
        super().xSync(flags)
