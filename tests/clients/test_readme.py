"""What the README tells users of clients to type, typed."""

from __future__ import annotations

import os
import re
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.clients.drivers import run
from tests.components import require, require_aws_cli, require_node_module, require_path, require_python, require_root
from tests.servers import ROOT, RunningServer

README = (ROOT / "README.md").read_text()
ADDRESS = "127.0.0.1:9000"
TESTED = {"boto3", "JavaScript", "minio-py", "pyarrow", "s3cmd", "rclone", "restic", "s3fs", "AWS CLI"}
NOT_IN_DEBIAN = {"MinIO's mc"}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with the credentials that everybody knows, and the quick start's bucket."""
    data = tmp_path_factory.mktemp("readme") / "data"
    server = RunningServer(data, access_key="bleepstore", secret_key="bleepstore-secret", workers=2)
    try:
        server.start().client().create_bucket(Bucket="photos")
        yield server
    finally:
        server.kill9()


@pytest.fixture
def s3(fresh: RunningServer) -> Any:
    return fresh.client()


@pytest.fixture
def environ(fresh: RunningServer, tmp_path: Path) -> dict[str, str]:
    """A home with a picture of a cat, and the variables that the quick start exports."""
    (tmp_path / "cat.jpg").write_bytes(b"miaow")
    exported = dict(re.findall(r"([A-Z_]+)=(\S+)", _at(fresh, _fence(README.index("## Quick start"), skip=1))))
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8"} | exported


def snippet(server: RunningServer, client: str) -> str:
    """The first code below a client's name, with the address of this server."""
    return _at(server, _fence(README.index(f"\n**{client}**")))


def shell(script: str, environ: Mapping[str, str], **options: Any) -> str:
    return run(["sh", "-euc", script], environ=environ, cwd=Path(environ["HOME"]), **options)


def _fence(start: int, skip: int = 0) -> str:
    found = re.findall(r"^```\w+\n(.*?)^```$", README[start:], re.DOTALL | re.MULTILINE)
    code: str = found[skip]
    return code


def _at(server: RunningServer, code: str) -> str:
    return code.replace(ADDRESS, f"{server.host}:{server.port}")


def test_every_client_that_is_named_is_run() -> None:
    section = README[README.index("## Clients") : README.index("## Configuration")]
    named = set(re.findall(r"^\*\*([^*]+)\*\*", section, re.MULTILINE)) - {"Without a client"}
    assert named == TESTED | NOT_IN_DEBIAN


def test_quick_start(fresh: RunningServer, environ: dict[str, str]) -> None:
    environ["PATH"] = f"{Path(require_aws_cli()).parent}:{environ['PATH']}"
    script = _at(fresh, _fence(README.index("## Quick start"), skip=1))
    assert "cat.jpg" in shell(script, environ)


def test_aws_cli(fresh: RunningServer, environ: dict[str, str], s3: Any) -> None:
    environ["PATH"] = f"{Path(require_aws_cli()).parent}:{environ['PATH']}"
    s3.put_object(Bucket="photos", Key="cat.jpg", Body=b"miaow")
    url = shell(snippet(fresh, "AWS CLI"), environ).strip()
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.read() == b"miaow"


@pytest.mark.parametrize(
    ("client", "module", "key"),
    [("boto3", "boto3", "hello.txt"), ("minio-py", "minio", "cat.jpg"), ("pyarrow", "pyarrow", "table.parquet")],
)
def test_python(
    client: str, module: str, key: str, fresh: RunningServer, environ: dict[str, str], s3: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    require_python(module)
    monkeypatch.chdir(environ["HOME"])
    exec(compile(snippet(fresh, client), f"README.md: {client}", "exec"), {})
    assert s3.head_object(Bucket="photos", Key=key)["ContentLength"] > 0


def test_javascript(fresh: RunningServer, environ: dict[str, str], s3: Any) -> None:
    directory = require_node_module("@aws-sdk/client-s3")
    code = snippet(fresh, "JavaScript")
    run([require("node"), "--input-type=module"], environ=environ, cwd=directory, stdin=code.encode())
    assert s3.get_object(Bucket="photos", Key="hello.txt")["Body"].read() == b"hello"


def test_s3cmd(fresh: RunningServer, environ: dict[str, str], s3: Any) -> None:
    s3.put_object(Bucket="photos", Key="cat.jpg", Body=b"miaow")
    Path(environ["HOME"], ".s3cfg").write_text(snippet(fresh, "s3cmd"))
    assert "s3://photos/cat.jpg" in run([require("s3cmd"), "ls", "s3://photos"], environ=environ)


def test_rclone(fresh: RunningServer, environ: dict[str, str], s3: Any) -> None:
    s3.put_object(Bucket="photos", Key="cat.jpg", Body=b"miaow")
    config = Path(environ["HOME"], ".config/rclone/rclone.conf")
    config.parent.mkdir(parents=True)
    config.write_text(snippet(fresh, "rclone"))
    assert "cat.jpg" in run([require("rclone"), "lsf", "bleepstore:photos"], environ=environ)


def test_restic(fresh: RunningServer, environ: dict[str, str], s3: Any) -> None:
    require("restic")
    (Path(environ["HOME"]) / "documents").mkdir()
    shell(snippet(fresh, "restic"), environ)
    assert s3.list_objects_v2(Bucket="backups", Prefix="snapshots/")["KeyCount"] == 1


def test_s3fs(fresh: RunningServer, environ: dict[str, str], s3: Any) -> None:
    require("s3fs")
    require_path("/dev/fuse", "loading the kernel's module fuse, or --device /dev/fuse for a container")
    require_root()
    s3.put_object(Bucket="photos", Key="cat.jpg", Body=b"miaow")
    mounted = Path(environ["HOME"], "photos")
    try:
        shell(snippet(fresh, "s3fs"), environ)
        assert (mounted / "cat.jpg").read_bytes() == b"miaow"
    finally:
        subprocess.run(["umount", "--lazy", str(mounted)], check=False, capture_output=True)


def test_without_a_client(fresh: RunningServer, s3: Any) -> None:
    s3.put_object(Bucket="photos", Key="cat.jpg", Body=b"miaow")
    (command,) = re.findall(r"`bleepstore (presign [^`]+)`", README)
    arguments = [*fresh.command()[:3], *command.split()]
    environ = fresh.environment() | {"BLEEPSTORE_SERVER_PORT": str(fresh.port)}
    url = run(arguments, environ=environ).strip()
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.read() == b"miaow"
