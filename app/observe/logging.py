"""Log events: one line each on standard error, as text or JSON, with fields instead of prose.

    2026-02-22T12:00:00.000Z info request.finished request_id=4442587FB7D0A2F9 operation=PutObject bucket=b key=a.txt …
    {"time": "2026-02-22T12:00:00.000Z", "level": "info", "event": "request.finished", "request_id": …}

`request_log` is the fast way for the one event that every request makes. Everything else is the standard library's
logging: `logging.getLogger("bleepstore.core").info("sweep.finished", extra={"deleted": 3})`; the message is the event's
name and `extra` its fields. What a client chose is escaped, so a key cannot forge a line, a colour or a field. Query
strings and headers are no fields: a signature cannot end up here.
"""

from __future__ import annotations

import json
import logging
import os
import re
import select
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import IO, Protocol

from app import runtime

ROOT_LOGGER = "bleepstore"
TEXT_CHARS_MAX = 1_024  # of one field, before it is cut
BUCKET_CHARS_MAX = 128  # of what a request calls a bucket; no bucket's name is so long

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_encode = json.JSONEncoder(ensure_ascii=True, separators=(", ", ": "), default=str).encode
# Most keys: plain ASCII that ends neither a field nor a line, and is not cut.
_PLAIN_KEY = re.compile(rf"[!#-<>-~]{{1,{TEXT_CHARS_MAX}}}").fullmatch

Field = tuple[str, object]


class RequestLog(Protocol):
    def __call__(
        self,
        *,
        request_id: str,
        operation: str,
        bucket: str,
        key: str,
        status: int,
        code: str,
        bytes_in: int,
        bytes_out: int,
        seconds: float,
        principal: str,
        remote_address: str,
    ) -> None:
        """One request has ended. `code` is S3's error code or empty, `principal` a user's name or empty."""


