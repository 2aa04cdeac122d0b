"""No answer is older than the last change that was acknowledged, whoever made the change and whoever answers.

Each key has one driver, which changes it over HTTP or through another process that writes into the database, and knows
the states the key has had: one more from the moment a change is sent, and for certain once it is acknowledged. Readers
ask for any key. What they are told must be a state between the last that was certain when they asked and the newest one
when the answer came.
"""

from __future__ import annotations

import os
import random
import secrets
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

from tests.server.wire import Answer, Truncated, Wire
from tests.servers import RunningServer
from tests.signing import Draft, Keys, anonymous, presign

ROOT = Path(__file__).parent.parent.parent
KEYS = 6
DRIVERS = 3  # each has as many keys as the others
READERS = 3
BODY_BYTES = 64
KILL_EVERY_S = 1.5
LOST = (OSError, Truncated, IndexError)  # a connection whose worker was killed


class State(NamedTuple):
    """What a key's object is. `body` None: there is none."""

    body: bytes | None = None
    tags: int = 0
    is_public: bool = False


ABSENT = State()


@dataclass
class Key:
    """`states[: certain + 1]` have been; those behind may have been."""

    name: str
    states: list[State] = field(default_factory=lambda: [ABSENT])
    certain: int = 0

    @property
    def is_certain(self) -> bool:
        return self.certain == len(self.states) - 1


class Requests:
    """The bytes of all requests. Presigned, so that most are made once."""

    def __init__(self, server: RunningServer, bucket: str) -> None:
        self._keys = Keys(server.access_key, server.secret_key)
        self._bucket = bucket
        self._made: dict[tuple[Any, ...], bytes] = {}

    def get(self, key: str, method: str, *, is_anonymous: bool) -> bytes:
        made = self._made.get((key, method, is_anonymous))
        if made is None:
            draft = Draft(method, f"/{self._bucket}/{key}")
            made = (anonymous(draft) if is_anonymous else presign(draft, self._keys)).wire()
            self._made[key, method, is_anonymous] = made
        return made

    def change(self, key: str, method: str, query: str = "", body: bytes = b"", acl: str = "") -> bytes:
        headers = [("x-amz-acl", acl)] if acl else []
        draft = Draft(method, f"/{self._bucket}/{key}{query}", headers, body)
        made = self._made.get((key, method, query, len(body), acl))
        if made is None:
            made = presign(draft, self._keys).head(body=body)
            self._made[key, method, query, len(body), acl] = made
        return made + body


