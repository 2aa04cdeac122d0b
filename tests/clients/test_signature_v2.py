"""Clients that sign by Version 2: boto3's default URLs, boto3 told to, s3cmd."""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.components import require
from tests.servers import RunningServer


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    server = RunningServer(
        tmp_path_factory.mktemp("old") / "data", args=("--auth.allow_v2", "true", "--server.domain", "s3.localhost")
    )
    try:
        server.start()
        yield server
    finally:
        server.kill9()


def client(server: RunningServer, style: str = "path", **options: Any) -> Any:
    endpoint = server.endpoint if style == "path" else f"http://s3.localhost:{server.port}"
    return boto3.session.Session().client(
        "s3", endpoint_url=endpoint, aws_access_key_id=server.access_key, aws_secret_access_key=server.secret_key,
        region_name="us-east-1", config=Config(s3={"addressing_style": style}, retries={"total_max_attempts": 1}, **options),
    )  # fmt: skip


def fetch(method: str, url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    request = urllib.request.Request(url, data=body, headers=headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_the_urls_that_boto3_makes_unless_told_otherwise(old: RunningServer) -> None:
    s3 = client(old)
    s3.create_bucket(Bucket="urls")
    s3.put_object(Bucket="urls", Key="a b/é+.txt", Body=b"an object")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "urls", "Key": "a b/é+.txt"})
    assert "AWSAccessKeyId=" in url
    assert fetch("GET", url) == (200, b"an object")
    shown = {"Bucket": "urls", "Key": "a b/é+.txt", "ResponseContentType": "text/x-odd; charset=utf-8"}
    with urllib.request.urlopen(s3.generate_presigned_url("get_object", Params=shown), timeout=10) as answer:
        assert answer.headers["Content-Type"] == "text/x-odd; charset=utf-8"
    put = s3.generate_presigned_url("put_object", Params={"Bucket": "urls", "Key": "put", "ContentType": "text/plain"})
    assert fetch("PUT", put, b"put by a stranger", {"Content-Type": "text/plain"})[0] == 200
    assert fetch("PUT", put, b"another type", {"Content-Type": "text/html"})[0] == 403
    assert s3.get_object(Bucket="urls", Key="put")["Body"].read() == b"put by a stranger"
    assert fetch("DELETE", put)[0] == 403
    assert fetch("GET", url.replace("txt", "tx"))[0] == 403


@pytest.mark.parametrize("style", ["path", "virtual"])
def test_boto3_told_to(old: RunningServer, style: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **options: resolve("127.0.0.1", *rest, **options))
    s3, bucket = client(old, style, signature_version="s3"), f"told-{style}"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="k é", Body=bytes(200_000), Metadata={"name": "value"}, ContentType="text/plain")
    assert s3.get_object(Bucket=bucket, Key="k é", Range="bytes=5-9")["Body"].read() == bytes(5)
    assert s3.head_object(Bucket=bucket, Key="k é")["Metadata"] == {"name": "value"}
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=b"part")
    s3.complete_multipart_upload(
        Bucket=bucket,
        Key="parts",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/parts")
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket, Prefix="")["Contents"]] == [
        "copy",
        "k é",
        "parts",
    ]
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "copy"}]})
    assert len(s3.list_object_versions(Bucket=bucket)["DeleteMarkers"]) == 1


def test_s3cmd(old: RunningServer, tmp_path: Path) -> None:
    program = require("s3cmd")
    file = tmp_path / "file.txt"
    file.write_bytes(b"from s3cmd")
    flags = [
        "--no-ssl", f"--host=127.0.0.1:{old.port}", "--host-bucket=", f"--access_key={old.access_key}", "--signature-v2",
        f"--secret_key={old.secret_key}", "--config=/dev/null",
    ]  # fmt: skip

    def s3cmd(*arguments: str) -> str:
        return subprocess.run(
            [program, *flags, *arguments], check=True, capture_output=True, text=True, timeout=60
        ).stdout

    s3cmd("mb", "s3://by-s3cmd")
    s3cmd("put", str(file), "s3://by-s3cmd/dir/file.txt")
    assert "dir/file.txt" in s3cmd("ls", "-r", "s3://by-s3cmd")
    s3cmd("get", "s3://by-s3cmd/dir/file.txt", str(tmp_path / "back.txt"))
    assert (tmp_path / "back.txt").read_bytes() == b"from s3cmd"


def test_without_the_setting_version_2_is_refused_and_version_4_named(server: RunningServer) -> None:
    with pytest.raises(ClientError, match="AWS4-HMAC-SHA256"):
        client(server, signature_version="s3").list_buckets()
    url = client(server).generate_presigned_url("get_object", Params={"Bucket": "any", "Key": "k"})
    status, text = fetch("GET", url)
    assert (status, b"AWS4-HMAC-SHA256" in text) == (400, True)
