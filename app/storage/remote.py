"""Blobs in a service that is reached over a network: what its adapters share.

    <prefix>blobs/4f/4f0c…    a blob; its name ends with the reference, 32 hexadecimal digits
    <prefix>probe/9b1f…       written now and then by one process, to see whether it can

An adapter derives from RemoteStorage and gives it an Upstream (remote_upstream), which makes single attempts. Bounded
repetition, S3's errors, memory for parts, parts beside the reception, resumed downloads and the probe are here:

    remote_upstream   Upstream, Upload, Download: what an adapter writes
    remote_calls      Calls: attempts, their bounds, Kind and Trouble: what an exception means
    remote_writer     RemoteWriter; remote_memory: PartMemory
    remote_body       RemoteBody
    remote_probe      Probe
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterator

from app import runtime
from app.domain.errors import InternalError
from app.domain.types import BlobRef, Body, Health
from app.storage.base import CHUNK_MAX_BYTES, BlobInfo, BlobMissing, ObjectStorage
from app.storage.remote_body import RemoteBody
from app.storage.remote_calls import Calls, NoWatch, Watch, describe
from app.storage.remote_memory import PartMemory
from app.storage.remote_probe import Probe
from app.storage.remote_upstream import Upstream
from app.storage.remote_writer import RemoteWriter

GARBAGE_GRACE_S = 3_600  # the slowest reader may still open a blob so long after its last row is gone
THREAD_WAIT_MAX_S = 10.0
SCAN_PAGES_MAX = 1_000_000  # a listing that goes round and round ends some day

_REFERENCE = re.compile(r"[0-9a-f]{32}", re.ASCII)


class RemoteStorage(ObjectStorage):
    """`connect` gives the Upstream, its client made: it is called once a process, after the fork.

    `watch` may be set before `open`; it hears of every attempt.
    """

    shared = True
    verifies_reads = True
    cleans_at_start = False

    def __init__(
        self,
        connect: Callable[[], Upstream],
        *,
        prefix: str = "",
        garbage_grace_s: int = GARBAGE_GRACE_S,
        memory: PartMemory | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.garbage_grace_s = garbage_grace_s
        self.threads = runtime.Threads(runtime.REMOTE_THREADS, THREAD_WAIT_MAX_S)
        self.watch: Watch = NoWatch()
        self.prefix = prefix
        self._connect = connect
        self._memory = memory or PartMemory()
        self._sleep = sleep
        self._opened: tuple[Upstream, Calls] | None = None
        self._probe = Probe(self._write_something, self._explain)
        self._probe_name = f"{prefix}probe/{secrets.token_hex(8)}"

    def open(self) -> None:
        """Connects to nothing: a service that is away when the server starts may come later."""
        if self._opened is None:
            upstream = self._connect()
            calls = Calls(self.name, upstream.classify, sleep=self._sleep)
            calls.watch = self.watch
            self._opened = upstream, calls

    def close(self) -> None:
        if self._opened is not None:
            self._opened[0].close()
            self._opened = None

    @property
    def upstream(self) -> Upstream:
        return self._open()[0]

    @property
    def calls(self) -> Calls:
        return self._open()[1]

    def check(self) -> Health:
        return self._probe.health()

    def create(self, size_hint: int | None = None) -> RemoteWriter:
        """Raises: EntityTooLarge. Nothing is sent before there is a part, or the end."""
        ref = BlobRef(secrets.token_hex(16))
        return RemoteWriter(self.calls, self.upstream, self._memory, ref, self._name(ref), size_hint)

    def read(self, ref: BlobRef, start: int = 0, length: int | None = None) -> Body:
        """What ends within a chunk is given as bytes. Raises: BlobMissing, InternalError, SlowDown, ServiceUnavailable."""
        name = self._name(ref)
        end = None if length is None else start + length
        if start < 0 or (end is not None and end < start):
            raise InternalError(f"blob {ref} asked for [{start}, {end})")
        if end == start or (end is None and start):
            # A range of nothing cannot be asked for, and the blob may end where this one begins.
            size_bytes = self.calls.run("size", self.upstream.size, name)
            end = size_bytes if end is None else end
            if end > size_bytes or start > size_bytes:
                raise InternalError(f"blob {ref} has {size_bytes} bytes, asked for [{start}, {end})")
            if start == end:
                return b""
        body = RemoteBody(self.calls, lambda first, last: self.upstream.get(name, first, last), start, end)
        return next(body, b"") if body.left_bytes <= CHUNK_MAX_BYTES else body

    def delete(self, ref: BlobRef) -> None:
        try:
            self.calls.run("delete", self.upstream.delete, self._name(ref))
        except BlobMissing:
            pass

    def scan(self, before_ms: int) -> Iterator[BlobInfo]:
        cursor: str | None = None
        for _ in range(SCAN_PAGES_MAX):
            page = self.calls.run("list", self.upstream.page, f"{self.prefix}blobs/", cursor)
            for entry in page.entries:
                ref = BlobRef(entry.name.rpartition("/")[2])
                if entry.modified_ms < before_ms and _REFERENCE.fullmatch(ref) and entry.name == self._name(ref):
                    yield BlobInfo(ref, entry.size_bytes, entry.modified_ms)
            cursor = page.cursor
            if cursor is None:
                return
        raise InternalError("The storage service's listing has no end.")

    def clean_up(self) -> int:
        """For services that drop uploads in parts by themselves; others abort what is abandoned here."""
        return 0

    def _name(self, ref: BlobRef) -> str:
        if not _REFERENCE.fullmatch(ref):
            raise BlobMissing("not a reference of this back end")
        return f"{self.prefix}blobs/{ref[:2]}/{ref}"

    def _open(self) -> tuple[Upstream, Calls]:
        if self._opened is None:
            raise ValueError(f"the back end {self.name} is not open")
        return self._opened

    def _write_something(self) -> None:
        """One attempt: whoever asks wants to know how things are and not how they become."""
        upstream, calls = self._open()
        calls.once("probe", upstream.put, self._probe_name, memoryview(b"probe"))
        try:
            calls.once("probe", upstream.delete, self._probe_name)
        except Exception as error:
            if calls.trouble(error) is None:
                raise

    def _explain(self, error: Exception) -> str:
        trouble = self.calls.trouble(error) if self._opened is not None else None
        return describe(error) if trouble is None else str(trouble)


__all__ = ["GARBAGE_GRACE_S", "RemoteStorage"]
