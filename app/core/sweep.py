"""The sweep: the only one who deletes published bytes (I4), and who finds what crashes left.

It knows nothing that is not in the metadata or the storage, so it may be killed anywhere and run by several at once:
each step repeats what an earlier one did not finish, and repeating is harmless. specs/crash-only.md draws the life of a
blob. Work is done in slices of about SLICE_ROWS_MAX rows; between them the hub belongs to requests (I8).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice

from app import runtime
from app.core.store import Store
from app.domain.errors import NoSuchBucket, NoSuchUpload
from app.domain.names import new_op_id
from app.domain.types import BlobRef, Garbage
from app.metadata.base import GARBAGE_SLICE_MAX
from app.storage.base import BlobInfo, ObjectStorage

SLICE_ROWS_MAX = GARBAGE_SLICE_MAX
SLICE_MAX_S = 0.020
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


@dataclass(slots=True)
class Step:
    """`run(now_ms)` does one slice and says whether there may be more to do at once."""

    name: str
    run: Callable[[int], bool]
    every_s: float
    due_s: float = 0.0
    failures: int = 0
    before: dict[str, int] | None = None  # the counts when this run of slices began

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
    ) -> None:
        self._store = store
        self._holder = holder
        self._monotonic = monotonic
        self._sleep = sleep
        self.report = SweepReport()
        self._held_back: set[int] = set()  # garbage that could not be deleted; the rest must not wait for it
        self._scan: Iterator[BlobInfo] | None = None
        self._batch: Sequence[BlobInfo] = ()
        self._last_expiry_ms = store.now_ms()
        self._began_ms, self._began_s = store.now_ms(), monotonic()
        # Tombstones go before orphans are looked for: none that this run makes is forgotten in the same run.
        self.steps = (
            Step("temporary", self.clean_up, every_s=600),
            Step("condemned", self.expire_condemned, every_s=3_600),
            Step("uploads", self.expire_uploads, every_s=600),
            Step("garbage", self.collect_garbage, every_s=5),
            Step("orphans", self.sweep_orphans, every_s=3_600),
        )

    # -- the two ways to run -------------------------------------------------------------------------------------

    def run_once(self, progress: Callable[[SweepReport], object] | None = None) -> SweepReport:
        """Do all there is to do now, beside a server or without one. `progress` is called after every slice.

        Takes no lease: the sweep is safe beside itself. The first error ends it.
        """
        now_ms = self._store.now_ms()  # held still, so that a busy server cannot keep this from ending
        for step in self.steps:
            is_done = False
            while not is_done:
                is_done = not step.run(now_ms)
                if progress is not None:
                    progress(self.report)
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
            step.before = asdict(self.report)
        try:
            answer = step.run(self._store.now_ms())
        except Exception as error:
            # The edge of a loop that must not end: whatever is broken now, garbage has to go later.
            wait_s = step.postpone(now_s)
            fields = {"step": step.name, "error": type(error).__name__, "retry_s": wait_s, "failures": step.failures}
            _log.warning("sweep.failed", extra=fields, exc_info=True)
            return False
        step.failures = 0
        # A step with more to do stands behind every other one that is due.
        step.due_s = now_s if answer and step.name != "lease" else now_s + step.every_s
        if not answer:
            self._finish(step, step.before)
        return answer

    def _finish(self, step: Step, before: dict[str, int]) -> None:
        """Say what a run of slices did, if it did anything."""
        done = {name: count - before[name] for name, count in asdict(self.report).items() if count != before[name]}
        if done:
            _log.info("sweep.finished", extra={"step": step.name, **done})
        step.before = None

    def _take_lease(self, now_ms: int) -> bool:
        is_ours = self._store.metadata.lease(LEASE, self._holder, now_ms, LEASE_TTL_MS)
        if not is_ours:
            self._scan, self._batch = None, ()
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
        rows = metadata.garbage(now_ms - grace_s * 1_000, SLICE_ROWS_MAX)
        waiting = [row for row in rows if row.id not in self._held_back]
        if not waiting:
            self._held_back.clear()
            waiting = list(rows)
        deadline_s = self._monotonic() + SLICE_MAX_S
        deleted = 0
        for row in waiting:
            deleted += self._collect(row, now_ms)
            if deleted >= SLICE_ROWS_MAX or self._monotonic() > deadline_s:
                break
        return bool(waiting)

    def _collect(self, row: Garbage, now_ms: int) -> int:
        """One slice of one piece of garbage; the row is gone after the slice in which nothing was left to condemn."""
        try:
            blobs = self._store.metadata.condemn(row.id, now_ms)
            if blobs:
                runtime.offload(_delete_all, self._store.storage, blobs)
                self._store.metadata.forget(row.id, blobs)
        except BaseException:
            self._held_back.add(row.id)
            raise
        self.report.blobs_deleted += len(blobs)
        return len(blobs)

    def sweep_orphans(self, now_ms: int) -> bool:
        """Delete blobs to which nothing refers: writers died before they published, or lost a race.

        A blob is condemned in a commit before it is deleted, so a publish that is still on its way is refused (I3).
        """
        if not self._batch:
            self._batch = self._next_batch(now_ms)
        if not self._batch:
            self._scan = None
            return False
        orphans = self._store.metadata.condemn_orphans([blob.ref for blob in self._batch], now_ms)
        if orphans:
            runtime.offload(_delete_all, self._store.storage, orphans)
        self.report.orphans_deleted += len(orphans)
        self._batch = ()
        return True

    def _next_batch(self, now_ms: int) -> Sequence[BlobInfo]:
        if self._scan is None:
            self._scan = self._store.storage.scan(now_ms - self._store.limits.orphan_grace_s * 1_000)
        try:
            return runtime.offload_scan(_take, self._scan)
        except BaseException:
            self._scan = None  # it cannot go on after an error: the next try begins anew
            raise

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

    def clean_up(self, now_ms: int) -> bool:
        """Remove temporary files whose writers are gone; locks say who lives, not the clock."""
        self.report.temporary_removed += runtime.offload(self._store.storage.clean_up)
        return False


def _delete_all(storage: ObjectStorage, blobs: Sequence[BlobRef]) -> None:
    for blob in blobs:
        storage.holder(blob).delete(blob)


def _take(scan: Iterator[BlobInfo]) -> list[BlobInfo]:
    return list(islice(scan, SLICE_ROWS_MAX))
