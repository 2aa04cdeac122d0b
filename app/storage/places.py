"""Several back ends as one: the main one of `storage.backend`, and named ones of `storage.backends`.

A reference says where its blob is: `name:reference` on a named back end, without a colon on the main one. So a store
that gets named back ends later has nothing to change, and a name is for ever: under another one nobody finds the bytes.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from app.domain.errors import S3Error, ServiceUnavailable
from app.domain.types import BlobRef, Body, Health
from app.storage.base import MAIN, Absent, BlobInfo, BlobWriter, ObjectStorage, name_in

OPEN_AGAIN_S: Final = 5.0  # so often one that could not be opened is tried again

is_name = re.compile(r"[a-z][a-z0-9-]{0,31}", re.ASCII).fullmatch

_FAILURES = (S3Error, OSError)


class Places(ObjectStorage):
    """Writes go to the main back end; who wants another asks `members` for it. All else goes where the reference says."""

    def __init__(self, main: ObjectStorage, named: Mapping[str, ObjectStorage]) -> None:
        """`named` are back ends as they are, by names that `is_name` accepts and that are not MAIN."""
        assert all(is_name(name) and name != MAIN for name in named)
        self._main = main
        self._named = {name: Named(name, below) for name, below in named.items()}
        self._members = {MAIN: main, **self._named}
        self.name = main.name
        self.shared = all(each.shared for each in self._members.values())
        self.garbage_grace_s = max(each.garbage_grace_s for each in self._members.values())
        self.threads = main.threads
        self.verifies_reads = any(each.verifies_reads for each in self._members.values())

    def open(self) -> None:
        """Raises: as the main one's. A named one that is away is opened when it is asked for."""
        for each in self._members.values():
            each.open()

    def close(self) -> None:
        for each in self._members.values():
            each.close()

    def check(self) -> Health:
        """Whether all of them would take a write."""
        words = {name: each.check() for name, each in self._members.items()}
        failed = [f"{name}: {health.detail}" for name, health in words.items() if not health.ok]
        return Health(ok=not failed, detail="; ".join(failed))

    def members(self) -> Mapping[str, ObjectStorage]:
        return self._members

    def holder(self, ref: BlobRef) -> ObjectStorage:
        return self._main if ":" not in ref else self._named.get(name_in(ref)) or Absent(ref)

    def create(self, size_hint: int | None = None) -> BlobWriter:
        return self._main.create(size_hint)

    def read(self, ref: BlobRef, start: int = 0, length: int | None = None) -> Body:
        return self.holder(ref).read(ref, start, length)

    def read_at_once(self, ref: BlobRef, start: int = 0, length: int | None = None) -> Body | None:
        return self.holder(ref).read_at_once(ref, start, length)

    def delete(self, ref: BlobRef) -> None:
        self.holder(ref).delete(ref)

    def scan(self, before_ms: int) -> Iterator[BlobInfo]:
        """One that is away keeps no other from being scanned: its error is raised at the end."""
        failure: Exception | None = None
        for each in self._members.values():
            try:
                yield from each.scan(before_ms)
            except _FAILURES as error:
                failure = failure or error
        if failure is not None:
            raise failure

    def clean_up(self) -> int:
        """As `scan`."""
        count, failure = 0, None
        for each in self._members.values():
            try:
                count += each.clean_up()
            except _FAILURES as error:
                failure = failure or error
        if failure is not None:
            raise failure
        return count


class Named(ObjectStorage):
    """A back end under a name, which its references begin with."""

    def __init__(self, name: str, below: ObjectStorage, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.shared = below.shared
        self.garbage_grace_s = below.garbage_grace_s
        self.threads = below.threads
        self.verifies_reads = below.verifies_reads
        self._prefix = f"{name}:"
        self._below = below
        self._monotonic = monotonic
        self._is_open = False
        self._opening = threading.Lock()
        self._refusal = ""
        self._tried_s: float | None = None

    def open(self) -> None:
        """Raises nothing that whoever asks for its blobs would not hear as well."""
        with self._opening:
            self._try_to_open()

    def close(self) -> None:
        self._is_open = False
        self._tried_s = None
        self._below.close()

    def check(self) -> Health:
        try:
            return self._opened().check()
        except ServiceUnavailable as refusal:
            return Health(ok=False, detail=refusal.message)

    def create(self, size_hint: int | None = None) -> BlobWriter:
        return NamedWriter(self._prefix, self._opened().create(size_hint))

    def read(self, ref: BlobRef, start: int = 0, length: int | None = None) -> Body:
        return self._opened().read(self._own(ref), start, length)

    def read_at_once(self, ref: BlobRef, start: int = 0, length: int | None = None) -> Body | None:
        return self._below.read_at_once(self._own(ref), start, length) if self._is_open else None

    def delete(self, ref: BlobRef) -> None:
        self._opened().delete(self._own(ref))

    def holder(self, ref: BlobRef) -> ObjectStorage:
        return self

    def scan(self, before_ms: int) -> Iterator[BlobInfo]:
        for blob in self._opened().scan(before_ms):
            yield BlobInfo(BlobRef(self._prefix + blob.ref), blob.size_bytes, blob.modified_ms)

    def clean_up(self) -> int:
        return self._opened().clean_up()

    def _own(self, ref: BlobRef) -> BlobRef:
        return BlobRef(ref.removeprefix(self._prefix))

    def _opened(self) -> ObjectStorage:
        """Raises: ServiceUnavailable, where it cannot be opened or could not a moment ago."""
        if not self._is_open:
            with self._opening:
                if self._tried_s is None or self._monotonic() - self._tried_s >= OPEN_AGAIN_S:
                    self._try_to_open()
            if not self._is_open:
                raise ServiceUnavailable(f"The storage back end {self.name} cannot be used: {self._refusal}")
        return self._below

    def _try_to_open(self) -> None:
        try:
            self._below.open()
        except _FAILURES as error:
            self._refusal = error.message if isinstance(error, S3Error) else str(error.strerror or error)
            self._tried_s = self._monotonic()
        else:
            self._is_open = True


class NamedWriter(BlobWriter):
    def __init__(self, prefix: str, below: BlobWriter) -> None:
        self._prefix = prefix
        self._below = below

    def write(self, chunk: bytes | memoryview) -> None:
        self._below.write(chunk)

    def room(self) -> memoryview:
        return self._below.room()

    def wrote(self, count: int) -> None:
        self._below.wrote(count)

    def pause(self) -> None:
        self._below.pause()

    def commit(self) -> BlobRef:
        return BlobRef(self._prefix + self._below.commit())

    def discard(self) -> None:
        self._below.discard()


__all__ = ["Named", "NamedWriter", "Places", "is_name"]
