"""One server for all clients. It also answers to buckets in the host name, as several clients want it by default."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients import DOMAIN
from tests.components import require
from tests.servers import RunningServer


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Two workers that the session's client tests share: use bucket names of your own, and leave it running."""
    shared = RunningServer(tmp_path_factory.mktemp("service") / "data", args=("--server.domain", DOMAIN), workers=2)
    try:
        yield shared.start()
    finally:
        shared.kill9()


@pytest.fixture(scope="session")
def admin(service: RunningServer) -> Any:
    """A boto3 client of the service, to prepare and to look behind a client's back."""
    return service.client()


@pytest.fixture
def bucket(admin: Any) -> str:
    """A fresh bucket on the service."""
    name = f"test-{secrets.token_hex(8)}"
    admin.create_bucket(Bucket=name)
    return name


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """certificate.pem, self-signed for 127.0.0.1, with key.pem beside it."""
    directory = tmp_path_factory.mktemp("certificate")
    subprocess.run(
        [require("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", "/CN=bleepstore", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem",
         "-out", "certificate.pem"],
        check=True, capture_output=True, cwd=directory,
    )  # fmt: skip
    return directory / "certificate.pem"


def tls_flags(certificate: Path) -> list[str]:
    """What makes a server speak TLS with it."""
    return ["--server.tls.cert_file", str(certificate), "--server.tls.key_file", str(certificate.with_name("key.pem"))]
