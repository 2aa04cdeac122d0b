"""Named back ends over HTTP: which one a bucket's bytes go to, and that reading never depends on it."""

from __future__ import annotations

import http.client
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests import storages
from tests.conftest import StartServer
from tests.s3.backends import MIB, blobs, body, flags
from tests.servers import RunningServer

pytestmark = pytest.mark.skipif(storages.VARIABLE in os.environ, reason="these servers have back ends of their own")


def read(s3: Any, bucket: str, key: str, **options: Any) -> bytes:
    data: bytes = s3.get_object(Bucket=bucket, Key=key, **options)["Body"].read()
    return data


def in_location(location: str) -> dict[str, Any]:
    return {"CreateBucketConfiguration": {"LocationConstraint": location}}


def probe(server: RunningServer, path: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_the_bucket_decides_where_its_bytes_go(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(*flags(tmp_path, buckets=["archive-*"], location="deep"), workers=2)
    s3 = server.client()
    main, cold = server.data_dir / "objects", tmp_path / "cold"
    s3.create_bucket(Bucket="plain")
    s3.put_object(Bucket="plain", Key="k", Body=body(1))
    assert (blobs(main), blobs(cold)) == ([100_000], [])

    s3.create_bucket(Bucket="archive-1")
    s3.put_object(Bucket="archive-1", Key="k", Body=body(2, 200_000))
    assert (blobs(main), blobs(cold)) == ([100_000], [200_000])

    s3.create_bucket(Bucket="frozen", **in_location("deep"))
    s3.put_object(Bucket="frozen", Key="k", Body=body(3, 300_000))
    assert (blobs(main), blobs(cold)) == ([100_000], [200_000, 300_000])
    # The region is the server's, which is what clients sign with.
    assert s3.get_bucket_location(Bucket="frozen")["LocationConstraint"] is None
    assert s3.head_bucket(Bucket="frozen")["BucketRegion"] == "us-east-1"

    assert read(s3, "plain", "k") == body(1)
    assert read(s3, "archive-1", "k") == body(2, 200_000)
    assert read(s3, "frozen", "k", Range="bytes=5-1004") == body(3, 300_000)[5:1005]
    with pytest.raises(ClientError, match="InvalidLocationConstraint"):
        s3.create_bucket(Bucket="nowhere", **in_location("nowhere"))
    with pytest.raises(ClientError, match="IllegalLocationConstraint"):
        s3.create_bucket(Bucket="elsewhere", **in_location("eu-west-1"))


def test_a_server_without_a_region_takes_other_locations_as_before(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(*flags(tmp_path), "--server.region", "")
    s3 = server.client()
    s3.create_bucket(Bucket="frozen", **in_location("cold"))
    s3.create_bucket(Bucket="far", **in_location("eu-west-1"))
    for name in ("frozen", "far"):
        s3.put_object(Bucket=name, Key="k", Body=body(1))
    assert (blobs(server.data_dir / "objects"), blobs(tmp_path / "cold")) == ([100_000], [100_000])
    assert s3.get_bucket_location(Bucket="frozen")["LocationConstraint"] is None
    assert s3.get_bucket_location(Bucket="far")["LocationConstraint"] == "eu-west-1"


def test_the_default_is_for_buckets_of_which_nothing_is_said(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(*flags(tmp_path, default=True))
    s3 = server.client()
    s3.create_bucket(Bucket="plain")
    s3.put_object(Bucket="plain", Key="k", Body=body(1))
    assert (blobs(server.data_dir / "objects"), blobs(tmp_path / "cold")) == ([], [100_000])


def test_small_objects_are_inline_wherever_the_bucket_is(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(*flags(tmp_path, inline_max_bytes=65_536))
    s3 = server.client()
    s3.create_bucket(Bucket="frozen", **in_location("cold"))
    s3.put_object(Bucket="frozen", Key="small", Body=b"small")
    s3.put_object(Bucket="frozen", Key="large", Body=body(1))
    assert (blobs(server.data_dir / "objects"), blobs(tmp_path / "cold")) == ([], [100_000])
    assert read(s3, "frozen", "small") == b"small"


def test_parts_go_where_the_bucket_is(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(*flags(tmp_path))
    s3 = server.client()
    s3.create_bucket(Bucket="frozen", **in_location("cold"))
    s3.create_bucket(Bucket="plain")
    s3.put_object(Bucket="plain", Key="source", Body=body(9))
    upload = s3.create_multipart_upload(Bucket="frozen", Key="k")["UploadId"]
    where = {"Bucket": "frozen", "Key": "k", "UploadId": upload}
    first = s3.upload_part(**where, PartNumber=1, Body=body(1, 5 * MIB))["ETag"]
    copied = s3.upload_part_copy(**where, PartNumber=2, CopySource="plain/source")["CopyPartResult"]["ETag"]
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in ((1, first), (2, copied))]
    s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
    assert blobs(tmp_path / "cold") == [100_000, len(body(1, 5 * MIB))]
    assert read(s3, "frozen", "k") == body(1, 5 * MIB) + body(9)


def test_a_copy_to_another_back_end_is_one_of_its_own(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(*flags(tmp_path))
    s3 = server.client()
    main, cold = server.data_dir / "objects", tmp_path / "cold"
    s3.create_bucket(Bucket="plain")
    s3.create_bucket(Bucket="frozen", **in_location("cold"))
    put = s3.put_object(Bucket="plain", Key="k", Body=body(1), Metadata={"colour": "blue"}, ContentType="text/x")
    upload = s3.create_multipart_upload(Bucket="plain", Key="parts")["UploadId"]
    where = {"Bucket": "plain", "Key": "parts", "UploadId": upload}
    parts = [
        {"PartNumber": number, "ETag": s3.upload_part(**where, PartNumber=number, Body=body(number, size))["ETag"]}
        for number, size in ((1, 5 * MIB), (2, 1_000))
    ]
    s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
    before = blobs(main)

    copied = s3.copy_object(Bucket="frozen", Key="k", CopySource="plain/k")["CopyObjectResult"]
    assert copied["ETag"] == put["ETag"]
    assert copied["ChecksumCRC32"] == put["ChecksumCRC32"]
    answer = s3.get_object(Bucket="frozen", Key="k")
    assert (answer["Metadata"], answer["ContentType"]) == ({"colour": "blue"}, "text/x")
    assert answer["Body"].read() == body(1)

    copied = s3.copy_object(Bucket="frozen", Key="parts", CopySource="plain/parts")["CopyObjectResult"]
    assert "-" not in copied["ETag"]  # in one piece, as AWS makes it
    assert read(s3, "frozen", "parts") == body(1, 5 * MIB) + body(2, 1_000)
    assert blobs(main) == before
    assert len(blobs(cold)) == 2

    # Within one back end nothing is copied, and the parts stay parts.
    s3.copy_object(Bucket="frozen", Key="again", CopySource="frozen/k")
    s3.copy_object(Bucket="plain", Key="again", CopySource="plain/parts")
    assert (blobs(main), len(blobs(cold))) == (before, 2)
    assert "-2" in s3.head_object(Bucket="plain", Key="again")["ETag"]


def test_a_copy_of_a_source_that_has_changed_on_disk_is_refused(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(*flags(tmp_path))
    s3 = server.client()
    s3.create_bucket(Bucket="plain")
    s3.create_bucket(Bucket="frozen", **in_location("cold"))
    s3.put_object(Bucket="plain", Key="k", Body=body(1))
    (path,) = (server.data_dir / "objects" / "blobs").glob("*/*/*")
    path.write_bytes(body(2))
    with pytest.raises(ClientError, match="InternalError"):
        s3.copy_object(Bucket="frozen", Key="k", CopySource="plain/k")
    assert blobs(tmp_path / "cold") == []


def test_each_back_end_has_its_word_on_health(start_server: StartServer, tmp_path: Path) -> None:
    """A named one that cannot even be opened is no reason not to start, nor for the others' clients to wait."""
    (tmp_path / "cold").write_bytes(b"no directory")
    server = start_server(*flags(tmp_path, buckets=["frozen"]))
    s3 = server.client()
    s3.create_bucket(Bucket="plain")
    s3.create_bucket(Bucket="frozen")
    s3.put_object(Bucket="plain", Key="k", Body=body(1))
    with pytest.raises(ClientError, match="cold cannot be used"):
        s3.put_object(Bucket="frozen", Key="k", Body=body(1))
    assert probe(server, "/readyz")[0] == 200
    status, document = probe(server, "/health")
    assert status == 503
    assert {name: part["status"] for name, part in document["components"].items()} == {
        "metadata": "ok", "storage": "ok", "storage.cold": "error",
    }  # fmt: skip


def test_a_server_whose_default_back_end_fails_is_not_ready(start_server: StartServer, tmp_path: Path) -> None:
    (tmp_path / "cold").write_bytes(b"no directory")
    server = start_server(*flags(tmp_path, default=True))
    status, document = probe(server, "/readyz")
    assert (status, document["failed"]) == (503, ["storage.cold"])


def test_bytes_on_a_back_end_that_is_no_longer_configured_are_not_lost(
    start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server(*flags(tmp_path, buckets=["frozen"]))
    server.client().create_bucket(Bucket="frozen")
    server.client().put_object(Bucket="frozen", Key="k", Body=body(1))
    server.kill9()
    without = start_server(data_dir=server.data_dir)
    with pytest.raises(ClientError, match=r"ServiceUnavailable.*cold.*not configured"):
        read(without.client(), "frozen", "k")
    without.client().delete_object(Bucket="frozen", Key="k")
    without.kill9()
    assert blobs(tmp_path / "cold") == [100_000]
    server.start()
    server.client().put_object(Bucket="frozen", Key="k", Body=body(2))
    assert read(server.client(), "frozen", "k") == body(2)


def counts(server: RunningServer, name: str) -> dict[str, float]:
    """Samples of /metrics by their labels."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    found = re.findall(rf"^{name}{{(.*)}} (.*)$", text, re.MULTILINE)
    return {labels: float(value) for labels, value in found}


def test_requests_to_each_back_end_are_counted(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(*flags(tmp_path, buckets=["frozen"]), workers=2)
    s3 = server.client()
    for name in ("plain", "frozen"):
        s3.create_bucket(Bucket=name)
        for number in range(3):
            s3.put_object(Bucket=name, Key=f"k{number}", Body=body(number))
            assert read(s3, name, f"k{number}") == body(number)
    for blob in (tmp_path / "cold" / "blobs").glob("*/*/*"):
        blob.unlink()
    with pytest.raises(ClientError, match="InternalError"):
        read(s3, "frozen", "k0")
    found = counts(server, "bleepstore_backend_requests_total")
    for name in ("main", "cold"):
        for op in ("get", "put"):
            assert found[f'backend="{name}",op="{op}",outcome="ok"'] == 3
    assert found['backend="cold",op="get",outcome="missing"'] >= 1
    seconds = counts(server, "bleepstore_backend_duration_seconds_sum")
    assert seconds['backend="main",op="put"'] > 0


def test_nothing_is_counted_where_metrics_are_off() -> None:
    from app import build_store
    from app.config import load_config
    from app.observe import metrics
    from app.storage.local import LocalStorage
    from app.storage.measured import Measured

    on, off = (load_config({"observability.metrics": word}, {}) for word in ("true", "false"))
    assert type(build_store(on, metrics.for_config(on)).storage) is Measured
    assert type(build_store(off, metrics.for_config(off)).storage) is LocalStorage
