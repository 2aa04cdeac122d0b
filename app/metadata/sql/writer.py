"""The one thread of this process that writes: group commit.

It waits for this process's turn, takes what is queued into one transaction, each request in a savepoint of its own, and
answers only after COMMIT (I9). What a request changes becomes visible together with its neighbours' changes, and a
refusal undoes nobody's but its own.

Three ways to fail are told apart. A request that breaks fails alone, as long as SQLite still is in the transaction. When
it is not, or when BEGIN failed, nothing of the group happened: refused. When COMMIT failed the outcome is unknown.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import apsw

from app import runtime
from app.domain.errors import S3Error, ServiceUnavailable, SlowDown
from app.domain.types import Health
from app.metadata.sql import changes
from app.metadata.sql.checkpoint import WalKeeper
from app.metadata.sql.execution import Request, execute
from app.metadata.sql.failures import Lost, Ticket, error_of, fail, refusal_of, unknown
from app.metadata.sql.mutation import Outcome
from app.metadata.sql.plain import Lane
from app.metadata.sql.slots import Slots
from app.metadata.sql.space import DiskSpace
from app.metadata.sql.turnstile import Turnstile
from app.metadata.sql.upkeep import Upkeep

# A turn: so many requests at most. A transaction: until one of these is reached, then COMMIT and the next.
GROUP_ROWS_MAX: Final = 256
GROUP_BYTES_MAX: Final = 4 << 20
GROUP_MS_MAX: Final = 20
BEGIN_NAP_S: Final = 0.002


class Watch(Protocol):
    """Who counts, called in the writer's thread."""

    def committed(self, writes: int, seconds: float) -> None:
        """A COMMIT of so many writes took so long."""

    def busy(self) -> None:
        """SQLite was busy."""

    def checkpointed(self, seconds: float) -> None:
        """A step of a checkpoint took so long."""


