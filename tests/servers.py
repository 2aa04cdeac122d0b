"""The real server as a process of its own, for tests that speak HTTP to it."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.log_scan import leaks, secrets_in

ROOT = Path(__file__).parent.parent
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 40.0
ACCESS_KEY = "test-access-key"
SECRET_KEY = "test-secret-key-0123456789"
# All that a server has of the tests' environment. The last lets the whole suite run without the short way.
PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "BLEEPSTORE_SERVER_SHORT_WAY")
STORAGE_PREFIX = "BLEEPSTORE_STORAGE_"


class ServerDied(AssertionError):
    """The server ended or never answered; the message ends with its log."""


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class RunningServer:
    """One master with its workers. `args` are further flags, `environ` further variables; both survive a restart."""

    data_dir: Path
    args: Sequence[str] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    workers: int = 1
    port: int = field(default_factory=free_port)
    host: str = "127.0.0.1"
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY
    scheme: str = "http"
    module: str = "app"  # what is run; a mutant's has the same command line
    process: subprocess.Popen[bytes] | None = None
    scanned_bytes: int = 0  # of the log
    started_s: float = 0.0  # from the start of the process to the first answer

    def __post_init__(self) -> None:
        if os.environ.get(f"{STORAGE_PREFIX}BACKEND") == "memory":
            self.workers = 1  # all that it can have

    @property
    def endpoint(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def log_path(self) -> Path:
        return self.data_dir.parent / f"{self.data_dir.name}.log"

    @property
    def pid(self) -> int:
        """The master's."""
        assert self.process is not None, "not started"
        return self.process.pid

    def command(self) -> list[str]:
        return [
            sys.executable, "-m", self.module, "serve", "--data-dir", str(self.data_dir), "--host", self.host,
            "--port", str(self.port), "--workers", str(self.workers), *self.args,
        ]  # fmt: skip

    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        keys = {"BLEEPSTORE_AUTH_ACCESS_KEY": self.access_key, "BLEEPSTORE_AUTH_SECRET_KEY": self.secret_key}
        kept |= self._storage()
        return kept | {"PYTHONPATH": str(ROOT)} | keys | dict(self.environ)

    def _storage(self) -> dict[str, str]:
        """What chooses the run's back end (tests/storages.py), with a place of its own there for these data."""
        chosen = {name: value for name, value in os.environ.items() if name.startswith(STORAGE_PREFIX)}
        place = hashlib.md5(str(self.data_dir).encode(), usedforsecurity=False).hexdigest()
        return {name: f"{place}/" if name.endswith("_PREFIX") else value for name, value in chosen.items()}

    def start(self, *, wait: bool = True) -> RunningServer:
        """Start, and wait for the first answer. A process group of its own, so that `kill9` reaches everybody in it."""
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command(), cwd=ROOT, env=self.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        if wait:
            self.wait_until_ready()
        return self

    def wait_until_ready(self, timeout_s: float = START_TIMEOUT_S) -> None:
        begin = time.monotonic()
        while time.monotonic() - begin < timeout_s:
            if self.process is None or self.process.poll() is not None:
                break
            # The first worker answers before the master has begun the others.
            if self._answers() and len(self.worker_pids()) >= self.workers:
                self.started_s = time.monotonic() - begin
                return
            time.sleep(0.01)  # the other side of a process boundary: there is no clock to pass
        raise ServerDied(f"no answer from {self.endpoint}:\n{self.log()[-8000:]}")

    def worker_pids(self) -> list[int]:
        """Children of the master that live."""
        path = f"/proc/{self.pid}/task/{self.pid}/children"
        return [int(pid) for pid in Path(path).read_text().split()]

    def kill9(self) -> None:
        """SIGKILL to master and workers at once, as a power cut would end them."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            _wait_for_port(self.host, self.port)
            self._refuse_leaks()

    def terminate(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """SIGTERM to the master; its exit code."""
        assert self.process is not None, "not started"
        self.process.terminate()
        status = self.process.wait(timeout_s)
        self._refuse_leaks()
        return status

    def _refuse_leaks(self) -> None:
        """S-14: no secret, signature or token in what was logged since the last look."""
        if self.log_path.exists():
            found, self.scanned_bytes = leaks(self.log_path, secrets_in(self.environment()), self.scanned_bytes)
            assert not found, f"logged: {found}"

    def restart(self) -> RunningServer:
        """kill -9, then a start on the same data and port."""
        self.kill9()
        return self.start()

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def client(self, **options: Any) -> Any:
        """A boto3 client of this server. `options` go to its Config; retries are off unless they say otherwise."""
        return boto_client(self.endpoint, self.access_key, self.secret_key, **options)

    def _answers(self) -> bool:
        connection = (
            http.client.HTTPConnection(self.host, self.port, timeout=2)
            if self.scheme == "http"
            else http.client.HTTPSConnection(self.host, self.port, timeout=2, context=_unverified())
        )
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status > 0  # a refusal is an answer: health_check may be off
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def boto_client(endpoint: str, access_key: str, secret_key: str, **options: Any) -> Any:
    """A boto3 S3 client by path style; `verify=` takes a certificate for TLS."""
    import boto3
    from botocore.config import Config

    verify = options.pop("verify", None)
    settings = {"s3": {"addressing_style": "path"}, "retries": {"total_max_attempts": 1}, **options}
    return boto3.session.Session().client(
        "s3", endpoint_url=endpoint, aws_access_key_id=access_key, aws_secret_access_key=secret_key,
        region_name="us-east-1", config=Config(**settings), verify=verify,
    )  # fmt: skip


def _wait_for_port(host: str, port: int) -> None:
    """Orphans of a killed master end a moment after it."""
    for _ in range(500):
        with socket.socket() as probe:
            if probe.connect_ex((host, port)) != 0:
                return
        time.sleep(0.01)
    raise ServerDied(f"somebody still listens on {host}:{port}")


def _unverified() -> Any:
    import ssl

    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
