"""Bodies that threads take in: the same bytes, deadlines and connections as bodies that the hub receives."""

from __future__ import annotations

import gc
import hashlib
import random
import socket
import time
import weakref
from pathlib import Path

import gevent
import pytest

from app.domain.errors import BadRequest, IncompleteBody
from app.server.body import Wire as BodyWire
from app.server.head import parse_head
from app.server.limits import WireLimits
from app.server.transport import Transport
from app.server.turns import Turns
from tests.server.conftest import AppServer, StartApp, eventually
from tests.server.wire import Wire, get

MIB = 1 << 20
DISK_THREADS = 16  # app.runtime.DISK_THREADS
BODY = random.Random(3).randbytes(3 * MIB + 17)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("room", [1, 4_095, MIB])
@pytest.mark.parametrize("size", [0, 1, 65_537, len(BODY)])
def test_a_body_arrives_whole_off_the_hub(app_server: AppServer, size: int, room: int) -> None:
    body = BODY[: min(size, room * 3_000)]
    answer = app_server.get(f"/take?room={room}", f"Content-Length: {len(body)}", method="PUT", body=body).json
    assert answer["sha256"] == sha256(body)
    assert sum(answer["pieces"]) == len(body)
    assert not answer["on_the_hub"]


def test_a_chunked_body_arrives_whole(app_server: AppServer) -> None:
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (BODY[:5], BODY[5:70_000], BODY[70_000:]))
    answer = app_server.get("/take", "Transfer-Encoding: chunked", method="PUT", body=chunks + b"0\r\n\r\n").json
    assert answer["sha256"] == sha256(BODY)


def test_requests_behind_a_large_body_are_answered(app_server: AppServer) -> None:
    """Sent in one go, and once more behind an answer: what rouses the server is one byte again."""
    put = get("/take", method="PUT", body=BODY)
    with app_server.wire() as wire:
        wire.send(put + get("/y") + put)
        assert wire.answer().json["sha256"] == sha256(BODY)
        assert wire.answer().json["target"] == "/y"
        assert wire.answer().json["sha256"] == sha256(BODY)
        wire.send(get("/z"))
        assert wire.answer().json["target"] == "/z"


def test_a_request_behind_a_body_that_was_not_read_to_its_end_is_answered(app_server: AppServer) -> None:
    """The rest is here and dropped, and what rouses the server is one byte again."""
    body = BODY[:300_000]
    head = get("/take?enough=1&room=262144", f"Content-Length: {len(body)}", method="PUT")
    with app_server.wire() as wire:
        wire.send(head)
        time.sleep(0.1)  # the body is waited for by itself
        wire.send(body)
        assert sum(wire.answer().json["pieces"]) < len(body)
        wire.send(get("/y"))
        assert wire.answer().json["target"] == "/y"


def test_pieces_with_pauses_between_them_arrive(app_server: AppServer) -> None:
    """Fewer bytes than rouse a thread, and the last ones alone."""
    with app_server.wire() as wire:
        wire.send(get("/take", "Content-Length: 400100", method="PUT"))
        for count in (1, 99_999, 300_000, 99, 1):
            wire.send(BODY[:count])
            time.sleep(0.15)
        sent = b"".join(BODY[:count] for count in (1, 99_999, 300_000, 99, 1))
        assert wire.answer().json["sha256"] == sha256(sent)


def test_100_continue_comes_before_the_body_is_waited_for(app_server: AppServer) -> None:
    with app_server.wire() as wire:
        wire.send(get("/take", "Expect: 100-continue", f"Content-Length: {len(BODY)}", method="PUT"))
        assert wire.answer().status == 100
        wire.send(BODY)
        assert wire.answer().json["sha256"] == sha256(BODY)


@pytest.mark.parametrize("sent", [0, 10, 100_000, 2 * MIB])
def test_a_body_that_stops_early_is_incomplete(app_server: AppServer, sent: int) -> None:
    with app_server.wire() as wire:
        wire.send(get("/take", f"Content-Length: {len(BODY)}", method="PUT") + BODY[:sent])
        wire.sock.shutdown(socket.SHUT_WR)
        answer = wire.answer()
        assert (answer.status, answer.code) == (400, "IncompleteBody")


@pytest.mark.parametrize("sent", [0, 10, 100_000, 2 * MIB])
def test_a_silent_body_times_out(app_server: AppServer, sent: int) -> None:
    with app_server.wire() as wire:
        began = time.monotonic()
        wire.send(get("/take", f"Content-Length: {len(BODY)}", method="PUT") + BODY[:sent])
        answer = wire.answer()
        assert (answer.status, answer.code) == (400, "RequestTimeout")
        assert wire.is_closed()
        assert 0.6 < time.monotonic() - began < 4.0


