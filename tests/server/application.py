"""A WSGI application for the tests of the server process: each path provokes one behaviour of the wire.

Run as a program it is served: `python -m tests.server.application '{"port": 9123, "workers": 1, …}'`.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import gevent

from app import runtime
from app.domain.types import FileSpan
from app.s3.request import S3Response
from app.s3.sending import SentBody

Start = Callable[..., Any]

noted: ContextVar[str | None] = ContextVar("noted", default=None)


class Span:
    """A body as the real application gives it: `span` for sendfile, iterable where there is none."""

    def __init__(self, path: str, offset: int, length: int) -> None:
        self.span = FileSpan(os.open(path, os.O_RDONLY), offset, length)
        self.sent = 0

    def __iter__(self) -> Iterator[bytes]:
        at, end = self.span.offset, self.span.offset + self.span.length
        while piece := os.pread(self.span.fd, min(1 << 18, end - at), at):
            at += len(piece)
            yield piece

    def close(self) -> None:
        os.close(self.span.fd)


def application(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    query = dict(parse_qsl(environ["QUERY_STRING"], keep_blank_values=True))
    view = VIEWS.get(environ["PATH_INFO"], facts)
    return view(environ, start, query)


def facts(environ: dict[str, Any], start: Start, query: dict[str, str]) -> Iterable[bytes]:
    """What reached the application, as JSON. The body is read to its end."""
    wire = environ["bleepstore.body"]
    digest, pieces = hashlib.sha256(), []
    while piece := wire.receive(int(query.get("piece", 1 << 20))):
        digest.update(piece)
        pieces.append(len(piece))
    texts = {name: value for name, value in environ.items() if isinstance(value, str)}
    return answer(start, {
        "target": environ["bleepstore.target"], "headers": environ["bleepstore.headers"], "environ": texts,
        "length": wire.length, "is_chunked": wire.is_chunked, "pieces": pieces, "sha256": digest.hexdigest(),
        "pid": os.getpid(), "fds": len(os.listdir("/proc/self/fd")),
    })  # fmt: skip


def take(environ: dict[str, Any], start: Start, query: dict[str, str]) -> Iterable[bytes]:
    """The body taken in by threads, into a room of `room` bytes; `pieces` as they came. Not more than `enough` bytes."""
    wire, enough = environ["bleepstore.body"], int(query.get("enough", 1 << 60))
    room, digest, threads = memoryview(bytearray(int(query.get("room", 1 << 20)))), hashlib.sha256(), set()
    pieces: list[int] = []

    def pump() -> None:
        threads.add(threading.get_ident())
        while sum(pieces) < enough and (count := wire.read_into(room)) is not None:
            digest.update(room[:count])
            pieces.append(count)

    while sum(pieces) < enough and wire.wait():
        runtime.offload(pump)
    return answer(start, {
        "pieces": pieces, "sha256": digest.hexdigest(), "on_the_hub": threading.get_ident() in threads,
    })  # fmt: skip


def answer(start: Start, value: object) -> list[bytes]:
    document = json.dumps(value).encode()
    start("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(document)))])
    return [document]


def deny(environ: dict[str, Any], start: Start, query: dict[str, str]) -> Iterable[bytes]:
    """An answer that does not wait for the body."""
    start("403 Forbidden", [("Content-Type", "application/xml"), ("Content-Length", "6")])
    return [b"denied"]


def read_input(environ: dict[str, Any], start: Start, query: dict[str, str]) -> Iterable[bytes]:
    """The body through wsgi.input, as applications that know nothing of ours read it."""
    lines = environ["wsgi.input"].readlines()
    return answer(start, [line.decode() for line in lines])


def span(environ: dict[str, Any], start: Start, query: dict[str, str]) -> Iterable[bytes]:
    length = int(query["length"])
    start("200 OK", [("Content-Length", query.get("declared", str(length)))])
    return Span(query["path"], int(query.get("offset", 0)), length)


def whole(environ: dict[str, Any], start: Start, query: dict[str, str]) -> Iterable[bytes]:
    """`size` bytes that are here at once, numbered by eights, as an answer of ours."""
    size = int(query["size"])
    body = b"".join(b"%08d" % number for number in range(size // 8 + 1))[:size]
    sent = SentBody(S3Response(body=body, content_length=size), lambda _: None)
    start("200 OK", [("Content-Length", str(size))])
    return sent


def pieces(environ: dict[str, Any], start: Start, query: dict[str, str]) -> Iterable[bytes]:
    """`count` pieces of `size` bytes; `declared` is the Content-Length, "" for none; fails before piece `fail`."""
    declared = query.get("declared", str(int(query["count"]) * int(query["size"])))
    start("200 OK", [("Content-Length", declared)] if declared else [])

    def generate() -> Iterator[bytes]:
        for number in range(int(query["count"])):
            if str(number) == query.get("fail"):
                raise RuntimeError("the disk is gone")
            yield b"x" * int(query["size"])

    return generate()


def bare(environ: dict[str, Any], start: Start, query: dict[str, str]) -> Iterable[bytes]:
    """A status with the headers and body that the query names, fitting or not."""
    start(query["status"], [(name, value) for name, value in query.items() if name not in ("status", "body")])
    return [query.get("body", "").encode()]


def legacy(environ: dict[str, Any], start: Start, query: dict[str, str]) -> Iterable[bytes]:
    write = start("200 OK", [("Content-Length", "9")])
    write(b"one")
    write(b"two")
    return [b"end"]


def twice(environ: dict[str, Any], start: Start, query: dict[str, str]) -> Iterable[bytes]:
    start("200 OK", [])
    try:
        raise RuntimeError("on second thoughts")
    except RuntimeError:
        start("503 Slow Down", [("Content-Length", "4")], sys.exc_info())
    return [b"sad\n"]


def slow(environ: dict[str, Any], start: Start, query: dict[str, str]) -> Iterable[bytes]:
    gevent.sleep(float(query["seconds"]))
    return answer(start, "slept")


def stuck(environ: dict[str, Any], start: Start, query: dict[str, str]) -> Iterable[bytes]:
    """Holds the hub, as nothing should."""
    time.sleep(float(query["seconds"]))
    return answer(start, "awake")


def boom(environ: dict[str, Any], start: Start, query: dict[str, str]) -> Iterable[bytes]:
    raise RuntimeError("a fault of the application")


def process(environ: dict[str, Any], start: Start, query: dict[str, str]) -> Iterable[bytes]:
    """What this worker is like inside."""
    import gc

    from gevent import monkey

    return answer(start, {
        "pid": os.getpid(), "switch_interval_s": sys.getswitchinterval(), "frozen": gc.get_freeze_count(),
        "threads": threading.active_count(), "is_patched": any(map(monkey.is_module_patched, ("socket", "threading", "time"))),
    })  # fmt: skip


def turn(environ: dict[str, Any], start: Start, query: dict[str, str]) -> Iterable[bytes]:
    """How often the loop has looked at its sockets so far."""
    return answer(start, gevent.get_hub().loop.iteration)


def own(environ: dict[str, Any], start: Start, query: dict[str, str]) -> Iterable[bytes]:
    """What an earlier request has left in a variable that a request has for itself; then leaves its own there."""
    found = noted.get()
    noted.set(query["note"])
    gevent.sleep(float(query.get("seconds", 0)))
    if "fails" in query:
        raise RuntimeError("before it could tidy up")
    return answer(start, {"found": found, "left": noted.get()})


VIEWS = {
    "/take": take,
    "/deny": deny, "/input": read_input, "/span": span, "/whole": whole, "/pieces": pieces, "/bare": bare, "/legacy": legacy,
    "/twice": twice, "/slow": slow, "/stuck": stuck, "/boom": boom, "/process": process, "/turn": turn, "/own": own,
}  # fmt: skip


def main(options: dict[str, Any]) -> None:
    from app.config import Config, Metadata, Server, Storage, Tls
    from app.server.limits import WireLimits
    from app.server.run import run_gunicorn
    from app.server.settings import gunicorn_settings

    config = Config(
        server=Server(
            port=options["port"], workers=options["workers"], shutdown_timeout_s=options["shutdown_timeout_s"],
            tls=Tls(options["certificate"], options["certificate"]), log_level="debug",
        ),
        metadata=Metadata(engine="memory"), storage=Storage(backend="memory"),
    )  # fmt: skip
    settings = gunicorn_settings(config, limits=replace(WireLimits(), **options["limits"]), shared=options["shared"])
    run_gunicorn(settings | options["settings"], lambda: application)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
