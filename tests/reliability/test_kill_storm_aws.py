"""R-02 with the bytes in another service: a gateway that is killed again and again loses nothing that it acknowledged.

The service is a server of ours too, and is not killed, but of the requests to it some fail, are cut off, or are done and not answered. Every byte goes
there, and large bodies in parts, so that kills leave all there is to leave: orphans, garbage, uploads that nobody goes on with.
"""

from __future__ import annotations

import hashlib
import random
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.components import require_python
from tests.conftest import StartServer
from tests.fault_proxy import ALWAYS, Fault, FaultProxy, answer, cut_download, cut_upload, sometimes, swallow
from tests.gateways import BUCKET, aws_environment
from tests.reliability import aftermath
from tests.reliability.caller import Caller, CutOff, NotSent
from tests.reliability.storm import RETRY_S, Plan, Storm
from tests.servers import RunningServer

PLAN = Plan(uptime_s=(1.0, 2.0), cycles_min=5, writes_min=200)
PREFIX = "gateway/"
LARGE_BUCKET = "storm-large"
LARGE_BYTES = 20 << 20  # parts upstream
FAULTS = (answer(500), cut_upload(1), cut_download(1), swallow)
FAULTY_SHARE = 0.02  # four attempts all fail in one request of six millions
FASTEST = ("--server.limits.body_min_bytes_per_s", str(1 << 30))  # so a writer without a part for a second is dead


class LargeWriter(threading.Thread):
    """Puts one large object after another, each under a key of its own."""

    def __init__(self, gateway: RunningServer) -> None:
        super().__init__(daemon=True)
        self.acknowledged: dict[str, str] = {}  # MD5 by target
        self.cut_off = 0
        self.is_over = threading.Event()
        self._gateway = gateway
        self._dice = random.Random(1)

    def run(self) -> None:
        with Caller(self._gateway) as caller:
            number = 0
            while not self.is_over.is_set():
                body = self._dice.randbytes(1 << 20) * (LARGE_BYTES >> 20) + b"%d" % number
                target, number = f"/{LARGE_BUCKET}/{number}", number + 1
                try:
                    reply = caller.call("PUT", target, body)
                except (NotSent, CutOff):
                    self.cut_off += 1
                    self.is_over.wait(RETRY_S)
                    continue
                if reply.status == 200:
                    self.acknowledged[target] = hashlib.md5(body).hexdigest()

    def complaints(self) -> list[str]:
        with Caller(self._gateway) as caller:
            return [
                f"lost or torn: {target}"
                for target, md5 in self.acknowledged.items()
                if hashlib.md5(caller.call("GET", target).body).hexdigest() != md5
            ]


def leftovers(client: Any) -> tuple[set[str], int]:
    """What is upstream: names of blobs, and how many uploads in parts."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{PREFIX}blobs/")
    names = {each["Key"].rpartition("/")[2] for page in pages for each in page.get("Contents", ())}
    return names, len(client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", ()))


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_by_a_gateway_to_aws(start_server: StartServer, tmp_path: Path) -> None:
    require_python("botocore", "boto3")
    upstream = start_server(data_dir=tmp_path / "upstream")
    client = upstream.client()
    client.create_bucket(Bucket=BUCKET)
    with FaultProxy(upstream.endpoint) as proxy:
        proxy.add(Fault(sometimes(FAULTY_SHARE, FAULTS, random.Random(2)), times=ALWAYS))
        environ = aws_environment(proxy.url, upstream, prefix=PREFIX) | {"BLEEPSTORE_STORAGE_INLINE_MAX_BYTES": "0"}
        gateway = start_server(data_dir=tmp_path / "gateway", workers=2, environ=environ)
        weather(gateway, client)


def weather(gateway: RunningServer, client: Any) -> None:
    with Caller(gateway) as caller:
        assert caller.call("PUT", f"/{LARGE_BUCKET}").status == 200
    storm, large = Storm(gateway, PLAN), LargeWriter(gateway)
    large.start()
    report = storm.run()
    large.is_over.set()
    large.join(60)
    wrong = list(report.tally.complaints) + large.complaints()
    wrong += aftermath.complaints_of_listing(gateway, storm.history)
    wrong += aftermath.complaints_of_versions(gateway, report.tally.versions)
    aftermath.abort_uploads(gateway)
    gateway.kill9()
    before = leftovers(client)
    aftermath.sweep(gateway, *FASTEST)
    after = leftovers(client)
    found = aftermath.run(gateway, "fsck")
    print(f"{report}\n{len(large.acknowledged)} large, {large.cut_off} cut off; upstream: {len(before[0])} blobs and ")
    print(f"{before[1]} uploads before the sweep, {len(after[0])} and {after[1]} after it\n{found}")
    assert wrong == []
    assert report.tally.writes >= PLAN.writes_min
    assert len(large.acknowledged) > 3
    assert before[1] > 0, "no kill has met a large body"
    assert after[1] == 0
    assert f"blobs {len(after[0])}," in found
    assert "errors 0, orphans 0, young orphans 0" in found
