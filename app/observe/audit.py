"""The audit log: one JSON line in a file for every request that came to S3, refused ones too.

    {"time": "…", "request_id": "…", "remote_address": "…", "principal": "ann", "access_key": "…", "method": "PUT",
     "operation": "PutObject", "bucket": "b", "key": "a.txt", "status": 200, "bytes_in": 5, "bytes_out": 0, "ms": 1.2}

Lines are appended whole, by all workers to one file. Whoever rotates it may move it away or cut it short: a second later
what comes goes into a file of the old name. Nothing a client sent is there but names: no header, no query string.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from functools import partial

from app.observe.logging import Lines, timestamp

LOOK_EVERY_S = 1.0
COMPLAIN_EVERY_S = 60.0
FILE_MODE = 0o640  # less the umask

_encode = json.JSONEncoder(ensure_ascii=True, separators=(", ", ": ")).encode
_log = logging.getLogger("bleepstore.observe")


class AuditFile:
    """Takes whole lines. One that cannot be written is counted and complained of; requests go on."""

    def __init__(self, path: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._monotonic = monotonic
        self._fd = -1
        self._looked_s: float | None = None
        self._complained_s: float | None = None
        self.lost = 0
        self.write = Lines(self._append)

    def _append(self, lines: bytes) -> None:
        try:
            self._look()
            written = os.write(self._fd, lines)
            if written < len(lines):
                os.write(self._fd, lines[written:])
        except OSError as error:
            self.lost += lines.count(b"\n")
            self._complain(error)

    def _look(self) -> None:
        """See that the file under our name is the one that we have open."""
        now_s = self._monotonic()
        if self._fd >= 0 and self._looked_s is not None and now_s - self._looked_s < LOOK_EVERY_S:
            return
        self._looked_s = now_s
        if self._fd >= 0 and not self._is_ours():
            os.close(self._fd)
            self._fd = -1
        if self._fd < 0:
            self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)

    def _is_ours(self) -> bool:
        try:
            there, here = os.stat(self._path), os.fstat(self._fd)
        except FileNotFoundError:
            return False
        return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)

    def _complain(self, error: OSError) -> None:
        now_s = self._monotonic()
        if self._complained_s is None or now_s - self._complained_s >= COMPLAIN_EVERY_S:
            self._complained_s = now_s
            _log.error("audit.failed", extra={"path": self._path, "reason": error.strerror or "", "lost": self.lost})


def audit_log(path: str) -> Callable[..., None]:
    """The function that records a finished request, by the names that the lines have."""
    return partial(_record, AuditFile(path).write)


def _record(write: Callable[[bytes], None], *, seconds: float, **fields: str | int) -> None:
    event: dict[str, str | int | float] = {"time": timestamp()}
    event.update((name, value) for name, value in fields.items() if value != "")
    event["ms"] = round(seconds * 1_000, 3)
    write(_encode(event).encode() + b"\n")
