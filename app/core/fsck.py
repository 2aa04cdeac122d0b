"""fsck: proves that every row has its bytes, and that no bytes are without a row.

It only reads, in slices, beside a running server or without one; what looks wrong is looked at a second time before it
is reported, because a live store changes between two looks. Three passes: versions by sequence, parts by (upload id,
number), and the storage's blobs.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from app import runtime
from app.core import fsck_bytes
from app.core.fsck_bytes import Claim, Problem
from app.core.orphans import bare, known_otherwise, members_of, other_names
from app.core.store import Store
from app.domain import digests, multipart
from app.domain.errors import NoSuchBucket, NoSuchVersion, S3Error
from app.domain.types import GarbageKind, Manifest, Part, PartRun, Version
from app.metadata.base import GARBAGE_SLICE_MAX
from app.storage.base import MAIN, BlobInfo, ObjectStorage

ROWS_PER_SLICE = 100
PARTS_PAGE = 1_000
FINDINGS_MAX = 1_000  # that are kept in words; all are counted
GARBAGE_LOOK_MAX = 100_000
_FAR_FUTURE_MS = 1 << 53


class Severity(enum.IntEnum):
    INFO = 0  # nothing to do
    WARNING = 1  # the sweep's work: no object is harmed
    ERROR = 2  # an object is not what its row says


@dataclass(frozen=True, slots=True)
class Finding:
    severity: Severity
    kind: str  # "missing", "length", "digest", "checksum", "unreadable", "manifest", "metadata", "orphan", "name", "condemned"
    where: str
    detail: str = ""


@dataclass(slots=True)
class FsckReport:
    """What was looked at and found. `sequence` and `part` are where a later run may go on."""

    versions: int = 0
    parts: int = 0
    blobs: int = 0
    bytes_read: int = 0
    sequence: int = 0
    part: tuple[str, int] = ("", 0)
    errors: int = 0
    orphans: int = 0  # older than the grace: the sweep would delete them
    young_orphans: int = 0  # may be published yet
    counts: Counter[str] = field(default_factory=Counter)  # findings by kind
    findings: list[Finding] = field(default_factory=list)  # the first FINDINGS_MAX

    @property
    def exit_code(self) -> int:
        """0: nothing but information; 1: work for the sweep; 2: errors."""
        if self.errors:
            return 2
        return 1 if self.orphans else 0

    def add(self, finding: Finding) -> None:
        self.counts[finding.kind] += 1
        self.errors += finding.severity is Severity.ERROR
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(finding)


Progress = Callable[[FsckReport], object]


def fsck(
    store: Store,
    progress: Progress | None = None,
    *,
    verify_bytes: bool = True,
    after_sequence: int = 0,
    after_part: tuple[str, int] = ("", 0),
) -> FsckReport:
    """Look at everything behind `after_sequence` and `after_part`; `progress` is called after every slice.

    Without `verify_bytes` only existence and length are looked at. Problems are findings; raised is only what keeps
    fsck from looking: an engine or a back end that does not answer.
    """
    report = FsckReport(sequence=after_sequence, part=after_part)
    run = _Run(store, report, verify_bytes)
    for look in (run.metadata, run.versions, run.parts, run.blobs):
        for _ in look():
            if progress is not None:
                progress(report)
    return report


class _Run:
    """The passes; each yields after a slice."""

    def __init__(self, store: Store, report: FsckReport, verify_bytes: bool) -> None:
        self._store = store
        self._report = report
        self._verify_bytes = verify_bytes

    def metadata(self) -> Iterator[None]:
        for sentence in self._store.metadata.verify():
            self._report.add(Finding(Severity.ERROR, "metadata", "", sentence))
        yield

    # -- versions ------------------------------------------------------------------------------------------------

    def versions(self) -> Iterator[None]:
        while True:
            rows = self._store.metadata.scan_versions(self._report.sequence, ROWS_PER_SLICE, inline=self._verify_bytes)
            if not rows:
                return
            for row in rows:
                self._version(row)
                self._report.versions += 1
                self._report.sequence = row.sequence
            yield

    def _version(self, row: Version) -> None:
        problems = self._problems_of(row)
        if problems and row.content.manifest is not None:
            problems = self._problems_of(row)  # parts may have been moved between two looks
        if problems and self._is_still(row):
            for problem in problems:
                self._report.add(Finding(Severity.ERROR, problem.kind, _name(row), problem.detail))

    def _problems_of(self, row: Version) -> list[Problem]:
        where = row.content
        if row.is_delete_marker:
            return []
        if where.manifest is not None:
            return self._problems_of_manifest(row, where.manifest)
        claim = Claim(row.size_bytes, row.etag, row.checksum)
        if where.blob is not None:
            return self._examine(where.blob, claim, self._verify_bytes)
        if not where.is_inline:
            return [Problem("missing", "the row names no content")]
        if not self._verify_bytes:
            return []
        if where.inline is None:
            return [Problem("missing", "the inline bytes are not there")]
        self._report.bytes_read += len(where.inline)
        return fsck_bytes.compare(where.inline, claim)

    def _problems_of_manifest(self, row: Version, manifest: Manifest) -> list[Problem]:
        problems: list[Problem] = []
        etags: list[str] = []
        for run in manifest.runs:
            for expected, part in self._parts_of(manifest.upload_id, run):
                if part is None:
                    problems.append(Problem("manifest", f"part {expected} has no row"))
                elif part.size_bytes != run.size_bytes:
                    problems.append(
                        Problem("manifest", f"part {expected} has {part.size_bytes} bytes, not {run.size_bytes}")
                    )
                else:
                    etags.append(part.etag)
                    # The bytes are the third pass's; that they are there at all is asked for every object.
                    problems += self._examine(part.blob, Claim(part.size_bytes, part.etag), verify_bytes=False)
        if multipart.total_size_bytes(manifest.runs) != row.size_bytes:
            problems.append(Problem("manifest", f"the parts' sizes do not add up to {row.size_bytes}"))
        if not problems and digests.multipart_etag(etags) != row.etag:
            problems.append(Problem("digest", f"the ETag is not that of its {len(etags)} parts"))
        return problems

    def _parts_of(self, upload_id: str, run: PartRun) -> Iterator[tuple[int, Part | None]]:
        """Every number of a run with its row, or None where there is none."""
        for first in range(run.first_number, run.first_number + run.count, PARTS_PAGE):
            last = min(first + PARTS_PAGE, run.first_number + run.count) - 1
            rows = {row.number: row for row in self._store.metadata.parts(upload_id, first, last, PARTS_PAGE)}
            for number in range(first, last + 1):
                yield number, rows.get(number)

    def _is_still(self, row: Version) -> bool:
        """Whether the store still says what `row` says: else the bytes went because the row did."""
        try:
            now = self._store.metadata.look_up(row.bucket, row.key, row.version_id).version
        except (NoSuchBucket, NoSuchVersion):
            return False
        if now is None:
            return False
        return (now.content.blob, now.content.manifest, now.content.is_inline, now.etag) == (
            row.content.blob, row.content.manifest, row.content.is_inline, row.etag,
        )  # fmt: skip

    # -- parts ---------------------------------------------------------------------------------------------------

    def parts(self) -> Iterator[None]:
        while True:
            rows = self._store.metadata.scan_parts(self._report.part, ROWS_PER_SLICE)
            if not rows:
                return
            for upload_id, part in rows:
                self._part(upload_id, part)
                self._report.parts += 1
                self._report.part = (upload_id, part.number)
            yield

    def _part(self, upload_id: str, part: Part) -> None:
        problems = self._examine(part.blob, Claim(part.size_bytes, part.etag, part.checksum), self._verify_bytes)
        if not problems or not self._is_still_part(upload_id, part):
            return
        for problem in problems:
            severity = Severity.ERROR
            if problem.kind == "missing":
                # Deleted and not yet forgotten is what a killed sweep leaves; versions() asked for every object's parts.
                severity = self._severity_of_missing(upload_id)
            kind = problem.kind if severity is Severity.ERROR else "condemned"
            self._report.add(Finding(severity, kind, f"upload {upload_id} part {part.number}", problem.detail))

    def _is_still_part(self, upload_id: str, part: Part) -> bool:
        now = self._store.metadata.parts(upload_id, part.number, part.number, 1)
        return bool(now) and now[0].blob == part.blob

    def _severity_of_missing(self, upload_id: str) -> Severity:
        rows = self._store.metadata.garbage(_FAR_FUTURE_MS, GARBAGE_LOOK_MAX)
        if any(row.ref == upload_id for row in rows):
            return Severity.INFO
        # Whose pending uploads went with a bucket is not known by their ids.
        return Severity.INFO if any(row.kind is GarbageKind.BUCKET for row in rows) else Severity.ERROR

    # -- blobs ---------------------------------------------------------------------------------------------------

    def blobs(self) -> Iterator[None]:
        for name, storage in members_of(self._store.storage).items():
            yield from self._blobs_on(name, storage)

    def _blobs_on(self, name: str, storage: ObjectStorage) -> Iterator[None]:
        now_ms = self._store.now_ms()
        scan = storage.scan(now_ms)
        while batch := self._next_blobs(name, scan):
            free = self._store.metadata.unreferenced([blob.ref for blob in batch])
            others = {bare(ref) for ref in known_otherwise(self._store, other_names(self._store, name), free)}
            for blob in batch:
                self._report.blobs += 1
                if bare(blob.ref) in others:
                    detail = f"is known by another name than {name}: was the back end renamed?"
                    self._report.add(Finding(Severity.ERROR, "name", f"blob {blob.ref}", detail))
                elif blob.ref in free:
                    self._orphan(blob, now_ms)
            yield

    def _next_blobs(self, name: str, scan: Iterator[BlobInfo]) -> Sequence[BlobInfo]:
        """A named back end that is away is a finding: the others are looked at."""
        try:
            return runtime.offload_scan(_take, scan)
        except (S3Error, OSError) as error:
            if name == MAIN:
                raise
            self._report.add(Finding(Severity.ERROR, "unreadable", f"back end {name}", str(error)))
            return ()

    def _orphan(self, blob: BlobInfo, now_ms: int) -> None:
        age_s = (now_ms - blob.modified_ms) // 1_000
        is_old = age_s >= self._store.limits.orphan_grace_s
        if is_old:
            self._report.orphans += 1
        else:
            self._report.young_orphans += 1
        severity = Severity.WARNING if is_old else Severity.INFO
        self._report.add(Finding(severity, "orphan", f"blob {blob.ref}", f"{blob.size_bytes} bytes, {age_s} s old"))

    def _examine(self, ref: str, claim: Claim, verify_bytes: bool) -> list[Problem]:
        problems, size_bytes = runtime.offload_scan(fsck_bytes.examine, self._store.storage, ref, claim, verify_bytes)
        self._report.bytes_read += size_bytes
        return problems


def _name(row: Version) -> str:
    return f"{row.bucket}/{row.key} version {row.version_id}"


def _take(scan: Iterator[BlobInfo]) -> Sequence[BlobInfo]:
    return list(islice(scan, GARBAGE_SLICE_MAX))


__all__ = ["Finding", "FsckReport", "Severity", "fsck"]
