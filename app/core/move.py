"""Moving a bucket's bytes to another back end while it is in use.

The bucket's document comes first, so that from then on new bytes go there at once. Then each blob that lies elsewhere is
copied, compared with what its row says of it, and exchanged in one commit that changes nothing a client sees; the old
one is garbage, and readers have its grace. Parts belong to their upload, and so to every object that shares them.

Nothing is remembered but in the rows: whoever runs it again passes over what is there, and what a killed run has copied
and not exchanged is an orphan for the sweep. Writes that were under way when the document came may land where the bucket
was: passes are made until one finds nothing to do.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, TypeVar

from app.core.fsck_bytes import Claim, Problem
from app.core.move_copy import WrongBytes, copy_blob
from app.core.orphans import remember_names
from app.core.placement import DOCUMENT, document
from app.core.store import Store
from app.domain.errors import ServiceUnavailable, SlowDown
from app.domain.multipart import PART_NUMBER_MAX
from app.domain.names import new_op_id
from app.domain.types import BlobRef, Part, PartRun, UploadQuery, Version, VersionQuery
from app.metadata.base import BlobCondemned, OutcomeUnknown
from app.storage.base import ObjectStorage

MOVES_AT_ONCE = 8
PAGE_ROWS = 1_000
PASSES_MAX = 10
REMEMBERED_MAX = 50_000  # blobs that several rows may share, and uploads
PAUSES_S = (0.5, 2.0)  # between the attempts of one blob
PROBLEMS_MAX = 1_000  # that are kept in words; all are counted


K = TypeVar("K")
V = TypeVar("V")


@dataclass(slots=True)
class MoveReport:
    """Counted so far. `moved` blobs were copied (or would be), `shared` rows took a copy that another has."""

    moved: int = 0
    bytes_moved: int = 0
    shared: int = 0
    there: int = 0  # rows whose bytes were on the back end already
    gone: int = 0  # rows that were deleted or replaced meanwhile
    wrong: int = 0  # blobs that are not what their row says: left where they are
    problems: list[str] = field(default_factory=list)


class Row(NamedTuple):
    """A row that refers to a blob: a version's, or a part's of an upload."""

    name: str
    blob: BlobRef
    claim: Claim
    exchange: Callable[[BlobRef, int], bool]
    is_still: Callable[[], bool]  # in the thread of `Mover.run`


class Done(NamedTuple):
    """What became of a row. `copy` is the blob that it was to refer to, `is_fresh` whether it was made for it."""

    row: Row
    copy: BlobRef | None = None
    is_fresh: bool = False
    is_taken: bool = False
    problems: Sequence[Problem] = ()


Progress = Callable[[MoveReport], object]


class Mover:
    """One run, by one thread, which starts more. `backend` is a name that the store's placement knows."""

    def __init__(
        self,
        store: Store,
        bucket: str,
        backend: str,
        *,
        is_dry: bool = False,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.report = MoveReport()
        self._store = store
        self._bucket = bucket
        self._backend = backend
        self._target: ObjectStorage = store.storage.members()[backend]
        self._is_dry = is_dry
        self._sleep = sleep
        self._copies: OrderedDict[BlobRef, BlobRef] = OrderedDict()
        self._uploads: OrderedDict[str, None] = OrderedDict()
        self._wrong: set[BlobRef] = set()
        self._is_first_pass = True
        self._progress: Progress = _nothing

    def run(self, progress: Progress | None = None) -> MoveReport:
        """Move all there is. Raises: NoSuchBucket, and what keeps it from going on (ServiceUnavailable, SlowDown)."""
        self._progress = progress or self._progress
        remember_names(self._store)
        text = document(self._backend)
        if not self._is_dry and self._store.metadata.bucket(self._bucket).documents.get(DOCUMENT) != text:
            self._store.metadata.put_document(self._bucket, DOCUMENT, text, new_op_id())
        with ThreadPoolExecutor(MOVES_AT_ONCE, "move") as pool:
            for number in range(1 if self._is_dry else PASSES_MAX):
                self._is_first_pass = number == 0
                self._uploads.clear()
                before = self.report.moved + self.report.shared
                self._drain(pool, self._rows_of_versions())
                self._drain(pool, self._rows_of_uploads())
                if self.report.moved + self.report.shared == before:
                    break
        return self.report

    # -- the rows ------------------------------------------------------------------------------------------------

    def _rows_of_versions(self) -> Iterator[Row]:
        after, after_id = "", None
        while True:
            query = VersionQuery(self._bucket, after=after, after_version_id=after_id, limit=PAGE_ROWS)
            page = self._store.metadata.list_versions(query)
            for version in page.entries:
                if version.content.blob is not None:
                    yield self._row_of(version, version.content.blob)
                elif version.content.manifest is not None:
                    yield from self._rows_of_parts(version.content.manifest.upload_id, version.content.manifest.runs)
            if not page.is_truncated:
                return
            after, after_id = page.last, page.last_id

    def _rows_of_uploads(self) -> Iterator[Row]:
        after, after_id = "", None
        while True:
            query = UploadQuery(self._bucket, after=after, after_upload_id=after_id, limit=PAGE_ROWS)
            page = self._store.metadata.list_uploads(query)
            for upload in page.entries:
                yield from self._rows_of_parts(upload.upload_id, [PartRun(1, PART_NUMBER_MAX, 0)])
            if not page.is_truncated:
                return
            after, after_id = page.last, page.last_id

    def _rows_of_parts(self, upload_id: str, runs: Iterable[PartRun]) -> Iterator[Row]:
        if upload_id in self._uploads:
            return
        _remember(self._uploads, upload_id, None)
        for run in runs:
            first, last = run.first_number, run.first_number + run.count - 1
            while first <= last:
                page = self._store.metadata.parts(upload_id, first, last, PAGE_ROWS)
                for part in page:
                    yield self._row_of_part(upload_id, part)
                if len(page) < PAGE_ROWS:
                    break
                first = page[-1].number + 1

    def _row_of(self, version: Version, blob: BlobRef) -> Row:
        metadata = self._store.metadata

        def is_still() -> bool:
            now = metadata.look_up(version.bucket, version.key, version.version_id).version
            return now is not None and (now.sequence, now.content.blob) == (version.sequence, blob)

        name = f"{version.bucket}/{version.key} version {version.version_id}"
        claim = Claim(version.size_bytes, version.etag, version.checksum)
        return Row(name, blob, claim, partial(metadata.move_blob, version), is_still)

    def _row_of_part(self, upload_id: str, part: Part) -> Row:
        metadata = self._store.metadata

        def is_still() -> bool:
            now = metadata.parts(upload_id, part.number, part.number, 1)
            return bool(now) and now[0].blob == part.blob

        name = f"upload {upload_id} part {part.number}"
        claim = Claim(part.size_bytes, part.etag, part.checksum)
        return Row(name, part.blob, claim, partial(metadata.move_part, upload_id, part), is_still)

    # -- what is done with them ----------------------------------------------------------------------------------

    def _drain(self, pool: ThreadPoolExecutor, rows: Iterator[Row]) -> None:
        """Move the rows, several blobs at a time; those that share one wait for its copy."""
        busy: dict[BlobRef, Future[Done]] = {}
        try:
            for row in rows:
                if self._store.storage.holder(row.blob) is self._target:
                    self.report.there += self._is_first_pass
                    self._progress(self.report)
                elif row.blob not in self._wrong:
                    self._begin(pool, row, busy)
            while busy:
                self._settle(busy)
        finally:
            for future in busy.values():
                future.cancel()

    def _begin(self, pool: ThreadPoolExecutor, row: Row, busy: dict[BlobRef, Future[Done]]) -> None:
        while row.blob in busy or len(busy) >= 2 * MOVES_AT_ONCE:
            self._settle(busy)
        if row.blob in self._wrong:
            return
        copy = self._copies.get(row.blob)
        if self._is_dry:
            self._count(Done(row, copy or row.blob, copy is None, True))
        else:
            busy[row.blob] = pool.submit(self._patiently, row, copy)

    def _settle(self, busy: dict[BlobRef, Future[Done]]) -> None:
        """Wait for some that are under way. Raises: what ended them."""
        done, _ = wait(busy.values(), return_when=FIRST_COMPLETED)
        for blob in [blob for blob, future in busy.items() if future in done]:
            self._count(busy.pop(blob).result())

    def _count(self, done: Done) -> None:
        report, row = self.report, done.row
        if done.problems and row.is_still():
            self._wrong.add(row.blob)
            report.wrong += 1
            found = [f"{problem.kind} {row.name} {problem.detail}".rstrip() for problem in done.problems]
            report.problems += found[: PROBLEMS_MAX - len(report.problems)]
        elif not done.is_taken:
            report.gone += 1
        elif done.is_fresh:
            report.moved += 1
            report.bytes_moved += row.claim.size_bytes
        else:
            report.shared += 1
        if done.copy is not None and done.is_taken:
            _remember(self._copies, row.blob, done.copy)
        self._progress(report)

    # -- in a thread ---------------------------------------------------------------------------------------------

    def _patiently(self, row: Row, copy: BlobRef | None) -> Done:
        """`_move`, tried again where a back end is away or busy for a moment: a move may take days."""
        for pause_s in PAUSES_S:
            try:
                return self._move(row, copy)
            except OutcomeUnknown:
                raise
            except (SlowDown, ServiceUnavailable):
                self._sleep(pause_s)
        return self._move(row, copy)

    def _move(self, row: Row, copy: BlobRef | None) -> Done:
        """Copy a blob and let its row refer to the copy. With `copy`, which other rows have, that is not needed."""
        if copy is not None:
            try:
                return Done(row, copy, False, row.exchange(copy, self._store.now_ms()))
            except BlobCondemned:
                pass  # the other rows are gone, and the copy with them
        try:
            copy = copy_blob(self._store.storage.holder(row.blob), row.blob, row.claim, self._target)
        except WrongBytes as wrong:
            return Done(row, problems=wrong.problems)
        is_taken = row.exchange(copy, self._store.now_ms())
        if not is_taken:
            self._target.delete(copy)  # refused for certain
        return Done(row, copy, True, is_taken)


def _nothing(report: MoveReport) -> None:
    """Nobody wants to know how far it is."""


def _remember(kept: OrderedDict[K, V], key: K, value: V) -> None:
    kept[key] = value
    if len(kept) > REMEMBERED_MAX:
        kept.popitem(last=False)


__all__ = ["MoveReport", "Mover"]
