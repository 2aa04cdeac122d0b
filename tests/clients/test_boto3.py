"""boto3: every operation, and what its higher layers make of them."""

from __future__ import annotations

import concurrent.futures
import hashlib
import io
import secrets
import socket
import urllib.error
import urllib.request
from typing import Any

import pytest
from botocore import UNSIGNED
from botocore.exceptions import ClientError, WaiterError

from tests.clients import DOMAIN
from tests.clients.drivers import Boto3Call
from tests.clients.scenarios import ODD_KEY, RECENT_SCENARIOS, SCENARIOS, Scenario
from tests.servers import RunningServer, boto_client


@pytest.mark.parametrize("scenario", [*SCENARIOS, *RECENT_SCENARIOS], ids=lambda scenario: scenario.__name__)
def test_scenario(scenario: Scenario, admin: Any, bucket: str) -> None:
    scenario(Boto3Call(admin), bucket)


# -- Settings, strangers


@pytest.mark.parametrize(
    "options",
    [
        {"request_checksum_calculation": "when_required", "response_checksum_validation": "when_required"},
        {"s3": {"payload_signing_enabled": True}},
        {"s3": {"payload_signing_enabled": False}},
        {"retries": {"mode": "standard"}, "tcp_keepalive": True},
        {"disable_request_compression": True, "inject_host_prefix": False},
    ],
    ids=repr,
)
def test_settings_of_the_client(options: dict[str, Any], service: RunningServer, bucket: str) -> None:
    client = service.client(**options)
    body = secrets.token_bytes(100_000)
    client.put_object(Bucket=bucket, Key=ODD_KEY, Body=body)
    client.upload_fileobj(io.BytesIO(body), bucket, "file")
    for key in (ODD_KEY, "file"):
        assert client.get_object(Bucket=bucket, Key=key)["Body"].read() == body
    doomed = {"Objects": [{"Key": key} for key in (ODD_KEY, "file")]}
    assert len(client.delete_objects(Bucket=bucket, Delete=doomed)["Deleted"]) == 2


def test_strangers_read_what_is_public(service: RunningServer, admin: Any, bucket: str) -> None:
    stranger = service.client(signature_version=UNSIGNED)
    admin.put_object(Bucket=bucket, Key="public", Body=b"x", ACL="public-read")
    admin.put_object(Bucket=bucket, Key="private", Body=b"x")
    assert stranger.get_object(Bucket=bucket, Key="public")["Body"].read() == b"x"
    for call, options in (
        (stranger.get_object, {"Key": "private"}),
        (stranger.get_object, {"Key": "absent"}),
        (stranger.put_object, {"Key": "public", "Body": b"y"}),
        (stranger.list_objects_v2, {}),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            call(Bucket=bucket, **options)


def test_signatures_of_version_2_are_refused_by_name(service: RunningServer) -> None:
    with pytest.raises(ClientError, match="AWS4-HMAC-SHA256"):
        service.client(signature_version="s3").list_buckets()


# -- Paginators, waiters, resources


def test_paginators_see_everything_once(admin: Any, bucket: str) -> None:
    names = [f"dir{number % 3}/{number:02}" for number in range(20)]
    for name in names:
        admin.put_object(Bucket=bucket, Key=name, Body=b"")
        admin.create_multipart_upload(Bucket=bucket, Key=name)
    for operation, field in (
        ("list_objects", "Contents"),
        ("list_objects_v2", "Contents"),
        ("list_object_versions", "Versions"),
        ("list_multipart_uploads", "Uploads"),
    ):
        paginator = admin.get_paginator(operation)
        found = [
            row["Key"]
            for page in paginator.paginate(Bucket=bucket, PaginationConfig={"PageSize": 7})
            for row in page[field]
        ]
        assert found == sorted(names), operation
        grouped = paginator.paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 2})
        assert [row["Prefix"] for row in grouped.search("CommonPrefixes[]")] == ["dir0/", "dir1/", "dir2/"], operation


