"""Bucket policies over HTTP: how they are put and shown, and that they decide, for every way to an object."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.s3.conftest import Crowd, Person
from tests.s3.naming import fresh_name, refusal
from tests.servers import boto_client


@pytest.fixture
def bucket(crowd: Crowd) -> str:
    """Alice's, with her object "k" and nobody else let in."""
    name = fresh_name()
    crowd.alice.s3.create_bucket(Bucket=name)
    crowd.alice.s3.put_object(Bucket=name, Key="k", Body=b"hers", Tagging="level=open")
    return name


def statement(bucket: str, actions: str | list[str], where: str = "/*", **more: Any) -> dict[str, Any]:
    return {
        "Effect": "Allow", "Principal": "*", "Action": actions, "Resource": f"arn:aws:s3:::{bucket}{where}", **more,
    }  # fmt: skip


def put(person: Person, bucket: str, *statements: dict[str, Any]) -> str:
    text = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    person.s3.put_bucket_policy(Bucket=bucket, Policy=text)
    return text


def status_of(url: str) -> int:
    """Of a plain GET, without the header that would have to be signed."""
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


# -- the document ------------------------------------------------------------------------------------------------


def test_it_is_kept_as_it_was_put_until_it_is_deleted(crowd: Crowd, bucket: str) -> None:
    s3 = crowd.alice.s3
    text = put(crowd.alice, bucket, statement(bucket, "s3:GetObject"))
    assert s3.get_bucket_policy(Bucket=bucket)["Policy"] == text
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"] == {"IsPublic": True}
    assert crowd.request("GET", f"/{bucket}?policy", by=crowd.alice).headers["content-type"] == "application/json"
    put(crowd.alice, bucket, statement(bucket, "s3:GetObject", Principal={"AWS": crowd.bob.id}))
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"] == {"IsPublic": False}
    for _ in range(2):
        s3.delete_bucket_policy(Bucket=bucket)
    assert refusal(s3.get_bucket_policy, Bucket=bucket) == (404, "NoSuchBucketPolicy")
    assert refusal(s3.get_bucket_policy_status, Bucket=bucket) == (404, "NoSuchBucketPolicy")


def test_a_refused_one_changes_nothing_and_says_why(crowd: Crowd, bucket: str) -> None:
    text = put(crowd.alice, bucket, statement(bucket, "s3:GetObject"))
    with pytest.raises(ClientError) as refused:
        put(crowd.alice, bucket, statement(bucket, "s3:GetObject", where="-other/*"))
    error = refused.value.response["Error"]
    assert (error["Code"], error["Message"]) == ("MalformedPolicy", "Policy has invalid resource")
    odd = json.dumps({"Statement": [], "\0\x1b": "a name that no document can hold"}).encode()
    assert crowd.request("PUT", f"/{bucket}?policy", odd, by=crowd.alice).text("Message") == "Unknown field ??"
    assert crowd.request("PUT", f"/{bucket}?policy", b"{", by=crowd.alice).code == "MalformedPolicy"
    assert crowd.request("PUT", f"/{bucket}?policy", b"", by=crowd.alice).code == "MalformedPolicy"
    assert crowd.request("PUT", f"/{bucket}?policy", b" " * (2 << 20), by=crowd.alice).status == 400
    assert crowd.alice.s3.get_bucket_policy(Bucket=bucket)["Policy"] == text


def test_it_is_the_owners_to_put_unless_it_says_otherwise(crowd: Crowd, bucket: str) -> None:
    assert refusal(crowd.bob.s3.get_bucket_policy, Bucket=bucket) == (403, "AccessDenied")
    assert refusal(crowd.bob.s3.delete_bucket_policy, Bucket=bucket) == (403, "AccessDenied")
    assert crowd.request("PUT", f"/{bucket}?policy", b"{}").code == "AccessDenied"
    put(crowd.alice, bucket, statement(bucket, "s3:GetBucketPolicy", where="", Principal={"AWS": crowd.bob.id}))
    assert "GetBucketPolicy" in crowd.bob.s3.get_bucket_policy(Bucket=bucket)["Policy"]
    assert refusal(crowd.bob.s3.delete_bucket_policy, Bucket=bucket) == (403, "AccessDenied")


def test_nobody_locks_himself_out(crowd: Crowd, bucket: str) -> None:
    both = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    put(crowd.alice, bucket, statement(bucket, "s3:*", Effect="Deny", Resource=both))
    assert refusal(crowd.alice.s3.get_object, Bucket=bucket, Key="k") == (403, "AccessDenied")
    assert refusal(crowd.alice.s3.list_objects_v2, Bucket=bucket) == (403, "AccessDenied")
    assert "Deny" in crowd.alice.s3.get_bucket_policy(Bucket=bucket)["Policy"]
    crowd.alice.s3.delete_bucket_policy(Bucket=bucket)
    assert crowd.alice.s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"hers"


