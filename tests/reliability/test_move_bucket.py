"""`bleepstore move-bucket` beside a server that is read from and written to: no byte lost, none wrong, killed or not."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

from tests.conftest import StartServer
from tests.s3.backends import MIB, blobs, body, flags
from tests.servers import ROOT, RunningServer

OBJECTS = 80
BUCKET = "moving"
WAIT_MAX_S = 60.0


class Case:
    """A server with two local back ends, and the command beside it."""

    def __init__(self, start_server: StartServer, root: Path) -> None:
        self.flags = [*flags(root, garbage_grace_s=2), "--storage.garbage_grace_s", "2"]
        self.server: RunningServer = start_server(*self.flags, workers=2)
        self.s3 = self.server.client(max_pool_connections=20)
        self.main, self.cold = self.server.data_dir / "objects", root / "cold"
        self.s3.create_bucket(Bucket=BUCKET)

    def start(self, command: str, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "app", command, "--data-dir", str(self.server.data_dir), *self.flags, *arguments],
            cwd=ROOT, env=self.server.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, command: str, *arguments: str) -> tuple[int, str]:
        process = self.start(command, *arguments)
        out, errors = process.communicate(timeout=WAIT_MAX_S)
        return process.returncode, out + errors

    def fill(self) -> None:
        for number in range(OBJECTS):
            self.s3.put_object(Bucket=BUCKET, Key=f"k{number:03}", Body=body(number))
        upload = self.s3.create_multipart_upload(Bucket=BUCKET, Key="parts")["UploadId"]
        where = {"Bucket": BUCKET, "Key": "parts", "UploadId": upload}
        etags = [self.s3.upload_part(**where, PartNumber=n, Body=body(n, 5 * MIB))["ETag"] for n in (1, 2, 3)]
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
        self.s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
        self.s3.copy_object(Bucket=BUCKET, Key="k-copy", CopySource=f"{BUCKET}/k000")

    def read(self, key: str) -> bytes:
        data: bytes = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return data

    def check_all(self) -> None:
        for number in range(OBJECTS):
            assert self.read(f"k{number:03}") == body(number)
        assert self.read("parts") == b"".join(body(number, 5 * MIB) for number in (1, 2, 3))
        assert self.read("k-copy") == body(0)

    def wait_until_empty(self, directory: Path) -> None:
        """The server's own sweep deletes what was given up when the grace is over."""
        deadline_s = time.monotonic() + WAIT_MAX_S
        while blobs(directory):
            assert time.monotonic() < deadline_s, f"{len(blobs(directory))} blobs are left"
            time.sleep(0.2)  # another process's clock


@pytest.fixture
def case(start_server: StartServer, tmp_path: Path) -> Case:
    made = Case(start_server, tmp_path)
    made.fill()
    return made


def test_everything_goes_and_a_second_run_finds_it_there(case: Case) -> None:
    code, text = case.run("move-bucket", BUCKET, "cold", "--dry-run")
    assert (code, blobs(case.cold)) == (0, [])
    assert f"would have moved {OBJECTS + 3}, bytes moved {OBJECTS * 100_000 + 15 * MIB}, shared 1" in text
    code, text = case.run("move-bucket", BUCKET, "cold")
    assert code == 0, text
    assert f"move-bucket: moved {OBJECTS + 3}, bytes moved {OBJECTS * 100_000 + 15 * MIB}, shared 1" in text
    assert len(blobs(case.cold)) == OBJECTS + 3
    case.check_all()
    case.s3.put_object(Bucket=BUCKET, Key="later", Body=body(7))
    assert len(blobs(case.cold)) == OBJECTS + 4
    code, text = case.run("move-bucket", BUCKET, "cold")
    assert (code, text) == (
        0, f"move-bucket: moved 0, bytes moved 0, shared 0, there {OBJECTS + 5}, gone 0, wrong 0\n",
    )  # fmt: skip
    case.wait_until_empty(case.main)
    case.check_all()
    code, text = case.run("fsck")
    assert code == 0, text


def test_mistakes_and_a_blob_that_is_wrong_are_named(case: Case) -> None:
    code, text = case.run("move-bucket", BUCKET, "warm")
    assert (code, "there is no back end warm; there are main, cold" in text) == (2, True)
    code, text = case.run("move-bucket", "nowhere", "cold")
    assert (code, "does not exist" in text) == (1, True), text
    wrong = next((case.main / "blobs").glob("*/*/*"))
    data = wrong.read_bytes()
    wrong.write_bytes(b"\xff" + data[1:])
    code, text = case.run("move-bucket", BUCKET, "cold")
    assert code == 1
    assert "digest" in text
    assert "wrong 1" in text
    wrong.write_bytes(data)
    assert case.run("move-bucket", BUCKET, "cold")[0] == 0
    case.check_all()


