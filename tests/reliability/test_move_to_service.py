"""A bucket moved to a service over a network and back: another server of ours, that goes away on the way."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartServer
from tests.reliability.test_move_bucket import BUCKET, OBJECTS, Case, Traffic
from tests.s3.backends import MIB, blobs, body, flags
from tests.servers import ACCESS_KEY, SECRET_KEY, RunningServer

UPSTREAM = "upstream-bytes"
WAIT_MAX_S = 60.0


class ServiceCase(Case):
    """As Case, with another server as "cold"."""

    def __init__(self, start_server: StartServer, root: Path) -> None:
        self.upstream: RunningServer = start_server("--storage.inline_max_bytes", "0", data_dir=root / "upstream")
        self.upstream.client().create_bucket(Bucket=UPSTREAM)
        entry: dict[str, Any] = {
            "backend": "aws",
            "garbage_grace_s": 2,
            "aws": {
                "bucket": UPSTREAM, "prefix": "here/", "region": "us-east-1", "endpoint_url": self.upstream.endpoint,
                "use_path_style": True, "access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY,
            },
        }  # fmt: skip
        self.flags = [*flags(root, **entry), "--storage.garbage_grace_s", "2"]
        self.server = start_server(*self.flags, workers=2)
        self.s3 = self.server.client(max_pool_connections=20)
        self.main = self.server.data_dir / "objects"
        self.s3.create_bucket(Bucket=BUCKET)

    def there(self) -> int:
        """How many blobs the service has."""
        pages = self.upstream.client().get_paginator("list_objects_v2").paginate(Bucket=UPSTREAM, Prefix="here/blobs/")
        return sum(page["KeyCount"] for page in pages)

    def wait_for(self, count: int) -> None:
        """Until there are some, or none any more."""
        deadline_s = time.monotonic() + WAIT_MAX_S
        while self.there() < count if count else self.there():
            assert time.monotonic() < deadline_s
            time.sleep(0.01)  # another process's work


@pytest.fixture
def case(start_server: StartServer, tmp_path: Path) -> ServiceCase:
    made = ServiceCase(start_server, tmp_path)
    made.fill()
    return made


def test_there_and_back_under_readers_and_writers(case: ServiceCase) -> None:
    traffic = Traffic(case)
    with traffic:
        for backend in ("cold", "main"):
            code, text = case.run("move-bucket", BUCKET, backend)
            assert code == 0, text
    assert traffic.errors == []
    assert min(traffic.reads, traffic.writes) > 20
    traffic.check()
    code, text = case.run("move-bucket", BUCKET, "main")
    assert code == 0, text
    case.wait_for(0)
    traffic.check()
    assert case.run("fsck")[0] == 0


def test_a_service_that_goes_away_stops_the_move_and_nothing_else(case: ServiceCase) -> None:
    process = case.start("move-bucket", BUCKET, "cold")
    case.wait_for(1)
    case.upstream.kill9()
    out, errors = process.communicate(timeout=WAIT_MAX_S)
    assert process.returncode in (0, 1), out + errors  # 0: it was faster
    assert process.returncode == 0 or "run it again to go on" in errors
    case.upstream.start()
    code, text = case.run("move-bucket", BUCKET, "cold")
    assert code == 0, text
    case.check_all()
    assert case.there() >= OBJECTS + 3
    case.wait_until_empty(case.main)
    case.check_all()


def test_a_service_that_hangs_holds_up_its_own_clients_only(case: ServiceCase) -> None:
    assert case.run("move-bucket", BUCKET, "cold")[0] == 0
    case.s3.create_bucket(Bucket="plain")
    case.s3.put_object(Bucket="plain", Key="k", Body=body(1))
    for pid in (case.upstream.pid, *case.upstream.worker_pids()):
        os.kill(pid, signal.SIGSTOP)
    patient = case.server.client(max_pool_connections=50, read_timeout=60)
    # More than the disk pools of both workers have threads. Nobody waits for their ends: the server is killed with them.
    for number in range(50):
        options = {"Bucket": BUCKET, "Key": f"k{number:03}"}
        threading.Thread(target=_try, args=(patient, options), daemon=True).start()
    began_s = time.monotonic()
    while time.monotonic() - began_s < 2:
        asked_s = time.monotonic()
        case.s3.put_object(Bucket="plain", Key="k", Body=body(2))
        assert case.s3.get_object(Bucket="plain", Key="k")["Body"].read() == body(2)
        case.s3.list_objects_v2(Bucket="plain")
        assert time.monotonic() - asked_s < 1


def _try(s3: Any, options: dict[str, str]) -> None:
    with contextlib.suppress(Exception):
        s3.get_object(**options)


def test_a_named_back_end_in_memory_is_one_too(start_server: StartServer, tmp_path: Path) -> None:
    """It makes the server one process; no command beside it may touch its bytes."""
    named = {"fast": {"backend": "memory", "buckets": ["fast-*"], "memory": {"max_size_bytes": 64 * MIB}}}
    server = start_server("--storage.backends", json.dumps(named), "--storage.inline_max_bytes", "0")
    s3 = server.client()
    s3.create_bucket(Bucket="fast-1")
    s3.create_bucket(Bucket="plain")
    errors: list[str] = []

    def work(name: str) -> None:
        for number in range(20):
            data = body(number)
            s3.put_object(Bucket=name, Key=f"k{number}", Body=data)
            s3.copy_object(Bucket="plain", Key=f"c-{name}-{number}", CopySource=f"{name}/k{number}")
            answer = s3.get_object(Bucket="plain", Key=f"c-{name}-{number}")
            if answer["Body"].read() != data or hashlib.md5(data).hexdigest() != answer["ETag"].strip('"'):
                errors.append(f"{name} {number}")

    threads = [threading.Thread(target=work, args=(name,)) for name in ("fast-1", "plain")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(blobs(server.data_dir / "objects")) == 40  # plain's own, which its copies share, and copies of fast-1's
