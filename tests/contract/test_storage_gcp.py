"""The gcp back end against the contract, with fake-gcs-server for the service."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from app import registry
from app.config import Config, Storage
from app.config_storage import Gcp
from app.storage.base import ObjectStorage
from tests.contract.storage_contract import LastingStorageContract


def make(endpoint: str, place: Path) -> ObjectStorage:
    """A back end in a bucket that all tests share, under a prefix that is the place's own."""
    create_bucket(endpoint, "blobs")
    settings = Gcp(bucket="blobs", prefix=f"{place.name}/", endpoint_url=endpoint)
    return registry.object_storage("gcp", Config(storage=Storage(gcp=settings)))


def create_bucket(endpoint: str, name: str) -> None:
    requests.post(f"{endpoint}/storage/v1/b", json={"name": name}, timeout=10)


class TestGcpStorage(LastingStorageContract):
    @pytest.fixture(autouse=True)
    def _service(self, fake_gcs: str) -> None:
        self.endpoint = fake_gcs

    def make(self, place: Path) -> ObjectStorage:
        return make(self.endpoint, place)
