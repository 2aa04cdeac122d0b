"""Threads that compute beside one that does something else: a large body's MD5 while the next bytes come in."""

from __future__ import annotations

from _queue import SimpleQueue
from collections.abc import Callable

from app import runtime

Chunk = bytes | memoryview
Job = tuple[Callable[[Chunk], object], Chunk]

HELPERS_MAX = 2  # of one process; with more bodies than these at once, every core is busy anyway


class Helpers:
    """One per process. Threads are started when they are first needed, so after the fork."""

    def __init__(self) -> None:
        self._free: list[Helper] = []
        self._made = 0

    def borrow(self) -> Helper | None:
        """One that is idle; None where all are busy, or the system has no more threads to give."""
        try:
            return self._free.pop()
        except IndexError:
            if self._made >= HELPERS_MAX:
                return None
        try:
            helper = Helper()
        except RuntimeError:
            return None
        self._made += 1
        return helper

    def give_back(self, helper: Helper) -> None:
        """Only after its `join`."""
        self._free.append(helper)


class Helper:
    """Does jobs in order, in a thread of its own. Used by one thread at a time."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        self._ends: SimpleQueue[BaseException | None] = SimpleQueue()
        self._under_way = 0
        runtime.start_thread(self._run)

    def begin(self, function: Callable[[Chunk], object], chunk: Chunk) -> None:
        self._under_way += 1
        self._jobs.put((function, chunk))

    def join(self) -> None:
        """Wait for all that was begun. Raises: what the first of them raised that did."""
        failure = None
        while self._under_way:
            end = self._ends.get()
            self._under_way -= 1
            failure = failure or end
        if failure is not None:
            raise failure

    def _run(self) -> None:
        while True:
            function, chunk = self._jobs.get()
            end = None
            try:
                function(chunk)
            except BaseException as error:
                end = error
            # Nothing of the job may live on here: its memory is another's next.
            del function, chunk
            self._ends.put(end)
            del end
