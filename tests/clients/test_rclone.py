"""rclone, configured as the README says."""

from __future__ import annotations

import os
import re
import secrets
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients.drivers import run
from tests.clients.scenarios import PART_BYTES
from tests.components import require
from tests.servers import RunningServer

TREE = {
    "a.txt": b"a",
    "dir/b c.txt": b"b" * 1000,
    "dir/deep/ü+%?#.txt": b"",
    "dir/large": secrets.token_bytes(2 * PART_BYTES + 9),
}


@dataclass
class Rclone:
    command: list[str]
    environ: Mapping[str, str]
    home: Path

    def __call__(self, *arguments: str, stdin: bytes = b"", expect: int = 0) -> str:
        return run([*self.command, *arguments], environ=self.environ, cwd=self.home, stdin=stdin, expect=expect)

    def files(self, where: str) -> list[str]:
        return sorted(self("lsf", "--recursive", "--files-only", where).splitlines())


@pytest.fixture
def rclone(service: RunningServer, tmp_path: Path) -> Rclone:
    config = tmp_path / "rclone.conf"
    config.write_text(
        f"[store]\ntype = s3\nprovider = Other\naccess_key_id = {service.access_key}\n"
        f"secret_access_key = {service.secret_key}\nendpoint = {service.endpoint}\nregion = us-east-1\n"
    )
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "RCLONE_CONFIG": str(config)}
    flags = ["--s3-upload-cutoff", "5M", "--s3-chunk-size", "5M", "--retries", "1", "--low-level-retries", "1"]
    return Rclone([require("rclone"), *flags], environ, tmp_path)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, content in TREE.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (1_600_000_000.123, 1_600_000_000.123))
    return tmp_path / "tree"


def test_trees_are_copied_checked_and_synchronised(rclone: Rclone, bucket: str, tree: Path) -> None:
    there = f"store:{bucket}/backup"
    rclone("copy", str(tree), there)
    assert rclone.files(there) == sorted(TREE)
    rclone("check", str(tree), there)
    rclone("check", "--download", str(tree), there)
    assert "2020-09-13 12:26:40" in rclone("lsl", there), "the files' own times are kept"
    (tree / "a.txt").write_bytes(b"changed")
    (tree / "dir/b c.txt").unlink()
    assert "2 differences found" in rclone_said(rclone, "check", str(tree), there)
    rclone("sync", str(tree), there)
    rclone("check", str(tree), there)
    rclone("copy", there, "back")
    assert (rclone.home / "back/dir/large").read_bytes() == TREE["dir/large"]
    assert (rclone.home / "back/a.txt").stat().st_mtime == (tree / "a.txt").stat().st_mtime


def rclone_said(rclone: Rclone, *arguments: str) -> str:
    """What it says of a difference goes to the log, here to standard output."""
    rclone(*arguments, "--log-file", "log", expect=1)
    return (rclone.home / "log").read_text()


def test_objects_are_read_copied_and_moved_on_the_server(rclone: Rclone, bucket: str, tree: Path, admin: Any) -> None:
    rclone("copy", str(tree), f"store:{bucket}")
    assert rclone("cat", f"store:{bucket}/dir/b c.txt") == "b" * 1000
    assert rclone("cat", "--offset", "10", "--count", "5", f"store:{bucket}/dir/b c.txt") == "bbbbb"
    assert rclone("lsf", f"store:{bucket}") == "a.txt\ndir/\n"
    rclone("copyto", f"store:{bucket}/dir/large", f"store:{bucket}/large copy")
    rclone("moveto", f"store:{bucket}/a.txt", f"store:{bucket}/moved/a.txt")
    rclone("copy", f"store:{bucket}/dir", f"store:{bucket}/second")
    rclone("check", f"store:{bucket}/dir", f"store:{bucket}/second")
    rclone("touch", "--timestamp", "2021-01-01T00:00:00", f"store:{bucket}/large copy")
    assert "2021-01-01" in rclone("lsl", f"store:{bucket}/large copy")
    assert admin.get_object(Bucket=bucket, Key="large copy")["Body"].read() == TREE["dir/large"]
    rclone("delete", f"store:{bucket}/second")
    rclone("deletefile", f"store:{bucket}/large copy")
    assert rclone.files(f"store:{bucket}") == sorted({*TREE, "moved/a.txt"} - {"a.txt"})
    assert '"count":4' in rclone("size", "--json", f"store:{bucket}")


def test_a_stream_without_a_length_goes_in_parts(rclone: Rclone, bucket: str, admin: Any) -> None:
    body = secrets.token_bytes(PART_BYTES + 1)
    rclone("rcat", "--streaming-upload-cutoff", "1M", f"store:{bucket}/stream", stdin=body)
    found = admin.get_object(Bucket=bucket, Key="stream")
    assert found["Body"].read() == body
    assert found["ETag"].endswith('-2"')


def test_files_move_away(rclone: Rclone, bucket: str, tree: Path) -> None:
    rclone("move", str(tree), f"store:{bucket}")
    assert [path for path in tree.rglob("*") if path.is_file()] == []
    assert rclone.files(f"store:{bucket}") == sorted(TREE)


def test_buckets_links_and_leftovers(rclone: Rclone, bucket: str, admin: Any) -> None:
    name = f"{bucket}-own"
    rclone("mkdir", f"store:{name}")
    assert f"{name}/" in rclone("lsf", "store:").splitlines()
    rclone("rcat", f"store:{name}/a b", stdin=b"linked")
    url = rclone("link", f"store:{name}/a b").strip()
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.read() == b"linked"
    admin.create_multipart_upload(Bucket=name, Key="begun")
    assert "begun" in rclone("backend", "list-multipart-uploads", f"store:{name}")
    rclone("backend", "cleanup", "-o", "max-age=0s", f"store:{name}")
    assert "Uploads" not in admin.list_multipart_uploads(Bucket=name)
    rclone("purge", f"store:{name}")
    assert f"{name}/" not in rclone("lsf", "store:").splitlines()


def test_versions(rclone: Rclone, bucket: str) -> None:
    assert "Unversioned" in rclone("backend", "versioning", f"store:{bucket}")
    rclone("backend", "versioning", f"store:{bucket}", "Enabled")
    rclone("rcat", f"store:{bucket}/k.txt", stdin=b"old")
    rclone("deletefile", f"store:{bucket}/k.txt")
    assert rclone.files(f"store:{bucket}") == []
    (hidden,) = rclone("lsf", "--s3-versions", f"store:{bucket}").splitlines()
    assert re.fullmatch(r"k-v[-0-9]+\.txt", hidden)
    assert rclone("cat", "--s3-versions", f"store:{bucket}/{hidden}") == "old"