def configure(level: str, log_format: str) -> None:
    """Send our events, and what the HTTP server itself reports, to standard error. Once per process; repeating is fine."""
    handler = EventHandler(log_format)
    for name in (ROOT_LOGGER, "gunicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(_LEVELS[level])
        logger.propagate = False


def request_log(level: str, log_format: str, write: Callable[[bytes], None] | None = None) -> RequestLog:
    """The function that logs a finished request: at info, or at error for a status of 500 and above.

    Above that level it does nothing. `write` takes one whole line; standard error unless given, where the lines of one turn
    of the hub leave together.
    """
    write = write or Lines(write_stderr)
    line = _request_json if log_format == "json" else _request_text
    status_min = {"debug": 0, "info": 0}.get(level, 500)

    def log_request(
        *,
        request_id: str,
        operation: str,
        bucket: str,
        key: str,
        status: int,
        code: str,
        bytes_in: int,
        bytes_out: int,
        seconds: float,
        principal: str,
        remote_address: str,
    ) -> None:
        if status < status_min:
            return
        level = "error" if status >= 500 else "info"
        numbers = (status, bytes_in, bytes_out, seconds * 1000)
        text = line(
            level, request_id, operation, bucket[:BUCKET_CHARS_MAX], key, code, principal, remote_address, numbers
        )
        write(text.encode("utf-8", "backslashreplace"))

    return log_request


class Lines:
    """Collects whole lines and writes those of one turn of the hub together, in pieces that a pipe takes as one.

    What several workers write to a pipe mixes above PIPE_BUF bytes. A single longer line is written as it is.
    """

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._lines: list[bytes] = []

    def __call__(self, line: bytes) -> None:
        self._lines.append(line)
        if len(self._lines) == 1:
            runtime.after_turn(self._flush)

    def _flush(self) -> None:
        lines, self._lines = self._lines, []
        piece: list[bytes] = []
        size_bytes = 0
        for line in lines:
            if size_bytes + len(line) > select.PIPE_BUF and piece:
                self._write(b"".join(piece))
                piece, size_bytes = [], 0
            piece.append(line)
            size_bytes += len(line)
        if piece:
            self._write(b"".join(piece))


Numbers = tuple[int, int, int, float]  # status, bytes in, bytes out, milliseconds


def _request_text(
    level: str, request_id: str, operation: str, bucket: str, key: str, code: str, principal: str, remote: str,
    numbers: Numbers,
) -> str:  # fmt: skip
    """What `text_line` makes of these fields, in one piece: every request needs one."""
    status, bytes_in, bytes_out, ms = numbers
    return (
        f"{timestamp()} {level} request.finished request_id={request_id} operation={operation}{_field('bucket', bucket)}"
        f"{f' key={key if _PLAIN_KEY(key) else _shown(key)}' if key else ''} status={status}{_field('code', code)} "
        f"bytes_in={bytes_in} bytes_out={bytes_out} ms={ms:.3f}{_field('principal', principal)}"
        f"{_field('remote_address', remote)}\n"
    )


def _request_json(
    level: str, request_id: str, operation: str, bucket: str, key: str, code: str, principal: str, remote: str,
    numbers: Numbers,
) -> str:  # fmt: skip
    """What `json_line` makes of these fields, in one piece."""
    status, bytes_in, bytes_out, ms = numbers
    return (
        f'{{"time": "{timestamp()}", "level": "{level}", "event": "request.finished", "request_id": "{request_id}", '
        f'"operation": "{operation}"{_member("bucket", bucket)}{_member.__wrapped__("key", key)}, '
        f'"status": {status}{_member("code", code)}, "bytes_in": {bytes_in}, "bytes_out": {bytes_out}, "ms": {ms:.3f}'
        f"{_member('principal', principal)}{_member('remote_address', remote)}}}\n"
    )


# Buckets, users and addresses come again and again. A stranger may choose them, so only few are kept.
@lru_cache(maxsize=256)
def _field(name: str, value: str) -> str:
    return f" {name}={_shown(value)}" if value else ""


@lru_cache(maxsize=256)
def _member(name: str, value: str) -> str:
    return f', "{name}": {_encode(_cut(value))}' if value else ""


def _shown(value: str) -> str:
    return value if _is_plain(value) else _encode(_cut(value))


def text_line(level: str, event: str, fields: Iterable[Field]) -> bytes:
    """Fields without a value are left out. A text that is more than one plain word is in quotes, as JSON has them."""
    parts = [timestamp(), level, event]
    for name, value in fields:
        if type(value) is not str:
            parts.append(f"{name}={value}")
        elif value:
            parts.append(f"{name}={_shown(value)}")
    return (" ".join(parts) + "\n").encode("utf-8", "backslashreplace")


def json_line(level: str, event: str, fields: Iterable[Field]) -> bytes:
    event_fields: dict[str, object] = {"time": timestamp(), "level": level, "event": event}
    for name, value in fields:
        if value != "":
            event_fields[name] = _cut(value) if type(value) is str else value
    return _encode(event_fields).encode() + b"\n"


def write_stderr(line: bytes) -> None:
    """One write per line, so that lines of several workers do not mix. A standard error that is gone stops nobody."""
    try:
        os.write(2, line)
    except OSError:
        pass


class EventHandler(logging.Handler):
    """The standard library's records as our lines. A traceback is one more field, escaped like any other."""

    def __init__(self, log_format: str, stream: IO[bytes] | None = None) -> None:
        super().__init__()
        self._line = json_line if log_format == "json" else text_line
        self._write: Callable[[bytes], object] = stream.write if stream else write_stderr

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._write(self._line(record.levelname.lower(), *_event(record)))
        except Exception:
            self.handleError(record)


def _event(record: logging.LogRecord) -> tuple[str, list[Field]]:
    """An event's name has no blanks; what a library says in prose becomes a field of `log.message`."""
    message = record.getMessage()
    extra = [(name, _plain_value(value)) for name, value in vars(record).items() if name not in _STANDARD]
    if record.exc_info and record.exc_info[0] is not None:
        extra.append(("exception", logging.Formatter().formatException(record.exc_info)[-TEXT_CHARS_MAX * 4 :]))
    if " " in message or not message.isprintable():
        return "log.message", [("logger", record.name), ("message", message), *extra]
    return message, extra


def _plain_value(value: object) -> object:
    return value if isinstance(value, int | float | str) else str(value)


def _is_plain(text: str) -> bool:
    """Nothing in it ends a field or a line, or changes how a terminal shows it: direction marks are not printable."""
    return text.isprintable() and not (" " in text or '"' in text or "=" in text) and len(text) <= TEXT_CHARS_MAX


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_CHARS_MAX else text[:TEXT_CHARS_MAX] + "…"


_second = (0, "")
_MILLISECONDS = tuple(f".{number:03d}Z" for number in range(1000))


def timestamp() -> str:
    """RFC 3339 with milliseconds. The part down to the second is kept: it is most of the work."""
    global _second  # noqa: PLW0603  # a cache of one immutable pair, safe to lose in a race
    now = time.time()
    whole, text = _second
    if whole != int(now):
        whole = int(now)
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
        _second = (whole, text)
    return text + _MILLISECONDS[int((now - whole) * 1000)]
