"""How the server is set up: workers, gunicorn's settings, and that both ways to start it are one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.config import load_config
from app.server.processes import resolve_workers
from app.server.settings import gunicorn_settings
from tests.servers import ROOT, RunningServer

IN_MEMORY = {"BLEEPSTORE_METADATA_ENGINE": "memory", "BLEEPSTORE_STORAGE_BACKEND": "memory"}
CONF = ROOT / "gunicorn.conf.py"


def cgroup(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "affinity", "workers"),
    [
        ({}, 1, 1),
        ({}, 4, 4),
        ({}, 64, 8),
        ({"cpu.max": "max 100000\n"}, 4, 4),
        ({"cpu.max": "150000 100000\n"}, 4, 2),
        ({"cpu.max": "100000 100000\n"}, 4, 1),
        ({"cpu.max": "1000 100000\n"}, 4, 1),
        ({"cpu.max": "800000 100000\n"}, 4, 4),
        ({"cpu.max": "nonsense\n"}, 3, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4, 4),
        ({"cpu/cpu.cfs_quota_us": "250000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8, 3),
        ({"cpu,cpuacct/cpu.cfs_quota_us": "50000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"}, 8, 1),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "0\n"}, 2, 2),
    ],
)
def test_auto_follows_quota_affinity_and_the_bound(
    tmp_path: Path, files: dict[str, str], affinity: int, workers: int
) -> None:
    assert resolve_workers("auto", affinity, cgroup(tmp_path, files), shared=True) == workers


def test_a_number_is_taken_as_it_is_and_unshared_engines_have_one_worker(tmp_path: Path) -> None:
    assert resolve_workers(12, 2, tmp_path, shared=True) == 12
    assert resolve_workers(12, 2, tmp_path, shared=False) == 1
    assert resolve_workers("auto", 8, tmp_path, shared=False) == 1


def test_what_must_be_off_is_off() -> None:
    settings = gunicorn_settings(load_config({"server.host": "127.0.0.1"}, {}), shared=True)
    assert settings["control_socket_disable"] is True
    assert settings["http_protocols"] == "h1"
    assert settings["accesslog"] is None
    assert settings["forwarded_allow_ips"] == ""
    assert settings["secure_scheme_headers"] == {}
    assert settings["graceful_timeout"] == 30
    assert settings["preload_app"] is True


def test_an_ipv6_address_is_bound_in_brackets() -> None:
    settings = gunicorn_settings(load_config({"server.host": "::1", "server.port": "9001"}, {}), shared=True)
    assert settings["bind"] == ["[::1]:9001"]


def test_the_limits_are_the_operators() -> None:
    config = load_config({"server.limits.keepalive_s": "7", "server.limits.body_min_bytes_per_s": "0"}, {})
    limits = gunicorn_settings(config, shared=True)["pre_fork"].__self__.limits
    assert (limits.idle_timeout_ms, limits.body_rate_min_bytes_per_s) == (7_000, 0)


# -- gunicorn.conf.py --------------------------------------------------------------------------------------------


SHOW = """
import runpy, sys, json
given = runpy.run_path("gunicorn.conf.py")
from gunicorn.config import Config
names = set(Config().settings)
print(json.dumps({name: repr(value) for name, value in given.items() if name in names and not callable(value)}))
"""


def test_the_configuration_file_and_serve_have_the_same_settings() -> None:
    environ = IN_MEMORY | {"BLEEPSTORE_SERVER_PORT": "9123", "BLEEPSTORE_SERVER_WORKERS": "3"}
    shown = run(SHOW, environ)
    settings: dict[str, Any] = gunicorn_settings(load_config({}, environ))
    assert json.loads(shown) == {name: repr(value) for name, value in settings.items() if not callable(value)}


class PlainGunicorn(RunningServer):
    """`gunicorn -c gunicorn.conf.py wsgi:app`, configured by the environment alone."""

    def command(self) -> list[str]:
        return [sys.executable, "-W", "error", "-m", "gunicorn", "-c", str(CONF), "wsgi:app"]

    def environment(self) -> dict[str, str]:
        return super().environment() | IN_MEMORY | {"BLEEPSTORE_SERVER_PORT": str(self.port)}


def test_plain_gunicorn_serves_and_stops(tmp_path: Path) -> None:
    server = PlainGunicorn(tmp_path / "data")
    try:
        server.start()
        client = server.client()
        client.create_bucket(Bucket="plain")
        client.put_object(Bucket="plain", Key="k", Body=b"x" * 100_000, Metadata={"my_key": "v"})
        found = client.get_object(Bucket="plain", Key="k")
        assert found["Metadata"] == {"my_key": "v"}
        assert found["Body"].read() == b"x" * 100_000
        assert server.terminate() == 0
    finally:
        server.kill9()


def run(code: str, environ: dict[str, str]) -> str:
    environ = {"PATH": os.environ["PATH"]} | environ
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
