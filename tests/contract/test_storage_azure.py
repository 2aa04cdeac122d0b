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
from app.storage.base import ObjectStorage
from tests.contract.storage_contract import LastingStorageContract
from tests.emulators import azure_connection


def make(endpoint: str, place: Path) -> ObjectStorage:
    """A back end in a container that all tests share, under a prefix that is the place's own."""
    create_container(endpoint, "blobs")
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
