"""The azure back end against the contract, with Azurite for the service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app import registry
from app.config import Config, Storage
from app.config_storage import Azure
from app.storage import azure
from app.storage.base import ObjectStorage
from app.storage.remote import RemoteStorage
from tests import emulators
from tests.contract.remote_contract import SILENCE_S, RemoteContract
from tests.contract.storage_contract import LastingStorageContract
from tests.emulators import AZURITE_KEY, azure_connection
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
