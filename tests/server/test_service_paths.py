"""Health, metrics and documentation over HTTP, beside buckets of the same names."""

from __future__ import annotations

import http.client
import os
import re
import signal
import time

import pytest

from tests.conftest import StartServer
from tests.servers import RunningServer

IN_MEMORY = ("--metadata.engine", "memory", "--storage.backend", "memory")
RESPAWN_MAX_S = 5.0


def fetch(server: RunningServer, path: str, method: str = "GET") -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def operations(server: RunningServer, operation: str) -> float:
    text = fetch(server, "/metrics")[2].decode()
    counts = re.findall(rf'^bleepstore_s3_operations_total{{operation="{operation}",.*}} (\S+)$', text, re.MULTILINE)
    return sum(map(float, counts))


@pytest.mark.parametrize("path", ["/health", "/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"])
def test_service_paths_answer_without_a_signature(start_server: StartServer, path: str) -> None:
    server = start_server(*IN_MEMORY)
    status, _, body = fetch(server, path)
    assert status == 200
    assert body
    status, headers, body = fetch(server, path, "HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 0


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE"])
def test_nothing_else_is_below_the_services_prefix(start_server: StartServer, method: str) -> None:
    server = start_server(*IN_MEMORY)
    for path in ("/.bleepstore/", "/.bleepstore/x", "/.bleepstore/x/y?acl"):
        assert fetch(server, path, method)[0] == 404
    assert "Traceback" not in server.log()


def test_buckets_may_bear_the_names_of_service_paths(start_server: StartServer) -> None:
    """What is signed is S3's, whatever the path; so is every other method, and every longer path."""
    server = start_server(*IN_MEMORY)
    client = server.client()
    for name in ("health", "metrics", "docs"):
        client.create_bucket(Bucket=name)
        client.put_object(Bucket=name, Key="a/b", Body=b"x")
        assert client.list_objects_v2(Bucket=name)["KeyCount"] == 1
        client.head_bucket(Bucket=name)
        assert fetch(server, f"/{name}/a/b")[0] == 403
        assert fetch(server, f"/{name}", "DELETE")[0] == 403
        assert fetch(server, f"/{name}")[0] == 200
    assert [bucket["Name"] for bucket in client.list_buckets()["Buckets"]] == ["docs", "health", "metrics"]


def test_a_killed_worker_loses_no_count(start_server: StartServer) -> None:
    server = start_server(*IN_MEMORY)
    for _ in range(7):
        server.client().list_buckets()
    assert operations(server, "ListBuckets") == 7
    (worker,) = server.worker_pids()
    os.kill(worker, signal.SIGKILL)
    deadline = time.monotonic() + RESPAWN_MAX_S
    while server.worker_pids() in ([], [worker]) and time.monotonic() < deadline:
        time.sleep(0.02)  # another process has to notice
    assert operations(server, "ListBuckets") == 7
    server.client().list_buckets()
    assert operations(server, "ListBuckets") == 8


def test_what_is_switched_off_is_not_answered(start_server: StartServer) -> None:
    server = start_server(*IN_MEMORY, "--observability.metrics", "false", "--observability.health_check", "false")
    for path in ("/health", "/healthz", "/readyz", "/metrics"):
        assert fetch(server, path)[0] == 404


def test_log_lines_hold_no_signature_and_no_secret(start_server: StartServer) -> None:
    """S-14 for the requests of this test: presigned, signed and refused ones."""
    server = start_server(*IN_MEMORY)
    client = server.client(signature_version="s3v4")
    client.create_bucket(Bucket="photos")
    client.put_object(Bucket="photos", Key="k", Body=b"x")
    url = client.generate_presigned_url("get_object", Params={"Bucket": "photos", "Key": "k"})
    assert fetch(server, url.removeprefix(server.endpoint))[0] == 200
    assert fetch(server, url.removeprefix(server.endpoint) + "0")[0] == 403
    deadline = time.monotonic() + RESPAWN_MAX_S
    while server.log().count("request.finished") < 4 and time.monotonic() < deadline:
        time.sleep(0.01)  # a line is written after the answer was sent
    log = server.log()
    assert log.count("request.finished") == 4
    signature = url.partition("X-Amz-Signature=")[2][:64]
    for word in (signature, "X-Amz", server.secret_key, "Credential"):
        assert word not in log
