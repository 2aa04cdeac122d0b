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
REMOTE_THREADS = 32  # of one back end that is reached over a network: they wait for it more than they work
QUEUE_WAIT_MAX_S = 10.0
WITHDRAW_EVERY_S = 0.05  # so often the hub looks for submitters who have waited too long

_gevent: _Gevent | None = None


def enable_gevent() -> None:
    """From now on the calling thread's greenlets wait cooperatively. Once, after fork, in the hub's thread."""
    global _gevent  # noqa: PLW0603 - a process is a worker or it is not
    if _gevent is None:
        _gevent = _Gevent()


class Threads:
    """Native threads for functions that block or compute for long without the GIL, at most `threads_max` at a time.

    They are started when they are first needed, so after the fork. With `wait_max_s`, whoever found none free for so
    long is answered SlowDown; without it he waits.
    """

    def __init__(self, threads_max: int, wait_max_s: float | None = None) -> None:
        self.threads_max = threads_max
        self._wait_max_s = wait_max_s
        self._pool: Any = None  # made by the first who needs it, in the hub's thread
        self._room: Any = None

    def offload(self, function: Callable[..., R], *args: Any) -> R:
        """The function's result, or its exception. In place where there is no hub, and in threads.

        Raises: SlowDown when no thread became free in time.
        """
        if _gevent is None or not _gevent.is_hub_thread():
            return function(*args)
        if self._pool is None:
            self._pool = _gevent.ThreadPool(self.threads_max)
            self._room = _gevent.Semaphore(self.threads_max)
        if self._wait_max_s is None:
            outcome: Outcome[R] = self._pool.apply(_attempt, (function, args))
            return _unwrap(outcome)
        if not self._room.acquire(timeout=self._wait_max_s):
            raise SlowDown("The storage back end is slow to answer. Please reduce your request rate.")
        try:
            outcome = self._pool.apply(_attempt, (function, args))
        finally:
            self._room.release()
        return _unwrap(outcome)


DISK = Threads(DISK_THREADS)
offload = DISK.offload
# A pool of its own: a long listing never waits behind fsyncs, nor they behind it.
offload_scan = Threads(SCAN_THREADS).offload


def gather(jobs: Sequence[Callable[[], R]], concurrent_max: int) -> list[R]:
    """The results of all jobs in order, at most `concurrent_max` waiting at a time; the first exception is raised."""
    if len(jobs) < 2 or _gevent is None or not _gevent.is_hub_thread():
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


def start_thread(function: Callable[[], object]) -> None:
    """A native thread, which ends when its function does."""
    _thread.start_new_thread(function, ())


def sleep(seconds: float) -> None:
    if _gevent is None or not _gevent.is_hub_thread():
        time.sleep(seconds)
    else:
        _gevent.sleep(seconds)


def now_ms() -> int:
    """Milliseconds since the epoch, by the wall clock."""
    return time.time_ns() // 1_000_000


def _nothing() -> None:
    """A hook that was not given."""


class Ticket(Generic[T, R]):
    """One piece of work in a SerialThread's queue. Who waits for it: a greenlet of the hub, or a thread at a lock."""

    __slots__ = ("deadline_s", "error", "greenlet", "is_done", "item", "lock", "result")

    def __init__(self, item: T, deadline_s: float) -> None:
        self.item = item
        self.deadline_s = deadline_s  # on time.monotonic: not begun by then, it is withdrawn
        self.result: R | None = None
        self.error: BaseException | None = None
        self.is_done = False  # the hub knows of its answer
        self.greenlet: Any = None
        self.lock: Any = None


