"""A file layer below SQLite that fails when told to: for errors that a healthy disk does not give."""

from __future__ import annotations

import itertools
from typing import Any

import apsw

from app.metadata.sql import checksums

_numbers = itertools.count(1)


class FaultyDisk(apsw.VFS):
    """`failing` maps a method ("write", "sync") to the error it raises for the WAL, and for the database where `everywhere`."""

    def __init__(self) -> None:
        self.vfs_name = f"faulty-{next(_numbers)}"
        self.failing: dict[str, Exception] = {}
        self.everywhere = False
        self.syncs = 0
        super().__init__(self.vfs_name, base=checksums.VFS if checksums.load() else "")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's name
        return _FaultyFile(self, name, flags)


class _FaultyFile(apsw.VFSFile):
    def __init__(self, disk: FaultyDisk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        self._is_wal = bool(flags[0] & apsw.SQLITE_OPEN_WAL)
        super().__init__(checksums.VFS if checksums.load() else "", name, flags)

    def _may_fail(self, method: str) -> None:
        error = self._disk.failing.get(method)
        if error is not None and (self._is_wal or self._disk.everywhere):
            raise error

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802
        self._may_fail("write")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._may_fail("sync")
        self._disk.syncs += self._is_wal
        super().xSync(flags)
