"""Threads and greenlets: everything that must know about gevent outside server/ (design, decision 4).

Until `enable_gevent` is called nothing here touches gevent: the command line and the tests run in plain threads, and
`offload` calls its function in place. A worker calls it once after fork; from then on blocking work goes to pools of
real threads while the calling greenlet waits and the hub goes on (I8).
"""

from __future__ import annotations

import _queue
import _thread
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from app.domain.errors import SlowDown

T = TypeVar("T")
R = TypeVar("R")

Outcome = tuple[R | None, BaseException | None]

DISK_THREADS = 16
SCAN_THREADS = 4
QUEUE_WAIT_MAX_S = 10.0

_gevent: _Gevent | None = None


def enable_gevent() -> None:
    """From now on the calling thread's greenlets wait cooperatively. Once, after fork, in the hub's thread."""
    global _gevent  # noqa: PLW0603 - a process is a worker or it is not
    if _gevent is None:
        _gevent = _Gevent()


def offload(function: Callable[..., R], *args: Any) -> R:
    """Run a function that blocks or computes for long without the GIL; its result, or its exception."""
    if _gevent is None or not _gevent.is_hub_thread():
        return function(*args)
    outcome: Outcome[R] = _gevent.disk_pool.apply(_attempt, (function, args))
    return _unwrap(outcome)


def offload_scan(function: Callable[..., R], *args: Any) -> R:
    """As `offload`, in a pool of its own: a long listing never waits behind fsyncs, nor they behind it."""
    if _gevent is None or not _gevent.is_hub_thread():
        return function(*args)
    outcome: Outcome[R] = _gevent.scan_pool.apply(_attempt, (function, args))
    return _unwrap(outcome)


def gather(jobs: Sequence[Callable[[], R]], concurrent_max: int) -> list[R]:
    """The results of all jobs in order, at most `concurrent_max` waiting at a time; the first exception is raised."""
    if _gevent is None or not _gevent.is_hub_thread():
        return [job() for job in jobs]
    return _gevent.gather(jobs, concurrent_max)


def spawn(function: Callable[..., object], *args: Any) -> None:
    """Run in the background until it returns: a greenlet in a worker, else a daemon thread."""
    if _gevent is None:
        _thread.start_new_thread(function, args)
    else:
        _gevent.spawn(function, args)


def after_turn(function: Callable[[], object]) -> None:
    """Call a function when the hub has done what is to be done now, before it waits again: once for a whole turn.

    At once where there is no hub, and in threads. It must not wait.
    """
    if _gevent is None or not _gevent.is_hub_thread():
        function()
    else:
        _gevent.hub.loop.run_callback(function)


def sleep(seconds: float) -> None:
    if _gevent is None or not _gevent.is_hub_thread():
        _original("time", "sleep")(seconds)
    else:
        _gevent.sleep(seconds)


def now_ms() -> int:
    """Milliseconds since the epoch, by the wall clock."""
    return time.time_ns() // 1_000_000


def _nothing() -> None:
    """What a ticket's waiter does before anybody waits, and a hook that was not given."""


class Ticket(Generic[T, R]):
    """One piece of work in a SerialThread's queue. Whoever takes the claim, thread or waiter, decides its fate."""

    __slots__ = ("_claim", "error", "item", "result", "waiter")

    def __init__(self, item: T) -> None:
        self.item = item
        self.result: R | None = None
        self.error: BaseException | None = None
        self.waiter: Callable[[], None] = _nothing
        self._claim = [True]

    def take(self) -> bool:
        """True for exactly one caller: list.pop is atomic."""
        try:
            return self._claim.pop()
        except IndexError:
            return False


class SerialThread(Generic[T, R]):
    """A native thread that takes submitted work in groups, in order.

    `perform(tickets)` runs in that thread, sets `result` or `error` on every ticket and must not raise; the submitters
    are woken after it returns, those of the hub all at once. The thread uses no patched object and never logs.

    `prepare` runs in it when work has come and before any of it is claimed: what waits for long does so there, where
    submitters may still withdraw. `settle` runs after the submitters were woken. Neither may raise.
    """

    def __init__(
        self,
        name: str,
        perform: Callable[[list[Ticket[T, R]]], None],
        *,
        group_max: int = 512,
        prepare: Callable[[], None] = _nothing,
        settle: Callable[[], None] = _nothing,
    ) -> None:
        self.name = name
        self._perform = perform
        self._prepare = prepare
        self._settle = settle
        self._group_max = group_max
        self._queue: _queue.SimpleQueue[Ticket[T, R] | None] = _queue.SimpleQueue()
        self._ended = _original("_thread", "allocate_lock")()

    def start(self) -> None:
        self._ended.acquire()
        _original("_thread", "start_new_thread")(self._run, ())

    def stop(self) -> None:
        """Let the thread finish what is queued, and end. For tests and the command line; a worker just exits."""
        self._queue.put(None)
        self._ended.acquire()
        self._ended.release()

    def depth(self) -> int:
        return self._queue.qsize()

    def submit(self, item: T, wait_max_s: float = QUEUE_WAIT_MAX_S) -> R:
        """The result of `item`, once its group is done. Raises: its error; SlowDown when it was not begun in time."""
        ticket, waiting = self._put(item)
        if not waiting.wait(wait_max_s):
            if ticket.take():
                raise SlowDown("The metadata writer is busy. Please reduce your request rate.")
            waiting.wait(None)
        if ticket.error is not None:
            raise ticket.error
        return ticket.result  # type: ignore[return-value]

    def probe(self, item: T, wait_max_s: float) -> bool:
        """Whether `item` was done in time. Never waits longer, even for work that was begun. Raises: its error."""
        ticket, waiting = self._put(item)
        if not waiting.wait(wait_max_s):
            ticket.take()
            return False
        if ticket.error is not None:
            raise ticket.error
        return True

    def _put(self, item: T) -> tuple[Ticket[T, R], _ThreadWait | _GreenletWait]:
        ticket: Ticket[T, R] = Ticket(item)
        waiting = _gevent.waiting() if _gevent is not None and _gevent.is_hub_thread() else _ThreadWait()
        ticket.waiter = waiting.wake
        self._queue.put(ticket)
        return ticket, waiting

    def _run(self) -> None:
        is_last = False
        while not is_last:
            group = []
            ticket = self._queue.get()
            if ticket is not None:
                self._prepare()
            while True:
                if ticket is None:
                    is_last = True
                    break
                if ticket.take():
                    group.append(ticket)
                if len(group) >= self._group_max or self._queue.empty():
                    break
                ticket = self._queue.get()
            if group:
                self._perform(group)
                for done in group:
                    done.waiter()
            else:
                # A wake-up without work: the thread's own housekeeping may still have something to do.
                self._perform([])
            self._settle()
        self._ended.release()