class SerialThread(Generic[T, R]):
    """A native thread that takes submitted work in groups, in order.

    `perform(tickets)` runs in that thread, sets `result` or `error` on every ticket and must not raise; the submitters
    are woken after it returns, those of the hub all at once. The thread never logs.

    `prepare` runs in it when work has come and before any of it is taken: what waits for long does so there, where
    submitters may still withdraw. `settle` runs after the submitters were woken. Neither may raise.

    A ticket is in the queue or it is not: whoever takes it out, thread or submitter, decides its fate.
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
        self._queue: deque[Ticket[T, R]] = deque()
        self._bell: _queue.SimpleQueue[None] = _queue.SimpleQueue()
        self._is_idle = False  # the thread waits for the bell, or is about to, and nobody has rung it yet
        self._will_ring = False  # the hub, at the end of its turn
        self._is_stopping = False
        self._is_watched = False  # the hub looks at deadlines now and then
        self._ended = _thread.allocate_lock()

    def start(self) -> None:
        self._ended.acquire()
        _thread.start_new_thread(self._run, ())

    def stop(self) -> None:
        """Let the thread finish what is queued, and end. For tests and the command line; a worker just exits."""
        self._is_stopping = True
        self._bell.put(None)
        self._ended.acquire()
        self._ended.release()

    def depth(self) -> int:
        return len(self._queue)

    def submit(self, item: T, wait_max_s: float = QUEUE_WAIT_MAX_S) -> R:
        """The result of `item`, once its group is done. From any greenlet in the hub's thread, and from any thread.

        Raises: its error; SlowDown when it was not begun in time (in the hub's thread up to WITHDRAW_EVERY_S later).
        """
        ticket: Ticket[T, R] = Ticket(item, time.monotonic() + wait_max_s)
        if _gevent is not None and _gevent.is_hub_thread():
            ticket.greenlet = _gevent.current()
            self._put_from_hub((ticket,), _gevent)
            _gevent.park(ticket)
        else:
            self._wait_in_thread((ticket,))
        if ticket.error is not None:
            raise ticket.error
        return ticket.result  # type: ignore[return-value]

    def submit_all(self, items: Sequence[T], wait_max_s: float = QUEUE_WAIT_MAX_S) -> list[Ticket[T, R]]:
        """As `submit`, of many in order: they share groups, and the caller waits once. Gives tickets with outcomes."""
        deadline_s = time.monotonic() + wait_max_s
        tickets: list[Ticket[T, R]] = [Ticket(item, deadline_s) for item in items]
        if _gevent is not None and _gevent.is_hub_thread():
            self._put_from_hub(tickets, _gevent)
            # Answers come in order, so the last one is waited for and, unless it was withdrawn, no other.
            for ticket in reversed(tickets):
                if not ticket.is_done:
                    ticket.greenlet = _gevent.current()
                    _gevent.park(ticket)
        else:
            self._wait_in_thread(tickets)
        return tickets

    def probe(self, item: T, wait_max_s: float) -> bool:
        """Whether `item` was done in time. Never waits longer, even for work that was begun. Raises: its error."""
        ticket: Ticket[T, R] = Ticket(item, time.monotonic() + wait_max_s)
        if _gevent is not None and _gevent.is_hub_thread():
            ticket.greenlet = _gevent.current()
            self._put_from_hub((ticket,), _gevent)
            is_done = _gevent.park_for(ticket, wait_max_s)
        else:
            ticket.lock = _taken_lock()
            self._put((ticket,))
            is_done = ticket.lock.acquire(True, wait_max_s)
        if not is_done:
            self._withdraw(ticket)
            return False
        if ticket.error is not None:
            raise ticket.error
        return True

    def _put(self, tickets: Sequence[Ticket[T, R]]) -> None:
        self._queue.extend(tickets)
        self._ring()

    def _ring(self) -> None:
        # Who finds the thread idle rings, after saying so: the thread looks at the queue again when it was rung for.
        if self._is_idle:
            self._is_idle = False
            self._bell.put(None)

    def _put_from_hub(self, tickets: Sequence[Ticket[T, R]], gevent: _Gevent) -> None:
        """The thread is rung for when the hub has done this turn's work.

        What comes in one turn is one group then, and until it is complete the thread and the hub do not take the GIL from
        each other, which costs either more than its work.
        """
        self._queue.extend(tickets)
        if self._is_idle and not self._will_ring:
            self._will_ring = True
            gevent.hub.loop.run_callback(self._ring_from_hub)
        if not self._is_watched:
            self._is_watched = True
            gevent.repeat(self._withdraw_late, WITHDRAW_EVERY_S)

    def _ring_from_hub(self) -> None:
        self._will_ring = False
        self._ring()

    def _wait_in_thread(self, tickets: Sequence[Ticket[T, R]]) -> None:
        for ticket in tickets:
            ticket.lock = _taken_lock()
        self._put(tickets)
        for ticket in tickets:
            if not ticket.lock.acquire(True, max(0, ticket.deadline_s - time.monotonic())):
                self._give_up(tickets)
                ticket.lock.acquire()

    def _withdraw(self, ticket: Ticket[T, R]) -> bool:
        """Whether it was still in the queue, and no longer is. Atomic, as is all that the thread does with the queue."""
        try:
            self._queue.remove(ticket)
        except ValueError:
            return False
        return True

    def _withdraw_late(self) -> bool:
        """On the hub: answer its tickets that have waited for too long. Gives whether there is more to watch."""
        if not self._queue:
            self._is_watched = False
            return False
        now_s = time.monotonic()
        late = [ticket for ticket in tuple(self._queue) if ticket.deadline_s < now_s and ticket.lock is None]
        self._give_up(late)
        return True

    def _give_up(self, late: Sequence[Ticket[T, R]]) -> None:
        """Withdraw and answer those that were not begun."""
        withdrawn = [ticket for ticket in late if self._withdraw(ticket)]
        for ticket in withdrawn:
            ticket.error = SlowDown("The metadata writer is busy. Please reduce your request rate.")
        _answer(withdrawn)

    def _run(self) -> None:
        while self._has_work():
            self._prepare()
            group = self._take()
            # It is empty where all was withdrawn meanwhile: the hooks end what they have begun.
            self._perform(group)
            _answer(group)
            self._settle()
        self._ended.release()

    def _has_work(self) -> bool:
        """Wait for some. False when the thread is to end."""
        while not self._queue:
            if self._is_stopping:
                return False
            self._is_idle = True
            if not self._queue and not self._is_stopping:
                self._bell.get()
            self._is_idle = False
        return True

    def _take(self) -> list[Ticket[T, R]]:
        group: list[Ticket[T, R]] = []
        try:
            while len(group) < self._group_max:
                group.append(self._queue.popleft())
        except IndexError:
            pass
        return group


def _answer(tickets: list[Ticket[Any, Any]]) -> None:
    """Wake those who wait for them."""
    is_for_hub = False
    for ticket in tickets:
        if ticket.lock is None:
            is_for_hub = True
        else:
            ticket.lock.release()
    if is_for_hub and _gevent is not None:
        _gevent.answer(tickets)


def _taken_lock() -> Any:
    lock = _thread.allocate_lock()
    lock.acquire()
    return lock


class _Gevent:
    """What this process uses of gevent, made once in the hub's thread."""

    def __init__(self) -> None:
        import gevent
        from gevent.lock import Semaphore
        from gevent.pool import Pool
        from gevent.threadpool import ThreadPool

        self._api = gevent
        self.ThreadPool, self.Semaphore = ThreadPool, Semaphore
        self.Timeout = gevent.Timeout
        self._pool_class = Pool
        self.hub = gevent.get_hub()
        self._thread_ident = _thread.get_ident
        self._thread_id = self._thread_ident()
        self.sleep = gevent.sleep
        self.current = gevent.getcurrent
        self._answered: deque[list[Ticket[Any, Any]]] = deque()
        # One wake-up of the loop serves every answer that is there when it runs.
        self._bell = self.hub.loop.async_()
        self._bell.start(self._wake)
        self._timers: set[Any] = set()

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

    def repeat(self, function: Callable[[], bool], every_s: float) -> None:
        """Call it on the hub until it says that this is enough."""
        timer = self.hub.loop.timer(every_s, every_s, ref=False)

        def tick() -> None:
            if not function():
                timer.stop()
                timer.close()
                self._timers.remove(timer)

        self._timers.add(timer)
        timer.start(tick)

    def park(self, ticket: Ticket[Any, Any]) -> None:
        """Let the hub go on until the ticket is answered. The caller is its greenlet, of whatever class."""
        hub = self.hub
        assert ticket.greenlet is not hub, "the hub waits for nobody"
        try:
            while not ticket.is_done:
                hub.switch()
        finally:
            ticket.greenlet = None  # killed while it waited, it is not to be woken

    def park_for(self, ticket: Ticket[Any, Any], seconds: float) -> bool:
        """The same, for so long at most. Whether it was answered."""
        timeout = self.Timeout.start_new(seconds)
        try:
            self.park(ticket)
        except self.Timeout as raised:
            if raised is not timeout:
                raise
            return False
        finally:
            timeout.close()
        return True

    def answer(self, tickets: list[Ticket[Any, Any]]) -> None:
        """From any thread: wake who waits for these, at the next turn of the loop."""
        self._answered.append(tickets)
        self._bell.send()

    def _wake(self) -> None:
        answered = self._answered
        while answered:
            for ticket in answered.popleft():
                ticket.is_done = True
                greenlet = ticket.greenlet
                if greenlet is None:
                    continue
                try:
                    greenlet.switch()
                except BaseException:
                    # What a greenlet did not catch is no reason not to wake the others.
                    self.hub.handle_error(greenlet, *sys.exc_info())


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
