"""Tags of buckets and objects over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.s3 import raw
from tests.s3.conftest import Crowd
from tests.s3.naming import fresh_name, refusal
from tests.servers import RunningServer

TAGS = [{"Key": "B b", "Value": ""}, {"Key": "a", "Value": "1"}, {"Key": "é+=._:/@-", "Value": "日本"}]


def tag_set(*pairs: tuple[str, str]) -> bytes:
    rows = "".join(f"<Tag><Key>{key}</Key><Value>{value}</Value></Tag>" for key, value in pairs)
    return f"<Tagging><TagSet>{rows}</TagSet></Tagging>".encode()


# -- buckets -----------------------------------------------------------------------------------------------------


def test_bucket_tags_are_absent_set_replaced_and_absent_again(s3: Any, bucket: str) -> None:
    missing = (404, "NoSuchTagSet")
    assert refusal(s3.get_bucket_tagging, Bucket=bucket) == missing
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": TAGS})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == TAGS
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": TAGS[:1]})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == TAGS[:1]
    for _ in range(2):
        assert s3.delete_bucket_tagging(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"] == 204
        assert refusal(s3.get_bucket_tagging, Bucket=bucket) == missing


def test_an_empty_tag_set_is_none(s3: Any, bucket: str) -> None:
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": TAGS})
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": []})
    assert refusal(s3.get_bucket_tagging, Bucket=bucket) == (404, "NoSuchTagSet")


def test_a_bucket_has_fifty_tags_at_most(s3: Any, bucket: str) -> None:
    tags = [{"Key": f"k{number}", "Value": "v"} for number in range(51)]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags[:50]})
    assert refusal(s3.put_bucket_tagging, Bucket=bucket, Tagging={"TagSet": tags})[0] == 400
    assert len(s3.get_bucket_tagging(Bucket=bucket)["TagSet"]) == 50


def test_bucket_tags_are_the_owners(crowd: Crowd) -> None:
    name = fresh_name()
    crowd.alice.s3.create_bucket(Bucket=name, ACL="public-read-write")
    tagging = {"TagSet": TAGS}
    assert refusal(crowd.bob.s3.put_bucket_tagging, Bucket=name, Tagging=tagging) == (403, "AccessDenied")
    assert refusal(crowd.bob.s3.get_bucket_tagging, Bucket=name) == (403, "AccessDenied")
    assert refusal(crowd.bob.s3.delete_bucket_tagging, Bucket=name) == (403, "AccessDenied")


# -- objects -----------------------------------------------------------------------------------------------------


def test_object_tags_are_set_counted_replaced_and_deleted(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    assert "TagCount" not in s3.get_object(Bucket=bucket, Key="k")
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": TAGS})
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == TAGS
    assert s3.get_object(Bucket=bucket, Key="k")["TagCount"] == 3
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": TAGS[1:]})
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == TAGS[1:]
    for _ in range(2):
        assert s3.delete_object_tagging(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPStatusCode"] == 204
        assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []


def test_tags_are_shown_in_the_order_of_their_keys(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="b=2&B=3&a")
    expected = [{"Key": "B", "Value": "3"}, {"Key": "a", "Value": ""}, {"Key": "b", "Value": "2"}]
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == expected
    reverse = {"TagSet": expected[::-1]}
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging=reverse)
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == expected
    s3.put_bucket_tagging(Bucket=bucket, Tagging=reverse)
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == expected


def test_tags_leave_the_object_as_it_was(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"m": "1"})
    before = s3.head_object(Bucket=bucket, Key="k")
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": TAGS})
    after = s3.head_object(Bucket=bucket, Key="k")
    for field in ("ETag", "LastModified", "Metadata", "ContentLength"):
        assert after[field] == before[field]


def test_tags_go_with_an_overwritten_object(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="a=b")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "a", "Value": "b"}]
    s3.put_object(Bucket=bucket, Key="k", Body=b"y")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []


@pytest.mark.parametrize(
    ("pairs", "code"),
    [
        ([("", "v")], "InvalidTag"),
        ([("k" * 129, "v")], "InvalidTag"),
        ([("k", "v" * 257)], "InvalidTag"),
        ([("aws:k", "v")], "InvalidTag"),
        ([("k", "1"), ("k", "2")], "InvalidTag"),
        ([("k;", "v")], "InvalidTag"),
    ],
)
@pytest.mark.parametrize("key", ["", "/k"])
def test_tags_that_are_none_are_refused(
    server: RunningServer, s3: Any, bucket: str, pairs: list[tuple[str, str]], code: str, key: str
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    reply = raw.request(server, "PUT", f"/{bucket}{key}?tagging", tag_set(*pairs))
    assert (reply.status, reply.code) == (400, code)


def test_tags_at_the_limits_are_taken(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    tags = [{"Key": str(number) + "k" * 127, "Value": "v" * 256} for number in range(10)]
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": tags})
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == tags
    eleven = [{"Key": f"{number}", "Value": ""} for number in range(11)]
    assert refusal(s3.put_object_tagging, Bucket=bucket, Key="k", Tagging={"TagSet": eleven})[0] == 400
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == tags


@pytest.mark.parametrize("body", [b"", b"<Tagging/>", b"<Tagging><TagSet><Tag/></TagSet></Tagging>", b"a=b", b"<Tag"])
def test_what_is_no_tagging_document_is_refused(server: RunningServer, s3: Any, bucket: str, body: bytes) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    reply = raw.request(server, "PUT", f"/{bucket}/k?tagging", body)
    assert (reply.status, reply.code) == (400, "MalformedXML")


def test_a_body_that_was_damaged_on_its_way_changes_nothing(server: RunningServer, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"", Tagging="a=b")
    wrong = {"content-md5": "1B2M2Y8AsgTpgAmY7PhCfg=="}
    reply = raw.request(server, "PUT", f"/{bucket}/k?tagging", tag_set(("c", "d")), headers=wrong)
    assert (reply.status, reply.code) == (400, "BadDigest")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "a", "Value": "b"}]


def test_each_version_has_tags_of_its_own(server: RunningServer, s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first, second = (s3.put_object(Bucket=bucket, Key="k", Body=b"")["VersionId"] for _ in range(2))
    s3.put_object_tagging(Bucket=bucket, Key="k", VersionId=first, Tagging={"TagSet": TAGS})
    assert s3.get_object_tagging(Bucket=bucket, Key="k", VersionId=first)["TagSet"] == TAGS
    current = s3.get_object_tagging(Bucket=bucket, Key="k")
    assert (current["TagSet"], current["VersionId"]) == ([], second)
    reply = raw.request(server, "DELETE", f"/{bucket}/k?tagging&versionId={first}")
    assert (reply.status, reply.headers["x-amz-version-id"]) == (204, first)
    assert s3.get_object_tagging(Bucket=bucket, Key="k", VersionId=first)["TagSet"] == []


def test_no_version_is_named_where_versioning_was_never_configured(server: RunningServer, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    for method, body in (("PUT", tag_set(("a", "b"))), ("GET", b""), ("DELETE", b"")):
        assert "x-amz-version-id" not in raw.request(server, method, f"/{bucket}/k?tagging", body).headers


def test_there_are_no_tags_without_an_object(s3: Any, bucket: str) -> None:
    missing = (404, "NoSuchKey")
    assert refusal(s3.get_object_tagging, Bucket=bucket, Key="k") == missing
    assert refusal(s3.put_object_tagging, Bucket=bucket, Key="k", Tagging={"TagSet": TAGS}) == missing
    assert refusal(s3.delete_object_tagging, Bucket=bucket, Key="k") == missing


def test_object_tags_are_the_object_owners(crowd: Crowd) -> None:
    name = fresh_name()
    crowd.alice.s3.create_bucket(Bucket=name, ACL="public-read-write")
    crowd.bob.s3.put_object(Bucket=name, Key="k", Body=b"", ACL="public-read", Tagging="a=b")
    denied = (403, "AccessDenied")
    assert refusal(crowd.alice.s3.get_object_tagging, Bucket=name, Key="k") == denied
    assert refusal(crowd.alice.s3.put_object_tagging, Bucket=name, Key="k", Tagging={"TagSet": []}) == denied
    assert refusal(crowd.alice.s3.delete_object_tagging, Bucket=name, Key="k") == denied
    assert crowd.request("GET", f"/{name}/k?tagging").code == "AccessDenied"
    assert crowd.bob.s3.get_object_tagging(Bucket=name, Key="k")["TagSet"] == [{"Key": "a", "Value": "b"}]
