"""restic keeps a repository of its own in a bucket: what it wrote it checks to the last byte."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

from tests.clients.drivers import environment, run
from tests.components import require
from tests.servers import RunningServer


def test_a_repository_lives_in_a_bucket(service: RunningServer, bucket: str, tmp_path: Path) -> None:
    environ = environment(service, tmp_path) | {
        "RESTIC_REPOSITORY": f"s3:{service.endpoint}/{bucket}/restic",
        "RESTIC_PASSWORD": "secret",
    }
    program = require("restic")

    def restic(*arguments: str) -> str:
        return run([program, "--no-cache", *arguments], environ=environ, cwd=tmp_path)

    source = tmp_path / "source"
    (source / "dir").mkdir(parents=True)
    (source / "large").write_bytes(random.Random(1).randbytes(25_000_000))
    (source / "dir/empty").touch()
    (source / "dir/ü").write_bytes(b"one")
    os.symlink("dir/ü", source / "link")

    restic("init")
    restic("backup", "source")
    first = (source / "large").read_bytes()
    (source / "large").write_bytes(random.Random(2).randbytes(8_000_000))
    (source / "dir/ü").write_bytes(b"two")
    restic("backup", "source")
    snapshots = json.loads(restic("snapshots", "--json"))
    assert len(snapshots) == 2
    assert "no errors were found" in restic("check", "--read-data")

    restic("restore", snapshots[0]["id"], "--target", "old")
    assert (tmp_path / "old/source/large").read_bytes() == first
    assert (tmp_path / "old/source/dir/ü").read_bytes() == b"one"
    restic("restore", "latest", "--target", "new", "--verify")
    assert (tmp_path / "new/source/link").read_bytes() == b"two"

    restic("forget", "--keep-last", "1", "--prune")
    assert len(json.loads(restic("snapshots", "--json"))) == 1
    assert "no errors were found" in restic("check", "--read-data")
    assert "dir/ü" in restic("ls", "latest")
