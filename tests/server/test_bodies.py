"""Request bodies: counted, decoded, timed; 100 Continue only when somebody reads (I10; R-08, R-09, R-19)."""

from __future__ import annotations

import contextlib
import hashlib
import random
import socket
import struct
import time

import pytest

from tests.server.conftest import AppServer, StartApp, eventually
from tests.server.wire import Wire, get

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 1 << 20, 5_000_001])
def test_a_sized_body_arrives_whole(app_server: AppServer, size: int) -> None:
    body = random.Random(size).randbytes(size)
    answer = app_server.get("/x", f"Content-Length: {size}", method="PUT", body=body).json
    assert answer["sha256"] == hashlib.sha256(body).hexdigest()
    assert (answer["length"], answer["is_chunked"]) == (size, False)


@pytest.mark.parametrize("chunk", [1, 7, 1_000, 65_536, 300_000])
def test_a_chunked_body_arrives_whole(app_server: AppServer, chunk: int) -> None:
    body = random.Random(chunk).randbytes(min(300_000, chunk * 3_000))
    parts = [body[at : at + chunk] for at in range(0, len(body), chunk)]
    framed = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    with app_server.wire() as wire:
        wire.send(get("/x", "Transfer-Encoding: chunked", method="PUT", body=framed) + get("/behind"))
        answer = wire.answer().json
        assert answer["sha256"] == hashlib.sha256(body).hexdigest()
        assert (answer["length"], answer["is_chunked"]) == (None, True)
        assert wire.answer().json["target"] == "/behind"
    assert len(answer["pieces"]) < 1 + len(body) // 1_000, "small chunks are joined"


def test_chunk_extensions_and_trailers_are_passed_over(app_server: AppServer) -> None:
    framed = b'3;a=b;c="d e"\r\nabc\r\n00A \t;x\r\n0123456789\r\n0;last\r\nX-Trailer: y\r\nZ:\r\n\r\n'
    with app_server.wire() as wire:
        wire.send(get("/x", "Transfer-Encoding: Chunked", method="PUT", body=framed) + get("/behind"))
        assert wire.answer().json["sha256"] == hashlib.sha256(b"abc0123456789").hexdigest()
        assert wire.answer().json["target"] == "/behind"


def test_a_put_without_length_or_coding_has_no_body(app_server: AppServer) -> None:
    with app_server.wire() as wire:
        wire.send(get("/x", method="PUT") + get("/behind"))
        answer = wire.answer().json
        assert (answer["length"], answer["is_chunked"], answer["pieces"]) == (None, False, [])
        assert wire.answer().json["target"] == "/behind"


def test_large_bodies_come_in_large_pieces(app_server: AppServer) -> None:
    answer = app_server.get("/x", method="PUT", body=bytes(32 << 20)).json
    assert max(answer["pieces"]) > 65_536


def test_an_application_may_read_wsgi_input(app_server: AppServer) -> None:
    assert app_server.get("/input", method="POST", body=b"one\ntwo\nthree").json == ["one\n", "two\n", "three"]


# -- Expect ------------------------------------------------------------------------------------------------------


def test_100_continue_comes_at_the_first_read_and_once(app_server: AppServer) -> None:
    with app_server.wire() as wire:
        wire.send(get("/x", "Expect: 100-Continue", "Content-Length: 5", method="PUT"))
        assert wire.sock.recv(len(CONTINUE), socket.MSG_WAITALL) == CONTINUE
        wire.send(b"hello")
        assert sum(wire.answer().json["pieces"]) == 5
        wire.send(get("/again"))
        assert wire.answer().status == 200


def test_an_early_answer_comes_without_100_continue_and_closes(app_server: AppServer) -> None:
    with app_server.wire() as wire:
        wire.send(get("/deny", "Expect: 100-continue", "Content-Length: 5000000000", method="PUT"))
        answer = wire.answer()
        assert (answer.status, answer.header("connection")) == (403, "close")
        assert wire.is_closed()


def test_a_client_that_does_not_wait_gets_no_100_continue(app_server: AppServer) -> None:
    answer = app_server.get("/x", "Expect: 100-continue", method="PUT", body=b"hello")
    assert answer.status == 200