def test_commands_say_what_a_broken_back_end_keeps_them_from(case: Case) -> None:
    assert case.run("move-bucket", BUCKET, "cold")[0] == 0
    case.s3.put_object(Bucket=BUCKET, Key="gone", Body=body(1))
    case.server.kill9()
    case.cold.rename(case.cold.with_name("elsewhere"))
    case.cold.write_bytes(b"no directory")
    code, text = case.run("fsck", "--quick")
    assert code == 1
    assert "error unreadable back end cold" in text
    assert "error unreadable moving/k000 version null" in text
    code, text = case.run("sweep")
    assert (code, "back end cold cannot be used" in text, "sweep: not all: " in text) == (1, True, True), text
    code, text = case.run("move-bucket", BUCKET, "main")
    assert (code, "back end cold cannot be used" in text) == (1, True), text
    case.cold.unlink()
    case.cold.with_name("elsewhere").rename(case.cold)
    assert case.run("move-bucket", BUCKET, "main")[0] == 0
    assert case.run("fsck")[0] == 0


def test_killed_again_and_again_it_loses_nothing(case: Case) -> None:
    dice, code, kills = random.Random(6), None, 0
    while code != 0:
        there = len(blobs(case.cold))
        process = case.start("move-bucket", BUCKET, "cold")
        until = there + dice.randrange(1, 30) if kills < 5 else 10_000
        while process.poll() is None and len(blobs(case.cold)) < until:
            time.sleep(0.002)  # another process's work
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        out, errors = process.communicate()
        code = process.returncode
        assert code in (0, -signal.SIGKILL), out + errors
        case.read(f"k{dice.randrange(OBJECTS):03}")
    assert kills >= 2
    case.check_all()
    case.wait_until_empty(case.main)
    case.check_all()
    # What was copied and not exchanged is an orphan, younger than its grace yet.
    code, text = case.run("fsck")
    assert code == 0, text
    code, text = case.run("sweep", "--storage.orphan_grace_s", "1")
    assert code == 0, text
    assert len(blobs(case.cold)) in (
        OBJECTS + 3,
        OBJECTS + 4,
    )  # the copies of one blob share one, unless a kill came between
    case.check_all()


def test_readers_and_writers_notice_nothing(case: Case) -> None:
    traffic = Traffic(case)
    with traffic:
        for backend in ("cold", "main", "cold"):
            code, text = case.run("move-bucket", BUCKET, backend)
            assert code == 0, text
    assert traffic.errors == []
    assert min(traffic.reads, traffic.writes) > 50
    traffic.check()
    code, text = case.run("move-bucket", BUCKET, "cold")
    assert code == 0, text
    case.wait_until_empty(case.main)
    traffic.check()


class Traffic:
    """Three who read and two who write, each keys of his own, as long as the context lasts."""

    def __init__(self, case: Case) -> None:
        self.errors: list[str] = []
        self.reads = self.writes = 0
        self._case = case
        self._s3 = case.s3
        self._written: dict[str, bytes] = {}
        self._is_over = False
        self._threads = [threading.Thread(target=self._watch, args=(self._read_one,)) for _ in range(3)]
        self._threads += [threading.Thread(target=self._watch, args=(self._write_one, name)) for name in ("a", "b")]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        for thread in self._threads:
            thread.join()

    def check(self) -> None:
        """All that was written last is there."""
        self._case.check_all()
        for key, data in self._written.items():
            assert self._case.read(key) == data

    def _watch(self, work: Callable[..., None], *arguments: str) -> None:
        try:
            for number in itertools.count(1):
                if self._is_over:
                    return
                work(number, *arguments)
        except Exception as error:
            self.errors.append(repr(error))

    def _read_one(self, number: int) -> None:
        key = random.choice(["parts", "k-copy", *(f"k{index:03}" for index in range(OBJECTS))])
        answer = self._s3.get_object(Bucket=BUCKET, Key=key)
        data = answer["Body"].read()
        if "-" not in answer["ETag"] and hashlib.md5(data).hexdigest() != answer["ETag"].strip('"'):
            self.errors.append(f"{key}: wrong bytes")
        if key == "parts" and len(data) != 15 * MIB:
            self.errors.append(f"{key}: {len(data)} bytes at read {number}")
        self.reads += 1

    def _write_one(self, number: int, name: str) -> None:
        key, data = f"w-{name}-{number % 20}", body(number % 200, 100_000 + number)
        self._s3.put_object(Bucket=BUCKET, Key=key, Body=data)
        self._written[key] = data
        if number % 7 == 0:
            self._s3.copy_object(Bucket=BUCKET, Key=f"{key}-copy", CopySource=f"{BUCKET}/{key}")
            self._written[f"{key}-copy"] = data
        if number % 11 == 0:
            self._s3.delete_object(Bucket=BUCKET, Key=key)
            del self._written[key]
        self.writes += 1
