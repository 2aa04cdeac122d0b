"""Size costs no memory: large objects go up in parts and come back by ranges, several at a time, through one worker."""

from __future__ import annotations

import io
import random
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig

from tests.clients.conftest import tls_flags
from tests.clients.memory import MemoryWatch
from tests.conftest import StartServer
from tests.servers import RunningServer, boto_client

MIB = 1024 * 1024
WORKER_MAX_BYTES = 150 * MIB
TRANSFER = TransferConfig(multipart_chunksize=64 * MIB, max_concurrency=4)

# Repeats at no multiple of a part's or piece's size: bytes that land in the wrong place are wrong bytes.
_PERIOD = MIB + 7
_PATTERN = random.Random(5).randbytes(_PERIOD) * 66


def _expected(at: int, length: int) -> memoryview:
    return memoryview(_PATTERN)[at % _PERIOD :][:length]


class Source(io.RawIOBase):
    """So many bytes that exist nowhere."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size, self._at = size, 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        count = self._size - self._at if size < 0 else min(size, self._size - self._at)
        self._at += count
        return bytes(_expected(self._at - count, count))


class Sink(io.RawIOBase):
    """Compares what is written into it, wherever the writer goes, and keeps nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._at = 0
        self.written = 0

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        assert whence == io.SEEK_SET
        self._at = offset
        return offset

    def tell(self) -> int:
        return self._at

    def write(self, data: Any) -> int:
        assert _expected(self._at, len(data)) == data, f"wrong bytes at {self._at}"
        self._at += len(data)
        self.written += len(data)
        return len(data)


def _transfer(client: Any, size: int) -> None:
    client.create_bucket(Bucket="large")
    client.upload_fileobj(Source(size), "large", "k", Config=TRANSFER)
    assert client.head_object(Bucket="large", Key="k")["ContentLength"] == size
    by_ranges = Sink()
    client.download_fileobj("large", "k", by_ranges, Config=TRANSFER)
    assert by_ranges.written == size
    at_once = Sink()
    for chunk in client.get_object(Bucket="large", Key="k")["Body"].iter_chunks(MIB):
        at_once.write(chunk)
    assert at_once.written == size


def _hold_memory(server: RunningServer, client: Any, size: int) -> None:
    client.list_buckets()
    begin = time.monotonic()
    try:
        with MemoryWatch(server.worker_pids()) as watch:
            _transfer(client, size)
    finally:
        server.kill9()
        shutil.rmtree(server.data_dir)  # pytest keeps what tests leave, for a while
    (peak,) = watch.peaks.values()
    told = {name: f"{value / MIB:.1f} MiB" for name, value in vars(peak).items()}
    print(f"{size / MIB:.0f} MiB up, twice down, in {time.monotonic() - begin:.1f} s: {told}")
    assert peak.proportional < WORKER_MAX_BYTES
    assert peak.resident < WORKER_MAX_BYTES


@pytest.mark.slow
def test_512_mib_stay_under_150_mib_a_worker(start_server: StartServer) -> None:
    server = start_server(workers=1)
    _hold_memory(server, server.client(max_pool_connections=10), 512 * MIB + 1)


@pytest.mark.slow
def test_over_tls_too(start_server: StartServer, certificate: Path) -> None:
    server = start_server(*tls_flags(certificate), workers=1, scheme="https")
    client = boto_client(server.endpoint, server.access_key, server.secret_key, verify=str(certificate))
    _hold_memory(server, client, 256 * MIB + 1)


@pytest.mark.nightly
@pytest.mark.timeout(3_600)
def test_5_gib_stay_under_150_mib_a_worker(start_server: StartServer) -> None:
    server = start_server(workers=1)
    _hold_memory(server, server.client(max_pool_connections=10), 5 * 1024 * MIB)
