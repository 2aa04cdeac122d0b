"""The gcp back end against the contract, with fake-gcs-server for the service."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app import registry
from app.config import Config, Storage
from app.config_storage import Gcp
from app.domain.errors import InternalError, ServiceUnavailable
from app.storage import gcp_session, remote_calls
from app.storage.base import ObjectStorage
from app.storage.remote import RemoteStorage
from app.storage.remote_calls import CONNECT_TIMEOUT_S
from app.storage.remote_memory import PART_BYTES
from tests import emulators
from tests.contract.remote_contract import LARGE, MIDDLE, SILENCE_S, WRITES, RemoteContract
from tests.contract.storage_contract import FAR_FUTURE_MS, LastingStorageContract, put, read_all
from tests.fault_proxy import ALWAYS, Fault, FaultProxy, answer, spoil_upload
from tests.resumable import UNIT_BYTES, ResumableProxy, resumable_proxy


def make(endpoint: str, place: Path, service: str | None = None) -> ObjectStorage:
    """A back end in a bucket that all tests share, under a prefix that is the place's own. `service` is behind a proxy."""
    emulators.create_gcs_bucket(service or endpoint, "blobs")
    settings = Gcp(bucket="blobs", prefix=f"{place.name}/", endpoint_url=endpoint)
    return registry.object_storage("gcp", Config(storage=Storage(gcp=settings)))


def _error(status: int, reason: str) -> bytes:
    return json.dumps({"error": {"code": status, "message": "a fault", "errors": [{"reason": reason}]}}).encode()


class TestGcpStorage(LastingStorageContract):
    @pytest.fixture(autouse=True)
    def _service(self, fake_gcs: str) -> Iterator[None]:
        self.endpoint = fake_gcs
        with FaultProxy(fake_gcs) as self.proxy:
            yield

    def make(self, place: Path) -> ObjectStorage:
        return make(self.endpoint, place)

    def make_full(self, place: Path) -> ObjectStorage:
        """The service takes no large bodies: it says so as Google's does when a quota is used up."""
        full = answer(403, _error(403, "quotaExceeded"), "application/json")
        self.proxy.add(Fault(full, WRITES, times=ALWAYS, least_bytes=1 << 20))
        storage = make(self.proxy.url, place, self.endpoint)
        storage.open()
        return storage


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_calls, "FIRST_PAUSE_S", 0.01)
    with emulators.fake_gcs(scheme="https") as endpoint:
        settings = Gcp(bucket="blobs", endpoint_url=endpoint)
        storage = registry.object_storage("gcp", Config(storage=Storage(gcp=settings)))
        storage.open()
        with pytest.raises(ServiceUnavailable):
            put(storage, b"for nobody else")
        storage.close()


class TestGcpThroughFaults(RemoteContract):
    throttled = staticmethod(answer(429, _error(429, "rateLimitExceeded"), "application/json"))
    full = staticmethod(answer(403, _error(403, "quotaExceeded"), "application/json"))
    broken = staticmethod(answer(503, _error(503, "backendError"), "application/json"))
    secrets = ("upload_id",)

    @pytest.fixture(autouse=True)
    def _service(self, fake_gcs: str) -> Iterator[None]:
        with resumable_proxy(fake_gcs) as running:
            self.endpoint = running.endpoint
            yield

    def service_url(self) -> str:
        return self.endpoint

    def make_through(self, url: str, place: Path) -> RemoteStorage:
        made = make(url, place, self.endpoint)
        assert isinstance(made, RemoteStorage)
        return made

    def make_impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gcp_session, "_TIMEOUTS_S", (CONNECT_TIMEOUT_S, 2 * SILENCE_S))

    def test_bytes_that_change_on_their_way_up_are_noticed(self, storage: RemoteStorage, proxy: FaultProxy) -> None:
        """In chunks only at the end, for the service compares nothing before. Then they cannot be sent again."""
        proxy.add(Fault(spoil_upload, WRITES, least_bytes=1 << 20))
        assert read_all(storage.read(put(storage, MIDDLE))) == MIDDLE
        kept = [blob.ref for blob in storage.scan(FAR_FUTURE_MS)]
        proxy.add(Fault(spoil_upload, WRITES, least_bytes=1 << 20))
        with pytest.raises(InternalError):
            put(storage, LARGE)
        proxy.add(Fault(spoil_upload, WRITES, least_bytes=1 << 20, times=ALWAYS))
        with pytest.raises(InternalError):
            put(storage, MIDDLE)
        assert [blob.ref for blob in storage.scan(FAR_FUTURE_MS)] == kept


