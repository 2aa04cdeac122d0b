"""`make bench` works: every operation is measured over HTTP, and none of its requests fails."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.servers import ROOT

OPERATIONS = {"PUT", "GET", "HEAD", "LIST", "DELETE"}


def test_the_benchmark_measures_every_operation_without_errors(tmp_path: Path) -> None:
    output = tmp_path / "results.json"
    flags = ["--sizes", "64KiB", "--rounds", "2", "--duration", "0.2", "--concurrency", "4"]
    places = ["--output", str(output), "--data-dir", str(tmp_path)]
    command = [sys.executable, "-m", "loadtests.bench", *flags, *places, "--", "--workers", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads(output.read_text())["results"]
    assert {each["operation"] for each in results} == OPERATIONS
    for each in results:
        assert each["requests"] > 0, each
        assert each["errors"] == 0, each
        assert 0 < each["p50_ms"] <= each["p99_ms"], each
        assert each["server_cpu_us"] >= 0, each
    assert list(tmp_path.iterdir()) == [output]  # the server's data are gone