def test_bucket_pages(admin: Any, bucket: str) -> None:
    names = [f"{bucket}-{number}" for number in range(5)]
    for name in names:
        admin.create_bucket(Bucket=name)
    paginator = admin.get_paginator("list_buckets")
    pages = list(paginator.paginate(Prefix=f"{bucket}-", PaginationConfig={"PageSize": 2}))
    assert [[row["Name"] for row in page["Buckets"]] for page in pages] == [names[:2], names[2:4], names[4:]]


def test_parts_paginate(admin: Any, bucket: str) -> None:
    upload = {"Bucket": bucket, "Key": "k"}
    upload["UploadId"] = admin.create_multipart_upload(**upload)["UploadId"]
    for number in (1, 2, 5, 10_000):
        admin.upload_part(**upload, PartNumber=number, Body=b"x")
    pages = admin.get_paginator("list_parts").paginate(**upload, PaginationConfig={"PageSize": 3})
    assert [part["PartNumber"] for part in pages.search("Parts[]")] == [1, 2, 5, 10_000]


def test_waiters_come_to_an_end(admin: Any, bucket: str) -> None:
    once = {"Delay": 0, "MaxAttempts": 1}
    admin.put_object(Bucket=bucket, Key="k", Body=b"")
    admin.get_waiter("bucket_exists").wait(Bucket=bucket, WaiterConfig=once)
    admin.get_waiter("object_exists").wait(Bucket=bucket, Key="k", WaiterConfig=once)
    admin.get_waiter("object_not_exists").wait(Bucket=bucket, Key="absent", WaiterConfig=once)
    admin.get_waiter("bucket_not_exists").wait(Bucket=f"{bucket}-absent", WaiterConfig=once)
    with pytest.raises(WaiterError):
        admin.get_waiter("object_exists").wait(Bucket=bucket, Key="absent", WaiterConfig=once)


def test_resources(service: RunningServer, bucket: str) -> None:
    import boto3

    s3 = boto3.session.Session().resource(
        "s3", endpoint_url=service.endpoint, aws_access_key_id=service.access_key,
        aws_secret_access_key=service.secret_key, region_name="us-east-1",
    )  # fmt: skip
    own = s3.Bucket(bucket)
    own.Versioning().enable()
    for body in (b"one", b"two"):
        own.put_object(Key="k", Body=body)
    summary = next(iter(own.objects.all()))
    assert (summary.key, summary.size, summary.Object().get()["Body"].read()) == ("k", 3, b"two")
    own.objects.delete()
    assert list(own.objects.all()) == []
    own.object_versions.delete()
    own.delete()
    own.wait_until_not_exists()


# -- Presigned URLs


