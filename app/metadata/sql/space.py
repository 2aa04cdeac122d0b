"""Free space on the database's disk: the reserve that uploads may not touch, and the ballast that deletes live on.

SQLite needs space to delete: the WAL grows, and so may the file when it is checkpointed. So whatever grows the store is
refused while less than the reserve is free; and should the disk get full all the same, the ballast file is dropped,
which lets deletes through until there is room again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

MIB: Final = 1 << 20

RESERVE_MAX_BYTES: Final = 1_024 * MIB
WAL_CHECKPOINT_BYTES: Final = 64 * MIB
WAL_RESTART_BYTES: Final = 256 * MIB
WAL_LIMIT_BYTES: Final = 512 * MIB
_SMALL_RESERVE_BYTES: Final = 64 * MIB
_BALLAST_MAX_BYTES: Final = 16 * MIB
_WAL_LIMIT_MIN_BYTES: Final = 8 * MIB


@dataclass(frozen=True, slots=True)
class Bounds:
    """What follows from a disk's size. The reserve is at least twice the WAL's limit, where it is not given."""

    reserve_bytes: int
    ballast_bytes: int
    wal_checkpoint_bytes: int = WAL_CHECKPOINT_BYTES
    wal_restart_bytes: int = WAL_RESTART_BYTES
    wal_limit_bytes: int = WAL_LIMIT_BYTES


def bounds_for(disk_bytes: int, reserve_bytes: int | str) -> Bounds:
    """`reserve_bytes` is the setting: a number, or "auto".

    auto: 5 % of the disk, at most 1 GiB; at least 64 MiB, or a quarter of a smaller disk.
    """
    if isinstance(reserve_bytes, str):
        least = min(_SMALL_RESERVE_BYTES, disk_bytes // 4)
        reserve_bytes = min(RESERVE_MAX_BYTES, max(disk_bytes // 20, least))
    limit = min(WAL_LIMIT_BYTES, max(reserve_bytes // 2, _WAL_LIMIT_MIN_BYTES))
    restart = min(WAL_RESTART_BYTES, limit // 2)
    return Bounds(
        reserve_bytes=reserve_bytes,
        ballast_bytes=min(_BALLAST_MAX_BYTES, disk_bytes // 16),
        wal_checkpoint_bytes=min(WAL_CHECKPOINT_BYTES, restart // 4),
        wal_restart_bytes=restart,
        wal_limit_bytes=limit,
    )


class DiskSpace:
    """The disk that holds the database at `path`. Used by whoever has the turn to write."""

    def __init__(self, path: str, reserve_bytes: int | str) -> None:
        self._directory = os.path.dirname(path) or "."
        self._ballast = f"{path}.ballast"
        status = os.statvfs(self._directory)
        self.bounds = bounds_for(status.f_blocks * status.f_frsize, reserve_bytes)

    def free_bytes(self) -> int:
        status = os.statvfs(self._directory)
        return status.f_bavail * status.f_frsize

    def shortage(self) -> str | None:
        """Why nothing may grow now, for an operator; None while there is room."""
        free_bytes = self.free_bytes()
        if free_bytes < self.bounds.reserve_bytes:
            return (
                f"The disk is almost full: {free_bytes // MIB} MiB are free and storage.reserve_bytes keeps "
                f"{self.bounds.reserve_bytes // MIB} MiB. Delete something or add space."
            )
        return None

    def has_ballast(self) -> bool:
        try:
            return os.stat(self._ballast).st_size > 0
        except OSError:
            return False

    def drop_ballast(self) -> bool:
        """Whether there was ballast to drop."""
        try:
            os.unlink(self._ballast)
        except OSError:
            return False
        return True

    def restore_ballast(self) -> bool:
        """Lay the ballast down where there is room for it and the reserve; whether it lies there now."""
        if self.free_bytes() < self.bounds.reserve_bytes + self.bounds.ballast_bytes:
            return False
        try:
            file = os.open(self._ballast, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        try:
            os.posix_fallocate(file, 0, self.bounds.ballast_bytes)
        except OSError:
            os.unlink(self._ballast)
            return False
        finally:
            os.close(file)
        return True
