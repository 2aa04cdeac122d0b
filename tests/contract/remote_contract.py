"""What a back end over a network must do when the network or the service does not: a proxy between them sees to that.

A back end of a third party proves itself by a class of its own (STORAGE.md beside this file shows one):

    class TestMineThroughFaults(RemoteContract):
        def service_url(self) -> str: ...
        def make_through(self, url: str, place: Path) -> RemoteStorage: ...
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.domain.errors import BlobMissing, InternalError, ServiceUnavailable, SlowDown
from app.domain.types import BlobRef
from app.storage import remote_calls
from app.storage.base import CHUNK_MAX_BYTES, ObjectStorage
from app.storage.remote import RemoteStorage
from app.storage.remote_calls import ATTEMPTS_MAX
from app.storage.remote_memory import PART_BYTES
from tests import fault_proxy
from tests.contract.storage_contract import FAR_FUTURE_MS, SHORT, put, read_all
from tests.fault_proxy import ALWAYS, Fault, FaultProxy, answer

WRITES = "PUT|POST"
MIDDLE = os.urandom(3 * CHUNK_MAX_BYTES + 7)  # one request, several chunks
LARGE = os.urandom(1 << 20) * 17 + b"odd"  # parts: 8 MiB twice, and a little more than a MiB
BOUND_S = 8.0  # for a call that fails for ever, pauses included
SILENCE_S = 0.5


class Count:
    """The watch's side: how often what has happened."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str]] = []
        self.retries: list[str] = []

    def request(self, op: str, outcome: str, seconds: float) -> None:
        self.requests.append((op, outcome))

    def retry(self, op: str) -> None:
        self.retries.append(op)


