"""`bleepstore healthcheck` against real servers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import StartServer
from tests.server.certificates import self_signed
from tests.servers import ROOT, RunningServer, free_port


def healthcheck(*arguments: str, **environ: str) -> tuple[int, str]:
    kept = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "app", "healthcheck", *arguments]
    done = subprocess.run(command, env=kept | environ, capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stderr


def at(server: RunningServer) -> dict[str, str]:
    return {"BLEEPSTORE_SERVER_PORT": str(server.port)}


def test_a_server_that_serves_is_healthy(server: RunningServer) -> None:
    assert healthcheck(**at(server)) == (0, "")
    assert healthcheck("--live", **at(server)) == (0, "")
    assert healthcheck("--port", str(server.port), "--host", "0.0.0.0") == (0, "")


def test_nobody_there_is_unhealthy() -> None:
    code, said = healthcheck("--port", str(free_port()))
    assert code == 1
    assert said.startswith("unhealthy: no answer")


def test_what_is_not_ready_is_unhealthy_and_alive(start_server: StartServer) -> None:
    server = start_server("--storage.reserve_bytes", str(1 << 50))
    code, said = healthcheck(**at(server))
    assert code == 1
    assert "503" in said
    assert "storage" in said
    assert healthcheck("--live", **at(server)) == (0, "")


def test_where_probes_are_off_an_answer_is_enough(start_server: StartServer) -> None:
    server = start_server("--observability.health_check", "false")
    assert healthcheck("--observability.health_check", "false", **at(server)) == (0, "")
    assert healthcheck(**at(server))[0] == 1


def test_it_speaks_tls_where_the_server_does(start_server: StartServer, tmp_path: Path) -> None:
    pem = str(self_signed(tmp_path))
    flags = ("--server.tls.cert_file", pem, "--server.tls.key_file", pem)
    server = start_server(*flags, scheme="https")
    assert healthcheck(*flags, **at(server)) == (0, "")


def test_no_other_command_does_without_credentials(tmp_path: Path) -> None:
    """What lets this one pass must not let a server start that believes everybody."""
    for command in ("serve", "fsck", "sweep"):
        done = subprocess.run(
            [sys.executable, "-m", "app", command, "--host", "0.0.0.0", "--data-dir", str(tmp_path)],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert done.returncode == 2, command
        assert "default secret key" in done.stderr
