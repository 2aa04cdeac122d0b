"""Fills a stopped server's database through its metadata engine: its writer, its transactions, its checkpoints.

    python -m loadtests.filling DATABASE keys FIRST LAST | buckets FIRST LAST | users FIRST LAST

A program of its own, which is kinder to the processor than to the clock. What it wrote can be told from the numbers
alone (`key_of`, `bucket_of`, `user_of`), so that nobody has to remember ten million names.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from app.domain.errors import S3Error
from app.domain.names import canonical_id
from app.domain.types import Content, NewBucket, NewVersion, Removal
from app.metadata.sql.execution import PublishRequest, Request
from app.metadata.sql.mutation import Mutation, Step
from app.metadata.sql.sqlite import SqliteStore
from tests.servers import ROOT

BUCKET = "growth"
FOLDERS = 100
READ_BYTES, OTHER_BYTES = 1_024, 64
READ_FROM_START = 1_000  # these are read, and one in READ_EVERY of those behind them: the whole space is read from
READ_EVERY = 101  # shares no factor with FOLDERS, so that every folder has some
SPREAD = 10_000  # objects over all buckets that are read, however many buckets there are
TOGETHER = 2_048  # requests that wait at a time; the writer makes groups of them
CREATED_MS = 1_700_000_000_000
MODELS = "models"
COPIES_AT_ONCE = 5_000
NICENESS = 10
TIMEOUT_S = 4 * 3_600.0


_COPIED = (
    "bucket_id, version_id, is_current, is_marker, owner_id, size_bytes, etag, is_inline, blob, upload_id, runs, attributes, "
    "tags, acl, checksum_algorithm, checksum_value, checksum_type"
)
_NUMBERS = "WITH RECURSIVE n (i) AS (SELECT :first UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :last)"
_MODEL = f"CASE WHEN n.i < {READ_FROM_START} OR n.i % {READ_EVERY} = 0 THEN :large ELSE :small END"  # as `is_read`
_SEQUENCE = "(SELECT sequence FROM plan) + 1 + n.i - :first"

# What as many publishes would leave behind; a test compares them row by row.
_COPY = Mutation(
    "",
    None,
    (
        Step(
            f"""
            INSERT INTO versions (sequence, key, modified_ms, {_COPIED}) {_NUMBERS}
            SELECT {_SEQUENCE}, printf('folder-%02d/object-%09d.bin', n.i % {FOLDERS}, n.i), :created_ms + n.i, {_COPIED}
            FROM n CROSS JOIN versions AS model ON model.sequence = {_MODEL}
            """
        ),
        Step(
            f"""
            INSERT INTO inline_data (sequence, bytes) {_NUMBERS}
            SELECT {_SEQUENCE}, model.bytes FROM n CROSS JOIN inline_data AS model ON model.sequence = {_MODEL}
            """
        ),
        Step(
            f"""
            UPDATE bucket_usage SET objects = objects + :last - :first, versions = versions + :last - :first,
                size_bytes = size_bytes + (
                    {_NUMBERS} SELECT sum(model.size_bytes) FROM n CROSS JOIN versions AS model ON model.sequence = {_MODEL}
                )
            WHERE bucket_id = (SELECT bucket_id FROM versions WHERE sequence = :large)
            """
        ),
        Step("UPDATE plan SET sequence = sequence + :last - :first"),
    ),
    grows=True,
)


def fill(database: Path, what: str, *numbers: int) -> None:
    """In a process of its own. Raises: subprocess.CalledProcessError."""
    command = [sys.executable, "-m", "loadtests.filling", str(database), what, *map(str, numbers)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=TIMEOUT_S)


def key_of(number: int) -> str:
    """Neighbours lie in different folders; within one the order is that of the numbers."""
    return f"folder-{number % FOLDERS:02d}/object-{number:09d}.bin"


def is_read(number: int) -> bool:
    """Whether this object has the size that is read; the others are there to be many."""
    return number < READ_FROM_START or number % READ_EVERY == 0


def bucket_of(number: int) -> str:
    return f"{BUCKET}-{number:05d}"


def objects_in(buckets: int) -> int:
    """How many objects are read in each of so many buckets: those of the steps before have more."""
    return max(1, SPREAD // buckets)


def name_of(place: int) -> str:
    """An object's key in such a bucket."""
    return f"object-{place:05d}"


