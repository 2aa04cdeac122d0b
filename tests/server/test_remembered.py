"""The same bytes sent again and again: parsed once, decided each time."""

from __future__ import annotations

import random
import re
import socket
import struct
import time
import urllib.request
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.s3.pipeline import Routed
from app.server.head import RequestHead
from app.server.remembered import BLOCK_MAX_BYTES, GENERATION_MAX, RememberedHeads
from tests.server.wire import Answer, Wire
from tests.servers import RunningServer
from tests.signing import Draft, Keys, anonymous, presign, sign

BUCKET = "again"
TIMES = 6  # the first is new, the second is kept, the third describes the object, and the others repeat it


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory) -> Any:
    server = RunningServer(tmp_path_factory.mktemp("again") / "data").start()
    server.client().create_bucket(Bucket=BUCKET, ObjectOwnership="ObjectWriter")
    yield server
    server.kill9()


def keys(server: RunningServer) -> Keys:
    return Keys(server.access_key, server.secret_key)


def ask(server: RunningServer, request: bytes, method: str = "GET") -> list[Answer]:
    """TIMES times, over two connections in turn."""
    with Wire(server.port) as first, Wire(server.port) as second:
        answers = []
        for wire in (first, second) * (TIMES // 2):
            wire.send(request)
            answers.append(wire.answer(method))
        return answers


def _without_what_changes(answer: Answer) -> list[tuple[str, str]]:
    """The headers in order; of the time and the request's id only where they stand."""
    return [(name, "" if name in ("date", "x-amz-request-id") else value) for name, value in answer.headers]


@pytest.mark.parametrize("signer", [sign, presign])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_each_answer_is_of_the_object_as_it_is_then(again: RunningServer, signer: Any, method: str) -> None:
    client = again.client()
    request = signer(Draft(method, f"/{BUCKET}/changing"), keys(again)).wire()
    for body in (b"first", b"second one", b"third"):
        client.put_object(Bucket=BUCKET, Key="changing", Body=body)
        answers = ask(again, request, method)
        assert [answer.status for answer in answers] == [200] * TIMES
        assert {answer.header("content-length") for answer in answers} == {str(len(body))}
        assert {answer.body for answer in answers} == {body if method == "GET" else b""}
        assert len({answer.header("x-amz-request-id") for answer in answers}) == TIMES
        assert len({tuple(_without_what_changes(answer)) for answer in answers}) == 1
    client.delete_object(Bucket=BUCKET, Key="changing")
    assert [answer.status for answer in ask(again, request, method)] == [404] * TIMES


def test_a_url_expires_however_often_it_was_right(again: RunningServer) -> None:
    again.client().put_object(Bucket=BUCKET, Key="soon", Body=b"body")
    request = presign(Draft("GET", f"/{BUCKET}/soon", expires_s=2), keys(again)).wire()
    assert [answer.status for answer in ask(again, request)] == [200] * TIMES
    time.sleep(3.1)
    answers = ask(again, request)
    assert [(answer.status, answer.code) for answer in answers] == [(403, "AccessDenied")] * TIMES
    assert b"Request has expired" in answers[-1].body


def test_a_wrong_signature_stays_wrong(again: RunningServer) -> None:
    again.client().put_object(Bucket=BUCKET, Key="mine", Body=b"body")
    request = presign(Draft("GET", f"/{BUCKET}/mine"), Keys(again.access_key, "guessed")).wire()
    answers = ask(again, request)
    assert [(answer.status, answer.code) for answer in answers] == [(403, "SignatureDoesNotMatch")] * TIMES


def test_what_is_public_no_longer_is_refused_to_strangers(again: RunningServer) -> None:
    client = again.client()
    client.put_object(Bucket=BUCKET, Key="public", Body=b"body", ACL="public-read")
    request = anonymous(Draft("GET", f"/{BUCKET}/public")).wire()
    assert [answer.status for answer in ask(again, request)] == [200] * TIMES
    client.put_object_acl(Bucket=BUCKET, Key="public", ACL="private")
    assert [answer.status for answer in ask(again, request)] == [403] * TIMES


def test_what_its_owner_reads_again_and_again_is_not_shown_to_others(again: RunningServer) -> None:
    again.client().put_object(Bucket=BUCKET, Key="private", Body=b"body")
    owners = presign(Draft("GET", f"/{BUCKET}/private"), keys(again)).wire()
    strangers = anonymous(Draft("GET", f"/{BUCKET}/private")).wire()
    for _ in range(2):
        assert [answer.status for answer in ask(again, owners)] == [200] * TIMES
        assert [answer.status for answer in ask(again, strangers)] == [403] * TIMES


def test_every_request_is_logged_alike_and_counted(again: RunningServer) -> None:
    again.client().put_object(Bucket=BUCKET, Key="logged", Body=b"body")
    before = _counted(again)
    ask(again, presign(Draft("GET", f"/{BUCKET}/logged"), keys(again)).wire())
    time.sleep(0.1)  # the lines of a turn leave behind its answers
    lines = [line for line in again.log().splitlines() if "key=logged" in line and "GetObject" in line]
    assert len(lines) == TIMES
    said = {re.sub(r"^\S+|request_id=\S+|ms=\S+", "", line) for line in lines}
    assert len(said) == 1
    assert "bytes_out=4 " in said.pop()
    assert _counted(again) - before == TIMES


def _counted(server: RunningServer) -> float:
    with urllib.request.urlopen(f"{server.endpoint}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found = re.search(r'bleepstore_s3_operations_total\{operation="GetObject",status="200"\} (\S+)', text)
    return float(found[1]) if found else 0.0


def test_a_client_that_reads_late_gets_every_byte(again: RunningServer) -> None:
    """So many answers that the kernel cannot take the last ones as a whole."""
    body = random.Random(0).randbytes(50_000)
    again.client().put_object(Bucket=BUCKET, Key="late", Body=body)
    request = presign(Draft("GET", f"/{BUCKET}/late"), keys(again)).wire()
    ask(again, request)
    with Wire(again.port, receive_buffer=4_096) as wire:
        for _ in range(200):
            wire.send(request)
            time.sleep(0.001)
        assert all(wire.answer().body == body for _ in range(200))
    assert [answer.status for answer in ask(again, request)] == [200] * TIMES


def test_a_client_that_leaves_before_its_answer_harms_nobody(again: RunningServer) -> None:
    again.client().put_object(Bucket=BUCKET, Key="left", Body=b"body")
    request = presign(Draft("GET", f"/{BUCKET}/left"), keys(again)).wire()
    ask(again, request)
    for _ in range(50):
        with Wire(again.port) as wire:
            wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            wire.send(request)
    assert [answer.status for answer in ask(again, request)] == [200] * TIMES
    assert "Traceback" not in again.log()


# -- Which heads are kept ------------------------------------------------------------------------------------------


class Heads:
    """What a worker remembers, and how often it had to read what a head signed."""

    def __init__(self) -> None:
        self.kept = RememberedHeads()
        self.proved = 0

    def come(self, block: bytes) -> bool:
        """Whether the head was known."""
        if self.kept.find(block) is not None:
            return True
        self.kept.note(block, cast("RequestHead", SimpleNamespace(fields=None)), cast("Routed", object()), self._prove)
        return False

    def _prove(self, routed: Routed, _: object) -> Routed:
        self.proved += 1
        return routed


def blocks(count: int, name: str = "key") -> list[bytes]:
    return [f"GET /bucket/{name}-{number} HTTP/1.1".encode() for number in range(count)]


def test_a_head_is_kept_when_it_comes_for_the_second_time() -> None:
    heads = Heads()
    few = blocks(100)
    assert [heads.come(block) for block in few * 2] == [False] * 200
    assert all(heads.come(block) for block in few * 3)
    assert heads.proved == 100


def test_as_many_as_a_generation_holds_are_all_kept_and_never_more_than_two_generations() -> None:
    heads = Heads()
    many = blocks(GENERATION_MAX - 1)
    for block in many * 2:
        heads.come(block)
    assert all(heads.come(block) for block in many * 3)
    for round_ in range(5):
        for block in blocks(GENERATION_MAX, f"round-{round_}") * 2:
            heads.come(block)
    known = [heads.kept.find(block) for round_ in range(5) for block in blocks(GENERATION_MAX, f"round-{round_}")]
    assert 0 < sum(found is not None for found in known) <= 2 * GENERATION_MAX


def test_heads_that_come_no_more_make_room() -> None:
    """A client that signs anew every quarter of an hour is known as well as before."""
    heads = Heads()
    for round_ in range(6):
        again = blocks(GENERATION_MAX // 2, f"round-{round_}")
        for block in again * 2:
            heads.come(block)
        found = [heads.come(block) for _ in range(3) for block in again]
        assert sum(found) > 0.95 * len(found), round_


def test_a_walk_over_more_heads_than_there_are_places_costs_little() -> None:
    heads, dice = Heads(), random.Random(0)
    many = blocks(20 * GENERATION_MAX)
    walk = [dice.choice(many) for _ in range(100_000)]
    for block in walk:
        heads.come(block)
    assert heads.proved < len(walk) / 5


def test_a_long_head_is_not_kept() -> None:
    heads = Heads()
    assert not any(heads.come(b"x" * (BLOCK_MAX_BYTES + 1)) for _ in range(4))
