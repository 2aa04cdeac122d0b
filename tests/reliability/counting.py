"""Clients that keep account of every answer, while workers are killed: what a scrape must then say.

An answer that a client has read to its last byte was counted. A request that broke was counted or not: nobody can know.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import signal
import threading
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass, field

from app.auth.credentials import Credential
from app.auth.signing import presign
from app.domain.types import Principal
from tests.server.wire import Truncated, Wire
from tests.servers import RunningServer

BUCKET = "counted"
SMALL, LARGE_BYTES = b"x" * 1_000, 600_000
OBJECT, BUCKET_PATH = "/{bucket}/{key}", "/{bucket}"
URL_LIFE_S = 3_600
EXPECTED = (200, 204, 403, 404)

Account = Counter[tuple[str, str, int]]  # method, path's template, status


@dataclass(frozen=True)
class Ask:
    """One request as bytes; `path` is the template under which it is counted."""

    method: str
    path: str
    data: bytes


@dataclass
class Book:
    """What all clients saw. `broken`: by method and path, of requests whose answers nobody got to the end."""

    answered: Account = field(default_factory=Counter)
    broken: Counter[tuple[str, str]] = field(default_factory=Counter)
    received_bytes: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


def asks(server: RunningServer) -> list[Ask]:
    """Hot reads from memory, reads of a file, writes, what the long way answers, and errors of several kinds."""
    made = [ask(server, "GET", f"/{BUCKET}/small-{number % 20}") for number in range(200)]
    made += [ask(server, "HEAD", f"/{BUCKET}/small-{number % 20}") for number in range(60)]
    made += [ask(server, "PUT", f"/{BUCKET}/new-{number}", SMALL) for number in range(100)]
    made += [ask(server, "DELETE", f"/{BUCKET}/new-{number}") for number in range(30)]
    made += [ask(server, "GET", f"/{BUCKET}/missing-{number}") for number in range(30)]
    made += [ask(server, "GET", f"/no-such-bucket/{number}") for number in range(20)]
    made += [ask(server, "GET", f"/{BUCKET}/large") for _ in range(20)]
    made += [ask(server, "PUT", f"/{BUCKET}/large-{number}", b"y" * 100_000) for number in range(10)]
    made += [ask(server, "GET", f"/{BUCKET}") for _ in range(10)]
    made += [ask(server, "GET", f"/{BUCKET}/small-1", is_signed=False) for _ in range(20)]
    random.Random(5).shuffle(made)
    return made


def ask(server: RunningServer, method: str, path: str, body: bytes = b"", *, is_signed: bool = True) -> Ask:
    target = path
    if is_signed:
        credential = Credential(server.access_key, server.secret_key, Principal(id=""))
        url = presign(
            method, server.endpoint + path, credential, expires_s=URL_LIFE_S, region="us-east-1", now_s=time.time()
        )
        target = url[len(server.endpoint) :]
    length = f"Content-Length: {len(body)}\r\n" if method == "PUT" else ""
    head = f"{method} {target} HTTP/1.1\r\nHost: {server.host}:{server.port}\r\n{length}\r\n"
    return Ask(method, BUCKET_PATH if path.count("/") == 1 else OBJECT, head.encode() + body)


class Client(threading.Thread):
    """Asks for one thing after the other on a connection that is made anew when it breaks, until it is told to stop."""

    def __init__(self, server: RunningServer, book: Book, wanted: list[Ask], stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self._server, self._book, self._wanted, self._end = server, book, wanted, stop
        self._wire: Wire | None = None

    def run(self) -> None:
        for ask in itertools.cycle(self._wanted):
            if self._end.is_set():
                break
            self._do(ask)
        self._hang_up()

    def _hang_up(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    def _do(self, ask: Ask) -> None:
        try:
            if self._wire is None:
                self._wire = Wire(self._server.port)
        except OSError:
            return  # nobody listens for a moment: nothing was asked
        try:
            self._wire.send(ask.data)
            answer = self._wire.answer(ask.method)
        except (OSError, Truncated):
            self._hang_up()
            with self._book.lock:
                self._book.broken[ask.method, ask.path] += 1
            return
        assert answer.status in EXPECTED, answer
        with self._book.lock:
            self._book.answered[ask.method, ask.path, answer.status] += 1
            self._book.received_bytes += len(answer.body)
        if answer.header("connection") == "close":
            self._hang_up()


def kill_one(server: RunningServer, number: int) -> None:
    """SIGKILL to a worker, and wait until another has taken its place."""
    before = server.worker_pids()
    os.kill(before[number % len(before)], signal.SIGKILL)
    deadline = time.monotonic() + 20
    while len(set(server.worker_pids()) - set(before)) == 0 or len(server.worker_pids()) < len(before):
        assert time.monotonic() < deadline, "no worker came back"
        time.sleep(0.01)


def scrape(server: RunningServer) -> str:
    """On a connection of its own, so that any worker may answer."""
    with urllib.request.urlopen(f"{server.endpoint}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
        return text


def samples(text: str, family: str) -> dict[tuple[tuple[str, str], ...], float]:
    """Values of one series' name by labels, sorted."""
    found = {}
    for labels, value in re.findall(rf"^{family}(?:\{{(.*?)\}})? (\S+)$", text, re.MULTILINE):
        found[tuple(sorted(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels)))] = float(value)
    return found