class Writer:
    """Made after fork. `connect` opens the write connection; it is called again after an error that may have hurt it."""

    def __init__(
        self,
        connect: Callable[[], apsw.Connection],
        turnstile: Turnstile,
        space: DiskSpace,
        keeper: WalKeeper,
        slots: Slots,
        now_ms: Callable[[], int] = runtime.now_ms,
        wait_max_s: float = runtime.QUEUE_WAIT_MAX_S,
        watch: Watch | None = None,
    ) -> None:
        self._watch = watch
        self._connect = connect
        self._turnstile = turnstile
        self._space = space
        self._keeper = keeper
        self._slots = slots
        self._upkeep = Upkeep(space)
        self._now_ms = now_ms
        self._wait_max_s = wait_max_s
        self._connection: apsw.Connection | None = None
        self._refused: Exception | None = None  # why this turn takes nothing
        self._shortage: str | None = None  # why nothing may grow in this turn
        self._is_logging = False
        self._sequence = 0  # the last one given out before this transaction
        self._busy_since_s: float | None = None
        self._trouble = ""  # of the last turn that had any
        self._thread: runtime.SerialThread[Request, Any] = runtime.SerialThread(
            "metadata-writer", self._perform, group_max=GROUP_ROWS_MAX, prepare=self._prepare, settle=self._settle
        )

    def start(self) -> None:
        """Raises: what `connect` raises."""
        self._open()
        self._thread.start()

    def stop(self) -> None:
        self._thread.stop()
        self._keeper.close()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def submit(self, request: Request) -> Any:
        """What the request gives. Raises: the refusal; SlowDown when the turn did not come in time;
        ServiceUnavailable, OutcomeUnknown."""
        return self._thread.submit(request, self._wait_max_s)

    def submit_all(self, requests: Sequence[Request]) -> list[Ticket]:
        """As `submit`, of many that share groups: their tickets, each with a result or an error."""
        return self._thread.submit_all(requests, self._wait_max_s)

    def probe(self, request: Request, wait_max_s: float) -> Health:
        """Whether writes go through now, by sending one; answers in that time."""
        try:
            is_done = self._thread.probe(request, wait_max_s)
        except S3Error as error:
            return Health(False, error.message)
        health = self.health()
        return Health(False, "the metadata writer is busy") if health.ok and not is_done else health

    def depth(self) -> int:
        """How many requests wait, about."""
        return self._thread.depth()

    def health(self) -> Health:
        """What the last turn said; whether the next one would work tells a probe."""
        since_s = self._busy_since_s
        if since_s is not None and time.monotonic() - since_s > 1:
            return Health(False, f"the metadata writer has waited {time.monotonic() - since_s:.0f} s for its turn")
        if self._trouble:
            return Health(False, self._trouble)
        if self._shortage is not None:
            return Health(False, self._shortage)
        return self._keeper.health()

    # -- in the thread -------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Wait for the turn and begin. Requests may still be withdrawn meanwhile."""
        self._busy_since_s = time.monotonic()
        try:
            self._turnstile.enter()
            self._keeper.look()
            self._shortage = self._upkeep.shortage()
            self._refused = self._begin()
        except BaseException as error:
            self._trouble = f"no turn to write: {error}"
            self._refused = refusal_of(error)

    def _begin(self) -> Exception | None:
        """Begin a transaction; gives why not. What could not begin is refused for certain."""
        if self._keeper.is_over_limit:
            return SlowDown("The write-ahead log is too long: a long read holds it. Please reduce your request rate.")
        try:
            return self._begin_in(self._connection or self._open())
        except (apsw.Error, ServiceUnavailable, OSError) as error:
            self._trouble = f"a transaction could not begin: {error}"
            self._reopen()
            return refusal_of(error)

    def _begin_in(self, connection: apsw.Connection) -> Exception | None:
        until_s = time.monotonic() + self._wait_max_s
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
                break
            except apsw.BusyError:
                # Not one of us, for the turn is ours: a tool that an operator has opened the file with.
                if self._watch is not None:
                    self._watch.busy()
                if time.monotonic() > until_s:
                    return SlowDown("Another program holds the metadata database.")
            runtime.sleep(BEGIN_NAP_S)
        has_consumers, has_changes, self._sequence = connection.execute(changes.HAS_CONSUMERS).get
        self._is_logging = bool(has_consumers)
        if has_changes:
            connection.execute(changes.TRIM, {"limit": changes.TRIM_ROWS_MAX})
        return None

    def _perform(self, tickets: list[Ticket]) -> None:
        left = tickets
        try:
            while left:
                if self._refused is not None:
                    fail(left, self._refused)
                    break
                left = self._transaction(left)
                if left:
                    self._refused = self._begin()
        except BaseException as error:
            # Nobody waits for ever, whatever went wrong; and nothing is acknowledged that was not committed.
            fail([ticket for ticket in tickets if ticket.result is None and ticket.error is None], unknown(error))
            self._reopen()
        self._rest()

    def _transaction(
        self, tickets: list[Ticket], *, has_savepoints: bool = False, may_retry: bool = True
    ) -> list[Ticket]:
        """Do as many as one transaction takes, in the one that has begun; gives the rest."""
        connection = self._connection
        assert connection is not None
        now_ms, until_s, size_bytes = self._now_ms(), time.monotonic() + GROUP_MS_MAX / 1000, 0
        lane = None if has_savepoints else Lane(connection, self._sequence, now_ms, is_logging=self._is_logging)
        outcomes: list[object] = []
        try:
            for ticket in tickets:
                request = ticket.item
                outcomes.append(self._do(connection, lane, request, now_ms))
                size_bytes += request.size_bytes
                if size_bytes > GROUP_BYTES_MAX or time.monotonic() > until_s:
                    break
            if lane is not None:
                lane.settle()
        except Lost as lost:
            return self._start_over(tickets, lost.error, may_retry)
        except Exception as error:
            if isinstance(error, apsw.FullError) or not connection.in_transaction:
                return self._start_over(tickets, error, may_retry)
            # One of them broke on the short way, where nothing can be undone by itself.
            connection.execute("ROLLBACK")
            self._refused = self._begin()
            if self._refused is None:
                return self._transaction(tickets, has_savepoints=True, may_retry=may_retry)
            fail(tickets, self._refused)
            return []
        return self._commit(connection, tickets, outcomes, may_retry=may_retry)

    def _do(self, connection: apsw.Connection, lane: Lane | None, request: Request, now_ms: int) -> object:
        """What a request gives, or its error. Raises: Lost; what the short way raises."""
        if self._shortage is not None and request.mutation.grows:
            return SlowDown(self._shortage)
        if lane is not None:
            outcome = request.on(lane)
            if outcome is not None:
                return outcome
            lane.settle()
        outcome = execute(connection, request, self._is_logging, now_ms)
        if isinstance(outcome, apsw.FullError) or not connection.in_transaction:
            raise Lost(error_of(outcome))
        if request.mutation is changes.REGISTER:
            self._is_logging = True
        if lane is not None:
            found = outcome.found if isinstance(outcome, Outcome) else None
            lane.resume(None if found is None else found.sequence, is_logging=self._is_logging)
        return outcome

    def _commit(
        self, connection: apsw.Connection, tickets: list[Ticket], outcomes: list[object], *, may_retry: bool
    ) -> list[Ticket]:
        """Gives those for which the transaction had no room, without an answer yet."""
        done, rest = tickets[: len(outcomes)], tickets[len(outcomes) :]
        slots = _slots_of(done, outcomes)
        self._slots.begin(slots)
        began_s = time.perf_counter()
        try:
            connection.execute("COMMIT")
        except apsw.FullError as error:
            # The last page written is the one that makes a commit, and it did not fit: refused, not unknown.
            return self._start_over(tickets, error, may_retry)
        except apsw.Error as error:
            # The slots stay as they are: nobody knows which answer is the right one, so everybody asks the database.
            self._trouble = f"a commit failed: {error}"
            fail(done, unknown(error))
            self._reopen()
            fail(rest, refusal_of(error))
            return []
        self._slots.end(slots)
        if self._watch is not None:
            self._watch.committed(len(done), time.perf_counter() - began_s)
        self._trouble = ""
        for ticket, outcome in zip(done, outcomes, strict=True):
            if isinstance(outcome, Exception):
                ticket.error = outcome
            else:
                ticket.result = outcome
        return rest

    def _start_over(self, tickets: list[Ticket], error: Exception, may_retry: bool) -> list[Ticket]:
        """The transaction is lost, and nothing of it happened. On a full disk deletes get one more try on the ballast."""
        self._trouble = f"a transaction failed: {error}"
        self._reopen()
        refusal = refusal_of(error)
        if isinstance(error, apsw.FullError) and may_retry and self._space.drop_ballast():
            self._shortage = refusal.message
            if self._begin() is None:
                return self._transaction(tickets, may_retry=False)
        fail(tickets, refusal)
        return []

    def _rest(self) -> None:
        """End what an empty group has begun, and let others have their turn unless there is something to tidy up."""
        connection = self._connection
        try:
            if connection is not None and connection.in_transaction:
                connection.execute("ROLLBACK")
        except apsw.Error:
            self._reopen()
        if not self._keeper.is_due() and not self._upkeep.is_due():
            self._leave()

    def _settle(self) -> None:
        """After the answers: checkpoint and tidy up, still in this process's turn."""
        connection = self._connection
        try:
            if self._turnstile.is_held and connection is not None:
                if self._keeper.is_due():
                    self._keeper.checkpoint(connection)
                    self._note_checkpoint(self._keeper)
                if self._shortage is not None:
                    self._keeper.wait()  # or the log that is to be made shorter would be busy
                self._upkeep.work(connection, is_idle=self._thread.depth() == 0)
        except BaseException as error:
            self._trouble = f"housekeeping failed: {error}"  # the thread lives on: writes are worth more
        finally:
            self._leave()

    def _note_checkpoint(self, keeper: WalKeeper) -> None:
        steps_s, was_busy = keeper.told()
        if self._watch is not None:
            for seconds in steps_s:
                self._watch.checkpointed(seconds)
            if was_busy:
                self._watch.busy()

    def _leave(self) -> None:
        self._turnstile.leave()
        self._busy_since_s = None

    def _open(self) -> apsw.Connection:
        self._connection = self._connect()
        self._keeper.watch(self._connection)
        return self._connection

    def _reopen(self) -> None:
        """Roll back and forget the connection; the next turn opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            except apsw.Error:
                pass  # closing rolls back too
            connection.close(force=True)


def _slots_of(tickets: list[Ticket], outcomes: list[object]) -> list[int]:
    """What the caches must forget of those that were not refused."""
    found = [
        ticket.item.slot()
        for ticket, outcome in zip(tickets, outcomes, strict=True)
        if not isinstance(outcome, Exception)
    ]
    return [slot for slot in found if slot is not None]