@dataclass
class Freshness:
    """One run: `steps` requests and changes in all. `faults`: what was wrong, as sentences."""

    server: RunningServer
    steps: int
    faults: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    kills: int = 0

    def run(self, client: Any) -> None:
        bucket = f"fresh-{secrets.token_hex(8)}"
        client.create_bucket(Bucket=bucket, ObjectOwnership="ObjectWriter")
        self._requests = Requests(self.server, bucket)
        self._keys = [Key(f"key-{number}") for number in range(KEYS)]
        self._left = self.steps
        self._lock = threading.Lock()
        database = str(self.server.data_dir / "metadata.db")
        command = [sys.executable, "-m", "tests.reliability.outside_writer", database, bucket]
        outside = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._outside, self._outside_lock = outside, threading.Lock()
        threads = [threading.Thread(target=self._work, args=(self._drive, number)) for number in range(DRIVERS)]
        threads += [threading.Thread(target=self._work, args=(self._read, number)) for number in range(READERS)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            time.sleep(KILL_EVERY_S)
            self._kill_one()
        outside.communicate(timeout=10)

    def _work(self, work: Any, number: int) -> None:
        try:
            work(number)
        except Exception as error:
            self.faults.append(f"a client broke: {error!r}")
            raise

    def _kill_one(self) -> None:
        pids = self.server.worker_pids()
        if len(pids) == self.server.workers:
            os.kill(random.choice(pids), signal.SIGKILL)
            self.kills += 1

    def _goes_on(self) -> bool:
        with self._lock:
            self._left -= 1
            return self._left >= 0 and not self.faults

    # -- changes -------------------------------------------------------------------------------------------------

    def _drive(self, number: int) -> None:
        dice = random.Random(number)
        mine = self._keys[number::DRIVERS]
        written = 0
        with Caller(self.server.port) as caller:
            while self._goes_on():
                key = dice.choice(mine)
                written += 1
                self._change(key, dice, caller, f"{key.name}/{written}".encode().ljust(BODY_BYTES, b"."))
                self._look(key, dice, caller)

    def _change(self, key: Key, dice: random.Random, caller: Caller, body: bytes) -> None:
        now = key.states[-1]
        # Tags and ACLs belong to an object that is there for certain.
        kinds = ["put", "put public", "delete", "outside put", "outside remove"]
        if key.is_certain and now.body is not None:
            kinds += ["tag", "tag", "acl", "acl"]
        kind = dice.choice(kinds) if key.is_certain else "put"
        make = self._requests.change
        if kind == "put":
            request, state = make(key.name, "PUT", body=body), State(body)
        elif kind == "put public":
            request, state = make(key.name, "PUT", body=body, acl="public-read"), State(body, is_public=True)
        elif kind == "delete":
            request, state = make(key.name, "DELETE"), ABSENT
        elif kind == "tag":
            tags = dice.randint(1, 3)
            each = "".join(f"<Tag><Key>k{n}</Key><Value>v</Value></Tag>" for n in range(tags))
            document = f"<Tagging><TagSet>{each}</TagSet></Tagging>".encode()
            request, state = make(key.name, "PUT", "?tagging", document), now._replace(tags=tags)
        elif kind == "acl":
            acl = "private" if now.is_public else "public-read"
            request, state = make(key.name, "PUT", "?acl", acl=acl), now._replace(is_public=not now.is_public)
        else:
            request, state = b"", State(body) if kind == "outside put" else ABSENT
        key.states.append(state)
        place = len(key.states) - 1
        if request:
            done = self._changed(kind, caller.ask(request, "DELETE" if kind == "delete" else "PUT"))
        else:
            done = self._changed_outside(f"put {key.name} {body.decode()}" if state.body else f"remove {key.name}")
        if done:
            key.certain = place
        self._count(kind if done else "change lost")

    def _changed(self, kind: str, answer: Answer | None) -> bool:
        if answer is None or answer.status == 503:
            return False
        if answer.status not in (200, 204):
            self.faults.append(f"{kind} was answered {answer.status} {answer.code}")
        return True

    def _changed_outside(self, line: str) -> bool:
        with self._outside_lock:
            assert self._outside.stdin is not None
            assert self._outside.stdout is not None
            self._outside.stdin.write(line.encode() + b"\n")
            self._outside.stdin.flush()
            return self._outside.stdout.readline() == b"done\n"

    # -- reads ---------------------------------------------------------------------------------------------------

    def _read(self, number: int) -> None:
        dice = random.Random(100 + number)
        with Caller(self.server.port) as caller:
            while self._goes_on():
                self._look(dice.choice(self._keys), dice, caller)

    def _look(self, key: Key, dice: random.Random, caller: Caller) -> None:
        kind = dice.choice(("GET", "GET", "HEAD", "anonymous"))
        method = "HEAD" if kind == "HEAD" else "GET"
        request = self._requests.get(key.name, method, is_anonymous=kind == "anonymous")
        since = key.certain
        answer = caller.ask(request, method)
        possible = key.states[since:]
        if answer is None or answer.status == 503:
            self._count("read lost")
        elif not any(_tells(answer, kind, state) for state in possible):
            told = f"{answer.status} {answer.body[:BODY_BYTES]!r} {answer.header('x-amz-tagging-count')}"
            self.faults.append(f"{kind} {key.name}: {told} is none of {possible}")
        else:
            self._count(kind)

    def _count(self, kind: str) -> None:
        with self._lock:
            self.counts[kind] = self.counts.get(kind, 0) + 1


class Caller:
    """Two connections of one client, used in turn: often they belong to two workers."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._wires: list[Wire | None] = [None, None]
        self._turn = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for wire in self._wires:
            if wire is not None:
                wire.close()

    def ask(self, request: bytes, method: str) -> Answer | None:
        """None where the connection was lost: nobody knows what became of the request."""
        self._turn ^= 1
        try:
            wire = self._wires[self._turn] = self._wires[self._turn] or Wire(self._port)
            wire.send(request)
            return wire.answer(method)
        except LOST:
            broken, self._wires[self._turn] = self._wires[self._turn], None
            if broken is not None:
                broken.close()
            return None


def _tells(answer: Answer, kind: str, state: State) -> bool:
    """Whether this is the answer about an object in this state."""
    if kind == "anonymous" and (state.body is None or not state.is_public):
        return answer.status == 403
    if state.body is None:
        return answer.status == 404
    tags = int(answer.header("x-amz-tagging-count") or 0)
    return answer.status == 200 and tags == state.tags and (kind == "HEAD" or answer.body == state.body)
