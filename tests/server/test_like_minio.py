"""`bleepstore server`, started with MinIO's words, seen by clients that think that it is one."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers import ROOT, RunningServer, boto_client, free_port

CONSOLE_PORT = free_port()


@dataclass
class LikeMinio(RunningServer):
    def command(self) -> list[str]:
        return [
            sys.executable, "-m", "app", "minio", "server", str(self.data_dir), "--address", f":{self.port}",
            "--console-address", f":{CONSOLE_PORT}", "--quiet", *self.args,
        ]  # fmt: skip

    def environment(self) -> dict[str, str]:
        ours = super().environment()
        keys = {"MINIO_ROOT_USER": self.access_key, "MINIO_ROOT_PASSWORD": self.secret_key}
        return {name: value for name, value in ours.items() if not name.startswith("BLEEPSTORE_AUTH_")} | keys


@pytest.fixture(scope="module")
def like_minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LikeMinio]:
    server = LikeMinio(tmp_path_factory.mktemp("like-minio") / "data")
    try:
        server.start()
        yield server
    finally:
        server.kill9()


def status(server: RunningServer, path: str, method: str = "GET", port: int | None = None) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port or server.port, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def test_it_listens_everywhere_and_takes_any_region(like_minio: LikeMinio) -> None:
    import boto3
    from botocore.config import Config

    for region in ("us-east-1", "eu-west-3", "mars"):
        s3 = boto3.client(
            "s3", endpoint_url=like_minio.endpoint, region_name=region, aws_access_key_id=like_minio.access_key,
            aws_secret_access_key=like_minio.secret_key, config=Config(s3={"addressing_style": "path"}),
        )  # fmt: skip
        s3.list_buckets()
    assert "0.0.0.0" in like_minio.log()


@pytest.mark.parametrize("path", ["live", "ready", "cluster", "cluster/read"])
def test_minios_health_paths(like_minio: LikeMinio, path: str) -> None:
    assert status(like_minio, f"/minio/health/{path}") == 200
    assert status(like_minio, f"/minio/health/{path}", "HEAD") == 200


def test_the_consoles_port_shows_the_api_and_nothing_of_s3(like_minio: LikeMinio) -> None:
    shown = {"/": 302, "/docs": 200, "/openapi.json": 200, "/.bleepstore/docs/docs.js": 200, "/minio/health/live": 200}
    for path, code in shown.items():
        assert status(like_minio, path, port=CONSOLE_PORT) == code
    like_minio.client().create_bucket(Bucket="docs", ACL="public-read-write")
    for method, path in (
        ("GET", "/docs/"),
        ("PUT", "/docs/k"),
        ("GET", "/metrics"),
        ("GET", "/.bleepstore/x"),
        ("POST", "/"),
    ):
        assert status(like_minio, path, method, port=CONSOLE_PORT) == 404


def test_folders_made_before_the_start_are_buckets(like_minio: LikeMinio) -> None:
    (like_minio.data_dir / "made-by-hand").mkdir()
    like_minio.restart()
    like_minio.client().put_object(Bucket="made-by-hand", Key="k", Body=b"")


def test_a_bucket_may_be_called_minio_all_the_same(like_minio: LikeMinio) -> None:
    s3 = boto_client(like_minio.endpoint, like_minio.access_key, like_minio.secret_key)
    s3.create_bucket(Bucket="minio")
    s3.put_object(Bucket="minio", Key="health/live", Body=b"an object")
    assert s3.get_object(Bucket="minio", Key="health/live")["Body"].read() == b"an object"
    assert status(like_minio, "/minio/health/else") == 403


def test_minios_own_credentials_are_refused_like_ours(tmp_path: Path) -> None:
    """No MINIO_ROOT_PASSWORD: MinIO would take minioadmin, which everybody knows."""
    done = subprocess.run(
        [sys.executable, "-m", "app", "server", str(tmp_path)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "default secret key" in done.stderr
