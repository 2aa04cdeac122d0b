"""Requests and writers for tests of the writer alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from app.domain.types import BlobRef, Condition, Content, NewBucket, NewVersion
from app.metadata.sql.beside import Beside
from app.metadata.sql.checkpoint import WalKeeper
from app.metadata.sql.connections import open_writer
from app.metadata.sql.execution import Request
from app.metadata.sql.objects import PUBLISH_BLOB, PUBLISH_INLINE
from app.metadata.sql.params import of_version
from app.metadata.sql.slots import Slots
from app.metadata.sql.space import Bounds, DiskSpace
from app.metadata.sql.sqlite import SqliteStore
from app.metadata.sql.turnstile import Turnstile
from app.metadata.sql.writer import Writer

OWNER = "a" * 64
BUCKET = "bucket"


def made_store(directory: Path, **options: object) -> SqliteStore:
    """A migrated store with one bucket, not open."""
    store = SqliteStore(str(directory / "metadata.db"), **options)  # type: ignore[arg-type]
    store.migrate()
    store.open()
    store.create_bucket(NewBucket(BUCKET, OWNER, "us-east-1", 1), "0" * 32)
    store.close()
    return store


def new_version(key: str, inline: bytes | None = None, created_ms: int = 1_000) -> NewVersion:
    content = Content(blob=BlobRef(f"blob of {key}")) if inline is None else Content(is_inline=True, inline=inline)
    return NewVersion(BUCKET, key, "v" * 32, OWNER, created_ms, len(inline or b""), "e" * 32, content)


def put(key: str, inline: bytes | None = None, *, only_new: bool = False) -> Request:
    condition = Condition(if_none_match_any=True) if only_new else None
    mutation = PUBLISH_BLOB if inline is None else PUBLISH_INLINE
    return Request(mutation, of_version(new_version(key, inline), condition), "op", len(inline or b""))


@contextmanager
def running_writer(
    path: str,
    *,
    vfs: str | None = None,
    bounds: Bounds | None = None,
    wait_max_s: float = 10.0,
    is_beside: bool = True,
) -> Iterator[Writer]:
    """A writer on the database at `path`, stopped at the end. `is_beside`: checkpoints are not all in its turn."""
    space = DiskSpace(path, 0)
    turnstile = Turnstile(path)
    connect = partial(open_writer, path, "full", vfs)
    beside = Beside(connect) if is_beside else None
    keeper = WalKeeper(path, bounds or space.bounds, lambda older_than_s: 0, beside=beside)
    slots = Slots(path)
    writer = Writer(connect, turnstile, space, keeper, slots, wait_max_s=wait_max_s)
    writer.start()
    try:
        yield writer
    finally:
        writer.stop()
        slots.close()
        turnstile.close()
