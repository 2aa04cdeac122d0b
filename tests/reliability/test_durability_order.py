"""R-05: what strace sees of every request is fsync(blob) < rename < fsync(directory) < WAL sync < reply."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.components import require
from tests.conftest import StartServer
from tests.reliability.durability_child import REPLY_FIRST, REQUESTS
from tests.reliability.strace_order import attach, command, parse, violations
from tests.servers import ROOT, RunningServer

ROUNDS = 40  # of five requests
SERVER_KINDS = ("put", "put", "commit", "commit", "put", "commit", "commit", "commit")
SERVER_ROUNDS = 25
LARGE = bytes(300_000)  # above any inline limit


def test_every_request_of_the_engines_is_durable_before_its_reply(tmp_path: Path) -> None:
    assert watch(tmp_path, "none", ROUNDS) == []


def test_every_request_of_a_server_is_durable_before_its_reply(tmp_path: Path, start_server: StartServer) -> None:
    assert watch_server(tmp_path, start_server(), SERVER_ROUNDS) == []


def test_a_server_that_does_not_sync_its_log_is_seen(tmp_path: Path, start_server: StartServer) -> None:
    wrong = watch_server(tmp_path, start_server("--metadata.sqlite.synchronous", "normal"), 2)
    assert len(wrong) == 2 * len(SERVER_KINDS)
    assert all(sentence.endswith("the WAL was not synced between the commit and the reply") for sentence in wrong), (
        wrong
    )


@pytest.mark.parametrize(
    ("mutant", "expected"),
    [
        ("no directory sync", "its directory was not synced after the move"),
        ("directory sync before the move", "its directory was not synced after the move"),
        ("write after sync", "the blob was not synced between its last write and its move"),
        (REPLY_FIRST, "nothing was committed between the bytes and the reply"),
    ],
)
def test_a_missing_step_is_seen(tmp_path: Path, mutant: str, expected: str) -> None:
    """The checker can fail, and says what was missing in every PUT."""
    wrong = watch(tmp_path, mutant, 2)
    assert [sentence for sentence in wrong if "(put)" in sentence and expected in sentence], wrong
    assert len([sentence for sentence in wrong if "(put)" in sentence]) == 2 * REQUESTS.count("put")


def watch_server(directory: Path, server: RunningServer, rounds: int) -> list[str]:
    """What is wrong with the order of a worker's system calls, request by request."""
    client = server.client()
    client.create_bucket(Bucket="bucket")
    (worker,) = server.worker_pids()
    output = directory / "trace"
    watching = attach(require("strace"), output, worker)
    try:
        for number in range(rounds):
            one_round(client, f"k{number}")
        time.sleep(0.5)  # a client has its answer before strace has written down that it was sent
    finally:
        watching.terminate()
        watching.wait()
    calls = parse(output.read_text(errors="replace").splitlines())
    blobs, wal = str(server.data_dir / "objects" / "blobs"), str(server.data_dir / "metadata.db-wal")
    return violations(list(calls), SERVER_KINDS * rounds, blobs, wal)


def one_round(client: Any, key: str) -> None:
    """The requests of SERVER_KINDS: PUTs of a blob and of inline bytes, a multipart upload, deletes."""
    client.put_object(Bucket="bucket", Key=key, Body=LARGE)
    client.put_object(Bucket="bucket", Key=key, Body=LARGE)
    client.put_object(Bucket="bucket", Key="small", Body=b"inline")
    upload = client.create_multipart_upload(Bucket="bucket", Key=key)
    where = {"Bucket": "bucket", "Key": key, "UploadId": upload["UploadId"]}
    part = client.upload_part(**where, PartNumber=1, Body=LARGE)
    client.complete_multipart_upload(**where, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    client.delete_object(Bucket="bucket", Key=key)
    client.delete_object(Bucket="bucket", Key="small")


def watch(directory: Path, mutant: str, rounds: int) -> list[str]:
    """What is wrong with the order of a child's system calls."""
    output = directory / "trace"
    child = [sys.executable, "-m", "tests.reliability.durability_child", str(directory), mutant, str(rounds)]
    subprocess.run([*command(require("strace"), output), *child], cwd=ROOT, check=True, timeout=120)
    calls = parse(output.read_text(errors="replace").splitlines())
    blobs, wal = str(directory / "objects" / "blobs"), str(directory / "metadata.db-wal")
    return violations(list(calls), REQUESTS * rounds, blobs, wal)
