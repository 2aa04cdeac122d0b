"""Clients that vanish in the middle leave nothing behind (R-08)."""

from __future__ import annotations

import os
import random
import socket
import struct
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.conftest import StartServer
from tests.inventory import blob_files
from tests.servers import RunningServer

ABORTS = 1_000
DESCRIPTORS_SLACK = 5
GROWTH_MAX_KIB = 20 * 1024
SETTLE_MAX_S = 20.0
SIZES = (1_000, 60_000, 200_000, 1_500_000)  # inline, and as files


def test_a_thousand_aborted_uploads_and_downloads_leave_nothing(start_server: StartServer) -> None:
    """R-08: connections reset at a random byte of the request or of the answer."""
    server = start_server()
    s3 = server.client(signature_version="s3v4")
    s3.create_bucket(Bucket="aborts")
    s3.put_object(Bucket="aborts", Key="there", Body=os.urandom(1_500_000))
    body = os.urandom(max(SIZES))
    dice = random.Random(8)
    for number in range(100):
        _abort(server, s3, dice, body, number)
    worker = server.worker_pids()[0]
    before = _settled_descriptors(worker, _descriptors(worker)), _resident_kib(worker)

    for number in range(ABORTS):
        _abort(server, s3, dice, body, number)

    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket="aborts")["Contents"]] == ["there"]
    assert server.worker_pids() == [worker]
    descriptors = _settled_descriptors(worker, before[0])
    assert descriptors <= before[0] + DESCRIPTORS_SLACK
    assert _resident_kib(worker) - before[1] < GROWTH_MAX_KIB
    # The writers are alive and have discarded for themselves: no sweep is needed for what a client leaves.
    assert len(blob_files(server.data_dir)) == 1


def _abort(server: RunningServer, s3: Any, dice: random.Random, body: bytes, number: int) -> None:
    """One upload or download that ends by a reset."""
    with socket.create_connection((server.host, server.port), timeout=10) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if number % 3:
            size = dice.choice(SIZES)
            target = _presigned(s3, "put_object", f"gone{number}")
            head = f"PUT {target} HTTP/1.1\r\nHost: {server.host}:{server.port}\r\nContent-Length: {size}\r\n\r\n"
            whole = head.encode() + body[:size]
            # At least one byte is missing: what is complete is an upload, whoever does not wait for the answer.
            connection.sendall(whole[: dice.randrange(1, len(whole))])
        else:
            target = _presigned(s3, "get_object", "there")
            connection.sendall(f"GET {target} HTTP/1.1\r\nHost: {server.host}:{server.port}\r\n\r\n".encode())
            left = dice.randrange(1_500_000)
            while left > 0 and (piece := connection.recv(min(left, 65_536))):
                left -= len(piece)


def _presigned(s3: Any, operation: str, key: str) -> str:
    url = urlsplit(s3.generate_presigned_url(operation, Params={"Bucket": "aborts", "Key": key}))
    return f"{url.path}?{url.query}"


def _descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def _settled_descriptors(pid: int, wanted: int) -> int:
    """The worker's open descriptors once it has noticed the last resets: lingering closes take up to two seconds."""
    until = time.monotonic() + SETTLE_MAX_S
    lowest = _descriptors(pid)
    while time.monotonic() < until and lowest > wanted:
        time.sleep(0.05)
        lowest = min(lowest, _descriptors(pid))
    return lowest


def _resident_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])
