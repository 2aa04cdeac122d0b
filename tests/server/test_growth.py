"""`make growth` works: every axis is climbed, every question answered without errors, and nothing is left behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests.ladder import AXES
from tests.servers import ROOT

TIMEOUT_S = 240


@pytest.mark.slow
def test_each_axis_is_climbed_and_every_question_is_answered(tmp_path: Path) -> None:
    flags = ["--quick", "--own-client", "--rounds", "1", "--duration", "0.2", "--workers", "1"]
    places = ["--data-dir", str(tmp_path / "work"), "--output", str(tmp_path / "out" / "all.json")]
    command = [sys.executable, "-m", "loadtests.growth", *flags, *places]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "out" / "all.json").read_text())
    asked = {axis: {each["question"] for each in found["measured"] if each["axis"] == axis} for axis in AXES}
    assert asked == {
        "keys": {"GET of 1,000", "HEAD of 1,000", "PUT", "DELETE", "LIST 1,000 keys", "LIST 100 prefixes"},
        "buckets": {"GET", "PUT", "ListBuckets, 100", "ListBuckets, all"},
        "users": {"GET", "PUT", "ListBuckets"},
        "clients": {"GET", "PUT"},
    }
    for each in found["measured"]:
        (only,) = each["rounds"]
        assert only["requests"] > 0, each
        assert only["errors"] == 0, each
    assert all(each["start_s"] > 0 and each["idle_mb"] > 0 and each["database_mb"] > 0 for each in found["sizes"])
    assert len(list((tmp_path / "out").glob("*.png"))) == len(AXES) + 1
    assert list((tmp_path / "work").iterdir()) == []
