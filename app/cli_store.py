"""Commands that open the data themselves, beside a running server or without one."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app import build_store
from app.settings import ConfigError

if TYPE_CHECKING:
    from app.config import Config
    from app.core.fsck import Finding, FsckReport
    from app.core.move import MoveReport
    from app.core.store import Store
    from app.core.sweep import SweepReport

PROGRESS_EVERY_S = 1.0


class Progress:
    """A line on standard error, at most one a second: what was counted so far."""

    def __init__(self) -> None:
        self._shown_s = time.monotonic()

    def __call__(self, report: FsckReport | SweepReport | MoveReport) -> None:
        now_s = time.monotonic()
        if now_s - self._shown_s >= PROGRESS_EVERY_S:
            self._shown_s = now_s
            print(f"… {_counts(report)}", file=sys.stderr, flush=True)


def fsck(config: Config, *, verify_bytes: bool) -> int:
    """0 where everything is right, 1 where something is not."""
    from app.core.fsck import fsck as run

    with _opened(config) as store:
        report = run(store, Progress(), verify_bytes=verify_bytes)
    for finding in report.findings:
        print(_sentence(finding))
    hidden = sum(report.counts.values()) - len(report.findings)
    if hidden > 0:
        print(f"… and {hidden} more")
    print(f"fsck: {_counts(report)}")
    return min(report.exit_code, 1)


def sweep(config: Config) -> int:
    """0 where all is done, 1 where something kept a part of it from being done."""
    from app.core.sweep import Sweeper
    from app.domain.errors import S3Error

    with _opened(config) as store:
        sweeper = Sweeper(store, f"command-{os.getpid()}")
        try:
            sweeper.run_once(Progress())
        except S3Error as error:
            print(f"bleepstore: {error.message}", file=sys.stderr)
            print(f"sweep: not all: {_counts(sweeper.report)}", file=sys.stderr)
            return 1
    print(f"sweep: {_counts(sweeper.report)}")
    return 0


def move_bucket(config: Config, bucket: str, backend: str, *, is_dry: bool) -> int:
    """0 where all of it is there, 1 where some is left: bytes that are wrong, or a back end that is away."""
    from app.core.move import Mover
    from app.domain.errors import S3Error

    with _opened(config) as store:
        _check_move(store, backend)
        mover = Mover(store, bucket, backend, is_dry=is_dry)
        try:
            mover.run(Progress())
        except S3Error as error:
            print(f"bleepstore: {bucket}: {error.message}", file=sys.stderr)
            print(f"move-bucket: stopped: {_counts(mover.report)}; run it again to go on", file=sys.stderr)
            return 1
    for problem in mover.report.problems:
        print(problem if problem.isprintable() else ascii(problem))
    would = "would have " if is_dry else ""
    print(f"move-bucket: {would}{_counts(mover.report)}")
    return 1 if mover.report.wrong else 0


def _check_move(store: Store, backend: str) -> None:
    """Raises: ConfigError."""
    if store.placement is None:
        raise ConfigError("storage.backends: there is no other back end to move a bucket to")
    members = store.storage.members()
    if backend not in members:
        raise ConfigError(f"there is no back end {backend}; there are {', '.join(members)}")


@contextmanager
def _opened(config: Config) -> Iterator[Store]:
    """The store of data that are there already: a command must not make an empty store where a path was mistyped."""
    if config.metadata.engine == "memory":
        raise ConfigError("metadata.engine: memory keeps nothing that another process could look at")
    if config.metadata.engine == "sqlite" and not os.path.exists(config.metadata.sqlite.path):
        raise ConfigError(f"metadata.sqlite.path: {config.metadata.sqlite.path} does not exist; --data-dir says where")
    store = build_store(config)
    lonely = [name for name, member in store.storage.members().items() if not member.shared]
    if lonely:
        # Rows of the objects are here and their bytes are not: all of them would be found missing.
        raise ConfigError(f"storage: the bytes of {', '.join(lonely)} are in one process, and this is another")
    store.metadata.open()
    try:
        store.storage.open()
        try:
            yield store
        finally:
            store.storage.close()
    finally:
        store.metadata.close()


def _sentence(finding: Finding) -> str:
    """One line, whatever a key holds."""
    where = finding.where if finding.where.isprintable() else ascii(finding.where)
    return " ".join(part for part in (finding.severity.name.lower(), finding.kind, where, finding.detail) if part)


def _counts(report: FsckReport | SweepReport | MoveReport) -> str:
    names = [name for name in report.__slots__ if isinstance(getattr(report, name), int) and name != "sequence"]
    return ", ".join(f"{name.replace('_', ' ')} {getattr(report, name)}" for name in names)