def user_of(number: int) -> tuple[str, str, str]:
    """Name, access key and secret key. User 0 is not root either."""
    return f"user-{number}", f"GROWTH{number:06d}", hashlib.sha256(b"growth %d" % number).hexdigest()[:40]


def main(arguments: Sequence[str]) -> int:
    database, what, *texts = arguments
    numbers = [int(text) for text in texts]
    os.nice(NICENESS)
    # It is thrown away when it was measured: a power cut may take what was filled in, and costs the filling.
    store = SqliteStore(database, synchronous="normal")
    store.open()
    try:
        {"keys": _fill_keys, "buckets": _fill_buckets, "users": _fill_users}[what](store, *numbers)
    finally:
        store.close()
    return 0


def _fill_keys(store: SqliteStore, first: int, last: int) -> None:
    """One large and one small object are published; the others are copies of these two, many of them a statement."""
    owner_id = canonical_id("root")
    if first == 0:
        _create(store, BUCKET, owner_id)
    models = {}
    for name, size_bytes in (("large", READ_BYTES), ("small", OTHER_BYTES)):
        key = f"{MODELS}/{name}"
        _submit(store, iter([_publish(BUCKET, key, 0, owner_id, size_bytes)]))
        found = store.look_up(BUCKET, key).version
        assert found is not None
        models[name] = found.sequence
    for begin in range(first, last, COPIES_AT_ONCE):
        end = min(begin + COPIES_AT_ONCE, last)
        store.write(_COPY, {"first": begin, "last": end, "created_ms": CREATED_MS, **models})
    for name in models:
        store.remove(Removal(BUCKET, f"{MODELS}/{name}", None, "", owner_id, CREATED_MS), None, f"remove-{name}")


def _fill_buckets(store: SqliteStore, first: int, last: int) -> None:
    """All of them root's."""
    _fill_each(store, first, [canonical_id("root")] * (last - first))


def _fill_users(store: SqliteStore, first: int, last: int) -> None:
    """A bucket for each of them."""
    _fill_each(store, first, [canonical_id(user_of(number)[0]) for number in range(first, last)])


def _fill_each(store: SqliteStore, first: int, owner_ids: Sequence[str]) -> None:
    """A bucket for each owner, with as many objects as are read in it."""
    objects = objects_in(first + len(owner_ids))
    for number, owner_id in enumerate(owner_ids, first):
        _create(store, bucket_of(number), owner_id)
        names = enumerate(map(name_of, range(objects)))
        _submit(store, (_publish(bucket_of(number), name, at, owner_id, READ_BYTES) for at, name in names))


def _create(store: SqliteStore, name: str, owner_id: str) -> None:
    store.create_bucket(NewBucket(name, owner_id, "us-east-1", CREATED_MS), f"create-{name}")


def _publish(bucket: str, key: str, number: int, owner_id: str, size_bytes: int) -> PublishRequest:
    body = b"0123456789abcdef" * (size_bytes // 16)
    content = Content(is_inline=True, inline=body)
    etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
    version_id = f"{number:032d}"
    new = NewVersion(bucket, key, version_id, owner_id, CREATED_MS + number, size_bytes, etag, content)
    return PublishRequest(new, None, version_id)


def _submit(store: SqliteStore, requests: Iterator[Request]) -> None:
    """Raises: the first refusal."""
    while together := list(islice(requests, TOGETHER)):
        for outcome in store.submit_all(together):
            if isinstance(outcome, S3Error):
                raise outcome


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
