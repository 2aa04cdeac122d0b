"""R-21 to R-24 as functions of a server: what requests at the same time may come to."""

from __future__ import annotations

import hashlib
import random
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tests.exchange import exchange
from tests.reliability.racing import Volley, volley, wire_of_each_worker
from tests.reliability.register import Operation, violations
from tests.server.wire import Answer, Wire
from tests.servers import RunningServer
from tests.signing import Draft, Keys, sign

RACERS = 64
COMPLETERS = 16
HEADWAYS_S = (0.0, 0.001, 0.002, 0.004)
SIZES = (20, 3_000, 65_537, 200_000)  # inline and as files
IF_ABSENT = ("If-None-Match", "*")

Request = tuple[str, bytes]


@dataclass(frozen=True)
class Arena:
    """A bucket, and requests for its keys."""

    server: RunningServer
    bucket: str

    @classmethod
    def fresh(cls, server: RunningServer, client: Any) -> Arena:
        bucket = f"race-{secrets.token_hex(8)}"
        client.create_bucket(Bucket=bucket)
        return cls(server, bucket)

    def request(self, method: str, target: str, body: bytes = b"", headers: Sequence[tuple[str, str]] = ()) -> Request:
        """`target` is what follows the bucket: "/key?query"."""
        keys = Keys(self.server.access_key, self.server.secret_key)
        return method, sign(Draft(method, f"/{self.bucket}{target}", list(headers), body), keys).wire()

    def ask(self, requests: Sequence[Request]) -> list[Answer]:
        return exchange(self.server.port, requests)

    def one(self, method: str, target: str, body: bytes = b"") -> Answer:
        return self.ask([self.request(method, target, body)])[0]


# -- one key -----------------------------------------------------------------------------------------------


@dataclass
class _Register:
    """One key under writers and readers, and what each of them saw."""

    arena: Arena
    until_s: float
    history: list[Operation] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def write(self, writer: int) -> None:
        dice, number = random.Random(writer), 0
        with Wire(self.arena.server.port) as wire:
            while time.monotonic() < self.until_s:
                number += 1
                body = f"{writer}/{number} ".encode().ljust(dice.choice(SIZES), b".")
                start, answer, end = _timed(wire, self.arena.request("PUT", "/register", body))
                etag = hashlib.md5(body).hexdigest()
                if (answer.status, answer.header("etag")) != (200, f'"{etag}"'):
                    self.faults.append(f"a write was answered {answer.status} {answer.header('etag')}")
                self.history.append(Operation(True, etag, start, end))

    def read(self, reader: int) -> None:
        with Wire(self.arena.server.port) as wire:
            while time.monotonic() < self.until_s:
                start, answer, end = _timed(wire, self.arena.request("GET", "/register"))
                etag = (answer.header("etag") or "").strip('"')
                if answer.status != 200 or hashlib.md5(answer.body).hexdigest() != etag:
                    self.faults.append(
                        f"a read was answered {answer.status}, {len(answer.body)} bytes that are not {etag}"
                    )
                self.history.append(Operation(False, etag, start, end))