@pytest.mark.parametrize("value", ["", "200-ok", "100-continue, x", "banana", "100-continue=1"])
def test_other_expectations_are_ignored(app_server: AppServer, value: str) -> None:
    with app_server.wire() as wire:
        wire.send(get("/x", f"Expect: {value}", "Content-Length: 5", method="PUT"))
        time.sleep(0.02)
        wire.send(b"hello")
        assert wire.answer().status == 200


def test_expectation_of_http_1_0_is_ignored(app_server: AppServer) -> None:
    with app_server.wire() as wire:
        wire.send(
            get("/x", "Expect: 100-continue", "Content-Length: 5", method="PUT").replace(b"HTTP/1.1", b"HTTP/1.0")
        )
        time.sleep(0.02)
        wire.send(b"hello")
        assert wire.answer().status == 200


def test_an_empty_body_is_continued_too(app_server: AppServer) -> None:
    """botocore takes a final answer instead of 100 Continue, and then for its connection's next answers too."""
    with app_server.wire() as wire:
        for _ in range(2):
            wire.send(get("/x", "Expect: 100-continue", "Content-Length: 0", method="PUT"))
            assert wire.answer().status == 100
            assert wire.answer().status == 200


def test_an_empty_body_that_is_refused_closes(app_server: AppServer) -> None:
    with app_server.wire() as wire:
        wire.send(get("/deny", "Expect: 100-continue", "Content-Length: 0", method="PUT"))
        answer = wire.answer()
        assert (answer.status, answer.header("connection")) == (403, "close")
        assert wire.is_closed()


# -- Answers without a read --------------------------------------------------------------------------------------


def test_a_small_unread_body_keeps_the_connection(app_server: AppServer) -> None:
    with app_server.wire() as wire:
        wire.send(get("/deny", method="PUT", body=bytes(10_000)) + get("/x"))
        first, second = wire.answer(), wire.answer()
        assert (first.status, first.header("connection")) == (403, None)
        assert second.json["target"] == "/x"


def test_a_large_unread_body_is_not_drained(app_server: AppServer) -> None:
    """The answer comes at once, and so does the end, long before the declared bytes."""
    with app_server.wire() as wire:
        wire.send(get("/deny", "Content-Length: 5000000000", method="PUT"))
        answer = wire.answer()
        assert (answer.status, answer.header("connection")) == (403, "close")
        sent = 0
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            while sent < 1 << 30:
                sent += wire.sock.send(bytes(1 << 16))
        assert sent < 32 << 20


def test_a_client_that_writes_all_before_reading_still_gets_the_answer(app_server: AppServer) -> None:
    with app_server.wire() as wire:
        wire.send(get("/deny", "Content-Length: 200000", method="PUT"))
        for _ in range(10):
            wire.send(bytes(20_000))
            time.sleep(0.005)
        assert wire.answer().status == 403


def test_an_unread_chunked_body_ends_the_connection(app_server: AppServer) -> None:
    with app_server.wire() as wire:
        wire.send(get("/deny", "Transfer-Encoding: chunked", method="PUT", body=b"3\r\nabc\r\n0\r\n\r\n") + get("/x"))
        assert wire.answer().header("connection") == "close"
        assert wire.is_closed()


# -- Clients that die or dawdle ----------------------------------------------------------------------------------


def framings(body: bytes) -> dict[str, bytes]:
    return {
        "sized": get("/x", method="PUT", body=body),
        "chunked": get("/x", "Transfer-Encoding: chunked", method="PUT", body=b"5\r\nhello\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n"),
    }  # fmt: skip


@pytest.mark.parametrize("framing", ["sized", "chunked"])
def test_a_body_cut_anywhere_is_incomplete(app_server: AppServer, framing: str) -> None:
    """R-09: the application is told, in time, at every byte; never a short body taken for a whole one (I10)."""
    request = framings(b"hello, world")[framing]
    for cut in range(request.index(b"\r\n\r\n") + 4, len(request)):
        with app_server.wire() as wire:
            began = time.monotonic()
            wire.send(request[:cut])
            wire.sock.shutdown(socket.SHUT_WR)
            answer = wire.answer()
            assert (answer.status, answer.code) == (400, "IncompleteBody")
            assert time.monotonic() - began < 2.0


