"""Blobs to which nothing refers: how they are found on each back end, and when one is better left alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice

from app import runtime
from app.core.store import Store
from app.domain.errors import InternalError, ServiceUnavailable, SlowDown
from app.domain.types import BlobRef
from app.metadata.base import GARBAGE_SLICE_MAX
from app.storage.base import MAIN, BlobInfo, ObjectStorage, name_in


def members_of(storage: ObjectStorage) -> dict[str, ObjectStorage]:
    """The back ends of a storage by name; one that stands for itself alone as it is."""
    members = storage.members()
    return dict(members) if len(members) > 1 else {MAIN: storage}


def remember_names(store: Store) -> None:
    """Let the metadata know under which names references may be, before there are any.

    Where it takes no writes now, a later start or sweep does it.
    """
    if store.placement is None:
        return
    with suppress(SlowDown, ServiceUnavailable):
        for name in store.storage.members().keys() - {MAIN, *store.metadata.backends()}:
            store.metadata.remember_backend(name)


class OrphanHunt:
    """One back end's scan, a slice at a time. By one thread or greenlet at a time."""

    def __init__(self, store: Store, name: str, storage: ObjectStorage) -> None:
        self._store = store
        self._name = name
        self._storage = storage
        # Whoever waits for a network holds no thread that listings need.
        is_local = storage.threads is runtime.DISK
        self._offload_scan = runtime.offload_scan if is_local else storage.threads.offload
        self._scan: Iterator[BlobInfo] | None = None
        self._batch: Sequence[BlobInfo] = ()

    def forget(self) -> None:
        """Begin anew with the next slice."""
        self._scan, self._batch = None, ()

    def run(self, now_ms: int) -> int | None:
        """How many orphans a slice has deleted; None where the scan has come to its end.

        A blob is condemned in a commit before it is deleted, so a publish that is still on its way is refused (I3).
        Raises: InternalError, where the back end has another name than when its blobs were written.
        """
        if not self._batch:
            self._batch = self._next_batch(now_ms)
        if not self._batch:
            self._scan = None
            return None
        metadata, blobs = self._store.metadata, [blob.ref for blob in self._batch]
        names = other_names(self._store, self._name)
        if names:
            blobs = list(metadata.unreferenced(blobs))
            known = known_otherwise(self._store, names, blobs)
            if known:
                self.forget()
                raise InternalError(
                    f"Blobs on the storage back end {self._name} are known as those of {name_in(next(iter(known)))}: "
                    "the configuration calls it by another name than when they were written. Nothing was deleted."
                )
        orphans = metadata.condemn_orphans(blobs, now_ms) if blobs else ()
        if orphans:
            self._storage.threads.offload(delete_all, self._storage, orphans)
        self._batch = ()
        return len(orphans)

    def _next_batch(self, now_ms: int) -> Sequence[BlobInfo]:
        if self._scan is None:
            self._scan = self._storage.scan(now_ms - self._store.limits.orphan_grace_s * 1_000)
        try:
            return self._offload_scan(_take, self._scan)
        except BaseException:
            self._scan = None  # it cannot go on after an error: the next try begins anew
            raise


def other_names(store: Store, name: str) -> list[str]:
    """All that a blob of this back end could be known by, had the back end been called otherwise once."""
    known = {MAIN, *store.storage.members(), *store.metadata.backends()}
    return sorted(known - {name})


def known_otherwise(store: Store, names: Sequence[str], blobs: Sequence[BlobRef]) -> set[BlobRef]:
    """References with one of `names` to which something refers, of blobs to which under their own nothing does.

    They are random, so an equal one is the same blob: a back end was renamed, or has become the main one.
    """
    found: set[BlobRef] = set()
    for name in names if blobs else ():
        others = [_renamed(blob, name) for blob in blobs]
        found |= set(others) - set(store.metadata.unreferenced(others))
    return found


def delete_all(storage: ObjectStorage, blobs: Sequence[BlobRef]) -> None:
    for blob in blobs:
        storage.delete(blob)


def bare(blob: BlobRef) -> str:
    """A reference without the name of its back end."""
    return blob.rpartition(":")[2]


def _renamed(blob: BlobRef, name: str) -> BlobRef:
    return BlobRef(bare(blob) if name == MAIN else f"{name}:{bare(blob)}")


def _take(scan: Iterator[BlobInfo]) -> list[BlobInfo]:
    return list(islice(scan, GARBAGE_SLICE_MAX))