def check_one_key(server: RunningServer, client: Any, seconds: float, *, writers: int = 16, readers: int = 16) -> int:
    """Every body matches its ETag, and the history is that of one register; how many operations there were."""
    arena = Arena.fresh(server, client)
    first = b"before anybody else"
    arena.one("PUT", "/register", first)
    register = _Register(arena, time.monotonic() + seconds)
    register.history.append(Operation(True, hashlib.md5(first).hexdigest(), 0.0, 0.0))
    threads = [threading.Thread(target=register.write, args=(number,)) for number in range(writers)]
    threads += [threading.Thread(target=register.read, args=(number,)) for number in range(readers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not register.faults, register.faults[:5]
    assert not (found := violations(register.history)), found[:5]
    return len(register.history)


def _timed(wire: Wire, request: Request) -> tuple[float, Answer, float]:
    start = time.monotonic()
    wire.send(request[1])
    answer = wire.answer(request[0])
    return start, answer, time.monotonic()


# -- who comes first ---------------------------------------------------------------------------------------

Racers = Callable[[Arena, str], list[Request]]


def putters(arena: Arena, key: str) -> list[Request]:
    bodies = [f"of racer {number}".encode().ljust(SIZES[number % len(SIZES)]) for number in range(RACERS)]
    return [arena.request("PUT", f"/{key}", body, [IF_ABSENT]) for body in bodies]


def copiers(arena: Arena, key: str) -> list[Request]:
    arena.one("PUT", "/source", b"copied")
    headers = [IF_ABSENT, ("x-amz-copy-source", f"/{arena.bucket}/source")]
    return [arena.request("PUT", f"/{key}", b"", headers) for _ in range(RACERS)]


def completers(arena: Arena, key: str) -> list[Request]:
    uploads = new_uploads(arena, key, COMPLETERS, parts=1)
    return [
        arena.request("POST", f"/{key}?uploadId={upload_id}", completion({1: etags[0]}), [IF_ABSENT])
        for upload_id, etags in uploads
    ]


def all_kinds(arena: Arena, key: str) -> list[Request]:
    return [*putters(arena, key)[:32], *copiers(arena, key)[:16], *completers(arena, key)]


def check_one_winner(server: RunningServer, client: Any, racers: Racers, rounds: int) -> None:
    """Of all that write a key only where there is none, exactly one does, in every round."""
    arena = Arena.fresh(server, client)
    with volley(server.port, RACERS) as shots:
        for number in range(rounds):
            key = f"key{number}"
            answers = shots.fire(racers(arena, key))
            # A Complete may fail behind its 200.
            won = [answer for answer in answers if answer.status == 200 and not answer.code]
            lost = {(answer.status, answer.code) for answer in answers if answer not in won}
            assert len(won) == 1, f"round {number}: {len(won)} winners"
            assert lost <= {(412, "PreconditionFailed"), (409, "ConditionalRequestConflict")}, lost
            stored = arena.one("GET", f"/{key}").header("etag")
            assert stored == (won[0].header("etag") or _text(won[0], "ETag").replace("&quot;", '"')), f"round {number}"


# -- one upload --------------------------------------------------------------------------------------------


def check_upload_ends_once(server: RunningServer, client: Any, rounds: int) -> dict[str, int]:
    """Completes of two lists and Aborts at once have one outcome, and it stays; how often which."""
    arena, dice = Arena.fresh(server, client), random.Random(23)
    outcomes = {"completed": 0, "aborted": 0}
    with volley(server.port, 8) as shots:
        for number in range(rounds):
            outcomes[_one_upload(arena, shots, f"key{number}", dice)] += 1
    return outcomes


def _one_upload(arena: Arena, shots: Volley, key: str, dice: random.Random) -> str:
    ((upload_id, etags),) = new_uploads(arena, key, 1, parts=2)
    target = f"/{key}?uploadId={upload_id}"
    lists = [completion({part: etags[part - 1]}) for part in (1, 2)]
    completes = [arena.request("POST", target, lists[at % 2]) for at in range(5)]
    aborts = [arena.request("DELETE", target)] * 3
    # An Abort has less to do than a Complete: without headway it would always come first.
    answers = shots.fire(completes, aborts, dice.choice(HEADWAYS_S))
    made = {_text(answer, "ETag") for answer in answers if answer.status == 200 and not answer.code}
    aborted = [answer for answer in answers if answer.status == 204]
    refused = {answer.code for answer in answers if answer.status >= 400}
    assert (len(made), len(aborted)) in ((1, 0), (0, 1)), f"{key}: {len(made)} objects, {len(aborted)} aborts"
    assert refused <= {"NoSuchUpload"}, refused
    again = [arena.one("POST", target, document) for document in lists]
    assert arena.one("DELETE", target).code == "NoSuchUpload"
    if aborted:
        assert {answer.code for answer in again} == {"NoSuchUpload"}
        assert arena.one("GET", f"/{key}").status == 404
        return "aborted"
    assert {_text(answer, "ETag") for answer in again if answer.status == 200} == made
    assert sorted(answer.status for answer in again) == [200, 404]
    assert arena.one("HEAD", f"/{key}").header("etag") == made.pop().replace("&quot;", '"')
    return "completed"


def new_uploads(arena: Arena, key: str, count: int, *, parts: int) -> list[tuple[str, list[str]]]:
    """(upload id, the parts' ETags) of fresh uploads of a key; each part has bytes of its own."""
    created = arena.ask([arena.request("POST", f"/{key}?uploads")] * count)
    ids = [_text(answer, "UploadId") for answer in created]
    bodies = [f"{upload_id}, part {part}".encode() for upload_id in ids for part in range(1, parts + 1)]
    places = [(upload_id, part) for upload_id in ids for part in range(1, parts + 1)]
    answers = arena.ask([
        arena.request("PUT", f"/{key}?partNumber={part}&uploadId={upload_id}", body)
        for (upload_id, part), body in zip(places, bodies, strict=True)
    ])  # fmt: skip
    etags = [(answer.header("etag") or "").strip('"') for answer in answers]
    return [(upload_id, etags[at * parts : (at + 1) * parts]) for at, upload_id in enumerate(ids)]


def completion(etags: dict[int, str]) -> bytes:
    parts = "".join(f"<Part><PartNumber>{part}</PartNumber><ETag>{etag}</ETag></Part>" for part, etag in etags.items())
    return f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()


# -- listings ----------------------------------------------------------------------------------------------


def check_listings_are_fresh(server: RunningServer, client: Any, steps: int, *, threads: int = 4) -> None:
    """What one worker has acknowledged every other worker lists at once, in keys that others change meanwhile."""
    arena = Arena.fresh(server, client)
    with ThreadPoolExecutor(threads) as pool:
        walks = [pool.submit(_walk, arena, number, steps // threads) for number in range(threads)]
        for walk in walks:
            walk.result()


def _walk(arena: Arena, number: int, steps: int) -> None:
    """Change keys below a prefix of one's own through one worker, list them through another, and compare."""
    dice = random.Random(number)
    there: dict[str, str] = {}
    prefix = quote(f"walk {number}/", safe="")
    listings = [
        arena.request("GET", f"?list-type=2&prefix={prefix}"),
        arena.request("GET", f"?prefix={prefix}"),
        arena.request("GET", f"?versions&prefix={prefix}"),
    ]
    with wire_of_each_worker(arena.server) as wires:
        for step in range(steps):
            key = f"walk {number}/{dice.randrange(30)}"
            if key in there and dice.random() < 0.5:
                method, body = "DELETE", b""
                del there[key]
            else:
                method, body = "PUT", f"step {step}".encode()
                there[key] = f'"{hashlib.md5(body).hexdigest()}"'
            writer, reader = dice.sample(range(len(wires)), 2) if len(wires) > 1 else (0, 0)
            _, answer, _ = _timed(wires[writer], arena.request(method, f"/{quote(key)}", body))
            assert answer.status in (200, 204), answer.code
            _, listed, _ = _timed(wires[reader], dice.choice(listings))
            found = dict(zip(_texts(listed, "Key"), _texts(listed, "ETag"), strict=True))
            assert found == {key: etag.replace('"', "&quot;") for key, etag in there.items()}, (
                f"step {step}, {method} {key}"
            )


def _texts(answer: Answer, name: str) -> list[str]:
    return [piece.partition(f"</{name}>")[0] for piece in answer.body.decode().split(f"<{name}>")[1:]]


def _text(answer: Answer, name: str) -> str:
    return next(iter(_texts(answer, name)), "")
