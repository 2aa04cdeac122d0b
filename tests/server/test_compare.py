"""`make compare` works: cases are measured in turn at our server and at another, and nothing is left behind."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import components
from tests.conftest import StartServer
from tests.servers import ROOT, RunningServer

TIMEOUT_S = 120


def command(peer: RunningServer, tmp_path: Path, *flags: str, secret_key: str = "") -> list[str]:
    """A peer by URL and no other, whatever is installed."""
    named = f"other={peer.endpoint},{peer.access_key},{secret_key or peer.secret_key},{peer.pid}"
    places = ["--data-dir", str(tmp_path / "work"), "--output", str(tmp_path / "out" / "all.json")]
    return [sys.executable, "-m", "loadtests.compare", "--peers=", "--peer", named, "--rounds", "1", *places, *flags]


def compared(peer: RunningServer, tmp_path: Path, *flags: str) -> Any:
    """What was written as JSON, of a run that ends well."""
    asked = command(peer, tmp_path, "--duration", "0.3", *flags)
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list((tmp_path / "work").iterdir()) == []
    assert peer.client().list_buckets()["Buckets"] == []
    return json.loads((tmp_path / "out" / "all.json").read_text())


@pytest.mark.slow
def test_our_own_client_measures_each_case_at_both_servers_without_errors(
    start_server: StartServer, tmp_path: Path
) -> None:
    names = ["GET-1KiB-4", "PUT-1KiB-4", "HEAD-1KiB-4-header", "PUT-8MiB-1", "UPLOAD-64MiB-1"]
    found = compared(start_server(), tmp_path, "--own-client", "--cases", ",".join(names))
    assert {(each["case"], each["server"]) for each in found["cells"]} == {
        (name, server) for name in names for server in ("bleepstore", "other")
    }
    for cell in found["cells"]:
        assert cell["client"] == "own"
        (each,) = cell["rounds"]
        assert each["requests"] > 0, cell
        assert each["errors"] == 0, cell
        assert 0 < each["p50_ms"] <= each["p95_ms"] <= each["p99_ms"], cell
        assert each["server_cpu_us"] is not None, cell
    assert found["base"] == "other"
    assert all(each["memory"]["idle_mb"] > 0 for each in found["servers"])
    assert found["servers"][0]["memory"]["one_worker_idle_mb"] > 0
    assert (tmp_path / "out" / "all.html").stat().st_size > 0
    assert len(list((tmp_path / "out").glob("*.png"))) == 4


@pytest.mark.slow
def test_wrk_measures_what_it_can(start_server: StartServer, tmp_path: Path) -> None:
    components.require("wrk")
    names = "GET-1KiB-4,PUT-1MiB-4-header,DELETE-1KiB-4,LIST-flat-4,COPY-8MiB-1"
    found = compared(start_server(), tmp_path, "--no-plots", "--cases", names)
    for cell in found["cells"]:
        assert cell["client"] == "wrk"
        (each,) = cell["rounds"]
        assert each["requests"] > 0, cell
        assert each["errors"] == 0, cell
        assert each["elapsed_s"] > 0, cell
        assert each["client_cpu_us"] > 0, cell


def test_a_peer_that_refuses_is_named_and_nothing_is_left(start_server: StartServer, tmp_path: Path) -> None:
    asked = command(start_server(), tmp_path, "--cases", "GET-1KiB-1", secret_key="wrong-secret-key-0123456789")
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "SignatureDoesNotMatch" in done.stderr
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_comparison_leaves_no_process_and_no_data(
    start_server: StartServer, tmp_path: Path, how: signal.Signals, code: int
) -> None:
    peer = start_server()
    asked = command(peer, tmp_path, "--duration", "0.5", "--rounds", "1000", "--cases", "GET-1KiB-1", "--own-client")
    with subprocess.Popen(asked, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any("1/1000 other" in line for line in process.stderr)
        process.send_signal(how)
        assert process.wait(TIMEOUT_S) == code
    assert list((tmp_path / "work").iterdir()) == []
    assert peer.client().list_buckets()["Buckets"] == []
    assert those_that_name(tmp_path / "work") == []


def those_that_name(path: Path) -> list[str]:
    """Command lines of processes that do: our server's, and the clients', which are forked."""
    lines = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            lines.append(each.read_text())
    return [line for line in lines if str(path) in line]
