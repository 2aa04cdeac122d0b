"""The image, built of this tree by the container engine that is there, and containers of it that end with their test.

Containers use the host's network: it is what every engine can do, nested ones too.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.components import require_engine
from tests.servers import ROOT, ServerDied, boto_client, free_port

TAG = "bleepstore:tested"
BUILD_TIMEOUT_S = 1_200
ACCESS_KEY, SECRET_KEY = "image-access-key", "image-secret-key-0123"


def docker(*arguments: str, timeout_s: float = 120, check: bool = True) -> str:
    done = subprocess.run(
        [require_engine(), *arguments], capture_output=True, text=True, timeout=timeout_s, check=False
    )
    if check and done.returncode:
        raise AssertionError(f"docker {' '.join(arguments)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout.strip()


@dataclass
class Container:
    id: str
    port: int
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> Any:
        return boto_client(self.endpoint, ACCESS_KEY, SECRET_KEY)

    def inspect(self, template: str) -> str:
        return docker("inspect", "--format", template, self.id)

    def logs(self) -> str:
        done = subprocess.run([require_engine(), "logs", self.id], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr


Run = Callable[..., Container]


@pytest.fixture(scope="session")
def image() -> str:
    """The tag of the image."""
    docker("build", "--network=host", "-t", TAG, "--build-arg", "VERSION=1.2.3", str(ROOT), timeout_s=BUILD_TIMEOUT_S)
    return TAG


@pytest.fixture
def run(image: str) -> Iterator[Run]:
    """Start a container: `run("--read-only", command=("serve",), environ={…})`. All are removed when the test ends."""
    started: list[str] = []

    def start(*options: str, command: tuple[str, ...] = (), **environ: str) -> Container:
        port = free_port()
        variables = {
            "BLEEPSTORE_SERVER_PORT": str(port), "BLEEPSTORE_AUTH_ACCESS_KEY": ACCESS_KEY,
            "BLEEPSTORE_AUTH_SECRET_KEY": SECRET_KEY, **environ,
        }  # fmt: skip
        flags = [flag for name, value in variables.items() if value for flag in ("-e", f"{name}={value}")]
        made = docker("run", "-d", "--network=host", *flags, *options, image, *command)
        started.append(made)
        return Container(made, port, variables)

    yield start
    for each in started:
        docker("rm", "-f", "-v", each, check=False)


def wait_until_answered(container: Container, timeout_s: float = 30) -> None:
    import time
    import urllib.error
    import urllib.request

    give_up_s = time.monotonic() + timeout_s
    while time.monotonic() < give_up_s:
        try:
            urllib.request.urlopen(f"{container.endpoint}/healthz", timeout=2).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.02)  # the other side of a process boundary: there is no clock to pass
        else:
            return
    raise ServerDied(container.logs()[-4000:])


def writable_by_all(directory: Path) -> Path:
    directory.mkdir()
    directory.chmod(0o777)
    return directory
