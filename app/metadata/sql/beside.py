"""A checkpoint beside the writers: in a thread of its own, on a connection of its own, without the turn to write.

It never reaches the WAL's end, for the writers go on; only whoever has the turn does, and so lets the file start again
from its beginning. But it leaves so little to do that the turn is short (checkpoint.py).
"""

from __future__ import annotations

import _queue
import contextlib
import time
from collections.abc import Callable
from typing import Final

import apsw

from app import runtime

PASSES: Final = 2  # the second takes what was written during the first, which takes much longer
BUSY_NAPS: Final = 5
BUSY_NAP_S: Final = 0.002


class Beside:
    """One process's, for its writer's thread. `connect` opens a write connection, which is kept."""

    def __init__(self, connect: Callable[[], apsw.Connection]) -> None:
        self._connect = connect
        self._connection: apsw.Connection | None = None
        self._outcomes: _queue.SimpleQueue[BaseException | None] = _queue.SimpleQueue()
        self.is_begun = False  # and `end` was not called yet
        self.seconds = 0.0  # that the last one took, once it is done

    def begin(self) -> None:
        """Raises: RuntimeError, where no thread can be started."""
        assert not self.is_begun
        runtime.start_thread(self._run)
        self.is_begun = True

    def is_done(self) -> bool:
        """Whether `end` would not wait."""
        return not self._outcomes.empty()

    def end(self) -> None:
        """Wait for it. Raises: what it raised: BusyError where another process is at it, and what `connect` raises."""
        error = self.wait()
        if error is not None:
            raise error

    def wait(self) -> BaseException | None:
        """As `end`, where its error does not matter."""
        assert self.is_begun
        self.is_begun = False
        return self._outcomes.get()

    def close(self) -> None:
        if self.is_begun:
            self.wait()
        self._forget()

    def _run(self) -> None:
        """In the thread: it always says that it is done."""
        began_s = time.monotonic()
        outcome = self._attempt()
        self.seconds = time.monotonic() - began_s
        self._outcomes.put(outcome)

    def _attempt(self) -> BaseException | None:
        try:
            if self._connection is None:
                self._connection = self._connect()
            for _ in range(PASSES):
                _checkpoint(self._connection)
        except apsw.BusyError as error:
            return error
        except BaseException as error:
            with contextlib.suppress(apsw.Error):
                self._forget()
            return error
        return None

    def _forget(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close(force=True)


def _checkpoint(connection: apsw.Connection) -> None:
    """Raises: BusyError where another process is at it.

    Busy is also what SQLite finds while a commit is just changing the log's head: that is over in a moment.
    """
    for naps_left in reversed(range(BUSY_NAPS + 1)):
        try:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            return
        except apsw.BusyError:
            if not naps_left:
                raise
        runtime.sleep(BUSY_NAP_S)
