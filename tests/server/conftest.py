"""Servers that run the tests' own WSGI application under our worker, each with the limits a test asks for."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.server.wire import Wire, get
from tests.servers import ROOT, free_port

START_TIMEOUT_S = 15.0

# Short enough to be waited for, long enough for a busy machine.
SHORT_LIMITS = {
    "head_timeout_ms": 700, "idle_timeout_ms": 1_500, "body_stall_ms": 700, "body_window_ms": 1_000,
    "send_stall_ms": 1_000, "linger_timeout_ms": 500, "fresh_grace_ms": 300, "evictable_after_ms": 200,
}  # fmt: skip


@dataclass
class AppServer:
    """Master and workers with the application of tests/server/application.py."""

    log_path: Path
    workers: int = 1
    shutdown_timeout_s: int = 10
    certificate: str = ""
    shared: bool = True
    limits: dict[str, int] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    descriptors: int = 0
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> AppServer:
        options = {
            "port": self.port, "workers": self.workers, "shutdown_timeout_s": self.shutdown_timeout_s,
            "certificate": self.certificate, "shared": self.shared, "limits": self.limits, "settings": self.settings,
        }  # fmt: skip
        command = [sys.executable, "-m", "tests.server.application", json.dumps(options)]
        if self.descriptors:
            command = ["sh", "-c", f'ulimit -n {self.descriptors}; exec "$@"', "sh", *command]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
        self.wait_until_listening()
        return self

    def wait_until_listening(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        expected = self.workers if self.shared else 1
        while time.monotonic() < deadline and self.process is not None and self.process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0 and len(self.worker_pids()) == expected:
                    return
            time.sleep(0.02)
        raise AssertionError(f"the server did not start:\n{self.log()}")

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def worker_pids(self) -> list[int]:
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def ask(self, data: bytes, method: str = "GET") -> Any:
        with self.wire() as wire:
            wire.send(data)
            return wire.answer(method)

    def get(self, path: str, *headers: str, **options: Any) -> Any:
        return self.ask(get(path, *headers, **options), options.get("method", "GET"))

    def wire(self) -> Wire:
        return Wire(self.port)

    def terminate(self, timeout_s: float = 15.0) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """Everybody in the server's process group."""
        if self.process is not None:
            for _ in range(2):
                try:
                    os.killpg(self.process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    break
                self.process.wait()

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")


StartApp = Callable[..., AppServer]


@pytest.fixture
def start_app(tmp_path: Path) -> Iterator[StartApp]:
    """Start servers of one's own; all are killed when the test ends."""
    running: list[AppServer] = []

    def start(**fields: Any) -> AppServer:
        fields["limits"] = SHORT_LIMITS | fields.get("limits", {})
        running.append(AppServer(tmp_path / f"server{len(running)}.log", **fields))
        return running[-1].start()

    yield start
    for each in running:
        each.kill()


@pytest.fixture(scope="session")
def app_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    """One worker with short limits that the session's tests share."""
    server = AppServer(tmp_path_factory.mktemp("app") / "server.log", limits=dict(SHORT_LIMITS))
    try:
        yield server.start()
    finally:
        server.kill()


def eventually(condition: Callable[[], bool], timeout_s: float = 5.0) -> bool:
    """Whether something another process does happens in time: there is no clock to pass."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