def test_aborting_clients_leave_nothing_behind(start_app: StartApp) -> None:
    """R-08: 200 resets at random bytes, of uploads and downloads: no descriptor stays open."""
    server = start_app()
    before = server.get("/x").json["fds"]
    dice = random.Random(8)
    upload = get("/x", method="PUT", body=bytes(300_000))
    download = get("/pieces?count=40&size=100000")
    for number in range(200):
        wire = server.wire()
        wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close by reset
        if number % 2:
            wire.send(upload[: dice.randrange(1, len(upload))])
        else:
            wire.send(download)
            wire.sock.recv(dice.randrange(1, 100_000))
        wire.close()
    assert eventually(lambda: server.get("/x").json["fds"] <= before + 5)
    assert server.log().count("Traceback") == 0


@pytest.mark.parametrize("framing", ["Content-Length: 100", "Transfer-Encoding: chunked"])
def test_a_silent_body_times_out(app_server: AppServer, framing: str) -> None:
    with app_server.wire() as wire:
        began = time.monotonic()
        wire.send(get("/x", framing, method="PUT") + b"5\r\nhe")
        answer = wire.answer()
        assert (answer.status, answer.code) == (400, "RequestTimeout")
        assert wire.is_closed()
        assert 0.6 < time.monotonic() - began < 3.0


def test_200_dripping_bodies_are_cut_while_others_are_served(start_app: StartApp) -> None:
    """R-19, with a window of a second in place of half a minute: each sends in time, but too little."""
    server = start_app()
    wires = [server.wire() for _ in range(200)]
    began = time.monotonic()
    for wire in wires:
        wire.send(get("/x", "Content-Length: 1000000", method="PUT"))
        wire.sock.settimeout(0.0)
    left, took_s = set(range(200)), []
    while left and time.monotonic() - began < 8.0:
        for number in list(left):
            try:
                wires[number].sock.send(b"x")
                if b"RequestTimeout" in wires[number].sock.recv(4_096):
                    left.discard(number)
            except BlockingIOError:
                continue
            except OSError:
                left.discard(number)
        asked = time.monotonic()
        assert server.get("/healthy").status == 200
        took_s.append(time.monotonic() - asked)
        time.sleep(0.2)
    for wire in wires:
        wire.close()
    assert not left
    assert sorted(took_s)[-2] < 0.3, "one pause of the machine is not ours"


def test_a_steady_body_outlives_every_window(app_server: AppServer) -> None:
    """What is asked is a rate, not an end: this one takes two windows and a half."""
    with app_server.wire() as wire:
        wire.send(get("/x", "Content-Length: 50000", method="PUT"))
        for _ in range(25):
            wire.send(bytes(2_000))
            time.sleep(0.1)
        assert sum(wire.answer().json["pieces"]) == 50_000


def test_a_head_that_is_never_finished_times_out(app_server: AppServer) -> None:
    """Slow loris: a byte now and then does not prolong the deadline."""
    with app_server.wire() as wire:
        began = time.monotonic()
        wire.send(b"GET / HTTP/1.1\r\n")
        for _ in range(4):
            wire.send(b"X: y\r\n")
            time.sleep(0.15)
        answer = wire.answer()
        assert (answer.status, answer.code) == (400, "RequestTimeout")
        assert time.monotonic() - began < 2.0


def test_idle_connections_are_closed_without_a_word(app_server: AppServer) -> None:
    with Wire(app_server.port) as fresh, Wire(app_server.port) as kept:
        kept.send(get("/x"))
        assert kept.answer().status == 200
        began = time.monotonic()
        assert fresh.is_closed()
        assert time.monotonic() - began < 1.4, "a first request has less time than a further one"
        assert kept.is_closed()
        assert 1.2 < time.monotonic() - began < 3.0
