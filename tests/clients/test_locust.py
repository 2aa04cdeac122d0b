"""The Locust scenarios of loadtests/: each is run for a moment, and what goes wrong is seen in numbers and exit code."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import tls_flags
from tests.components import require_python
from tests.servers import ROOT, RunningServer, free_port

KEYS = 250
SIZES = ("--medium-size", "256KiB", "--large-size", "1MiB")
RUN_S = 2

SMALL = {"GET object 1 KiB", "PUT object 1 KiB"}
REQUESTS = {
    "Mixed": {*SMALL, "HEAD object", "DELETE object"},
    "ReadHeavy": {*SMALL, "HEAD object"},
    "WriteHeavy": {*SMALL, "DELETE object"},
    "ListHeavy": {
        "GET page of 100 keys", "GET next page of 100 keys", "GET page of folders", "PUT object 1 KiB", "DELETE object",
    },
    "Multipart": {
        "POST new upload", "PUT part 5 MiB", "PUT part 1 MiB", "DELETE upload", "GET list of parts",
        "POST complete upload", "HEAD large object", "GET range 64 KiB", "DELETE large object",
    },
    "Presigned": {"PUT by link 1 KiB", "GET by link 1 KiB", "GET by expired link", "GET by altered link"},
    "MLShuffle": {"GET sample 1 KiB", f"EPOCH of {KEYS} samples"},
    "Checkpoint": {
        "POST new upload", "PUT part 1 MiB", "POST complete upload", "PUT copy 1 MiB", "DELETE large object",
        "PUT marker 64 B", "GET range 64 KiB",
    },
    "Backup": {
        "HEAD pack that is not there", "PUT pack 256 KiB", "PUT snapshot 512 B", "GET list of packs",
        "GET pack 256 KiB", "DELETE pack",
    },
}  # fmt: skip


@dataclass(frozen=True)
class Run:
    """`requests` and `failures` by method and name."""

    code: int
    output: str
    requests: Mapping[str, int]
    failures: Mapping[str, int]


@dataclass(frozen=True)
class Locust:
    server: RunningServer
    bucket: str
    directory: Path

    def command(self, *arguments: str) -> list[str]:
        where = ["-f", str(ROOT / "loadtests/locustfile.py"), "--host", self.server.endpoint, "--bucket", self.bucket]
        return [sys.executable, "-m", "locust", *where, "--keys", str(KEYS), *SIZES, *arguments]

    def environ(self, secret_key: str | None = None) -> dict[str, str]:
        """The keys, as the server takes them too."""
        keys = (self.server.access_key, secret_key or self.server.secret_key)
        named = dict(zip(("BLEEPSTORE_AUTH_ACCESS_KEY", "BLEEPSTORE_AUTH_SECRET_KEY"), keys, strict=True))
        return {"PATH": os.environ["PATH"], "HOME": str(self.directory)} | named

    def __call__(self, *arguments: str, users: int = 4, secret_key: str | None = None) -> Run:
        """A run without the web UI."""
        load = ["--headless", "-u", str(users), "-r", str(users), "-t", str(RUN_S), "--only-summary", "--json"]
        done = subprocess.run(
            self.command(*load, *arguments), cwd=self.directory, env=self.environ(secret_key), capture_output=True,
            text=True, timeout=120,
        )  # fmt: skip
        documents = done.stdout.replace("]\n[", "]\0[").split("\0")  # one of each process; the master's has the counts
        rows: list[dict[str, Any]] = json.loads(max(documents, key=len) or "[]")
        counts = [
            {f"{row['method']} {row['name']}": int(row[what]) for row in rows}
            for what in ("num_requests", "num_failures")
        ]
        return Run(done.returncode, done.stderr, counts[0], counts[1])

    def buckets(self) -> list[str]:
        return [bucket["Name"] for bucket in self.server.client().list_buckets()["Buckets"]]


@pytest.fixture
def locust(service: RunningServer, tmp_path: Path) -> Locust:
    require_python("geventhttpclient", "locust")  # importing locust itself would patch this process
    return Locust(service, f"locust-{tmp_path.name.replace('_', '-').lower()[:40]}", tmp_path)


@pytest.mark.parametrize("scenario", REQUESTS)
def test_every_request_of_a_scenario_is_made_and_answered(scenario: str, locust: Locust) -> None:
    more = ["--large-size", "6MiB"] if scenario == "Multipart" else []
    run = locust(scenario, *more)
    assert run.code == 0, run.output
    assert not any(run.failures.values()), run.output
    assert set(run.requests) == REQUESTS[scenario], run.output
    assert all(count > 0 for count in run.requests.values())
    assert locust.bucket not in locust.buckets()


def test_scenarios_are_chosen_by_tags_and_run_in_several_processes(locust: Locust) -> None:
    run = locust("--processes", "2", "--tags", "read-heavy", "ml-shuffle")
    assert (run.code, sum(run.failures.values())) == (0, 0), run.output
    assert set(run.requests) == REQUESTS["ReadHeavy"] | REQUESTS["MLShuffle"]
    assert locust.bucket not in locust.buckets()


def test_a_bucket_that_was_there_stays_with_what_is_in_it(locust: Locust) -> None:
    s3 = locust.server.client()
    s3.create_bucket(Bucket=locust.bucket)
    s3.put_object(Bucket=locust.bucket, Key="mine", Body=b"x")
    assert locust("WriteHeavy").code == 0
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=locust.bucket)["Contents"]] == ["mine"]


def test_a_wrong_secret_ends_the_run_before_it_begins(locust: Locust) -> None:
    run = locust("ReadHeavy", secret_key="another")
    assert (run.code, run.requests) == (1, {}), run.output
    assert "403 SignatureDoesNotMatch" in run.output
    assert "Traceback" not in run.output


def test_failures_are_counted_with_their_code(locust: Locust) -> None:
    run = locust("ReadHeavy", "--no-setup", secret_key="another")
    assert run.code == 1, run.output
    assert run.failures == run.requests
    assert run.requests["GET object 1 KiB"] > 0
    assert "403 SignatureDoesNotMatch" in run.output


def test_wrong_content_is_a_failure(locust: Locust) -> None:
    """One byte of one object, of the same length as before; `--keep` leaves the objects for the second run."""
    assert locust("MLShuffle", "--keep").code == 0
    s3 = locust.server.client()
    key = s3.list_objects_v2(Bucket=locust.bucket)["Contents"][KEYS // 2]["Key"]
    body = bytearray(s3.get_object(Bucket=locust.bucket, Key=key)["Body"].read())
    body[-1] ^= 1
    s3.put_object(Bucket=locust.bucket, Key=key, Body=bytes(body))
    run = locust("MLShuffle", "--no-setup")
    assert run.code == 1, run.output
    assert 0 < run.failures["GET sample 1 KiB"] < run.requests["GET sample 1 KiB"]
    assert "not the answer that was expected" in run.output


def test_a_server_with_tls(certificate: Path, tmp_path: Path) -> None:
    require_python("geventhttpclient", "locust")
    server = RunningServer(tmp_path / "data", args=tls_flags(certificate), scheme="https")
    try:
        run = Locust(server.start(), "tls", tmp_path)("Mixed")
    finally:
        server.kill9()
    assert (run.code, sum(run.failures.values())) == (0, 0), run.output
    assert set(run.requests) == REQUESTS["Mixed"]


def test_the_web_page_starts_and_stops_runs(locust: Locust) -> None:
    with web_page(locust) as url:
        assert "ReadHeavy" in ask(url)
        ask(
            f"{url}/swarm",
            "POST",
            user_count="2",
            spawn_rate="2",
            user_classes="ReadHeavy",
            object_size="2KiB",
            seed="5",
        )
        wait_for(lambda: counted(url).get("GET object 2 KiB", 0) > 10)
        ask(f"{url}/stop", method="POST")
        assert not json.loads(ask(f"{url}/stats/requests"))["fail_ratio"]
        assert locust.bucket in locust.buckets()  # the next run from the page finds its objects
    assert locust.bucket not in locust.buckets()


def test_the_scenarios_need_only_locust_and_the_package() -> None:
    """So that they run beside an installed server, without this repository's other folders."""
    allowed = {*sys.stdlib_module_names, "locust", "gevent", "geventhttpclient"}
    ours = ("app.auth.", "app.domain.", "loadtests.scenarios.", "loadtests.presigner")
    files = [ROOT / "loadtests/locustfile.py", ROOT / "loadtests/presigner.py", *ROOT.glob("loadtests/scenarios/*.py")]
    assert len(files) > 5
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or "."] if isinstance(node, ast.ImportFrom) else []
            wrong = [name for name in names if name.split(".")[0] not in allowed and not name.startswith(ours)]
            assert not wrong, f"{path.name} imports {wrong}"


@contextlib.contextmanager
def web_page(locust: Locust) -> Iterator[str]:
    """Its URL, once it answers. The end is what a person does: an interrupt."""
    port = str(free_port())
    command = locust.command("--web-host", "127.0.0.1", "--web-port", port, "--class-picker")
    with open(locust.directory / "page.log", "wb") as log:
        process = subprocess.Popen(
            command, cwd=locust.directory, env=locust.environ(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: bool(ask(url)))
        yield url
        process.send_signal(signal.SIGINT)
        process.wait(20)
    finally:
        process.kill()
        process.wait()


def ask(url: str, method: str = "GET", **form: str) -> str:
    request = urllib.request.Request(url, urllib.parse.urlencode(form).encode() or None, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(answer.read().decode())


def counted(url: str) -> dict[str, int]:
    rows = json.loads(ask(f"{url}/stats/requests"))["stats"]
    return {f"{row['method']} {row['name']}": row["num_requests"] for row in rows}


def wait_for(condition: Any, timeout_s: float = 30.0) -> None:
    begin = time.monotonic()
    while time.monotonic() - begin < timeout_s:
        with contextlib.suppress(OSError):
            if condition():
                return
        time.sleep(0.1)  # the other side of a process boundary
    raise AssertionError("it did not come about")
