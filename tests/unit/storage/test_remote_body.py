"""Downloads that break are gone on with, exactly, and within bounds."""

from __future__ import annotations

import os

import pytest

from app.domain.errors import BlobMissing, InternalError, ServiceUnavailable
from app.domain.types import BlobRef
from app.storage.base import CHUNK_MAX_BYTES
from app.storage.remote_body import CHUNK_TIMEOUT_S, RemoteBody
from app.storage.remote_calls import ATTEMPTS_MAX, Calls, Kind
from tests.contract.storage_contract import put, read_all
from tests.unit.storage.service import Service, TestedStorage

LONG = os.urandom(3 * CHUNK_MAX_BYTES + 17)


def stored(service: Service, content: bytes = LONG) -> tuple[TestedStorage, BlobRef]:
    storage = TestedStorage(service)
    return storage, put(storage, content)


def open_body(storage: TestedStorage, ref: BlobRef) -> RemoteBody:
    """The blob is longer than what `read` gives whole."""
    body = storage.read(ref)
    assert isinstance(body, RemoteBody)
    return body


@pytest.mark.parametrize("breaks", [[0], [5], [CHUNK_MAX_BYTES], [CHUNK_MAX_BYTES + 1, 3, 0], [len(LONG) - 1]])
def test_a_stream_that_breaks_is_gone_on_with_from_where_it_was(breaks: list[int]) -> None:
    service = Service()
    storage, ref = stored(service)
    service.breaks_after = list(breaks)
    assert read_all(storage.read(ref)) == LONG
    service.breaks_after = list(breaks)
    assert read_all(storage.read(ref, 11, len(LONG) - 20)) == LONG[11:-9]
    assert all(stream.is_closed for stream in service.streams)


def test_attempts_are_counted_anew_after_every_whole_chunk() -> None:
    service = Service()
    storage, ref = stored(service)
    service.breaks_after = [CHUNK_MAX_BYTES // 2] * 7
    assert read_all(storage.read(ref)) == LONG


def test_a_stream_that_gets_nowhere_is_given_up() -> None:
    service = Service()
    storage, ref = stored(service)
    service.breaks_after = [CHUNK_MAX_BYTES] + [0] * 50
    body = open_body(storage, ref)
    assert next(body) == LONG[:CHUNK_MAX_BYTES]
    with pytest.raises(InternalError):
        next(body)
    assert service.called.count("get") <= 1 + ATTEMPTS_MAX


def test_a_blob_that_goes_away_meanwhile_is_said_to_be_missing() -> None:
    service = Service()
    storage, ref = stored(service)
    service.breaks_after = [CHUNK_MAX_BYTES]
    body = open_body(storage, ref)
    next(body)
    service.objects.clear()
    with pytest.raises(BlobMissing):
        next(body)


def test_closing_early_gives_the_connection_up() -> None:
    service = Service()
    storage, ref = stored(service)
    body = open_body(storage, ref)
    next(body)
    body.close()
    assert service.streams[-1].is_closed
    assert list(body) == []


def test_a_service_that_is_away_is_told_before_the_first_byte() -> None:
    service = Service()
    storage, ref = stored(service)
    service.faults["get"] = [Kind.AWAY] * 99
    with pytest.raises(ServiceUnavailable):
        storage.read(ref)
    assert service.called.count("get") == ATTEMPTS_MAX


def test_a_service_that_trickles_is_given_up() -> None:
    service = Service()
    _, ref = stored(service)
    now_s = [0.0]

    def drop_by_drop() -> float:
        now_s[0] += 0.6 * CHUNK_TIMEOUT_S
        return now_s[0]

    calls = Calls("tested", service.classify, sleep=lambda seconds: None, monotonic=drop_by_drop)
    body = RemoteBody(calls, lambda start, end: service.get(f"p/blobs/{ref[:2]}/{ref}", start, end), 0, len(LONG))
    with pytest.raises(ServiceUnavailable):
        next(body)
    assert service.streams[-1].is_closed