# -- what it allows ----------------------------------------------------------------------------------------------


def test_everybody_reads_and_nothing_more(crowd: Crowd, bucket: str) -> None:
    target = f"/{bucket}/k"
    assert crowd.request("GET", target).code == "AccessDenied"
    put(crowd.alice, bucket, statement(bucket, "s3:GetObject"))
    for _ in range(4):  # the later ones are answered from memory
        assert crowd.request("GET", target).body == b"hers"
        assert crowd.request("HEAD", target).status == 200
    assert crowd.bob.s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"hers"
    assert crowd.request("PUT", target, b"his").code == "AccessDenied"
    assert crowd.request("DELETE", target).code == "AccessDenied"
    assert crowd.request("GET", f"{target}?tagging").code == "AccessDenied"
    assert crowd.request("GET", f"/{bucket}?list-type=2").code == "AccessDenied"
    # Who may not list does not learn what is absent.
    assert crowd.request("GET", f"/{bucket}/absent").code == "AccessDenied"
    crowd.alice.s3.delete_bucket_policy(Bucket=bucket)
    for _ in range(4):
        assert crowd.request("GET", target).code == "AccessDenied"


def test_who_may_list_learns_what_is_absent(crowd: Crowd, bucket: str) -> None:
    put(crowd.alice, bucket, statement(bucket, "s3:GetObject"), statement(bucket, "s3:ListBucket", where=""))
    assert crowd.request("GET", f"/{bucket}/absent").code == "NoSuchKey"
    assert crowd.request("GET", f"/{bucket}?list-type=2").text("Contents/Key") == "k"


def test_it_gives_nothing_of_what_others_own_in_the_bucket(crowd: Crowd, bucket: str) -> None:
    put(crowd.alice, bucket, statement(bucket, ["s3:GetObject", "s3:PutObject"]))
    crowd.bob.s3.put_object(Bucket=bucket, Key="his", Body=b"his")
    assert crowd.request("GET", f"/{bucket}/his").code == "AccessDenied"
    assert crowd.bob.s3.get_object(Bucket=bucket, Key="his")["Body"].read() == b"his"
    controls = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    crowd.alice.s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=controls)
    assert crowd.request("GET", f"/{bucket}/his").body == b"his"


def test_what_strangers_put_is_the_owners(crowd: Crowd, bucket: str) -> None:
    put(crowd.alice, bucket, statement(bucket, ["s3:PutObject", "s3:DeleteObject"], where="/drop/*"))
    assert crowd.request("PUT", f"/{bucket}/drop/a", b"new").status == 200
    assert crowd.alice.s3.get_object(Bucket=bucket, Key="drop/a")["Body"].read() == b"new"
    assert crowd.request("PUT", f"/{bucket}/k", b"new").code == "AccessDenied"
    assert crowd.request("DELETE", f"/{bucket}/drop/a").status == 204


def test_parts_of_an_upload(crowd: Crowd, bucket: str) -> None:
    s3 = crowd.bob.s3
    assert refusal(s3.create_multipart_upload, Bucket=bucket, Key="big") == (403, "AccessDenied")
    actions = ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    put(crowd.alice, bucket, statement(bucket, actions, Principal={"AWS": crowd.bob.id}))
    for key in ("big", "small"):
        upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        part = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"part")
        assert len(s3.list_parts(Bucket=bucket, Key=key, UploadId=upload)["Parts"]) == 1
        if key == "small":
            s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload)
            continue
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload=parts)
    assert s3.get_object(Bucket=bucket, Key="big")["Body"].read() == b"part"


def test_many_keys_at_once_are_decided_one_by_one(crowd: Crowd, bucket: str) -> None:
    s3 = crowd.alice.s3
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket=bucket, Key="a/1", Body=b"")["VersionId"]
    s3.put_object(Bucket=bucket, Key="b/1", Body=b"")
    doomed = {"Objects": [{"Key": "a/1"}, {"Key": "b/1"}, {"Key": "a/1", "VersionId": version}]}
    assert refusal(crowd.bob.s3.delete_objects, Bucket=bucket, Delete=doomed) == (403, "AccessDenied")
    put(crowd.alice, bucket, statement(bucket, "s3:DeleteObject", where="/a/*", Principal={"AWS": crowd.bob.id}))
    answer = crowd.bob.s3.delete_objects(Bucket=bucket, Delete=doomed)
    assert [(each["Key"], each.get("VersionId")) for each in answer["Deleted"]] == [("a/1", None)]
    assert [(each["Key"], each["Code"]) for each in answer["Errors"]] == [
        ("b/1", "AccessDenied"),
        ("a/1", "AccessDenied"),
    ]
    # The owner is denied by key too.
    put(crowd.alice, bucket, statement(bucket, "s3:DeleteObject*", where="/b/*", Effect="Deny"))
    answer = s3.delete_objects(Bucket=bucket, Delete=doomed)
    assert [each["Key"] for each in answer["Errors"]] == ["b/1"]
    assert len(answer["Deleted"]) == 2


