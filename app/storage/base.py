"""The contract of a storage back end: immutable blobs under fresh references (I1). It knows nothing of S3.

Methods may block and are called from threads; every one is safe to call from several at once. The shared tests in
tests/contract/ hold every back end to this text.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from app import runtime
from app.domain.errors import BlobMissing, ServiceUnavailable
from app.domain.types import BlobRef, Body, Health

CHUNK_MAX_BYTES = 1 << 20  # of an iterator that `read` gives
ROOM_BYTES = 1 << 18  # for back ends that have no better memory
MAIN = "main"  # the back end of `storage.backend`, beside those that have names (places.py)


@dataclass(frozen=True, slots=True)
class BlobInfo:
    ref: BlobRef
    size_bytes: int
    modified_ms: int


class BlobWriter(ABC):
    """Takes one blob's bytes in order. Leaving the context without `commit` discards them."""

    @abstractmethod
    def write(self, chunk: bytes | memoryview) -> None: ...

    def room(self) -> memoryview:
        """Memory for the blob's next bytes, at least one: a caller puts them there and says so by `wrote`.

        What is put there stays as it is until a room has been filled to its end. A back end that can write from memory
        of its own gives that.
        """
        room: memoryview | None = getattr(self, "_room", None)
        if not room:
            room = self._room = memoryview(bytearray(ROOM_BYTES))
        return room

    def wrote(self, count: int) -> None:
        """The next `count` bytes are at the beginning of the last `room`. Raises: as `write`."""
        room = self.room()
        self.write(room[:count])
        self._room = room[count:]

    def pause(self) -> None:  # noqa: B027 - nothing to do is a fine way to do it
        """Nothing comes for a while: memory that others need may go. Raises: as `write`."""

    @abstractmethod
    def commit(self) -> BlobRef:
        """Make the blob durable (I2) and give its reference. Once, and last."""

    @abstractmethod
    def discard(self) -> None:
        """Drop what was written. Does nothing after `commit`, or a second time."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.discard()


class RoomWriter(BlobWriter):
    """For a back end that gives rooms of its own: bytes that are handed over are put there as well."""

    def write(self, chunk: bytes | memoryview) -> None:
        """Raises: as `room` and `wrote`."""
        left = memoryview(chunk)
        while left:
            room = self.room()
            count = min(len(room), len(left))
            room[:count] = left[:count]
            self.wrote(count)
            left = left[count:]

    @abstractmethod
    def room(self) -> memoryview: ...

    @abstractmethod
    def wrote(self, count: int) -> None: ...


class ObjectStorage(ABC):
    """`shared`: several processes may use the same data. `garbage_grace_s`: the least age at which garbage is deleted.

    `threads` are those that the server calls its methods in. `verifies_reads`: what is read whole is compared with its
    row's digest on its way, because what keeps the bytes is not ours to trust. `cleans_at_start`: a start waits for
    `clean_up`; where that has to wait for somebody else, leftovers keep until the sweep comes.
    """

    name: str
    shared: bool
    garbage_grace_s: int
    threads: runtime.Threads = runtime.DISK
    verifies_reads = False
    cleans_at_start = True

    @abstractmethod
    def open(self) -> None:
        """Make ready for use. Called after fork, once per process."""

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def check(self) -> Health:
        """Whether a write would succeed now. Answers within a second."""

    def holder(self, ref: BlobRef) -> ObjectStorage:
        """The back end that keeps a blob and takes this reference: itself, unless it stands for several.

        `Absent` for references of a named back end that this configuration does not have.
        """
        return self if ":" not in ref else Absent(ref)

    def members(self) -> Mapping[str, ObjectStorage]:
        """The back ends that this one stands for, by name."""
        return {MAIN: self}

    @abstractmethod
    def create(self, size_hint: int | None = None) -> BlobWriter:
        """Begin a blob under a fresh reference, which holds no colon. Raises: SlowDown when the back end is full."""

    @abstractmethod
    def read(self, ref: BlobRef, start: int = 0, length: int | None = None) -> Body:
        """The bytes [start, start + length) of a blob, to its end without `length`.

        The blob is opened before this returns. An iterator gives chunks of at most CHUNK_MAX_BYTES.
        Raises: BlobMissing; InternalError when the blob is shorter than asked for.
        """

    def read_at_once(self, ref: BlobRef, start: int = 0, length: int | None = None) -> Body | None:
        """As `read` where that neither waits nor computes for long; None where it might, or where the blob is not found.

        For the hub, so that it need not ask a thread.
        """
        return None

    @abstractmethod
    def delete(self, ref: BlobRef) -> None:
        """Remove a blob. An absent one is no error."""

    @abstractmethod
    def scan(self, before_ms: int) -> Iterator[BlobInfo]:
        """Every blob last written before `before_ms`, in no order. May miss blobs that come or go meanwhile."""

    @abstractmethod
    def clean_up(self) -> int:
        """Remove what writers that no longer live left behind; gives how many. Never touches a live writer's."""


class Absent(ObjectStorage):
    """What references with a name lead to that no back end has in this configuration. Their bytes are left alone."""

    shared = True
    garbage_grace_s = 0
    threads = runtime.DISK

    def __init__(self, ref: BlobRef) -> None:
        self.name = name_in(ref)

    def open(self) -> None:
        """Nothing to open."""

    def close(self) -> None:
        """Nothing to close."""

    def check(self) -> Health:
        return Health(ok=False, detail=self._refusal().message)

    def create(self, size_hint: int | None = None) -> BlobWriter:
        raise self._refusal()

    def read(self, ref: BlobRef, start: int = 0, length: int | None = None) -> Body:
        raise self._refusal()

    def delete(self, ref: BlobRef) -> None:
        """Once it is configured again the blob is an orphan, and the sweep finds it."""

    def scan(self, before_ms: int) -> Iterator[BlobInfo]:
        raise self._refusal()

    def clean_up(self) -> int:
        raise self._refusal()

    def _refusal(self) -> ServiceUnavailable:
        return ServiceUnavailable(f"The storage back end {self.name}, which has the bytes, is not configured.")


def name_in(ref: BlobRef) -> str:
    """The name of the back end that keeps a blob: `name:reference` on a named one."""
    name, colon, _ = ref.partition(":")
    return name if colon else MAIN


__all__ = [
    "CHUNK_MAX_BYTES",
    "MAIN",
    "Absent",
    "BlobInfo",
    "BlobMissing",
    "BlobWriter",
    "ObjectStorage",
    "RoomWriter",
    "name_in",
]
