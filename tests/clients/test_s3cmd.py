"""s3cmd, by path style and by its own default, the bucket in the host name."""

from __future__ import annotations

import hashlib
import os
import secrets
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients import DOMAIN
from tests.clients.drivers import resolving, run
from tests.clients.scenarios import ODD_KEY, PART_BYTES
from tests.components import require
from tests.servers import RunningServer


@dataclass
class S3cmd:
    command: list[str]
    environ: Mapping[str, str]
    home: Path

    def __call__(self, *arguments: str, expect: int = 0) -> str:
        return run([*self.command, *arguments], environ=self.environ, cwd=self.home, expect=expect)


@pytest.fixture(params=["path", "host"])
def s3cmd(request: pytest.FixtureRequest, service: RunningServer, tmp_path: Path) -> S3cmd:
    style = request.param
    host = f"{service.host if style == 'path' else DOMAIN}:{service.port}"
    config = tmp_path / "s3cfg"
    config.write_text(
        f"[default]\naccess_key = {service.access_key}\nsecret_key = {service.secret_key}\nuse_https = False\n"
        f"host_base = {host}\nhost_bucket = {host if style == 'path' else f'%(bucket)s.{host}'}\n"
    )
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8"} | resolving()
    return S3cmd([require("s3cmd"), "--config", str(config), "--no-progress"], environ, tmp_path)


def test_buckets(s3cmd: S3cmd, bucket: str) -> None:
    name = f"{bucket}-own"
    assert "created" in s3cmd("mb", f"s3://{name}")
    assert f"s3://{name}" in s3cmd("ls")
    assert "us-east-1" in s3cmd("info", f"s3://{name}")
    (s3cmd.home / "x").write_bytes(b"x")
    s3cmd("put", "x", f"s3://{name}/x")
    assert f"s3://{name}/x" in s3cmd("la")
    s3cmd("rb", f"s3://{name}", expect=13)  # not empty
    s3cmd("rb", "--force", "--recursive", f"s3://{name}")
    assert f"s3://{name}\n" not in s3cmd("ls")
    s3cmd("ls", f"s3://{name}", expect=12)  # not found


def test_objects(s3cmd: S3cmd, bucket: str, admin: Any) -> None:
    body = secrets.token_bytes(100_000)
    (s3cmd.home / "sent").write_bytes(body)
    s3cmd("put", "sent", f"s3://{bucket}/{ODD_KEY}", "--mime-type", "text/x", "--add-header", "x-amz-meta-a:1")
    head = admin.head_object(Bucket=bucket, Key=ODD_KEY)
    assert (head["ContentType"], head["Metadata"]["a"]) == ("text/x", "1")
    told = s3cmd("info", f"s3://{bucket}/{ODD_KEY}")
    assert hashlib.md5(body).hexdigest() in told
    assert "MIME type: text/x" in told
    s3cmd("get", f"s3://{bucket}/{ODD_KEY}", "received")
    assert (s3cmd.home / "received").read_bytes() == body
    (s3cmd.home / "partly").write_bytes(body[:70_000])
    s3cmd("get", "--continue", f"s3://{bucket}/{ODD_KEY}", "partly")
    assert (s3cmd.home / "partly").read_bytes() == body
    s3cmd("cp", f"s3://{bucket}/{ODD_KEY}", f"s3://{bucket}/copy")
    s3cmd("mv", f"s3://{bucket}/copy", f"s3://{bucket}/moved")
    s3cmd("modify", f"s3://{bucket}/moved", "--mime-type", "text/y")
    assert admin.head_object(Bucket=bucket, Key="moved")["ContentType"] == "text/y"
    assert s3cmd("du", f"s3://{bucket}").split()[:2] == ["200000", "2"]
    s3cmd("setacl", "--acl-public", f"s3://{bucket}/moved")
    assert "anon" in s3cmd("info", f"s3://{bucket}/moved")
    s3cmd("setacl", "--acl-private", f"s3://{bucket}/moved")
    assert "anon" not in s3cmd("info", f"s3://{bucket}/moved")
    s3cmd("del", f"s3://{bucket}/{ODD_KEY}", f"s3://{bucket}/moved")
    assert s3cmd("ls", "--recursive", f"s3://{bucket}") == ""
    s3cmd("get", "--force", f"s3://{bucket}/moved", "received", expect=64)


def test_large_files_go_in_parts(s3cmd: S3cmd, bucket: str, admin: Any) -> None:
    body = secrets.token_bytes(2 * PART_BYTES + 1)
    (s3cmd.home / "large").write_bytes(body)
    s3cmd("put", "--multipart-chunk-size-mb=5", "large", f"s3://{bucket}/large")
    assert admin.head_object(Bucket=bucket, Key="large")["ETag"].endswith('-3"')
    s3cmd("get", f"s3://{bucket}/large", "received")
    assert (s3cmd.home / "received").read_bytes() == body
    upload = admin.create_multipart_upload(Bucket=bucket, Key="begun")["UploadId"]
    admin.upload_part(Bucket=bucket, Key="begun", UploadId=upload, PartNumber=1, Body=b"x")
    assert upload in s3cmd("multipart", f"s3://{bucket}")
    assert "\t1\t" in s3cmd("listmp", f"s3://{bucket}/begun", upload)
    s3cmd("abortmp", f"s3://{bucket}/begun", upload)
    assert upload not in s3cmd("multipart", f"s3://{bucket}")


def test_trees(s3cmd: S3cmd, bucket: str) -> None:
    tree = {"a.txt": b"a", "dir/b c.txt": b"b" * 1000, "dir/deep/ü+%.txt": b""}
    for name, content in tree.items():
        path = s3cmd.home / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert s3cmd("sync", "tree/", f"s3://{bucket}/backup/").count("upload:") == 3
    assert "upload:" not in s3cmd("sync", "tree/", f"s3://{bucket}/backup/")
    (s3cmd.home / "tree/a.txt").unlink()
    assert "delete:" in s3cmd("sync", "--delete-removed", "tree/", f"s3://{bucket}/backup/")
    s3cmd("sync", f"s3://{bucket}/backup/", "back/")
    back = s3cmd.home / "back"
    found = {str(path.relative_to(back)): path.read_bytes() for path in back.rglob("*") if path.is_file()}
    assert found == {name: content for name, content in tree.items() if name != "a.txt"}
    s3cmd("del", "--recursive", f"s3://{bucket}/backup/")
    assert s3cmd("ls", f"s3://{bucket}") == ""


def test_what_is_not_configured_is_told_as_none(s3cmd: S3cmd, bucket: str) -> None:
    told = dict(line.split(":", 1) for line in s3cmd("info", f"s3://{bucket}").splitlines()[1:])
    told = {name.strip(): value.strip() for name, value in told.items()}
    assert told | {"Expiration Rule": "none", "Policy": "none", "CORS": "none", "Payer": "BucketOwner"} == told
    s3cmd("delpolicy", f"s3://{bucket}")
    s3cmd("delcors", f"s3://{bucket}")


def test_a_signed_url_is_refused_for_its_signature_version(s3cmd: S3cmd, bucket: str) -> None:
    """`signurl` knows version 2 only. The server names the version that it takes."""
    url = s3cmd("signurl", f"s3://{bucket}/k", "+60").strip()
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(url.replace(f"{bucket}.{DOMAIN}", "127.0.0.1").replace(DOMAIN, "127.0.0.1"), timeout=10)
    with refusal.value as answer:
        assert b"AWS4-HMAC-SHA256" in answer.read()
