"""The azure back end against the contract, with Azurite for the service."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import ContainerClient

from app import registry
from app.config import Config, Storage
from app.config_storage import Azure
from app.storage import azure
from app.storage.base import ObjectStorage
from app.storage.remote import RemoteStorage
from tests.contract.remote_contract import SILENCE_S, RemoteContract
from tests.contract.storage_contract import LastingStorageContract
from tests.emulators import AZURITE_KEY, azure_connection
from tests.fault_proxy import answer


def make(endpoint: str, place: Path, service: str | None = None) -> ObjectStorage:
    """A back end in a container that all share, under a prefix that is the place's own. `service` is behind a proxy."""
    create_container(service or endpoint, "blobs")
    settings = Azure(container="blobs", prefix=f"{place.name}/", connection_string=azure_connection(endpoint))
    return registry.object_storage("azure", Config(storage=Storage(azure=settings)))


def create_container(endpoint: str, name: str) -> None:
    with (
        ContainerClient.from_connection_string(azure_connection(endpoint), name) as client,
        contextlib.suppress(ResourceExistsError),
    ):
        client.create_container()


class TestAzureStorage(LastingStorageContract):
    @pytest.fixture(autouse=True)
    def _service(self, azurite: str) -> None:
        self.endpoint = azurite

    def make(self, place: Path) -> ObjectStorage:
        return make(self.endpoint, place)


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
        monkeypatch.setattr(azure, "READ_TIMEOUT_S", SILENCE_S)