def fetch(
    url: str, method: str = "GET", body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """Without boto3, as whoever was sent the URL."""
    request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.fixture(scope="module")
def signer(service: RunningServer) -> Any:
    return service.client(signature_version="s3v4")


def test_presigned_urls(signer: Any, bucket: str) -> None:
    where = {"Bucket": bucket, "Key": ODD_KEY}
    put = signer.generate_presigned_url("put_object", Params=where, ExpiresIn=60)
    assert fetch(put, "PUT", b"through a URL")[0] == 200  # urllib adds a Content-Type: it is not signed
    get = signer.generate_presigned_url("get_object", Params=where | {"ResponseContentType": "text/x"}, ExpiresIn=60)
    assert fetch(get) == (200, b"through a URL")
    assert fetch(get, headers={"Range": "bytes=0-6"}) == (206, b"through")
    assert fetch(signer.generate_presigned_url("head_object", Params=where), "HEAD")[0] == 200
    assert fetch(get, "PUT", b"overwritten")[0] == 403
    assert fetch(get.replace("text%2Fx", "text%2Fy"))[0] == 403
    assert fetch(get, headers={"x-amz-acl": "public-read"})[0] == 403
    listing = signer.generate_presigned_url("list_objects_v2", Params={"Bucket": bucket, "Prefix": "a b/"})
    assert b"<KeyCount>1</KeyCount>" in fetch(listing)[1]
    assert fetch(signer.generate_presigned_url("delete_object", Params=where), "DELETE")[0] == 204
    assert fetch(get)[0] == 404


def test_presigned_headers_are_part_of_the_url(signer: Any, bucket: str) -> None:
    params = {"Bucket": bucket, "Key": "k", "ContentType": "text/x", "Metadata": {"a": "1"}}
    url = signer.generate_presigned_url("put_object", Params=params)
    assert fetch(url, "PUT", b"x", {"Content-Type": "text/x"})[0] in (200, 403)
    assert fetch(url, "PUT", b"x", {"Content-Type": "text/y", "x-amz-meta-a": "1"})[0] == 403
    assert fetch(url, "PUT", b"x", {"Content-Type": "text/x", "x-amz-meta-a": "1"})[0] == 200
    head = signer.head_object(Bucket=bucket, Key="k")
    assert (head["ContentType"], head["Metadata"]) == ("text/x", {"a": "1"})


def test_presigned_parts(signer: Any, bucket: str) -> None:
    upload = {"Bucket": bucket, "Key": "k"}
    upload["UploadId"] = signer.create_multipart_upload(**upload)["UploadId"]
    url = signer.generate_presigned_url("upload_part", Params=upload | {"PartNumber": 1})
    assert fetch(url, "PUT", b"the only part")[0] == 200
    parts = [{"PartNumber": 1, "ETag": hashlib.md5(b"the only part").hexdigest()}]
    signer.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert signer.get_object(Bucket=bucket, Key="k")["Body"].read() == b"the only part"


# -- Races, addresses, keys


def test_of_many_conditional_creations_one_wins(admin: Any, bucket: str) -> None:
    def create(number: int) -> str:
        try:
            admin.put_object(Bucket=bucket, Key="k", Body=b"%d" % number, IfNoneMatch="*")
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "won"

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(create, range(32)))
    assert outcomes.count("won") == 1
    assert set(outcomes) <= {"won", "PreconditionFailed", "ConditionalRequestConflict"}
    assert admin.get_object(Bucket=bucket, Key="k")["Body"].read() == b"%d" % outcomes.index("won")


def test_the_bucket_may_be_in_the_host_name(
    service: RunningServer, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **options: resolve("127.0.0.1", *rest, **options))
    client = boto_client(
        f"http://{DOMAIN}:{service.port}", service.access_key, service.secret_key, s3={"addressing_style": "virtual"},
        signature_version="s3v4",
    )  # fmt: skip
    url = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": ODD_KEY})
    assert url.startswith(f"http://{bucket}.{DOMAIN}:{service.port}/a%20b/")
    client.put_object(Bucket=bucket, Key=ODD_KEY, Body=b"x")
    assert client.get_object(Bucket=bucket, Key=ODD_KEY)["Body"].read() == b"x"
    assert client.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    assert fetch(url) == (200, b"x")
    client.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": ODD_KEY})
    assert bucket in [row["Name"] for row in client.list_buckets()["Buckets"]]


@pytest.mark.parametrize(
    "key",
    ["/", "//", "/lead", "a//b", ".", "..", "../a", "a/../b", "a/./b", "dir/", " ", "+", "a+b c", "%", "%2F", "%25", "?", "#",
     "a?b=c&d", "\\", "\x01", "a\nb", "\r", "\t", "\x7f", "&<>\"'", "\u00e9", "e\u0301", "日本", "\U0001f600", "\u200b", "x" * 1024, ";", "=", "~", "*", "|"],
    ids=ascii,
)  # fmt: skip
def test_every_key_survives(key: str, admin: Any, bucket: str) -> None:
    admin.put_object(Bucket=bucket, Key=key, Body=key.encode())
    admin.put_object(Bucket=bucket, Key="other", Body=b"")
    assert admin.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
    expected = sorted([key, "other"], key=str.encode)
    assert [row["Key"] for row in admin.list_objects_v2(Bucket=bucket)["Contents"]] == expected
    admin.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": key})
    assert admin.get_object(Bucket=bucket, Key="copy")["Body"].read() == key.encode()
    if key == "\x01":  # XML 1.0 has no way to write it, so no document can name it
        admin.delete_object(Bucket=bucket, Key=key)
    else:
        deleted = admin.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key}]})
        assert [row["Key"] for row in deleted["Deleted"]] == [key]
    with pytest.raises(ClientError, match="NoSuchKey|404"):  # and no error document can name that one
        admin.get_object(Bucket=bucket, Key=key)