def test_a_copy_needs_its_source_and_its_target(crowd: Crowd, bucket: str) -> None:
    target = fresh_name()
    crowd.bob.s3.create_bucket(Bucket=target)
    copy = {"Bucket": target, "Key": "copy", "CopySource": f"{bucket}/k"}
    assert refusal(crowd.bob.s3.copy_object, **copy) == (403, "AccessDenied")
    put(crowd.alice, bucket, statement(bucket, "s3:GetObject", where="/k"))
    crowd.bob.s3.copy_object(**copy)
    put(crowd.bob, target, statement(target, "s3:PutObject", Effect="Deny", Condition={
        "StringLike": {"s3:x-amz-copy-source": f"{bucket}/*"}}))  # fmt: skip
    assert refusal(crowd.bob.s3.copy_object, **copy) == (403, "AccessDenied")
    crowd.bob.s3.put_object(Bucket=target, Key="copy", Body=b"")


def test_attributes_need_the_object_too(crowd: Crowd, bucket: str) -> None:
    asked = {"Bucket": bucket, "Key": "k", "ObjectAttributes": ["ObjectSize"]}
    put(crowd.alice, bucket, statement(bucket, "s3:GetObjectAttributes", Principal={"AWS": crowd.bob.id}))
    assert refusal(crowd.bob.s3.get_object_attributes, **asked) == (403, "AccessDenied")
    put(crowd.alice, bucket, statement(bucket, ["s3:GetObject", "s3:GetObjectAttributes"]))
    assert crowd.bob.s3.get_object_attributes(**asked)["ObjectSize"] == 4


# -- conditions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("effect", "condition"),
    [
        ("Allow", {"StringEquals": {"aws:Referer": "friend"}}),
        ("Allow", {"StringNotEquals": {"aws:Referer": "foe"}}),
        ("Deny", {"StringEquals": {"aws:Referer": "foe"}}),
    ],
)
def test_a_condition_is_asked_of_every_request(
    crowd: Crowd, bucket: str, effect: str, condition: dict[str, Any]
) -> None:
    """The second read would be answered from memory, where nobody looks at a header."""
    if effect == "Deny":
        crowd.alice.s3.put_object_acl(Bucket=bucket, Key="k", ACL="public-read")
    put(crowd.alice, bucket, statement(bucket, "s3:GetObject", Effect=effect, Condition=condition))
    target = f"/{bucket}/k"
    for _ in range(4):
        assert crowd.request("GET", target, headers={"Referer": "friend"}).body == b"hers"
        assert crowd.request("GET", target, headers={"Referer": "foe"}).code == "AccessDenied"