class TestGcpResumable:
    """What fake-gcs-server does not keep to: see tests/resumable.py."""

    @pytest.fixture
    def proxy(self, fake_gcs: str) -> Iterator[ResumableProxy]:
        with resumable_proxy(fake_gcs) as running:
            yield running

    @pytest.fixture
    def storage(self, proxy: ResumableProxy, tmp_path: Path) -> Iterator[ObjectStorage]:
        made = make(proxy.endpoint, tmp_path)
        made.open()
        yield made
        made.close()

    @pytest.mark.parametrize("odd", [0, 1, UNIT_BYTES], ids=["two parts", "and a byte", "and a unit"])
    def test_an_upload_of_chunks_is_one_object(self, storage: ObjectStorage, odd: int) -> None:
        content = os.urandom(2 * PART_BYTES + odd)
        assert read_all(storage.read(put(storage, content))) == content

    @pytest.mark.parametrize(
        ("chunk", "came"),
        [
            (0, PART_BYTES),
            (1, 0),
            (1, 1),
            (1, UNIT_BYTES),
            (1, PART_BYTES - 1),
            (1, PART_BYTES),
            (2, 0),
            (2, PART_BYTES),
        ],
    )
    def test_a_chunk_that_breaks_off_is_gone_on_with(
        self, proxy: ResumableProxy, storage: ObjectStorage, chunk: int, came: int
    ) -> None:
        """A chunk that came whole is the time-out after success: it is not sent again."""
        content = os.urandom(3 * PART_BYTES - 5)
        proxy.breaks[chunk] = came
        ref = put(storage, content)
        assert [each for each in proxy.requests if each.startswith("bytes */")] == [
            f"bytes */{len(content)}" if chunk == 2 else "bytes */*"
        ]
        assert proxy.chunks == (3 if came == PART_BYTES else 4)
        assert read_all(storage.read(ref)) == content

    def test_a_session_that_is_gone_is_an_error_and_nothing_is_there(
        self, proxy: ResumableProxy, storage: ObjectStorage
    ) -> None:
        with storage.create() as writer:
            writer.write(bytes(2 * PART_BYTES))
            proxy.sessions.clear()
            with pytest.raises(ServiceUnavailable):
                writer.commit()
        assert list(storage.scan(FAR_FUTURE_MS)) == []

    def test_an_upload_that_is_given_up_is_cancelled(self, proxy: ResumableProxy, storage: ObjectStorage) -> None:
        with storage.create() as writer:
            writer.write(bytes(2 * PART_BYTES))
        assert (proxy.aborted, proxy.sessions) == (1, {})

    def test_bytes_that_were_changed_on_their_way_are_never_acknowledged(
        self, proxy: ResumableProxy, storage: ObjectStorage
    ) -> None:
        with storage.create() as writer:
            writer.write(bytes(2 * PART_BYTES))
            _wait_for(lambda: proxy.chunks == 1)
            (session,) = proxy.sessions.values()
            session.content[1_000] ^= 1
            with pytest.raises(InternalError):
                writer.commit()
        assert list(storage.scan(FAR_FUTURE_MS)) == []


def _wait_for(condition: Callable[[], bool]) -> None:
    """For what a thread of the storage does."""
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < 10
        time.sleep(0.01)