class RemoteContract:
    """`throttled`, `full` and `broken` are the service's own answers; the last two may be left as they are."""

    throttled: fault_proxy.Action = staticmethod(answer(503, b"<Error><Code>SlowDown</Code></Error>"))
    full: fault_proxy.Action = staticmethod(answer(507))
    broken: fault_proxy.Action = staticmethod(answer(500))
    secrets: tuple[str, ...] = ()  # which no log and no error may hold

    def service_url(self) -> str:
        """A real service, plain HTTP on 127.0.0.1."""
        raise AssertionError("a contract test says where the service is")

    def make_through(self, url: str, place: Path) -> RemoteStorage:
        """A back end, not opened, that goes to this URL; the same place means the same data."""
        raise AssertionError("a contract test says how its back end is made")

    def make_impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let what is made from now on give a silent service up after SILENCE_S instead of READ_TIMEOUT_S."""
        raise AssertionError("a contract test says where its time-out is")

    @pytest.fixture(autouse=True)
    def in_a_hurry(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(remote_calls, "FIRST_PAUSE_S", 0.01)
        self.make_impatient(monkeypatch)

    @pytest.fixture
    def proxy(self) -> Iterator[FaultProxy]:
        with FaultProxy(self.service_url()) as proxy:
            yield proxy

    @pytest.fixture
    def storage(self, proxy: FaultProxy, tmp_path: Path) -> Iterator[RemoteStorage]:
        storage = self.make_through(proxy.url, tmp_path)
        storage.watch = Count()
        storage.open()
        yield storage
        storage.close()

    @pytest.fixture
    def direct(self, tmp_path: Path) -> Iterator[RemoteStorage]:
        """Another one over the same data, with nothing between."""
        storage = self.make_through(self.service_url(), tmp_path)
        storage.open()
        yield storage
        storage.close()

    # -- a service that is not there -----------------------------------------------------------------------------

    def test_a_service_that_is_away_is_told_so_and_comes_back(
        self, storage: RemoteStorage, proxy: FaultProxy, caplog: pytest.LogCaptureFixture
    ) -> None:
        ref = put(storage, SHORT)
        proxy.go_away()
        for call in every_call(storage, ref):
            with within_bounds(), pytest.raises(ServiceUnavailable):
                call()
        self.assert_no_secrets(caplog)
        with within(1):
            assert not storage.check().ok
        proxy.come_back()
        assert read_all(storage.read(ref)) == SHORT
        assert read_all(storage.read(put(storage, MIDDLE))) == MIDDLE

    def test_a_start_does_not_wait_for_the_service(self, proxy: FaultProxy, tmp_path: Path) -> None:
        proxy.go_away()
        storage = self.make_through(proxy.url, tmp_path)
        with within(2):
            storage.open()
        proxy.come_back()
        assert read_all(storage.read(put(storage, SHORT))) == SHORT
        storage.close()

    def test_a_service_that_hangs_is_given_up_and_nobody_else_waits(
        self, storage: RemoteStorage, proxy: FaultProxy, direct: RemoteStorage
    ) -> None:
        ref = put(storage, SHORT)
        proxy.add(Fault(fault_proxy.hang, times=ALWAYS))
        refused: list[BaseException] = []

        def try_to_read() -> None:
            try:
                read_all(storage.read(ref))
            except BaseException as error:
                refused.append(error)

        readers = [threading.Thread(target=try_to_read) for _ in range(4)]
        for reader in readers:
            reader.start()
        with within(1):
            health = storage.check()
        assert not health.ok
        with within(1):
            assert read_all(direct.read(put(direct, SHORT))) == SHORT
            assert direct.check().ok
        for reader in readers:
            reader.join(BOUND_S)
        assert [type(error) for error in refused] == [ServiceUnavailable] * 4

    # -- errors that pass, and errors that stay ------------------------------------------------------------------

    @pytest.mark.parametrize("times", [1, ATTEMPTS_MAX - 1])
    def test_errors_that_pass_are_not_seen(self, storage: RemoteStorage, proxy: FaultProxy, times: int) -> None:
        for content in (SHORT, MIDDLE):
            proxy.add(Fault(self.broken, times=times))
            ref = put(storage, content)
            proxy.add(Fault(self.broken, times=times))
            assert read_all(storage.read(ref)) == content
        proxy.add(Fault(self.broken, times=times))
        assert {blob.ref for blob in storage.scan(FAR_FUTURE_MS)} >= {ref}
        proxy.add(Fault(self.broken, times=times))
        storage.delete(ref)
        with pytest.raises(BlobMissing):
            storage.read(ref)

    def test_an_error_at_any_request_of_a_large_blob_is_not_seen(
        self, storage: RemoteStorage, proxy: FaultProxy
    ) -> None:
        for ref in put_with_a_fault_at_each_request(storage, proxy, self.broken):
            assert read_all(storage.read(ref)) == LARGE

    def test_errors_that_stay_are_bounded_and_counted(self, storage: RemoteStorage, proxy: FaultProxy) -> None:
        ref = put(storage, SHORT)
        proxy.clear()
        count = storage.calls.watch = Count()
        proxy.add(Fault(self.broken, times=ALWAYS))
        with within_bounds(), pytest.raises(ServiceUnavailable):
            storage.read(ref)
        assert proxy.count() == ATTEMPTS_MAX
        assert [outcome for _, outcome in count.requests] == ["away"] * ATTEMPTS_MAX
        assert len(count.retries) == ATTEMPTS_MAX - 1
        for content in (SHORT, LARGE):
            with within_bounds(), pytest.raises(ServiceUnavailable):
                put(storage, content)

    def test_throttling_is_slow_down_when_it_stays(self, storage: RemoteStorage, proxy: FaultProxy) -> None:
        proxy.add(Fault(self.throttled))
        ref = put(storage, SHORT)
        proxy.add(Fault(self.throttled, times=ALWAYS))
        for call in every_call(storage, ref):
            with within_bounds(), pytest.raises(SlowDown):
                call()

    def test_a_full_service_is_slow_down_at_once(self, storage: RemoteStorage, proxy: FaultProxy) -> None:
        fault = proxy.add(Fault(self.full, WRITES, times=ALWAYS))
        with pytest.raises(SlowDown):
            put(storage, SHORT)
        assert fault.met == 1
        with pytest.raises(SlowDown):
            put(storage, LARGE)
        with within(1):
            assert not storage.check().ok

    # -- connections that break ----------------------------------------------------------------------------------

    @pytest.mark.parametrize("after_bytes", [0, 1, 200_000, 2 << 20])
    def test_an_upload_that_is_cut_off_is_repeated(
        self, storage: RemoteStorage, proxy: FaultProxy, after_bytes: int
    ) -> None:
        cut = fault_proxy.cut_upload(after_bytes)
        proxy.add(Fault(cut, WRITES, least_bytes=1 << 20))
        assert read_all(storage.read(put(storage, MIDDLE))) == MIDDLE
        proxy.add(Fault(cut, WRITES, least_bytes=1 << 20, times=2))
        assert read_all(storage.read(put(storage, LARGE))) == LARGE
        assert len(list(storage.scan(FAR_FUTURE_MS))) == 2

    @pytest.mark.parametrize("is_reset", [True, False], ids=["reset", "ended"])
    @pytest.mark.parametrize("after_bytes", [0, 1, CHUNK_MAX_BYTES, 2_500_000])
    def test_a_download_that_breaks_goes_on_exactly(
        self, storage: RemoteStorage, proxy: FaultProxy, after_bytes: int, is_reset: bool
    ) -> None:
        ref = put(storage, MIDDLE)
        cut = fault_proxy.cut_download(after_bytes, is_reset=is_reset)
        for start, end in ((0, len(MIDDLE)), (11, len(MIDDLE) - 11)):
            proxy.add(Fault(cut, "GET", times=2))
            assert read_all(storage.read(ref, start, end - start)) == MIDDLE[start:end]
        proxy.add(Fault(cut, "GET"))
        assert read_all(storage.read(ref)) == MIDDLE

    def test_a_download_that_always_breaks_is_an_error_and_never_a_body(
        self, storage: RemoteStorage, proxy: FaultProxy
    ) -> None:
        ref = put(storage, MIDDLE)
        proxy.clear()
        proxy.add(Fault(fault_proxy.cut_download(1_000, is_reset=False), "GET"))
        proxy.add(Fault(fault_proxy.cut_download(0, is_reset=False), "GET", times=ALWAYS))
        with within_bounds(), pytest.raises((InternalError, ServiceUnavailable)):
            read_all(storage.read(ref))
        assert proxy.count() <= 1 + ATTEMPTS_MAX

    def test_a_silent_download_is_gone_on_with(self, storage: RemoteStorage, proxy: FaultProxy) -> None:
        ref = put(storage, SHORT)
        proxy.add(Fault(fault_proxy.hang, "GET"))
        assert read_all(storage.read(ref)) == SHORT

    # -- answers that are lost -----------------------------------------------------------------------------------

    @pytest.mark.parametrize("swallow", [fault_proxy.swallow, fault_proxy.swallow_and_hang])
    def test_what_was_done_but_not_answered_is_done_once(
        self, storage: RemoteStorage, proxy: FaultProxy, swallow: fault_proxy.Action
    ) -> None:
        proxy.add(Fault(swallow, WRITES))
        ref = put(storage, SHORT)
        assert [blob.ref for blob in storage.scan(FAR_FUTURE_MS)] == [ref]
        assert read_all(storage.read(ref)) == SHORT
        proxy.add(Fault(swallow, "DELETE"))
        storage.delete(ref)
        assert list(storage.scan(FAR_FUTURE_MS)) == []

    def test_a_large_blob_bears_any_lost_answer(self, storage: RemoteStorage, proxy: FaultProxy) -> None:
        refs = put_with_a_fault_at_each_request(storage, proxy, fault_proxy.swallow)
        assert {(blob.ref, blob.size_bytes) for blob in storage.scan(FAR_FUTURE_MS)} == {
            (ref, len(LARGE)) for ref in refs
        }
        for ref in refs:
            assert read_all(storage.read(ref)) == LARGE

    # -- wrong bytes ---------------------------------------------------------------------------------------------

    def test_bytes_that_change_on_their_way_up_are_noticed(self, storage: RemoteStorage, proxy: FaultProxy) -> None:
        put(storage, SHORT)  # so that it is known how this service answers
        for content in (MIDDLE, LARGE):
            proxy.add(Fault(fault_proxy.spoil_upload, WRITES, least_bytes=1 << 20))
            assert read_all(storage.read(put(storage, content))) == content
        proxy.add(Fault(fault_proxy.spoil_upload, WRITES, least_bytes=1 << 20, times=ALWAYS))
        for content in (MIDDLE, LARGE):
            with within_bounds(), pytest.raises(InternalError):
                put(storage, content)

    # -- how things are called -----------------------------------------------------------------------------------

    def test_references_hold_no_colon(self, storage: RemoteStorage) -> None:
        """One stands behind the name of a back end."""
        assert ":" not in put(storage, SHORT)

    def test_a_reference_of_another_kind_is_a_missing_blob(self, storage: RemoteStorage, proxy: FaultProxy) -> None:
        for ref in ("", "x", "../" * 10 + "ab", "A" * 32, "0" * 31 + "/"):
            with pytest.raises(BlobMissing):
                storage.read(BlobRef(ref))
        assert proxy.seen == []

    def test_parts_go_up_as_parts(self, storage: RemoteStorage, proxy: FaultProxy) -> None:
        assert len(LARGE) > PART_BYTES
        put(storage, LARGE)
        large = [seen for seen in proxy.seen if seen[0] in WRITES]
        assert len(large) >= len(LARGE) // PART_BYTES

    def assert_no_secrets(self, caplog: pytest.LogCaptureFixture) -> None:
        texts = [f"{record.getMessage()} {vars(record)}" for record in caplog.records]
        assert texts
        for text in texts:
            assert not any(secret in text for secret in (*self.secrets, "Signature=", "sig="))


def every_call(storage: ObjectStorage, ref: BlobRef) -> list[Callable[[], Any]]:
    return [
        lambda: storage.read(ref),
        lambda: put(storage, SHORT),
        lambda: storage.delete(ref),
        lambda: list(storage.scan(FAR_FUTURE_MS)),
    ]


def put_with_a_fault_at_each_request(
    storage: ObjectStorage, proxy: FaultProxy, action: fault_proxy.Action
) -> list[BlobRef]:
    """Write a large blob again and again, the first time with a fault at its first request; until there is none so late."""
    refs: list[BlobRef] = []
    while True:
        fault = proxy.add(Fault(action, WRITES, skip=len(refs)))
        refs.append(put(storage, LARGE))
        if not fault.met:
            assert len(refs) > 2, "it goes up in parts"
            proxy.clear()
            return refs


class within:  # noqa: N801 - it reads as a word
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        self._began_s = time.monotonic()

    def __exit__(self, *_: object) -> None:
        assert time.monotonic() - self._began_s < self._seconds


def within_bounds() -> within:
    return within(BOUND_S)
