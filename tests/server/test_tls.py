"""The same over TLS."""

from __future__ import annotations

import hashlib
import random
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.certificates import self_signed
from tests.server.conftest import SHORT_LIMITS, AppServer
from tests.server.wire import Truncated, Wire, get


@pytest.fixture(scope="module")
def secure_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    directory = tmp_path_factory.mktemp("tls")
    certificate = str(self_signed(directory))
    server = AppServer(directory / "server.log", certificate=certificate, limits=dict(SHORT_LIMITS))
    try:
        yield server.start()
    finally:
        server.kill()


@pytest.fixture
def secure_wire(secure_server: AppServer) -> Iterator[Wire]:
    with Wire(secure_server.port, ssl.create_default_context(cafile=secure_server.certificate)) as wire:
        yield wire


def test_requests_bodies_and_pipelines(secure_wire: Wire) -> None:
    body = random.Random(1).randbytes(3_000_000)
    secure_wire.send(get("/x", method="PUT", body=body) + get("/y"))
    answer = secure_wire.answer().json
    assert answer["sha256"] == hashlib.sha256(body).hexdigest()
    assert answer["environ"]["wsgi.url_scheme"] == "https"
    assert secure_wire.answer().json["target"] == "/y"


def test_threads_take_in_a_body(secure_wire: Wire) -> None:
    """Of records that are here already, many come at a time."""
    body = random.Random(3).randbytes(3_000_017)
    secure_wire.send(get("/take", method="PUT", body=body) + get("/y"))
    answer = secure_wire.answer().json
    assert answer["sha256"] == hashlib.sha256(body).hexdigest()
    assert max(answer["pieces"]) > 1 << 16
    assert secure_wire.answer().json["target"] == "/y"


def test_files_and_failing_bodies(secure_wire: Wire, tmp_path: Path) -> None:
    content = random.Random(2).randbytes(4_000_000)
    (tmp_path / "file").write_bytes(content)
    secure_wire.send(get(f"/span?path={tmp_path}/file&offset=7&length=3999000"))
    assert secure_wire.answer().body == content[7:3_999_007]
    secure_wire.send(get("/pieces?count=9&size=100000&fail=5"))
    with pytest.raises((Truncated, ssl.SSLEOFError)):
        secure_wire.answer()


def test_expect_and_early_answers(secure_wire: Wire) -> None:
    secure_wire.send(get("/x", "Expect: 100-continue", "Content-Length: 5", method="PUT"))
    assert secure_wire.answer().status == 100
    secure_wire.send(b"hello")
    assert secure_wire.answer().status == 200
    secure_wire.send(get("/deny", "Content-Length: 5000000", method="PUT"))
    assert secure_wire.answer().header("connection") == "close"


def test_a_silent_body_times_out(secure_wire: Wire) -> None:
    secure_wire.send(get("/x", "Content-Length: 5", method="PUT") + b"he")
    assert secure_wire.answer().code == "RequestTimeout"


def test_plain_http_on_the_tls_port_is_told_so(secure_server: AppServer) -> None:
    answer = secure_server.get("/x")
    assert (answer.status, answer.code) == (400, "BadRequest")
    assert b"HTTPS" in answer.body


def test_a_broken_or_missing_handshake_ends_the_connection(secure_server: AppServer) -> None:
    for opening in (b"\x16\x03\x01\x00\x05hello", b"\x16", b""):
        with secure_server.wire() as wire:
            wire.send(opening)
            while wire.sock.recv(4_096):
                pass  # an alert may come
