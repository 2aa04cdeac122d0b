"""Slow housekeeping of the writer's turn: the ballast, and giving free pages back to the file system."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import apsw

from app.metadata.sql.space import DiskSpace

EVERY_S: Final = 5.0
VACUUM_PAGES: Final = 200  # a turn
VACUUM_ABOVE_SHARE: Final = 0.2  # of the file's pages are free


class Upkeep:
    """At most every EVERY_S, and in every turn while the disk is short of space. With the turn held, between transactions."""

    def __init__(self, space: DiskSpace, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._space = space
        self._clock_s = clock_s
        self._done_s = clock_s()
        self._is_vacuuming = False
        self._is_short = False

    def shortage(self) -> str | None:
        """Why nothing may grow in this turn. The ballast must lie before anything may: deletes need it."""
        shortage = self._space.shortage()
        if shortage is None and not self._space.has_ballast() and not self._space.restore_ballast():
            shortage = "The disk was full, and there is not enough room yet for the ballast that deletes need."
        self._is_short = shortage is not None
        return shortage

    def is_due(self) -> bool:
        return self._is_short or self._is_vacuuming or self._clock_s() - self._done_s >= EVERY_S

    def work(self, connection: apsw.Connection, *, is_idle: bool) -> None:
        if not self.is_due():
            return
        self._done_s = self._clock_s()
        try:
            if self._is_short:
                self._give_back(connection)
            else:
                self._is_vacuuming = is_idle and self._vacuum(connection)
        except apsw.Error:
            self._is_vacuuming = False  # a full disk, or a reader in the way: another time

    def _vacuum(self, connection: apsw.Connection) -> bool:
        """Give some pages back; whether there are more to give."""
        free = int(connection.execute("PRAGMA freelist_count").get)
        pages = int(connection.execute("PRAGMA page_count").get)
        if free <= pages * VACUUM_ABOVE_SHARE or free < VACUUM_PAGES:
            return False
        connection.execute(f"PRAGMA incremental_vacuum({VACUUM_PAGES})").fetchall()
        return True

    def _give_back(self, connection: apsw.Connection) -> None:
        """What deletes have freed inside the file helps nobody until the file itself is shorter."""
        if int(connection.execute("PRAGMA freelist_count").get) > 0:
            connection.execute(f"PRAGMA incremental_vacuum({VACUUM_PAGES})").fetchall()
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
