"""Fixtures that every test may ask for, and the count of missing components in the closing summary."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests import emulators, storages
from tests.components import MISSING
from tests.servers import RunningServer

settings.register_profile("default", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("nightly", parent=settings.get_profile("default"), max_examples=2_000)
settings.load_profile(os.environ.get("BLEEPSTORE_TEST_PROFILE", "default"))

# Where these say "CI", pytest shows whole differences, and takes hours for that of two large bodies.
for variable in ("CI", "BUILD_NUMBER"):
    os.environ.pop(variable, None)

StartServer = Callable[..., RunningServer]


@pytest.fixture(scope="session", autouse=True)
def back_end(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str | None]:
    """The back end that BLEEPSTORE_TEST_STORAGE names, for every server of the session; None: as each test says."""
    name = os.environ.get(storages.VARIABLE)
    if name is None:
        yield None
        return
    with storages.running(name, tmp_path_factory.mktemp("storage")) as variables, pytest.MonkeyPatch.context() as patch:
        for variable, value in variables.items():
            patch.setenv(variable, value)
        yield name


@pytest.fixture
def start_server(tmp_path: Any) -> Iterator[StartServer]:
    """Start real servers, each on data of its own unless `data_dir` is given; all are killed when the test ends.

    `start_server("--server.region", "", workers=2, environ={…})` takes flags and what `RunningServer` has as fields.
    """
    running: list[RunningServer] = []

    def start(*args: str, wait: bool = True, **fields: Any) -> RunningServer:
        fields.setdefault("data_dir", tmp_path / f"data{len(running)}")
        server = RunningServer(args=args, **fields)
        running.append(server)
        return server.start(wait=wait)

    yield start
    for server in running:
        server.kill9()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server with two workers that the session's tests share: use bucket names of your own, and leave it running."""
    shared = RunningServer(tmp_path_factory.mktemp("server") / "data", workers=2)
    try:
        yield shared.start()
    finally:
        shared.kill9()


@pytest.fixture(scope="session")
def s3(server: RunningServer) -> Any:
    """A boto3 client of the shared server."""
    return server.client()


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The URL of an AWS that the session's tests share: use buckets of your own."""
    with emulators.moto() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def fake_gcs() -> Iterator[str]:
    """The URL of a Google Cloud Storage that the session's tests share: use buckets of your own."""
    with emulators.fake_gcs() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def azurite() -> Iterator[str]:
    """The URL of an Azure account that the session's tests share: use containers of your own."""
    with emulators.azurite() as endpoint:
        yield endpoint


@pytest.fixture
def bucket(s3: Any) -> str:
    """A fresh bucket on the shared server."""
    name = f"test-{secrets.token_hex(8)}"
    s3.create_bucket(Bucket=name)
    return name


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how much of the suite did not run for want of a component."""
    reasons = [report.longrepr[2] for report in terminalreporter.stats.get("skipped", []) if report.longrepr]
    missing = [reason.split(MISSING, 1)[1].split(". Get it by", 1)[0] for reason in reasons if MISSING in reason]
    names = ", ".join(f"{name} ({missing.count(name)})" for name in sorted(set(missing)))
    terminalreporter.write_line(
        f"components missing: {len(set(missing))}{f' — skipped tests by component: {names}' if names else ''}"
    )