def test_a_dripping_body_is_cut(app_server: AppServer) -> None:
    """Never silent for long, and far below the rate that is asked."""
    with app_server.wire() as wire:
        wire.send(get("/take", f"Content-Length: {len(BODY)}", method="PUT"))
        began = time.monotonic()
        wire.sock.settimeout(0.0)
        while time.monotonic() - began < 6.0:
            try:
                wire.sock.send(b"x")
                assert b"RequestTimeout" in wire.sock.recv(4_096)
                break
            except BlockingIOError:
                time.sleep(0.1)
        else:
            raise AssertionError("it was never cut")


def test_a_steady_body_outlives_every_window(app_server: AppServer) -> None:
    with app_server.wire() as wire:
        wire.send(get("/take", "Content-Length: 750000", method="PUT"))
        for _ in range(25):
            wire.send(bytes(30_000))
            time.sleep(0.1)
        assert sum(wire.answer().json["pieces"]) == 750_000


def test_clients_that_pause_hold_no_thread(start_app: StartApp) -> None:
    """Three times as many as there are threads, each in the middle of a body that it began fast."""
    server = start_app(limits={"body_stall_ms": 20_000, "body_window_ms": 20_000})
    put = get("/take", method="PUT", body=BODY)
    paused: list[Wire] = []
    try:
        for _ in range(3 * DISK_THREADS):
            paused.append(server.wire())
            paused[-1].send(put[: 2 * MIB])
        for _ in range(5):
            began = time.monotonic()
            assert server.ask(put, "PUT").json["sha256"] == sha256(BODY)
            assert time.monotonic() - began < 2.0
        for wire in paused:
            wire.send(put[2 * MIB :])
        assert {wire.answer().json["sha256"] for wire in paused} == {sha256(BODY)}
    finally:
        for wire in paused:
            wire.close()


def test_a_fast_body_leaves_turns_to_others(app_server: AppServer) -> None:
    """The hub answers while a thread takes in a body as fast as it comes."""
    with app_server.wire() as wire:
        wire.send(get("/take", f"Content-Length: {64 * MIB}", method="PUT"))
        slowest_s = 0.0
        for _ in range(64):
            wire.send(BODY[:MIB])
            asked = time.monotonic()
            assert app_server.get("/y").status == 200
            slowest_s = max(slowest_s, time.monotonic() - asked)
        assert sum(wire.answer().json["pieces"]) == 64 * MIB
        assert slowest_s < 0.5


def test_what_a_slow_client_sent_does_not_stay_in_the_kernel(start_app: StartApp) -> None:
    server = start_app(limits={"body_stall_ms": 20_000, "body_window_ms": 20_000})
    with server.wire() as wire:
        wire.send(get("/take", f"Content-Length: {len(BODY)}", method="PUT"))
        time.sleep(0.1)
        wire.send(BODY[:100_000])
        port = wire.sock.getsockname()[1]
        assert waiting_bytes(server.port, port) == 100_000
        assert eventually(lambda: waiting_bytes(server.port, port) == 0)
        wire.send(BODY[100_000:])
        assert wire.answer().json["sha256"] == sha256(BODY)


def waiting_bytes(port: int, peer_port: int) -> int:
    """What the kernel holds for the server's end of a connection."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        if (int(local[-4:], 16), int(remote[-4:], 16)) == (port, peer_port):
            return int(queues.split(":")[1], 16)
    raise AssertionError("there is no such connection")


class Memory(bytearray):
    """Bytes of which one can ask whether they are there still."""


@pytest.mark.parametrize("length", [b"Content-Length: 10", b"Transfer-Encoding: chunked"])
def test_the_memory_of_a_body_that_failed_is_free_at_once(length: bytes) -> None:
    """A megabyte each: what only the collector of cycles finds adds up."""
    limits, (ours, theirs) = WireLimits(), socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        head = parse_head(b"PUT /x HTTP/1.1\r\nHost: localhost\r\n" + length, limits)
        wire = BodyWire(Transport(ours, Turns(gevent.get_hub()), is_secure=False), head, limits)
        theirs.sendall(b"bad\r\n")
        theirs.shutdown(socket.SHUT_WR)
        memory = Memory(10)
        gone = weakref.ref(memory)
        gc.disable()
        try:
            for _ in range(3):
                with pytest.raises((IncompleteBody, BadRequest)):
                    fail(wire, memory)
            del memory
            assert gone() is None
        finally:
            gc.enable()


def fail(wire: BodyWire, memory: Memory) -> None:
    room = memoryview(memory)
    while wire.read_into(room) is not None or wire.receive(5):
        pass


def test_clients_that_reset_leave_nothing_behind(app_server: AppServer) -> None:
    before = app_server.get("/x").json["fds"]
    for number in range(40):
        wire = app_server.wire()
        wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        wire.send(get("/take", f"Content-Length: {len(BODY)}", method="PUT") + BODY[: number * 40_000])
        wire.close()
    assert eventually(lambda: app_server.get("/x").json["fds"] <= before + 2)
    assert app_server.log().count("Traceback") == 0
