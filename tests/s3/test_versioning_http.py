"""The versioning configuration of a bucket over HTTP. What it does to objects is tested with them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.s3 import raw
from tests.s3.conftest import Crowd
from tests.s3.naming import fresh_name, refusal
from tests.servers import RunningServer

CONFIGURATION = "<VersioningConfiguration>{}</VersioningConfiguration>"


def test_versioning_that_was_never_configured_is_an_empty_document(server: RunningServer, bucket: str) -> None:
    document = raw.request(server, "GET", f"/{bucket}?versioning").xml
    assert (document.tag, len(document), document.text) == (f"{raw.NAMESPACE}VersioningConfiguration", 0, None)


def test_versioning_is_enabled_and_suspended_in_turn(s3: Any, bucket: str) -> None:
    for status in ("Enabled", "Suspended", "Suspended", "Enabled"):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == status


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        ("", 400, "IllegalVersioningConfigurationException"),
        ("<Status>Off</Status>", 400, "MalformedXML"),
        ("<Status>enabled</Status>", 400, "MalformedXML"),
        ("<Status/>", 400, "MalformedXML"),
        ("<Status>Enabled</Status><Status>Suspended</Status>", 400, "MalformedXML"),
        ("<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>", 501, "NotImplemented"),
    ],
)
def test_what_is_no_configuration_changes_nothing(
    server: RunningServer, s3: Any, bucket: str, content: str, status: int, code: str
) -> None:
    reply = raw.request(server, "PUT", f"/{bucket}?versioning", CONFIGURATION.format(content).encode())
    assert (reply.status, reply.code) == (status, code)
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)


def test_mfa_delete_may_be_said_to_be_off(server: RunningServer, bucket: str) -> None:
    content = "<Status>Enabled</Status><MfaDelete>Disabled</MfaDelete>"
    assert raw.request(server, "PUT", f"/{bucket}?versioning", CONFIGURATION.format(content).encode()).status == 200


def test_an_empty_body_is_no_configuration(server: RunningServer, bucket: str) -> None:
    assert raw.request(server, "PUT", f"/{bucket}?versioning").code == "MalformedXML"


def test_versioning_is_the_owners(crowd: Crowd) -> None:
    name = fresh_name()
    crowd.alice.s3.create_bucket(Bucket=name, ACL="public-read-write")
    arguments = {"Bucket": name, "VersioningConfiguration": {"Status": "Enabled"}}
    assert refusal(crowd.bob.s3.put_bucket_versioning, **arguments) == (403, "AccessDenied")
    assert refusal(crowd.bob.s3.get_bucket_versioning, Bucket=name) == (403, "AccessDenied")


def test_what_was_there_before_is_the_null_version(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"old", Tagging="a=b")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["VersionId"] == "null"
    new = s3.put_object(Bucket=bucket, Key="k", Body=b"new")["VersionId"]
    versions = [(entry["VersionId"], entry["IsLatest"]) for entry in s3.list_object_versions(Bucket=bucket)["Versions"]]
    assert versions == [(new, True), ("null", False)]
    assert s3.get_object_tagging(Bucket=bucket, Key="k", VersionId="null")["TagSet"] == [{"Key": "a", "Value": "b"}]


def test_a_suspended_bucket_keeps_its_versions_and_replaces_the_null_one(s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    kept = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["VersionId"]
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    for body in (b"2", b"3"):
        assert "VersionId" not in s3.put_object(Bucket=bucket, Key="k", Body=body)
    versions = s3.list_object_versions(Bucket=bucket)["Versions"]
    assert [entry["VersionId"] for entry in versions] == ["null", kept]
    s3.delete_object(Bucket=bucket, Key="k")
    answer = s3.list_object_versions(Bucket=bucket)
    assert [marker["VersionId"] for marker in answer["DeleteMarkers"]] == ["null"]
    assert [entry["VersionId"] for entry in answer["Versions"]] == [kept]
