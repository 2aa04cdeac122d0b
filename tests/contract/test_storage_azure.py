"""The azure back end against the contract, with Azurite for the service."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient, generate_container_sas

from app import registry
from app.config import Config, Storage
from app.config_storage import Azure
from app.domain.errors import ServiceUnavailable
from app.storage import azure
from app.storage.base import ObjectStorage
from app.storage.remote import RemoteStorage
from tests import emulators
from tests.contract.remote_contract import LARGE, SILENCE_S, RemoteContract
from tests.contract.storage_contract import FAR_FUTURE_MS, LastingStorageContract, put, read_all
from tests.emulators import AZURITE_ACCOUNT, AZURITE_KEY, azure_connection
from tests.fault_proxy import ALWAYS, Fault, FaultProxy, answer


def make(endpoint: str, place: Path, service: str | None = None) -> ObjectStorage:
    """A back end in a container that all share, under a prefix that is the place's own. `service` is behind a proxy."""
    emulators.create_azure_container(service or endpoint, "blobs")
    settings = Azure(container="blobs", prefix=f"{place.name}/", connection_string=azure_connection(endpoint))
    return registry.object_storage("azure", Config(storage=Storage(azure=settings)))


class TestAzureStorage(LastingStorageContract):
    @pytest.fixture(autouse=True)
    def _service(self, azurite: str) -> Iterator[None]:
        self.endpoint = azurite
        with FaultProxy(azurite) as self.proxy:
            yield

    def make(self, place: Path) -> ObjectStorage:
        return make(self.endpoint, place)

    def make_full(self, place: Path) -> ObjectStorage:
        """The service takes no large bodies. Azure's has no word for it; what speaks its language may say this."""
        self.proxy.add(Fault(answer(507), "PUT", times=ALWAYS, least_bytes=1 << 20))
        storage = make(self.proxy.url, place, self.endpoint)
        storage.open()
        return storage


class TestAzureThroughFaults(RemoteContract):
    throttled = staticmethod(
        answer(503, b"<?xml version='1.0'?><Error><Code>ServerBusy</Code><Message>busy</Message></Error>")
    )
    broken = staticmethod(
        answer(502, b"<html><body>no gateway</body></html>", "text/html")
    )  # of a proxy, not the service
    secrets = (AZURITE_KEY, "SharedKey")

    @pytest.fixture(autouse=True)
    def _service(self, azurite: str) -> None:
        self.endpoint = azurite

    def service_url(self) -> str:
        return self.endpoint

    def make_through(self, url: str, place: Path) -> RemoteStorage:
        made = make(url, place, self.endpoint)
        assert isinstance(made, RemoteStorage)
        return made

    def make_impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(azure, "READ_TIMEOUT_S", 2 * SILENCE_S)  # an emulator takes its time on a busy machine


def test_a_connection_string_may_hold_a_shared_access_signature(
    azurite: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    emulators.create_azure_container(azurite, "blobs")
    signature = generate_container_sas(
        AZURITE_ACCOUNT, "blobs", AZURITE_KEY, permission="rcwdl", expiry=datetime.now(UTC) + timedelta(minutes=5)
    )
    with FaultProxy(azurite) as proxy:
        connection = f"BlobEndpoint={proxy.url};SharedAccessSignature={signature}"
        settings = Azure(container="blobs", prefix=f"{tmp_path.name}/", connection_string=connection)
        storage = registry.object_storage("azure", Config(storage=Storage(azure=settings)))
        storage.open()
        ref = put(storage, LARGE)
        assert read_all(storage.read(ref)) == LARGE
        assert [blob.ref for blob in storage.scan(FAR_FUTURE_MS)] == [ref]
        storage.delete(ref)
        proxy.add(Fault(answer(403), times=ALWAYS))
        with pytest.raises(ServiceUnavailable):
            put(storage, LARGE)
        assert "403" in storage.check().detail
        storage.close()
    assert caplog.records
    told = storage.check().detail + "".join(str(vars(record)) for record in caplog.records)
    assert signature not in told
    assert "sig=" not in told


def test_blocks_of_a_writer_that_gives_up_are_dropped(azurite: str, tmp_path: Path) -> None:
    with FaultProxy(azurite) as proxy:
        storage = make(proxy.url, tmp_path, azurite)
        storage.open()
        with storage.create() as writer:
            writer.write(LARGE)
        storage.close()
        assert proxy.count("PUT", "comp=block") >= 1
    with ContainerClient.from_connection_string(azure_connection(azurite), "blobs") as client:
        left = client.list_blobs(name_starts_with=f"{tmp_path.name}/", include=["uncommittedblobs"])
        assert [blob.name for blob in left] == []
