"""A gateway and the service behind it, for programs that measure one against the other; and a client for large bodies."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loadtests.presigner import Presigner
from tests.gateways import BUCKET, aws_environment
from tests.process_tree import tree
from tests.servers import RunningServer

PIECE_BYTES = 1 << 20
TIMEOUT_S = 120.0
OBJECTS = "measured"


@contextmanager
def servers(directory: Path) -> Iterator[tuple[RunningServer, RunningServer]]:
    """The service and the gateway, of one worker each, both with the bucket OBJECTS."""
    service = RunningServer(directory / "service")
    with _running(service):
        for name in (BUCKET, OBJECTS):
            service.client().create_bucket(Bucket=name)
        gateway = RunningServer(directory / "gateway", environ=aws_environment(service.endpoint, service))
        with _running(gateway):
            gateway.client().create_bucket(Bucket=OBJECTS)
            yield service, gateway


@contextmanager
def _running(server: RunningServer) -> Iterator[None]:
    server.start()
    try:
        yield
    finally:
        server.kill9()


class Client:
    """One connection that is kept, to a server by plain HTTP; URLs are signed before the clock starts."""

    def __init__(self, endpoint: str, access_key: str, secret_key: str, bucket: str = OBJECTS) -> None:
        self._signer = Presigner(endpoint, access_key, secret_key, "us-east-1")
        self._bucket = bucket
        self._connection = http.client.HTTPConnection(self._signer.host, timeout=TIMEOUT_S)
        self._buffer = memoryview(bytearray(PIECE_BYTES))

    def put(self, key: str, piece: memoryview, pieces: int) -> float:
        """Seconds that a PUT of so many times `piece` took."""
        target = self._signer.target("PUT", f"/{self._bucket}/{key}")
        began_s = time.monotonic()
        self._connection.putrequest("PUT", target)
        self._connection.putheader("Content-Length", str(len(piece) * pieces))
        self._connection.endheaders()
        for _ in range(pieces):
            self._connection.send(piece)
        self._receive(0)
        return time.monotonic() - began_s

    def get(self, key: str, size_bytes: int) -> float:
        """Seconds that a GET took, its bytes counted."""
        target = self._signer.target("GET", f"/{self._bucket}/{key}")
        began_s = time.monotonic()
        self._connection.request("GET", target)
        self._receive(size_bytes)
        return time.monotonic() - began_s

    def close(self) -> None:
        self._connection.close()

    def _receive(self, size_bytes: int) -> None:
        response = self._connection.getresponse()
        received = 0
        while count := response.readinto(self._buffer):
            received += count
        if response.status != 200 or received != size_bytes:
            raise ValueError(f"status {response.status}, {received} bytes: {bytes(self._buffer[:300])!r}")


def client_of(server: RunningServer) -> Client:
    return Client(server.endpoint, server.access_key, server.secret_key)


def worker_of(server: RunningServer) -> int:
    """The process id of its only worker."""
    (pid,) = (pid for pid in tree(server.pid) if pid != server.pid)
    return pid
