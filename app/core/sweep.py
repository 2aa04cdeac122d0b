"""The sweep: the only one who deletes published bytes (I4), and who finds what crashes left.

It knows nothing that is not in the metadata or the storage, so it may be killed anywhere and run by several at once:
each step repeats what an earlier one did not finish, and repeating is harmless. specs/crash-only.md draws the life of a
blob. Work is done in slices of about SLICE_ROWS_MAX rows; between them the hub belongs to requests (I8).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Protocol

from app import runtime
from app.core.orphans import OrphanHunt, delete_all, members_of, remember_names
from app.core.store import Store
from app.domain.errors import NoSuchBucket, NoSuchUpload, S3Error
from app.domain.names import new_op_id
from app.domain.types import BlobRef, Garbage, GarbageKind
from app.metadata.base import GARBAGE_SLICE_MAX
from app.storage.base import MAIN, ObjectStorage, name_in

SLICE_ROWS_MAX = GARBAGE_SLICE_MAX
SLICE_MAX_S = 0.020
HELD_BACK_MAX = 10_000  # rows whose bytes could not be deleted that one slice looks past
AT_ONCE_MAX = 16  # pieces of garbage, where deleting is mostly waiting for a network
SLICE_PAUSE_S = 0.020  # after a slice that has more to do: requests come first
LEASE = "sweep"
LEASE_TTL_MS = 60_000
LEASE_EVERY_S = 20.0
BACKOFF_MIN_S = 5.0
BACKOFF_MAX_S = 300.0

_log = logging.getLogger("bleepstore.sweep")


@dataclass(slots=True)
class SweepReport:
    """What was done so far, counted."""

    uploads_expired: int = 0
    blobs_deleted: int = 0  # garbage: versions that were overwritten or deleted, parts of aborted uploads, …
    orphans_deleted: int = 0  # blobs to which no row ever referred
    condemned_expired: int = 0
    temporary_removed: int = 0


class Watch(Protocol):
    """Who counts. A run is all slices of one step until there is nothing more to do at once."""

    def ran(self, seconds: float) -> None: ...
    def failed(self) -> None: ...
    def did(self, action: str, count: int) -> None: ...


@dataclass(slots=True)
class Step:
    """`run(now_ms)` does one slice and says whether there may be more to do at once."""

    name: str
    run: Callable[[int], bool]
    every_s: float
    due_s: float = 0.0
    failures: int = 0
    before: dict[str, int] | None = None  # the counts when this run of slices began
    began_s: float = 0.0  # … and when that was

    def postpone(self, now_s: float) -> float:
        """Give the time until the next try after a failure: twice as long each time, to a bound."""
        self.failures += 1
        wait_s = min(BACKOFF_MIN_S * 2.0 ** min(self.failures - 1, 16), BACKOFF_MAX_S)
        self.due_s = now_s + wait_s
        return wait_s


class Sweeper:
    """`holder` names this process in the lease. Use by one thread or greenlet at a time."""

    def __init__(
        self,
        store: Store,
        holder: str,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = runtime.sleep,
        watch: Watch | None = None,
    ) -> None:
        self._watch = watch
        self._store = store
        self._holder = holder
        self._monotonic = monotonic
        self._sleep = sleep
        self.report = SweepReport()
        self._held_back: set[int] = set()  # garbage that could not be deleted; the rest must not wait for it
        self._away: set[str] = set()  # those of several back ends that have failed since the first was held back
        self._failure: Exception | None = None  # … and how
        self._last_expiry_ms = store.now_ms()
        self._began_ms, self._began_s = store.now_ms(), monotonic()
        members = members_of(store.storage)
        self._hunts = {name: OrphanHunt(store, name, each) for name, each in members.items()}
        is_remote = any(each.threads is not runtime.DISK for each in members.values())
        self._at_once = AT_ONCE_MAX if is_remote else 1
        # Tombstones go before orphans are looked for: none that this run makes is forgotten in the same run.
        self.steps = (
            *(Step(_step("temporary", name), partial(self._clean_up, each), 600) for name, each in members.items()),
            Step("condemned", self.expire_condemned, every_s=3_600),
            Step("uploads", self.expire_uploads, every_s=600),
            Step("garbage", self.collect_garbage, every_s=5),
            *(Step(_step("orphans", name), partial(self._hunt, hunt), 3_600) for name, hunt in self._hunts.items()),
        )

    # -- the two ways to run -------------------------------------------------------------------------------------

    def run_once(self, progress: Callable[[SweepReport], object] | None = None) -> SweepReport:
        """Do all there is to do now, beside a server or without one. `progress` is called after every slice.

        Takes no lease: the sweep is safe beside itself. The first error ends it; where there are several back ends, only
        its step, for the next one may be about another.
        """
        now_ms = self._store.now_ms()  # held still, so that a busy server cannot keep this from ending
        failure: Exception | None = None
        for step in self.steps:
            is_done = False
            while not is_done:
                try:
                    is_done = not step.run(now_ms)
                except (S3Error, OSError) as error:
                    if len(self._hunts) == 1:
                        raise
                    failure, is_done = failure or error, True
                if progress is not None:
                    progress(self.report)
        if failure is not None:
            raise failure
        return self.report

    def run_forever(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Sweep as long as this process holds the lease; wait for it otherwise. A failing step is tried again later."""
        lease = Step("lease", self._take_lease, LEASE_EVERY_S)
        is_ours = False
        while not stop():
            now_s = self._monotonic()
            step = lease
            if is_ours and now_s < lease.due_s:
                step = min(self.steps, key=lambda each: each.due_s)
            wait_s = min(step.due_s, lease.due_s) - now_s
            if wait_s > 0:
                self._sleep(wait_s)
                continue
            answer = self._attempt(step, now_s)
            if step is lease:
                is_ours = answer
            elif answer:
                self._sleep(SLICE_PAUSE_S)

    def _attempt(self, step: Step, now_s: float) -> bool:
        """One slice of a step at its time in the loop; false too when it failed."""
        if step.before is None:
            step.before, step.began_s = asdict(self.report), now_s
        try:
            answer = step.run(self._store.now_ms())
        except Exception as error:
            # The edge of a loop that must not end: whatever is broken now, garbage has to go later.
            wait_s = step.postpone(now_s)
            fields = {"step": step.name, "error": type(error).__name__, "retry_s": wait_s, "failures": step.failures}
            _log.warning("sweep.failed", extra=fields, exc_info=True)
            if self._watch is not None:
                self._watch.failed()
            return False
        step.failures = 0
        # A step with more to do stands behind every other one that is due.
        step.due_s = now_s if answer and step.name != "lease" else now_s + step.every_s
        if not answer and step.name != "lease":
            self._finish(step, step.before)
        return answer

    def _finish(self, step: Step, before: dict[str, int]) -> None:
        """Count a run of slices, and say what it did, if it did anything."""
        done = {name: count - before[name] for name, count in asdict(self.report).items() if count != before[name]}
        if done:
            _log.info("sweep.finished", extra={"step": step.name, **done})
        if self._watch is not None:
            self._watch.ran(self._monotonic() - step.began_s)
            for name, count in done.items():
                self._watch.did(name, count)
        step.before = None

    def _take_lease(self, now_ms: int) -> bool:
        is_ours = self._store.metadata.lease(LEASE, self._holder, now_ms, LEASE_TTL_MS)
        if not is_ours:
            for hunt in self._hunts.values():
                hunt.forget()
        return is_ours

    # -- steps: each does one slice, and says whether there may be more -------------------------------------------

    def expire_uploads(self, now_ms: int) -> bool:
        """Abort uploads that nobody completed in time; their parts become garbage.

        A clock that is set forward while the process runs ages no upload: a leap must not abort them all.
        """
        steady_ms = self._began_ms + int((self._monotonic() - self._began_s) * 1_000)
        before_ms = min(now_ms, steady_ms) - self._store.limits.upload_expiry_s * 1_000
        deadline_s = self._monotonic() + SLICE_MAX_S
        expired = 0
        for upload in self._store.metadata.stale_uploads(before_ms, SLICE_ROWS_MAX):
            try:
                self._store.metadata.abort_upload(upload.bucket, upload.key, upload.upload_id, new_op_id(), now_ms)
            except (NoSuchUpload, NoSuchBucket):
                continue  # completed, aborted or deleted since it was listed
            expired += 1
            self.report.uploads_expired += 1
            if self._monotonic() > deadline_s:
                break
        return expired > 0

    def collect_garbage(self, now_ms: int) -> bool:
        """Delete blobs that lost their last reference a grace period ago (I4)."""
        metadata = self._store.metadata
        grace_s = max(self._store.limits.garbage_grace_s, self._store.storage.garbage_grace_s)
        # Behind those that are held back there may be others, which need not wait.
        limit = SLICE_ROWS_MAX + min(len(self._held_back), HELD_BACK_MAX)
        rows = metadata.garbage(now_ms - grace_s * 1_000, limit)
        waiting = [row for row in rows if row.id not in self._held_back]
        if not waiting:
            self._held_back.clear()
            self._away.clear()
            failure, self._failure = self._failure, None
            if failure is not None:
                raise failure
            waiting = list(rows)
        self._collect_some(waiting, now_ms)
        return bool(waiting)

    def _collect_some(self, rows: Sequence[Garbage], now_ms: int) -> None:
        """A slice's worth. Raises: the first failure, unless it is of one back end among several: that waits for the rest."""
        deadline_s = self._monotonic() + SLICE_MAX_S
        deleted = 0
        for first in range(0, len(rows), self._at_once):
            some = rows[first : first + self._at_once]
            for outcome in runtime.gather([partial(self._collect, row, now_ms) for row in some], self._at_once):
                if isinstance(outcome, Exception):
                    raise outcome
                deleted += outcome
            if deleted >= SLICE_ROWS_MAX or self._monotonic() > deadline_s:
                break

    def _collect(self, row: Garbage, now_ms: int) -> int | Exception:
        """One slice of one piece of garbage; the row is gone after the slice in which nothing was left to condemn."""
        places = {name_in(BlobRef(row.ref))} if row.kind is GarbageKind.BLOB else set()
        blobs: Sequence[BlobRef] = ()
        try:
            if not places & self._away:
                blobs = self._store.metadata.condemn(row.id, now_ms)
                places = {name_in(blob) for blob in blobs}
            if places & self._away:  # nobody waits for its time-out once more
                self._held_back.add(row.id)
                return 0
            if blobs:
                self._delete(blobs)
                self._store.metadata.forget(row.id, blobs)
        except Exception as error:
            self._held_back.add(row.id)
            if not places or len(self._hunts) == 1:
                return error
            self._away |= places
            self._failure = self._failure or error
            return 0
        except BaseException:
            self._held_back.add(row.id)
            raise
        self.report.blobs_deleted += len(blobs)
        return len(blobs)

    def _delete(self, blobs: Sequence[BlobRef]) -> None:
        by_holder: dict[int, tuple[ObjectStorage, list[BlobRef]]] = {}
        for blob in blobs:
            holder = self._store.storage.holder(blob)
            by_holder.setdefault(id(holder), (holder, []))[1].append(blob)
        for holder, theirs in by_holder.values():
            holder.threads.offload(delete_all, holder, theirs)

    def _hunt(self, hunt: OrphanHunt, now_ms: int) -> bool:
        """Delete blobs to which nothing refers: writers died before they published, or lost a race."""
        remember_names(self._store)
        deleted = hunt.run(now_ms)
        self.report.orphans_deleted += deleted or 0
        return deleted is not None

    def expire_condemned(self, now_ms: int) -> bool:
        """Forget which blobs were condemned, once no publish of them can still be on its way.

        Only those that were there at the last expiry too: a clock that leaps must not make a fresh one old.
        """
        before_ms = min(now_ms - self._store.limits.condemned_keep_s * 1_000, self._last_expiry_ms)
        expired = self._store.metadata.expire_condemned(before_ms, SLICE_ROWS_MAX)
        self.report.condemned_expired += expired
        if expired < SLICE_ROWS_MAX:
            self._last_expiry_ms = now_ms
        return expired == SLICE_ROWS_MAX

    def _clean_up(self, storage: ObjectStorage, now_ms: int) -> bool:
        """Remove what writers left behind that are gone: locks say who lives, not the clock."""
        self.report.temporary_removed += storage.threads.offload(storage.clean_up)
        return False


def _step(name: str, member: str) -> str:
    """Steps of named back ends have the name behind a dot."""
    return name if member == MAIN else f"{name}.{member}"