class _ThreadWait:
    """A plain thread that waits: a lock that the answer releases."""

    def __init__(self) -> None:
        self._lock = _original("_thread", "allocate_lock")()
        self._lock.acquire()
        self.wake = self._lock.release

    def wait(self, timeout_s: float | None) -> bool:
        return bool(self._lock.acquire(True, -1 if timeout_s is None else timeout_s))


class _Gevent:
    """What this process uses of gevent, made once in the hub's thread."""

    def __init__(self) -> None:
        import gevent
        from gevent.pool import Pool
        from gevent.threadpool import ThreadPool

        self._api = gevent
        self.Timeout = gevent.Timeout
        self._pool_class = Pool
        self.hub = gevent.get_hub()
        # Patched, this function would tell greenlets apart and take all but one for foreign threads.
        self._thread_ident: Callable[[], int] = _original("_thread", "get_ident")
        self._thread_id = self._thread_ident()
        self.disk_pool = ThreadPool(DISK_THREADS)
        self.scan_pool = ThreadPool(SCAN_THREADS)
        self.sleep = gevent.sleep
        self._woken: deque[Any] = deque()
        # One wake-up of the loop serves every answer that is there when it runs.
        self._bell = self.hub.loop.async_()
        self._bell.start(self._answer)

    def is_hub_thread(self) -> bool:
        return bool(self._thread_ident() == self._thread_id)

    def spawn(self, function: Callable[..., object], args: tuple[Any, ...]) -> None:
        self._api.spawn(function, *args)

    def gather(self, jobs: Sequence[Callable[[], R]], concurrent_max: int) -> list[R]:
        pool = self._pool_class(concurrent_max)
        greenlets = [pool.spawn(job) for job in jobs]
        try:
            return [greenlet.get() for greenlet in greenlets]
        finally:
            pool.kill(block=False)

    def start_timeout(self, seconds: float | None) -> Any:
        """An exception that is raised here after so long unless it is closed before; None: never."""
        return self.Timeout.start_new(seconds)

    def waiting(self) -> _GreenletWait:
        return _GreenletWait(self)

    def ring(self, waiter: Any) -> None:
        """From any thread: wake a greenlet's waiter at the next turn of the loop."""
        self._woken.append(waiter)
        self._bell.send()

    def _answer(self) -> None:
        woken = self._woken
        while woken:
            woken.popleft().switch(True)


class _GreenletWait:
    """A greenlet that waits: its waiter is switched to by the hub."""

    def __init__(self, gevent: _Gevent) -> None:
        from gevent.hub import Waiter

        self._gevent = gevent
        self._waiter: Any = Waiter(gevent.hub)

    def wake(self) -> None:
        self._gevent.ring(self._waiter)

    def wait(self, timeout_s: float | None) -> bool:
        timeout = self._gevent.start_timeout(timeout_s)
        try:
            self._waiter.get()
        except self._gevent.Timeout as raised:
            if raised is not timeout:
                raise
            return False
        finally:
            timeout.close()
        return True


def _attempt(function: Callable[..., R], args: tuple[Any, ...]) -> Outcome[R]:
    """A function's outcome as a value: gevent's pool would print the traceback of every refusal."""
    try:
        return function(*args), None
    except BaseException as error:
        return None, error


def _unwrap(outcome: Outcome[R]) -> R:
    result, error = outcome
    if error is not None:
        try:
            raise error
        finally:
            # The exception's frames would otherwise hold the exception itself.
            del error, outcome
    return result  # type: ignore[return-value]


def _original(module: str, name: str) -> Any:
    """A function of the standard library as it was before gevent patched it."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None:
        return monkey.get_original(module, name)
    return getattr(sys.modules.get(module) or __import__(module), name)