@pytest.mark.parametrize(
    ("condition", "is_met"),
    [
        ({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, True),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, False),
        ({"Bool": {"aws:SecureTransport": "false"}}, True),
        ({"StringEquals": {"aws:PrincipalType": "Anonymous"}}, False),
        ({"StringEquals": {"aws:username": "bob"}}, True),
        ({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/bob"}}, True),
        ({"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, True),
        ({"NumericLessThan": {"aws:EpochTime": "1577836800"}}, False),
        ({"StringEquals": {"s3:authType": "REST-HEADER"}}, True),
        ({"StringEquals": {"s3:signatureversion": "AWS4-HMAC-SHA256"}}, True),
        ({"StringLike": {"aws:UserAgent": "Boto3/*"}}, True),
        ({"StringEquals": {"s3:ExistingObjectTag/level": "open"}}, True),
        ({"StringEquals": {"s3:ExistingObjectTag/level": "secret"}}, False),
        ({"Null": {"aws:SourceVpc": "true"}}, True),
    ],
)
def test_what_conditions_see(crowd: Crowd, bucket: str, condition: dict[str, Any], is_met: bool) -> None:
    put(crowd.alice, bucket, statement(bucket, "s3:GetObject", Condition=condition))
    if is_met:
        crowd.bob.s3.get_object(Bucket=bucket, Key="k")
    else:
        assert refusal(crowd.bob.s3.get_object, Bucket=bucket, Key="k") == (403, "AccessDenied")


def test_an_old_presigned_url_can_be_denied(crowd: Crowd, bucket: str) -> None:
    signer = boto_client(crowd.server.endpoint, *crowd.alice.keys, signature_version="s3v4")
    url = signer.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "k"})
    for limit_ms, status in ((600_000, 200), (-1, 403)):
        condition = {"NumericGreaterThan": {"s3:signatureAge": limit_ms}}
        put(crowd.alice, bucket, statement(bucket, "s3:*", Effect="Deny", Condition=condition))
        assert status_of(url) == status


def test_a_listing_below_a_prefix(crowd: Crowd, bucket: str) -> None:
    condition = {"StringLike": {"s3:prefix": "home/*"}, "NumericLessThanEquals": {"s3:max-keys": 10}}
    put(crowd.alice, bucket, statement(bucket, "s3:ListBucket", where="", Condition=condition))
    crowd.bob.s3.list_objects_v2(Bucket=bucket, Prefix="home/bob", MaxKeys=10)
    for asked in ({"Prefix": "home/bob"}, {"Prefix": "", "MaxKeys": 1}, {"Prefix": "home/", "MaxKeys": 11}):
        assert refusal(crowd.bob.s3.list_objects_v2, Bucket=bucket, **asked) == (403, "AccessDenied")


def test_each_in_a_folder_of_his_name(crowd: Crowd, bucket: str) -> None:
    put(crowd.alice, bucket, statement(bucket, "s3:PutObject", where="/home/${aws:username}/*"))
    crowd.bob.s3.put_object(Bucket=bucket, Key="home/bob/a", Body=b"")
    assert refusal(crowd.bob.s3.put_object, Bucket=bucket, Key="home/alice/a", Body=b"") == (403, "AccessDenied")
    assert crowd.request("PUT", f"/{bucket}/home//a").code == "AccessDenied"


def test_a_write_that_must_say_something(crowd: Crowd, bucket: str) -> None:
    put(
        crowd.alice,
        bucket,
        statement(bucket, "s3:PutObject"),
        statement(bucket, "s3:PutObject", Effect="Deny", Condition={"StringLike": {"s3:x-amz-acl": "public*"}}),
        statement(bucket, "s3:PutObjectTagging", Effect="Deny"),
    )
    crowd.bob.s3.put_object(Bucket=bucket, Key="a", Body=b"", ACL="bucket-owner-full-control")
    assert refusal(crowd.bob.s3.put_object, Bucket=bucket, Key="a", Body=b"", ACL="public-read")[0] == 403
    assert refusal(crowd.bob.s3.put_object, Bucket=bucket, Key="a", Body=b"", Tagging="a=b")[0] == 403
    assert refusal(crowd.alice.s3.put_object, Bucket=bucket, Key="a", Body=b"", Tagging="a=b")[0] == 403


def test_tags_in_a_header_and_in_a_body(crowd: Crowd, bucket: str) -> None:
    condition = {"StringEquals": {"s3:RequestObjectTag/level": "open"}}
    put(
        crowd.alice,
        bucket,
        statement(bucket, ["s3:PutObject", "s3:PutObjectTagging"], Condition=condition),
        statement(bucket, "s3:PutObjectTagging", Effect="Deny", Condition={
            "ForAnyValue:StringEquals": {"s3:RequestObjectTagKeys": "forbidden"}}),
    )  # fmt: skip
    crowd.bob.s3.put_object(Bucket=bucket, Key="a", Body=b"", Tagging="level=open")
    assert refusal(crowd.bob.s3.put_object, Bucket=bucket, Key="a", Body=b"", Tagging="level=x")[0] == 403
    for person in (crowd.alice, crowd.bob):
        tags = {"TagSet": [{"Key": "forbidden", "Value": "x"}]}
        assert refusal(person.s3.put_object_tagging, Bucket=bucket, Key="k", Tagging=tags)[0] == 403
    assert crowd.alice.s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "level", "Value": "open"}]


def test_a_policy_outlives_the_process_and_not_the_bucket(crowd: Crowd, bucket: str) -> None:
    put(crowd.alice, bucket, statement(bucket, "s3:GetObject"))
    crowd.server.restart()
    crowd.alice.s3.put_object(Bucket=bucket, Key="k", Body=b"hers")  # a back end in memory has lost its bytes
    assert crowd.request("GET", f"/{bucket}/k").body == b"hers"
    crowd.alice.s3.delete_object(Bucket=bucket, Key="k")
    crowd.alice.s3.delete_bucket(Bucket=bucket)
    crowd.alice.s3.create_bucket(Bucket=bucket)
    assert refusal(crowd.alice.s3.get_bucket_policy, Bucket=bucket) == (404, "NoSuchBucketPolicy")
