"""Keeping the WAL short. Whoever has the turn to write sees to it, after it has answered.

    over wal_checkpoint_bytes   PASSIVE, once for every so many bytes that were added, in two steps
    over wal_restart_bytes      RESTART as its second step, waiting for readers 50 ms at most, once a second at most
    over wal_limit_bytes        long reads are interrupted, TRUNCATE is tried, and writes are refused until it worked

The first step is nearly all of the work and is done beside the writers, without the turn (beside.py). The second copies
what they have added meanwhile, with the turn, so that the file can start again from its beginning: a thread that
checkpointed whenever it liked would never find that moment. Where the first step lasts until the WAL has grown by half as
much again, the writer waits for it.

Two processes' checkpoints never meet: second steps need the turn, and a first one that finds another at work leaves it to
that one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final

import apsw

from app.domain.errors import ServiceUnavailable
from app.domain.types import Health
from app.metadata.sql.beside import Beside
from app.metadata.sql.space import Bounds

RESTART_WAIT_MS: Final = 50
RESTART_EVERY_S: Final = 1.0
READ_MAX_S: Final = 1.0
FAILURES_MAX: Final = 3
_FRAME_HEADER_BYTES: Final = 24


class WalKeeper:
    """`interrupt(older_than_s)` ends this process's long reads. Without `beside` both steps are done in the turn."""

    def __init__(
        self,
        path: str,
        bounds: Bounds,
        interrupt: Callable[[float], int],
        clock_s: Callable[[], float] = time.monotonic,
        beside: Beside | None = None,
    ) -> None:
        self._wal = f"{path}-wal"
        self._bounds = bounds
        self._interrupt = interrupt
        self._clock_s = clock_s
        self._beside = beside
        self._frame_bytes = 0
        self._used_bytes = 0
        self._checkpointed_bytes = 0
        self._restarted_s = -RESTART_EVERY_S
        self.is_over_limit = False
        self._failures = 0  # checkpoints that ended with an error, since the last good one
        self._steps_s: list[float] = []  # how long those of the last `checkpoint` took
        self._was_busy = False

    def watch(self, connection: apsw.Connection) -> None:
        """Learn from each of the connection's commits how far the WAL is filled, others' frames included."""
        self._frame_bytes = int(connection.execute("PRAGMA page_size").get) + _FRAME_HEADER_BYTES
        connection.set_wal_hook(self._note)

    def is_due(self) -> bool:
        if self._used_bytes < self._checkpointed_bytes:
            self._checkpointed_bytes = 0  # it started again from its beginning
        due_bytes = self._bounds.wal_checkpoint_bytes
        if self._beside is not None and self._beside.is_begun:
            if self._beside.is_done():
                return True
            due_bytes += due_bytes // 2
        return self.is_over_limit or self._used_bytes - self._checkpointed_bytes >= due_bytes

    def file_bytes(self) -> int:
        try:
            return os.stat(self._wal).st_size
        except FileNotFoundError:
            return 0

    def health(self) -> Health:
        if self.is_over_limit:
            return Health(False, f"the write-ahead log is {self.file_bytes() >> 20} MiB long: a long read holds it")
        if self._failures > FAILURES_MAX:
            return Health(False, "checkpoints of the write-ahead log fail")
        return Health(True)

    def look(self) -> None:
        """Compare the file with its limit. Before each group of writes.

        The file is looked at only where the last commit was near the limit, or there was none. From Linux 6.13 on a write
        that follows a stat stores a new time, and the sync behind it has the inode to write too: it takes a third longer.
        """
        limit_bytes = self._bounds.wal_limit_bytes
        is_near = self.is_over_limit or not 0 < self._used_bytes <= limit_bytes // 2
        self.is_over_limit = is_near and self.file_bytes() > limit_bytes

    def checkpoint(self, connection: apsw.Connection) -> None:
        """Do what is due. Outside a transaction, with the turn held. An error is counted and tried again later."""
        self._steps_s, self._was_busy = [], False
        if self._beside is not None and not self._beside.is_begun and not self.is_over_limit:
            self._beside.begin()
            return
        began_s = self._clock_s()
        try:
            if self.is_over_limit:
                self._empty(connection)
            else:
                self._finish(connection)
            self._failures = 0
            self._steps_s.append(self._clock_s() - began_s)
        except apsw.BusyError:
            self._was_busy = True  # readers, another process that is at it, or a program that is not ours: next time
        except (apsw.Error, ServiceUnavailable, OSError):
            self._failures += 1
        self._checkpointed_bytes = self._used_bytes

    def told(self) -> tuple[list[float], bool]:
        """Seconds of the steps that the last `checkpoint` ended, and whether SQLite was busy."""
        return self._steps_s, self._was_busy

    def wait(self) -> None:
        """For a first step under way, with the turn held. The second one is then up to the caller."""
        if self._beside is not None and self._beside.is_begun:
            self._beside.wait()

    def close(self) -> None:
        """Wait for what was begun. Before the write connection is closed."""
        if self._beside is not None:
            self._beside.close()

    def _finish(self, connection: apsw.Connection) -> None:
        if self._beside is not None:
            self._beside.end()
            self._steps_s.append(self._beside.seconds)
        if self._used_bytes > self._bounds.wal_restart_bytes and self._may_restart():
            self._wait_for_readers(connection, apsw.SQLITE_CHECKPOINT_RESTART)
        else:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def _empty(self, connection: apsw.Connection) -> None:
        self._interrupt(READ_MAX_S)
        self.wait()
        self._wait_for_readers(connection, apsw.SQLITE_CHECKPOINT_TRUNCATE)
        self.look()

    def _note(self, connection: apsw.Connection, database: str, pages: int) -> int:
        self._used_bytes = pages * self._frame_bytes
        return apsw.SQLITE_OK

    def _may_restart(self) -> bool:
        now_s = self._clock_s()
        if now_s - self._restarted_s < RESTART_EVERY_S:
            return False
        self._restarted_s = now_s
        return True

    def _wait_for_readers(self, connection: apsw.Connection, mode: int) -> None:
        connection.set_busy_timeout(RESTART_WAIT_MS)
        try:
            connection.wal_checkpoint(mode=mode)
        finally:
            connection.set_busy_timeout(0)
