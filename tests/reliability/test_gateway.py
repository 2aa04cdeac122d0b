"""A gateway whose service is away or hangs: it starts, says so, and serves what it can without waiting."""

from __future__ import annotations

import contextlib
import http.client
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.components import require_python
from tests.conftest import StartServer
from tests.fault_proxy import ALWAYS, Action, Fault, FaultProxy, cut_download, hang, spoil_download
from tests.gateways import BUCKET, aws_environment
from tests.reliability.caller import Caller, CutOff
from tests.servers import RunningServer

BLOB = bytes(300_000)
MIDDLE, LARGE = os.urandom(300_001), os.urandom(3_000_001)
HANGING = 40  # more requests than a back end has threads
PATIENCE_S = 30.0
AT_ONCE_S = 2.0  # on a machine that does other things too; what a stall is, loadtests.hanging measures


@pytest.fixture
def proxy(start_server: StartServer, tmp_path: Path) -> Iterator[FaultProxy]:
    """Before a service of ours, where the bucket is."""
    require_python("botocore", "boto3")
    upstream = start_server(data_dir=tmp_path / "upstream")
    upstream.client().create_bucket(Bucket=BUCKET)
    with FaultProxy(upstream.endpoint) as proxy:
        yield proxy


@pytest.fixture
def gateway(start_server: StartServer, proxy: FaultProxy, tmp_path: Path) -> RunningServer:
    """Not started. Of one worker: all requests are to meet in the same."""
    server = RunningServer(tmp_path / "gateway")
    server.environ = aws_environment(proxy.url, server)
    return server


def ask(server: RunningServer, path: str) -> int:
    """The status of an unsigned GET."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def wait_for(server: RunningServer, path: str, status: int) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while ask(server, path) != status:
        assert time.monotonic() < until_s, f"{path} never says {status}"
        time.sleep(0.05)  # the other side of a process boundary: there is no clock to pass


def test_a_gateway_starts_while_its_service_is_away_and_says_so(gateway: RunningServer, proxy: FaultProxy) -> None:
    proxy.go_away()
    try:
        gateway.start()
        assert ask(gateway, "/healthz") == 200
        wait_for(gateway, "/readyz", 503)
        with Caller(gateway) as caller:
            assert caller.call("PUT", "/bucket").status == 200
            assert caller.call("PUT", "/bucket/small", b"small").status == 200  # in the metadata
            refused = caller.call("PUT", "/bucket/large", BLOB)
            assert (refused.status, refused.code) == (503, "ServiceUnavailable")
            assert caller.call("GET", "/bucket/large").code == "NoSuchKey"
            proxy.come_back()
            assert caller.call("PUT", "/bucket/large", BLOB).status == 200
            assert caller.call("GET", "/bucket/large").body == BLOB
        wait_for(gateway, "/readyz", 200)
    finally:
        gateway.kill9()


@pytest.mark.parametrize(
    "fault", [spoil_download, cut_download(1_000, is_reset=False)], ids=["a wrong bit", "an early end"]
)
def test_wrong_bytes_are_never_a_whole_answer(gateway: RunningServer, proxy: FaultProxy, fault: Action) -> None:
    bodies = {"/bucket/middle": MIDDLE, "/bucket/large": LARGE}
    try:
        gateway.start()
        with Caller(gateway) as caller:
            assert caller.call("PUT", "/bucket").status == 200
            for target, body in bodies.items():
                assert caller.call("PUT", target, body).status == 200
            proxy.add(Fault(fault, "GET", times=ALWAYS))
            for target in bodies:
                try:
                    reply = caller.call("GET", target)
                except CutOff:
                    continue  # after the headers a short body is the only honest signal
                assert (reply.status, reply.code) == (500, "InternalError")
            proxy.clear()
            for target, body in bodies.items():
                assert caller.call("GET", target).body == body
    finally:
        gateway.kill9()


def test_a_service_that_hangs_keeps_nobody_else_waiting(gateway: RunningServer, proxy: FaultProxy) -> None:
    replies: list[tuple[int, str]] = []

    def get(number: int) -> None:
        with Caller(gateway) as caller, contextlib.suppress(CutOff):  # at the end
            reply = caller.call("GET", "/bucket/large") if number % 2 else caller.call("PUT", f"/bucket/{number}", BLOB)
            replies.append((reply.status, reply.code))

    try:
        gateway.start()
        with Caller(gateway) as caller:
            assert caller.call("PUT", "/bucket").status == 200
            assert caller.call("PUT", "/bucket/large", BLOB).status == 200
            proxy.add(Fault(hang, times=ALWAYS))
            threads = [threading.Thread(target=get, args=(number,), daemon=True) for number in range(HANGING)]
            for thread in threads:
                thread.start()
            until_s = time.monotonic() + 3
            while time.monotonic() < until_s:
                began_s = time.monotonic()
                assert caller.call("PUT", "/bucket/small", b"small").status == 200
                assert caller.call("GET", "/bucket/small").body == b"small"
                assert ask(gateway, "/healthz") == 200
                assert time.monotonic() - began_s < AT_ONCE_S
            assert replies == []  # they still wait
            wait_for(gateway, "/readyz", 503)
    finally:
        gateway.kill9()
