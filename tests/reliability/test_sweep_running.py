"""A running server sweeps by itself, and a start puts away what a kill left."""

from __future__ import annotations

import http.client
import os
import time
from collections.abc import Callable
from pathlib import Path

from tests.conftest import StartServer

LARGE = os.urandom(300_000)  # above any inline limit
WAIT_MAX_S = 30.0


def test_overwritten_deleted_and_aborted_bytes_leave_the_disk_and_the_rest_stays(start_server: StartServer) -> None:
    server = start_server("--storage.garbage_grace_s", "1", workers=2)
    client = server.client()
    client.create_bucket(Bucket="bucket")
    for key in ("kept", "overwritten", "deleted"):
        client.put_object(Bucket="bucket", Key=key, Body=LARGE)
    client.put_object(Bucket="bucket", Key="overwritten", Body=LARGE[::-1])
    client.delete_object(Bucket="bucket", Key="deleted")
    upload = client.create_multipart_upload(Bucket="bucket", Key="aborted")
    where = {"Bucket": "bucket", "Key": "aborted", "UploadId": upload["UploadId"]}
    for number in (1, 2, 3):
        client.upload_part(**where, PartNumber=number, Body=LARGE)
    client.abort_multipart_upload(**where)
    wait_until(lambda: len(blobs(server.data_dir)) == 2)
    assert client.get_object(Bucket="bucket", Key="kept")["Body"].read() == LARGE
    assert client.get_object(Bucket="bucket", Key="overwritten")["Body"].read() == LARGE[::-1]


def test_what_writers_had_written_when_they_were_killed_is_gone_after_the_next_start(start_server: StartServer) -> None:
    server = start_server()
    client = server.client(signature_version="s3v4")
    client.create_bucket(Bucket="bucket")
    client.put_object(Bucket="bucket", Key="kept", Body=LARGE)
    url = client.generate_presigned_url("put_object", Params={"Bucket": "bucket", "Key": "lost"})
    connection = http.client.HTTPConnection(server.host, server.port, timeout=WAIT_MAX_S)
    connection.putrequest("PUT", url.removeprefix(server.endpoint))
    connection.putheader("Content-Length", str(64 << 20))
    connection.endheaders(bytes(32 << 20))
    wait_until(lambda: any(path.stat().st_size > 1 << 20 for path in temporary_files(server.data_dir)))
    server.kill9()
    connection.close()
    assert temporary_files(server.data_dir)
    server.start()
    wait_until(lambda: not temporary_files(server.data_dir))
    assert [each["Key"] for each in server.client().list_objects_v2(Bucket="bucket")["Contents"]] == ["kept"]
    assert len(blobs(server.data_dir)) == 1


def blobs(data_dir: Path) -> list[Path]:
    return [path for path in (data_dir / "objects" / "blobs").rglob("*") if path.is_file()]


def temporary_files(data_dir: Path) -> list[Path]:
    return [path for path in (data_dir / "objects" / "tmp").glob("*/*") if path.name != "lock"]


def wait_until(condition: Callable[[], bool]) -> None:
    """The other side of a process boundary: there is no clock to pass."""
    for _ in range(int(WAIT_MAX_S * 20)):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it never happened")
