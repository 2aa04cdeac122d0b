"""s3fs mounts a bucket as a file system."""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.drivers import run
from tests.components import require, require_path, require_root
from tests.servers import RunningServer

READY_S = 20.0


@pytest.fixture
def mounted(service: RunningServer, bucket: str, tmp_path: Path) -> Iterator[Path]:
    program = require("s3fs")
    require_path("/dev/fuse", "loading the kernel's module fuse, or --device /dev/fuse for a container")
    require_root()
    passwords, where = tmp_path / "passwords", tmp_path / "mounted"
    passwords.write_text(f"{service.access_key}:{service.secret_key}\n")
    passwords.chmod(0o600)
    where.mkdir()
    options = {
        "url": service.endpoint,
        "passwd_file": str(passwords),
        "multipart_size": "10",
        "endpoint": "us-east-1",
        "retries": "1",
    }
    flags = ["use_path_request_style", *(f"{name}={value}" for name, value in options.items())]
    process = subprocess.Popen(
        [program, bucket, str(where), "-f", "-o", ",".join(flags)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        _await_mount(process, where)
        yield where
    finally:
        subprocess.run(["umount", "--lazy", str(where)], check=False, capture_output=True)
        process.wait(READY_S)
        assert process.stdout is not None
        process.stdout.close()


def _await_mount(process: subprocess.Popen[bytes], where: Path) -> None:
    until = time.monotonic() + READY_S
    while not os.path.ismount(where):
        assert process.poll() is None, process.communicate()[0].decode()
        assert time.monotonic() < until, "s3fs does not mount"
        time.sleep(0.02)  # another process: there is no clock to pass


def test_files_live_in_a_bucket(mounted: Path, bucket: str, admin: Any) -> None:
    (mounted / "dir/deep").mkdir(parents=True)
    (mounted / "dir/a b ü.txt").write_text("hello")
    large = secrets.token_bytes(25 * 1024 * 1024)
    (mounted / "dir/large").write_bytes(large)
    assert sorted(os.listdir(mounted / "dir")) == ["a b ü.txt", "deep", "large"]
    assert admin.get_object(Bucket=bucket, Key="dir/a b ü.txt")["Body"].read() == b"hello"
    assert admin.get_object(Bucket=bucket, Key="dir/large")["Body"].read() == large

    admin.put_object(Bucket=bucket, Key="from outside", Body=b"x" * 100_000)
    assert (mounted / "from outside").read_bytes() == b"x" * 100_000
    with (mounted / "dir/a b ü.txt").open("a") as file:
        file.write(", world")
    assert (mounted / "dir/a b ü.txt").read_text() == "hello, world"

    (mounted / "dir/large").rename(mounted / "renamed")
    assert (mounted / "renamed").read_bytes() == large
    (mounted / "dir").rename(mounted / "moved")
    assert sorted(os.listdir(mounted)) == ["from outside", "moved", "renamed"]
    (mounted / "renamed").chmod(0o640)
    assert (mounted / "renamed").stat().st_mode & 0o777 == 0o640
    with (mounted / "renamed").open("r+b") as file:  # s3fs 1.90 loses the content if the file is not open
        file.truncate(1000)
    assert (mounted / "renamed").read_bytes() == large[:1000]

    run(["rm", "-r", str(mounted / "moved"), str(mounted / "renamed"), str(mounted / "from outside")])
    assert os.listdir(mounted) == []
    assert "Contents" not in admin.list_objects_v2(Bucket=bucket)
