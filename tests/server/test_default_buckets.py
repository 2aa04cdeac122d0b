"""Buckets that are there from the first answer on."""

from __future__ import annotations

from typing import Any

import pytest
from botocore import UNSIGNED
from botocore.exceptions import ClientError

from tests.conftest import StartServer

FLAGS = ("--server.default_buckets", "photos,logs:versioned")


def names(s3: Any) -> list[str]:
    return [each["Name"] for each in s3.list_buckets()["Buckets"]]


def test_they_are_there_and_stay_as_they_are(start_server: StartServer) -> None:
    server = start_server(*FLAGS, workers=2)
    s3 = server.client()
    assert names(s3) == ["logs", "photos"]
    assert s3.get_bucket_versioning(Bucket="logs")["Status"] == "Enabled"
    assert "Status" not in s3.get_bucket_versioning(Bucket="photos")
    s3.put_object(Bucket="photos", Key="k", Body=b"kept")
    s3.put_bucket_versioning(Bucket="logs", VersioningConfiguration={"Status": "Suspended"})
    s3.put_bucket_versioning(Bucket="photos", VersioningConfiguration={"Status": "Enabled"})
    server.restart()
    assert s3.get_object(Bucket="photos", Key="k")["Body"].read() == b"kept"
    assert s3.get_bucket_versioning(Bucket="logs")["Status"] == "Suspended"
    assert s3.get_bucket_versioning(Bucket="photos")["Status"] == "Enabled"


def test_one_that_was_deleted_is_made_again_at_the_next_start(start_server: StartServer) -> None:
    server = start_server(*FLAGS)
    s3 = server.client()
    s3.delete_bucket(Bucket="photos")
    assert names(s3) == ["logs"]
    server.restart()
    assert names(s3) == ["logs", "photos"]


@pytest.mark.parametrize("region", ["", "eu-west-3"])
def test_in_any_region(start_server: StartServer, region: str) -> None:
    server = start_server(*FLAGS, "--server.region", region)
    server.restart()
    assert server.log().count("cannot start") == 0


def test_where_nothing_outlives_the_process(start_server: StartServer) -> None:
    server = start_server(*FLAGS, "--metadata.engine", "memory", "--storage.backend", "memory")
    assert names(server.client()) == ["logs", "photos"]
    server.restart()
    assert names(server.client()) == ["logs", "photos"]


def test_one_without_its_versioning_gets_it(start_server: StartServer) -> None:
    """As a kill between the two leaves it, or an operator who changes his mind."""
    server = start_server("--server.default_buckets", "photos")
    server.kill9()
    server.args = ("--server.default_buckets", "photos:versioned")
    server.start()
    assert server.client().get_bucket_versioning(Bucket="photos")["Status"] == "Enabled"


@pytest.mark.parametrize(
    ("access", "reads", "writes"), [("download", 200, 403), ("upload", 403, 200), ("public", 200, 200)]
)
def test_access_for_everybody_comes_with_the_bucket(
    start_server: StartServer, access: str, reads: int, writes: int
) -> None:
    server = start_server("--server.default_buckets", f"site:{access}")
    s3 = server.client()
    s3.put_object(Bucket="site", Key="index.html", Body=b"hello")
    anyone = server.client(signature_version=UNSIGNED)
    assert status_of(anyone.get_object, Key="index.html") == reads
    assert status_of(anyone.list_objects_v2) == reads
    assert status_of(anyone.put_object, Key="new", Body=b"") == writes
    assert status_of(anyone.put_bucket_versioning, VersioningConfiguration={"Status": "Enabled"}) == 403
    # Whoever closes it has closed it for good.
    s3.delete_bucket_policy(Bucket="site")
    server.restart()
    assert status_of(anyone.get_object, Key="index.html") == 403


def status_of(call: Any, **arguments: Any) -> int:
    try:
        answer = call(Bucket="site", **arguments)
    except ClientError as error:
        answer = error.response
    return int(answer["ResponseMetadata"]["HTTPStatusCode"])
