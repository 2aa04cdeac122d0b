"""minio-py, MinIO's library for Python."""

from __future__ import annotations

import datetime as dt
import io
import secrets
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.clients.scenarios import ODD_KEY, PART_BYTES
from tests.components import require_python
from tests.servers import RunningServer


@pytest.fixture
def client(service: RunningServer) -> Any:
    minio = require_python("minio")
    return minio.Minio(
        endpoint=f"{service.host}:{service.port}", access_key=service.access_key, secret_key=service.secret_key,
        secure=False,
    )  # fmt: skip


def refusal(function: Any, **arguments: Any) -> str:
    from minio.error import S3Error

    with pytest.raises(S3Error) as error:
        function(**arguments)
    return str(error.value.code)


def put(client: Any, bucket: str, name: str, body: bytes, **options: Any) -> Any:
    return client.put_object(bucket_name=bucket, object_name=name, data=io.BytesIO(body), length=len(body), **options)


def content(client: Any, bucket: str, name: str, **options: Any) -> bytes:
    answer = client.get_object(bucket_name=bucket, object_name=name, **options)
    try:
        body: bytes = answer.read()
        return body
    finally:
        answer.close()
        answer.release_conn()


def names(client: Any, bucket: str, **options: Any) -> list[str]:
    return [entry.object_name for entry in client.list_objects(bucket_name=bucket, **options)]


def test_buckets(client: Any, bucket: str) -> None:
    name = f"{bucket}-own"
    assert not client.bucket_exists(bucket_name=name)
    client.make_bucket(bucket_name=name)
    assert client.bucket_exists(bucket_name=name)
    assert name in [entry.name for entry in client.list_buckets()]
    put(client, name, "k", b"x")
    assert refusal(client.remove_bucket, bucket_name=name) == "BucketNotEmpty"
    client.remove_object(bucket_name=name, object_name="k")
    client.remove_bucket(bucket_name=name)
    assert refusal(client.get_object, bucket_name=name, object_name="k") == "NoSuchBucket"


def test_objects(client: Any, bucket: str) -> None:
    body = secrets.token_bytes(200_000)
    put(client, bucket, ODD_KEY, body, content_type="text/x", metadata={"My-Key": "value"})
    found = client.stat_object(bucket_name=bucket, object_name=ODD_KEY)
    assert (found.size, found.content_type, found.metadata["x-amz-meta-my-key"]) == (len(body), "text/x", "value")
    assert found.last_modified.tzinfo is not None
    assert content(client, bucket, ODD_KEY) == body
    assert content(client, bucket, ODD_KEY, offset=1000, length=70_000) == body[1000:71_000]
    put(client, bucket, "empty", b"")
    assert content(client, bucket, "empty") == b""
    assert refusal(client.stat_object, bucket_name=bucket, object_name="absent") == "NoSuchKey"


def test_large_and_endless_bodies_go_in_parts(client: Any, bucket: str, tmp_path: Path) -> None:
    body = secrets.token_bytes(2 * PART_BYTES + 3)
    done = client.put_object(
        bucket_name=bucket, object_name="stream", data=io.BytesIO(body), length=-1, part_size=PART_BYTES
    )
    assert done.etag.endswith("-3")
    (tmp_path / "sent").write_bytes(body)
    client.fput_object(bucket_name=bucket, object_name="file", file_path=str(tmp_path / "sent"), part_size=PART_BYTES)
    client.fget_object(bucket_name=bucket, object_name="file", file_path=str(tmp_path / "received"))
    assert (tmp_path / "received").read_bytes() == body
    assert content(client, bucket, "stream") == body


def test_copies_and_compositions(client: Any, bucket: str) -> None:
    from minio.commonconfig import ComposeSource, CopySource

    body = secrets.token_bytes(PART_BYTES)
    put(client, bucket, ODD_KEY, body)
    put(client, bucket, "tail", b"tail")
    source = CopySource(bucket_name=bucket, object_name=ODD_KEY)
    client.copy_object(bucket_name=bucket, object_name="copy", source=source)
    assert content(client, bucket, "copy") == body
    sources = [ComposeSource(bucket_name=bucket, object_name=name) for name in (ODD_KEY, "tail")]
    client.compose_object(bucket_name=bucket, object_name="whole", sources=sources)
    assert content(client, bucket, "whole") == body + b"tail"


def test_listings_and_removals(client: Any, bucket: str) -> None:
    from minio.deleteobjects import DeleteObject

    every = sorted([ODD_KEY, "dir/a", "dir/b c", "z"], key=str.encode)
    for name in every:
        put(client, bucket, name, b"x")
    assert names(client, bucket, recursive=True) == every
    assert names(client, bucket, recursive=True, use_api_v1=True) == every
    assert sorted(names(client, bucket)) == ["a b/", "dir/", "z"]
    assert names(client, bucket, prefix="dir/", start_after="dir/a") == ["dir/b c"]
    doomed = [DeleteObject(name=name) for name in every]
    assert list(client.remove_objects(bucket_name=bucket, delete_object_list=doomed)) == []
    assert names(client, bucket, recursive=True) == []


def test_versions_and_tags(client: Any, bucket: str) -> None:
    from minio.commonconfig import ENABLED, Tags
    from minio.versioningconfig import VersioningConfig

    client.set_bucket_versioning(bucket_name=bucket, config=VersioningConfig(status=ENABLED))
    assert client.get_bucket_versioning(bucket_name=bucket).status == ENABLED
    first = put(client, bucket, "k", b"one").version_id
    put(client, bucket, "k", b"two")
    client.remove_object(bucket_name=bucket, object_name="k")
    assert content(client, bucket, "k", version_id=first) == b"one"
    rows = list(client.list_objects(bucket_name=bucket, include_version=True))
    assert sorted(row.is_delete_marker for row in rows) == [False, False, True]
    assert [row.is_latest for row in rows if row.is_delete_marker] == ["true"]
    tags = Tags.new_object_tags()
    tags["a b"] = "ü"
    client.set_object_tags(bucket_name=bucket, object_name="k", tags=tags, version_id=first)
    assert client.get_object_tags(bucket_name=bucket, object_name="k", version_id=first) == tags
    client.delete_object_tags(bucket_name=bucket, object_name="k", version_id=first)
    assert not client.get_object_tags(bucket_name=bucket, object_name="k", version_id=first)
    assert client.get_bucket_tags(bucket_name=bucket) is None
    for row in rows:
        client.remove_object(bucket_name=bucket, object_name="k", version_id=row.version_id)
    client.remove_bucket(bucket_name=bucket)


def test_presigned_urls(client: Any, bucket: str) -> None:
    minute = dt.timedelta(minutes=1)
    put_url = client.presigned_put_object(bucket_name=bucket, object_name=ODD_KEY, expires=minute)
    request = urllib.request.Request(put_url, data=b"presigned", method="PUT")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200
    url = client.presigned_get_object(bucket_name=bucket, object_name=ODD_KEY, expires=minute)
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.read() == b"presigned"
