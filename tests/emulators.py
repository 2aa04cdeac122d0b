"""AWS's, Google's and Azure's storage on this machine: the emulators, each a process of its own on a free port of 127.0.0.1."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

from tests.components import require_azurite, require_fake_gcs, require_python
from tests.servers import free_port

START_TIMEOUT_S = 30.0
AZURITE_ACCOUNT = "devstoreaccount1"
# Everybody's: Azurite's documentation has it.
AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@contextlib.contextmanager
def moto() -> Iterator[str]:
    """The URL of an AWS that forgets, and that believes everybody."""
    port = free_port()
    require_python("moto.server", "moto[server]")
    with _running([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def fake_gcs(scheme: str = "http") -> Iterator[str]:
    """The URL of a Google Cloud Storage that forgets."""
    port = free_port()
    command = [
        require_fake_gcs(), "-scheme", scheme, "-host", "127.0.0.1", "-port", str(port), "-backend", "memory",
        "-public-host", f"127.0.0.1:{port}", "-log-level", "error",
    ]  # fmt: skip
    with _running(command, port):
        yield f"{scheme}://127.0.0.1:{port}"


@contextlib.contextmanager
def azurite(*options: str, scheme: str = "http") -> Iterator[str]:
    """The URL of an Azure account's blobs that forgets; `azure_connection` makes a connection string of it."""
    port = free_port()
    command = [
        require_azurite(), "--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence",
        "--skipApiVersionCheck", "--silent", "--disableTelemetry", *options,
    ]  # fmt: skip
    with _running(command, port):
        yield f"{scheme}://127.0.0.1:{port}/{AZURITE_ACCOUNT}"


def create_gcs_bucket(endpoint: str, name: str) -> None:
    """That it is there already is fine."""
    requests = require_python("requests")
    requests.post(f"{endpoint}/storage/v1/b", json={"name": name}, timeout=10)


def create_azure_container(endpoint: str, name: str) -> None:
    """That it is there already is fine."""
    blobs = require_python("azure.storage.blob", "azure-storage-blob")
    with blobs.ContainerClient.from_connection_string(azure_connection(endpoint), name) as client:
        if not client.exists():
            client.create_container()


def azure_connection(endpoint: str) -> str:
    protocol = endpoint.partition(":")[0]
    return (
        f"DefaultEndpointsProtocol={protocol};AccountName={AZURITE_ACCOUNT};AccountKey={AZURITE_KEY};"
        f"BlobEndpoint={endpoint};"
    )


@contextlib.contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        _wait(process, command[0], port)
        yield
    finally:
        process.kill()
        process.wait()


def _wait(process: subprocess.Popen[bytes], program: str, port: int) -> None:
    begin = time.monotonic()
    while time.monotonic() - begin < START_TIMEOUT_S and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)  # the other side of a process boundary: there is no clock to pass
    raise AssertionError(f"{program} does not answer (exit code {process.poll()})")
