"""S-03 as a function of a server: each hostile document at one operation, and bait for whoever follows a reference."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.footprint import MIB, growth
from tests.security.auth_matrix import MODES, RULES, Scene, draft_of
from tests.security.xml_attacks import ATTACKS, ROOTS
from tests.server.wire import Answer, Wire
from tests.signing import sign

REFUSAL_MAX_S = 0.1
GROWTH_MAX_BYTES = 10 * MIB
TRIES = 4  # the machine may have had something else to do
CODES = frozenset(
    {"MalformedXML", "MalformedACLError", "MaxMessageLengthExceeded", "IllegalVersioningConfigurationException"}
)
HASHED = MODES[0]


@dataclass
class Bait:
    """A file that keeps its reader waiting, and an address; both notice visitors."""

    file: str
    url: str
    visitors: list[str] = field(default_factory=list)


@contextmanager
def bait(directory: Path) -> Iterator[Bait]:
    """Watched until the end of the block."""
    pipe = directory / "secret"
    os.mkfifo(pipe)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        laid = Bait(str(pipe), f"http://127.0.0.1:{listener.getsockname()[1]}/x.dtd")
        listener.settimeout(0.02)
        is_over = threading.Event()
        watcher = threading.Thread(target=_watch, args=(laid, listener, is_over))
        watcher.start()
        try:
            yield laid
        finally:
            is_over.set()
            watcher.join()


def _watch(bait: Bait, listener: socket.socket, is_over: threading.Event) -> None:
    while not is_over.is_set():
        try:
            listener.accept()[0].close()
            bait.visitors.append(bait.url)
        except TimeoutError:
            pass
        try:
            # Opening to write succeeds only while somebody has it open to read.
            os.close(os.open(bait.file, os.O_WRONLY | os.O_NONBLOCK))
            bait.visitors.append(bait.file)
        except OSError:
            pass


def check_hostile_documents(scene: Scene, worker_pids: Iterable[int], bait: Bait, operation: str) -> None:
    """Each is refused by 400 in time, in little memory, and nobody takes the bait."""
    _send(scene, operation, b"<warm/>")
    with growth(worker_pids) as grown:
        for name, attack in ATTACKS.items():
            _check_refused(scene, operation, name, attack(ROOTS[operation], bait.file, bait.url))
    assert not bait.visitors, f"somebody opened {set(bait.visitors)}"
    assert grown.peak_bytes < GROWTH_MAX_BYTES


def _check_refused(scene: Scene, operation: str, name: str, document: bytes) -> None:
    seconds = []
    for _ in range(TRIES):
        begun = time.monotonic()
        answer = _send(scene, operation, document)
        seconds.append(time.monotonic() - begun)
        assert answer.status == 400, f"{name}: {answer.status} {answer.code}"
        assert answer.code in CODES, f"{name}: {answer.code}"
        if seconds[-1] < REFUSAL_MAX_S:
            return
    raise AssertionError(f"{name}: refused after {min(seconds):.3f} s")


def _send(scene: Scene, operation: str, document: bytes) -> Answer:
    rule = next(rule for rule in RULES if rule.operation == operation)
    draft = draft_of(rule, scene, HASHED).copy(body=document)
    if operation == "DeleteObjects":
        draft.headers.append(("x-amz-checksum-sha256", base64.b64encode(hashlib.sha256(document).digest()).decode()))
    with Wire(scene.port) as wire:
        try:
            wire.send(sign(draft, scene.keys).wire())
        except ConnectionError:
            pass  # refused by its length; the answer is there
        return wire.answer()
