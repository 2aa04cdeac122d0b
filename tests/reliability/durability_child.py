"""A process that does what a server does with blobs and rows, one request after the other, to be watched by strace.

    python -m tests.reliability.durability_child DIRECTORY MUTANT

It replies over a socket to itself. A mutant leaves out one step, to prove that its absence is seen.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from app.domain.types import BlobRef, Content, NewBucket, NewVersion, Removal
from app.metadata.sql.sqlite import SqliteStore
from app.storage.local import LocalStorage

REQUESTS = ("put", "put", "commit", "put", "commit")  # of one round; a commit is a DELETE
REPLY_FIRST = "reply before the commit"
OWNER = "a" * 64
BLOB = bytes(200_000)


class WithoutDirectorySync(LocalStorage):
    def _sync_directory(self, directory: str) -> None:
        """Forgotten."""


class WithoutFileSync(LocalStorage):
    def move_in(self, temporary: str, ref: BlobRef) -> None:
        with open(temporary, "ab") as late:
            late.write(b"written after the fsync")
        super().move_in(temporary, ref)


class SyncsBeforeTheMove(LocalStorage):
    def move_in(self, temporary: str, ref: BlobRef) -> None:
        directory = os.path.dirname(self._path(ref))
        os.makedirs(directory, exist_ok=True)
        super()._sync_directory(directory)
        os.rename(temporary, os.path.join(directory, ref))


STORAGES = {
    "no directory sync": WithoutDirectorySync,
    "write after sync": WithoutFileSync,
    "directory sync before the move": SyncsBeforeTheMove,
}


def main(directory: Path, mutant: str, rounds: int) -> None:
    storage = STORAGES.get(mutant, LocalStorage)(str(directory / "objects"), reserve_bytes=0)
    storage.open()
    metadata = SqliteStore.from_path(directory / "metadata.db")
    metadata.migrate()
    metadata.open()
    metadata.create_bucket(NewBucket("b", OWNER, "us-east-1", 1), "op-bucket")
    here, there = socket.socketpair()
    for number in range(rounds * len(REQUESTS)):
        change = (
            _put(storage, metadata, number) if REQUESTS[number % len(REQUESTS)] == "put" else _delete(metadata, number)
        )
        if mutant == REPLY_FIRST:
            _reply(here, there)
            change()
        else:
            change()
            _reply(here, there)


def _put(storage: LocalStorage, metadata: SqliteStore, number: int) -> Callable[[], object]:
    """Write a blob; gives what publishes it."""
    with storage.create(len(BLOB)) as writer:
        writer.write(BLOB)
        blob = writer.commit()
    new = NewVersion("b", f"k{number}", "v", OWNER, number, len(BLOB), "e", Content(blob=blob))
    return lambda: metadata.publish(new, None, f"op-{number}")


def _delete(metadata: SqliteStore, number: int) -> Callable[[], object]:
    """Gives what deletes the object before."""
    return lambda: metadata.remove(Removal("b", f"k{number - 1}", None, "v", OWNER, number), None, f"op-{number}")


def _reply(here: socket.socket, there: socket.socket) -> None:
    here.sendall(b"HTTP/1.1 200 OK")
    there.recv(100)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
