"""On which back end the servers of a test run keep their bytes: `BLEEPSTORE_TEST_STORAGE=gcp pytest tests/s3`.

Without the variable it is the default one. With it nothing is inline, so that every byte takes the way; a service is
started once a session, and each server gets a prefix of its own in it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests import emulators
from tests.servers import ACCESS_KEY, SECRET_KEY, STORAGE_PREFIX, RunningServer, boto_client

VARIABLE = "BLEEPSTORE_TEST_STORAGE"
BUCKET = "blobs-of-a-run"

Environment = Mapping[str, str]
Running = contextlib.AbstractContextManager[Environment]


@contextlib.contextmanager
def running(name: str, directory: Path) -> Iterator[Environment]:
    """The variables that make a server keep its bytes on the back end `name`, which is there until the context ends."""
    with SERVICES[name](directory) as variables:
        yield {f"{STORAGE_PREFIX}{key}": value for key, value in {"INLINE_MAX_BYTES": "0", **variables}.items()}


@contextlib.contextmanager
def _own(name: str) -> Iterator[Environment]:
    yield {"BACKEND": name}


@contextlib.contextmanager
def _bleepstore(directory: Path) -> Iterator[Environment]:
    server = RunningServer(directory / "upstream", workers=2)
    try:
        server.start()
        yield _aws(server.endpoint)
    finally:
        server.kill9()


@contextlib.contextmanager
def _moto(directory: Path) -> Iterator[Environment]:
    with emulators.moto() as endpoint:
        yield _aws(endpoint)


def _aws(endpoint: str) -> Environment:
    boto_client(endpoint, ACCESS_KEY, SECRET_KEY).create_bucket(Bucket=BUCKET)
    return {
        "BACKEND": "aws", "AWS_BUCKET": BUCKET, "AWS_PREFIX": "", "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": endpoint,
        "AWS_USE_PATH_STYLE": "true", "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    }  # fmt: skip


@contextlib.contextmanager
def _gcp(directory: Path) -> Iterator[Environment]:
    with emulators.fake_gcs() as endpoint:
        emulators.create_gcs_bucket(endpoint, BUCKET)
        yield {"BACKEND": "gcp", "GCP_BUCKET": BUCKET, "GCP_PREFIX": "", "GCP_ENDPOINT_URL": endpoint}


@contextlib.contextmanager
def _azure(directory: Path) -> Iterator[Environment]:
    with emulators.azurite() as endpoint:
        emulators.create_azure_container(endpoint, BUCKET)
        connection = emulators.azure_connection(endpoint)
        yield {
            "BACKEND": "azure", "AZURE_CONTAINER": BUCKET, "AZURE_PREFIX": "", "AZURE_CONNECTION_STRING": connection,
        }  # fmt: skip


SERVICES: dict[str, Callable[[Path], Running]] = {
    "local": lambda _: _own("local"),
    "memory": lambda _: _own("memory"),
    "sqlite": lambda _: _own("sqlite"),
    "aws": _bleepstore,
    "aws-moto": _moto,
    "gcp": _gcp,
    "azure": _azure,
}
