"""The contract of a storage back end: immutable blobs under fresh references (I1). It knows nothing of S3.

Methods may block and are called from threads; every one is safe to call from several at once. The shared tests in
tests/contract/ hold every back end to this text.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from app.domain.errors import BlobMissing
from app.domain.types import BlobRef, Body, Health

CHUNK_MAX_BYTES = 1 << 20  # of an iterator that `read` gives


@dataclass(frozen=True, slots=True)
class BlobInfo:
    ref: BlobRef
    size_bytes: int
    modified_ms: int


class BlobWriter(ABC):
    """Takes one blob's bytes in order. Leaving the context without `commit` discards them."""

    @abstractmethod
    def write(self, chunk: bytes | memoryview) -> None: ...

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


class ObjectStorage(ABC):
    """`shared`: several processes may use the same data. `garbage_grace_s`: the least age at which garbage is deleted."""

    name: str
    shared: bool
    garbage_grace_s: int

    @abstractmethod
    def open(self) -> None:
        """Make ready for use. Called after fork, once per process."""

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def check(self) -> Health:
        """Whether a write would succeed now. Answers within a second."""

    @abstractmethod
    def create(self, size_hint: int | None = None) -> BlobWriter:
        """Begin a blob under a fresh reference. Raises: SlowDown when the back end is full."""

    @abstractmethod
    def read(self, ref: BlobRef, start: int = 0, length: int | None = None) -> Body:
        """The bytes [start, start + length) of a blob, to its end without `length`.

        The blob is opened before this returns. An iterator gives chunks of at most CHUNK_MAX_BYTES.
        Raises: BlobMissing; InternalError when the blob is shorter than asked for.
        """

    @abstractmethod
    def delete(self, ref: BlobRef) -> None:
        """Remove a blob. An absent one is no error."""

    @abstractmethod
    def scan(self, before_ms: int) -> Iterator[BlobInfo]:
        """Every blob last written before `before_ms`, in no order. May miss blobs that come or go meanwhile."""

    @abstractmethod
    def clean_up(self) -> int:
        """Remove what writers that no longer live left behind; gives how many. Never touches a live writer's."""


__all__ = ["CHUNK_MAX_BYTES", "BlobInfo", "BlobMissing", "BlobWriter", "ObjectStorage"]
