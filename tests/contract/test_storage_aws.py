"""The aws back end against the contracts: over moto, and over our own server, which is stricter."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.config import Config, load_config
from app.registry import object_storage
from app.storage.aws import AwsStorage
from tests.components import require_python
from tests.contract.remote_contract import SILENCE_S, RemoteContract
from tests.contract.storage_contract import LastingStorageContract
from tests.fault_proxy import ALWAYS, Fault, FaultProxy, answer
from tests.servers import ACCESS_KEY, SECRET_KEY, RunningServer, boto_client

BUCKET = "blobs-of-the-contract"
FULL = b"<Error><Code>XMinioStorageFull</Code><Message>full</Message></Error>"


def config_of(endpoint: str, place: Path, **settings: str) -> Config:
    """A place of its own is a prefix of its own."""
    flags = {
        "bucket": BUCKET, "prefix": f"{hashlib.md5(str(place).encode()).hexdigest()}/", "region": "us-east-1",
        "endpoint_url": endpoint, "use_path_style": "true", "access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY,
        **settings,
    }  # fmt: skip
    return load_config(
        {"storage.backend": "aws", **{f"storage.aws.{name}": value for name, value in flags.items()}}, {}
    )


def make_storage(endpoint: str, place: Path, **settings: str) -> AwsStorage:
    """By its name; not opened."""
    require_python("botocore", "boto3")
    made = object_storage("aws", config_of(endpoint, place, **settings))
    assert isinstance(made, AwsStorage)
    return made


@functools.cache
def client_of(endpoint: str) -> Any:
    """A client of the service, the bucket being there. One for all tests: making one takes a while."""
    client = boto_client(endpoint, ACCESS_KEY, SECRET_KEY)
    if BUCKET not in {each["Name"] for each in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket=BUCKET)
    return client


class AwsContract(LastingStorageContract):
    endpoint: str
    proxies: list[FaultProxy]

    @pytest.fixture(autouse=True)
    def service(self, url: str) -> Iterator[None]:
        self.endpoint, self.proxies = url, []
        client_of(url)
        yield
        for proxy in self.proxies:
            proxy.__exit__()

    def make(self, place: Path) -> AwsStorage:
        return make_storage(self.endpoint, place)

    def make_full(self, place: Path) -> AwsStorage:
        """The service takes no large bodies: it says so as MinIO does."""
        proxy = FaultProxy(self.endpoint)
        self.proxies.append(proxy)
        proxy.add(Fault(answer(507, FULL), "PUT", times=ALWAYS, least_bytes=1 << 20))
        storage = make_storage(proxy.url, place)
        storage.open()
        return storage


class TestAwsStorageOverMoto(AwsContract):
    @pytest.fixture
    def url(self, moto: str) -> str:
        return moto


class TestAwsStorageOverBleepStore(AwsContract):
    @pytest.fixture
    def url(self, server: RunningServer) -> str:
        return server.endpoint


class AwsThroughFaults(RemoteContract):
    secrets = (SECRET_KEY,)
    url: str

    @pytest.fixture(autouse=True)
    def service(self, endpoint: str) -> None:
        self.url = endpoint
        client_of(endpoint)

    def service_url(self) -> str:
        return self.url

    def make_through(self, url: str, place: Path) -> AwsStorage:
        return make_storage(url, place)

    def make_impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("app.storage.aws.READ_TIMEOUT_S", SILENCE_S)


class TestAwsThroughFaultsToMoto(AwsThroughFaults):
    @pytest.fixture
    def endpoint(self, moto: str) -> str:
        return moto


class TestAwsThroughFaultsToBleepStore(AwsThroughFaults):
    @pytest.fixture
    def endpoint(self, server: RunningServer) -> str:
        return server.endpoint
