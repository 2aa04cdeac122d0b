"""A port of its own for the service's paths: what is answered where, and that it lives and ends with the workers."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.server.certificates import self_signed
from tests.server.conftest import eventually
from tests.server.test_settings import PlainGunicorn
from tests.servers import RunningServer, ServerDied, free_port

IN_MEMORY = ("--metadata.engine", "memory", "--storage.backend", "memory")
METRICS = ("/metrics", "/minio/v2/metrics/cluster", "/minio/v2/metrics/node", "/minio/v2/metrics/bucket")
HEALTH = ("/health", "/healthz", "/readyz", "/minio/health/live", "/minio/health/ready", "/minio/health/cluster")
TOKEN = "a-token-of-the-scraper"
Answer = tuple[int, http.client.HTTPMessage, bytes]


def ask(port: int, path: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, headers=dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def status(port: int, path: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> int:
    return ask(port, path, method, headers)[0]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def port() -> int:
    return free_port()


def start(start_server: StartServer, port: int, *args: str, workers: int = 1) -> RunningServer:
    engines = IN_MEMORY if workers == 1 else ()
    bind = ("--observability.metrics_bind", f"127.0.0.1:{port}")
    return start_server(*engines, *bind, *args, workers=workers)


def test_the_metrics_port_has_metrics_and_health_and_nothing_else(start_server: StartServer, port: int) -> None:
    server = start(start_server, port)
    client = server.client()
    for name in ("metrics", "minio", "photos"):
        client.create_bucket(Bucket=name, ACL="public-read-write")
    client.put_object(Bucket="photos", Key="k", Body=b"x", ACL="public-read")
    for path in (*HEALTH, "/metrics"):
        assert status(port, path) == 200, path
        assert status(port, path, "HEAD") == 200, path
    assert b"bleepstore_s3_operations_total" in ask(port, "/metrics?name=x")[2]
    url = client.generate_presigned_url("list_buckets").removeprefix(server.endpoint)
    for path in (
        "/",
        "/photos",
        "/photos/k",
        "/docs",
        "/openapi.json",
        "/.bleepstore/docs/docs.css",
        url,
        "/metrics/",
        "//metrics",
    ):
        assert status(port, path) == 404, path
    for method in ("PUT", "POST", "DELETE", "OPTIONS"):
        assert status(port, "/metrics", method) == 404
    assert status(port, "/photos/new", "PUT") == 404
    assert client.list_objects_v2(Bucket="photos")["KeyCount"] == 1


def test_the_s3_port_has_no_metrics_then_but_its_buckets(start_server: StartServer, port: int) -> None:
    server = start(start_server, port)
    for path in METRICS:
        code, headers, body = ask(server.port, path)
        assert (code, headers["Content-Type"]) == (404, "application/json"), path
        assert b"bleepstore" not in body
        assert status(server.port, path, "HEAD") == 404
        assert status(server.port, path, headers=bearer("x")) == 404
    for path in HEALTH:
        assert status(server.port, path) == 200, path
    client = server.client()
    client.create_bucket(Bucket="metrics")
    assert client.list_objects_v2(Bucket="metrics")["KeyCount"] == 0
    assert status(server.port, "/metrics", "PUT") == 403


def test_a_connection_remembers_nothing_of_the_other_port(start_server: StartServer, port: int) -> None:
    """The short way answers a head that it has seen before without another look: never here."""
    server = start(start_server, port)
    server.client().create_bucket(Bucket="photos")
    server.client().put_object(Bucket="photos", Key="k", Body=b"secret", ACL="public-read")
    head = b"GET /photos/k HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as known:
        for _ in range(3):
            known.sendall(head)
            assert b"secret" in received(known)
    with socket.create_connection(("127.0.0.1", port)) as other:
        for _ in range(3):
            other.sendall(head)
            assert received(other).startswith(b"HTTP/1.1 404 ")


def received(sock: socket.socket) -> bytes:
    """One small answer."""
    sock.settimeout(5)
    found = b""
    while b"\r\n\r\n" not in found:
        found += sock.recv(65_536)
    head, _, body = found.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += sock.recv(65_536)
    return head + body


def test_both_ports_end_with_the_server_and_come_back_with_new_workers(start_server: StartServer, port: int) -> None:
    server = start(start_server, port, workers=2)
    before = server.worker_pids()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: len(server.worker_pids()) == 2 and not set(before) & set(server.worker_pids()))
    for _ in range(8):
        assert status(port, "/metrics") == 200
        assert status(server.port, "/metrics") == 404
    with socket.create_connection(("127.0.0.1", port)) as idle:
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 200 " in received(idle)
        began = time.monotonic()
        assert server.terminate() == 0
        assert time.monotonic() - began < 5, "an idle connection of the metrics port held the stop up"
    for each in (port, server.port):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", each)).close()


def test_full_of_s3_clients_a_worker_still_answers_the_metrics_port(start_server: StartServer, port: int) -> None:
    server = start(start_server, port, "--server.limits.worker_connections", "4")
    with ExitStack() as held:
        for _ in range(4):
            client = held.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            client.sendall(b"GET /x HTTP/1.1\r\n")  # begun and not ended, so nobody may give it up
        time.sleep(0.2)
        assert status(port, "/metrics") == 200


def test_with_tls_both_ports_speak_tls(start_server: StartServer, port: int, tmp_path: Path) -> None:
    both = str(self_signed(tmp_path))
    files = ("--server.tls.cert_file", both, "--server.tls.key_file", both)
    bind = ("--observability.metrics_bind", f"127.0.0.1:{port}")
    start_server(*IN_MEMORY, *bind, *files, scheme="https")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
    connection.request("GET", "/metrics")
    assert connection.getresponse().status == 200
    connection.close()


def test_a_port_that_is_taken_ends_the_start(start_server: StartServer, port: int) -> None:
    server = start_server(*IN_MEMORY)
    with pytest.raises(ServerDied, match="port .* is S3's"):
        start_server(*IN_MEMORY, "--observability.metrics_bind", f":{server.port + 1}", port=server.port + 1)


# -- The token ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("apart", [False, True])
def test_metrics_need_the_token_and_health_does_not(start_server: StartServer, port: int, apart: bool) -> None:
    token = ("--observability.metrics_token", TOKEN)
    server = start(start_server, port, *token) if apart else start_server(*IN_MEMORY, *token)
    asked = port if apart else server.port
    for headers in (
        {},
        bearer("x"),
        bearer(TOKEN[:-1]),
        bearer(TOKEN + "x"),
        bearer(""),
        {"Authorization": f"Basic {TOKEN}"},
    ):
        code, answered, body = ask(asked, "/metrics", headers=headers)
        if "Basic" in headers.get("Authorization", "") and not apart:
            assert code in (400, 403), "another scheme is S3's"
            continue
        assert (code, answered["WWW-Authenticate"]) == (401, 'Bearer realm="metrics"'), headers
        assert b"bleepstore_" not in body
    assert status(asked, "/metrics", headers=bearer(TOKEN)) == 200
    assert status(asked, "/metrics", "HEAD", headers=bearer(TOKEN)) == 200
    assert status(asked, "/metrics", headers={"authorization": f"bearer {TOKEN}"}) == 200
    for path in HEALTH:
        assert status(asked, path) == 200
        assert status(asked, path, headers=bearer("whatever")) == 200
    assert TOKEN not in server.log()


def test_a_refused_scrape_is_no_s3_request(start_server: StartServer, port: int) -> None:
    server = start(start_server, port, "--observability.metrics_token", TOKEN)
    for _ in range(3):
        assert status(port, "/metrics", headers=bearer("wrong")) == 401
    text = ask(port, "/metrics", headers=bearer(TOKEN))[2].decode()
    assert not [line for line in text.splitlines() if line.startswith("bleepstore_s3_operations_total")]
    assert "request.finished" not in server.log()


def test_the_token_may_be_in_a_file(start_server: StartServer, port: int, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    start(start_server, port, "--observability.metrics_token_file", str(tmp_path / "token"))
    assert status(port, "/metrics") == 401
    assert status(port, "/metrics", headers=bearer(TOKEN)) == 200


# -- A reload ----------------------------------------------------------------------------------------------------


class Configured(PlainGunicorn):
    """With data on the disk, and the file beside them."""

    @property
    def file(self) -> Path:
        return self.data_dir.parent / "bleepstore.yaml"

    def environment(self) -> dict[str, str]:
        kept = {
            name: value for name, value in super().environment().items() if not name.endswith(("ENGINE", "BACKEND"))
        }
        workers = {"BLEEPSTORE_SERVER_WORKERS": str(self.workers)}
        return kept | workers | {"BLEEPSTORE_DATA_DIR": str(self.data_dir), "BLEEPSTORE_CONFIG": str(self.file)}

    def reload(self) -> None:
        """With whatever the file says now."""
        before = set(self.worker_pids())
        os.kill(self.pid, signal.SIGHUP)
        assert eventually(lambda: len(self.worker_pids()) == 2 and not before & set(self.worker_pids()), 15)


def test_a_reload_that_would_move_some_ports_keeps_all(tmp_path: Path) -> None:
    """gunicorn would bind S3's port anew beside its own workers, fail, and end."""
    server, ports = Configured(tmp_path / "data", workers=2), [free_port(), free_port()]
    text = 'observability: {metrics_bind: "127.0.0.1:%d"}'
    server.file.write_text(text % ports[0])
    try:
        server.start()
        for content in (text % ports[0], text % ports[1], ""):
            server.file.write_text(content)
            server.reload()
            assert (status(server.port, "/healthz"), status(server.port, "/metrics")) == (200, 404)
            assert (status(ports[0], "/metrics"), status(ports[0], "/")) == (200, 404)
        assert server.log().count("reload.listeners_kept") == 2
        assert server.terminate() == 0
    finally:
        server.kill9()
