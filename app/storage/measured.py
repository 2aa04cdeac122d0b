"""A back end whose requests are counted. Those over a network count theirs themselves, attempt by attempt (remote_calls.py)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from app.domain.errors import BlobMissing, S3Error, ServiceUnavailable, SlowDown
from app.domain.types import BlobRef, Body, Health
from app.storage.base import BlobInfo, BlobWriter, ObjectStorage

if TYPE_CHECKING:
    from app.storage.remote_calls import Watch

T = TypeVar("T")

_monotonic = time.monotonic


class Measured(ObjectStorage):
    """`put` is a blob's commit, or what kept it from coming to that; `get` the opening of a body; `list` a whole scan."""

    def __init__(self, below: ObjectStorage, watch: Watch) -> None:
        self.name = below.name
        self.shared = below.shared
        self.garbage_grace_s = below.garbage_grace_s
        self.threads = below.threads
        self.verifies_reads = below.verifies_reads
        self.cleans_at_start = below.cleans_at_start
        self._below = below
        self._watch = watch
        self._read_at_once = below.read_at_once

    def open(self) -> None:
        self._below.open()

    def close(self) -> None:
        self._below.close()

    def check(self) -> Health:
        return self._below.check()

    def clean_up(self) -> int:
        return self._below.clean_up()

    def create(self, size_hint: int | None = None) -> BlobWriter:
        began_s = _monotonic()
        try:
            return MeasuredWriter(self._below.create(size_hint), self._watch)
        except Exception as error:
            self._watch.request("put", outcome_of(error), _monotonic() - began_s)
            raise

    def read(self, ref: BlobRef, start: int = 0, length: int | None = None) -> Body:
        return counted(self._watch, "get", self._below.read, ref, start, length)

    def read_at_once(self, ref: BlobRef, start: int = 0, length: int | None = None) -> Body | None:
        began_s = _monotonic()
        body = self._read_at_once(ref, start, length)
        if body is not None:
            self._watch.request("get", "ok", _monotonic() - began_s)
        return body

    def delete(self, ref: BlobRef) -> None:
        counted(self._watch, "delete", self._below.delete, ref)

    def scan(self, before_ms: int) -> Iterator[BlobInfo]:
        began_s = _monotonic()
        outcome = "ok"
        try:
            yield from self._below.scan(before_ms)
        except Exception as error:
            outcome = outcome_of(error)
            raise
        finally:
            self._watch.request("list", outcome, _monotonic() - began_s)


class MeasuredWriter(BlobWriter):
    def __init__(self, below: BlobWriter, watch: Watch) -> None:
        self._below = below
        self._watch = watch

    def write(self, chunk: bytes | memoryview) -> None:
        try:
            self._below.write(chunk)
        except S3Error as error:
            self._watch.request("put", outcome_of(error), 0.0)
            raise

    def room(self) -> memoryview:
        return self._below.room()

    def wrote(self, count: int) -> None:
        try:
            self._below.wrote(count)
        except S3Error as error:
            self._watch.request("put", outcome_of(error), 0.0)
            raise

    def pause(self) -> None:
        self._below.pause()

    def commit(self) -> BlobRef:
        return counted(self._watch, "put", self._below.commit)

    def discard(self) -> None:
        self._below.discard()


def counted(watch: Watch, op: str, request: Callable[..., T], *args: object) -> T:
    """What `request(*args)` gives or raises, counted."""
    began_s = _monotonic()
    outcome = "ok"
    try:
        return request(*args)
    except Exception as error:
        outcome = outcome_of(error)
        raise
    finally:
        watch.request(op, outcome, _monotonic() - began_s)


def outcome_of(error: Exception) -> str:
    if isinstance(error, BlobMissing):
        return "missing"
    if isinstance(error, SlowDown):
        return "slow_down"
    return "unavailable" if isinstance(error, ServiceUnavailable) else "error"


__all__ = ["Measured", "MeasuredWriter", "counted", "outcome_of"]
