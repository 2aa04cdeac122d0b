"""Where worker processes count, each in a file of its own, and who of them lives.

A file is named by a *slot* and not by a process id: a worker that replaces a dead one takes the free slot over and counts
on from there, so a killed worker loses no count, and restarts leave no heap of files. A slot is held by a file lock, which
the kernel gives back whatever ended the worker.

    <parent>/bleepstore-metrics-XXXX/alive          locked by the master and, inherited, by its workers
                                     slot-0.lock    locked by the worker that counts into …, and names it
                                     slot-0.cells   … this (cells.py)
                                     buckets        the names that are labels, a line each

A directory whose `alive` nobody locks is left over from a killed server; the next start removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import NamedTuple

DIRECTORY_VARIABLE = "_BLEEPSTORE_METRICS_DIR"  # workers inherit it
DIRECTORY_PREFIX = "bleepstore-metrics-"
SLOTS_MAX = 1_024
OWNER_BYTES = 48
MAKE_TRIES_MAX = 3


class LiveWorker(NamedTuple):
    """`slot` is the value of the label `worker`: the least number that was free when the worker began."""

    slot: int
    pid: int


def directory() -> str | None:
    """Where this server's workers count; None where no master has made a place for it."""
    return os.environ.get(DIRECTORY_VARIABLE)


def live_workers() -> list[LiveWorker]:
    """The workers that live now, by slot. For collectors, in any worker."""
    workers = []
    for slot, text in _owners(directory()):
        pid, _, begun = text.partition(" ")
        if begun and _begun_of(pid) == begun:
            workers.append(LiveWorker(slot, int(pid)))
    return workers


def cell_files(place: str) -> list[tuple[int, str]]:
    """Slot and path of every file of cells, those of the dead included."""
    found = [(slot, os.path.join(place, f"slot-{slot}.cells")) for slot, _ in _owners(place)]
    return [(slot, path) for slot, path in found if os.path.exists(path)]


def bucket_file(place: str) -> str:
    return os.path.join(place, "buckets")


def _owners(place: str | None) -> Iterator[tuple[int, str]]:
    """Slots that were ever taken, with what their last holder wrote: its process id, and when that began."""
    for slot in range(SLOTS_MAX) if place else ():
        try:
            with open(_slot_path(place or "", slot), encoding="ascii") as file:
                yield slot, file.read(OWNER_BYTES).strip()
        except FileNotFoundError:
            return


def _begun_of(pid: str) -> str:
    """When a process began, in the kernel's words: process ids come again, both together do not. "" of one that has ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


# -- In the master -----------------------------------------------------------------------------------------------


def setup(*, is_on: bool) -> None:
    """Make the workers' directory, once per master and before the first fork. Removes what dead ones left."""
    if not is_on:
        os.environ.pop(DIRECTORY_VARIABLE, None)
        return
    if _is_made_by_us(directory()):
        return  # a reload
    parent = _parent_directory()
    _remove_left_over(parent)
    os.environ[DIRECTORY_VARIABLE] = _make_directory(parent)


def _make_directory(parent: str) -> str:
    for _ in range(MAKE_TRIES_MAX):
        made = tempfile.mkdtemp(prefix=DIRECTORY_PREFIX, dir=parent)
        # Held until the process ends, and inherited by workers on purpose: it says that one of them lives.
        alive = os.open(_alive_path(made), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if _lock(alive):
            os.write(alive, b"%d" % os.getpid())
            return made
        os.close(alive)  # somebody's sweep was faster
    raise OSError(f"cannot keep a directory for metrics in {parent}")


def _is_made_by_us(place: str | None) -> bool:
    if not place:
        return False
    try:
        with open(_alive_path(place), "rb") as file:
            return file.read(20) == b"%d" % os.getpid()
    except OSError:
        return False


def _parent_directory() -> str:
    """In memory where that is possible: the kernel would write a disk's copy every few seconds."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK | os.X_OK) else tempfile.gettempdir()  # noqa: S108  # by mkdtemp


def _remove_left_over(parent: str) -> None:
    for place in _own_directories(parent):
        with contextlib.suppress(OSError):
            alive = os.open(_alive_path(place), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            if _lock(alive):
                shutil.rmtree(place, ignore_errors=True)
            os.close(alive)


def _own_directories(parent: str) -> Iterator[str]:
    with os.scandir(parent) as entries:
        for entry in entries:
            is_named_so = entry.name.startswith(DIRECTORY_PREFIX) and entry.is_dir(follow_symlinks=False)
            if is_named_so and entry.stat(follow_symlinks=False).st_uid == os.getuid():
                yield entry.path


# -- In a worker -------------------------------------------------------------------------------------------------


def take(place: str) -> tuple[int, str]:
    """A free slot, held until the process ends, and the path of its cells."""
    for number in range(SLOTS_MAX):
        held = os.open(_slot_path(place, number), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if _lock(held):
            owner = f"{os.getpid()} {_begun_of('self')}"
            os.pwrite(held, owner.ljust(OWNER_BYTES).encode(), 0)  # over its predecessor's, in one piece
            return number, os.path.join(place, f"slot-{number}.cells")
        os.close(held)
    raise OSError(f"no free slot for metrics among {SLOTS_MAX}")


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _alive_path(place: str) -> str:
    return os.path.join(place, "alive")


def _slot_path(place: str, number: int) -> str:
    return os.path.join(place, f"slot-{number}.lock")
