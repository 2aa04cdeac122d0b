"""ListBuckets, CreateBucket, DeleteBucket, HeadBucket, GetBucketLocation over HTTP."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.conftest import StartServer
from tests.s3 import raw
from tests.s3.conftest import Crowd
from tests.s3.naming import fresh_name, refusal
from tests.servers import RunningServer

LOCATION = '<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{}</CreateBucketConfiguration>'


def located(region: str) -> bytes:
    return LOCATION.format(f"<LocationConstraint>{region}</LocationConstraint>").encode()


# -- creating ----------------------------------------------------------------------------------------------------


def test_creation_answers_with_the_location_and_no_body(server: RunningServer) -> None:
    name = fresh_name()
    reply = raw.request(server, "PUT", f"/{name}")
    assert (reply.status, reply.headers["location"], reply.body) == (200, f"/{name}", b"")


def test_a_trailing_slash_names_the_same_bucket(server: RunningServer) -> None:
    name = fresh_name()
    assert raw.request(server, "PUT", f"/{name}/").status == 200
    assert raw.request(server, "HEAD", f"/{name}").status == 200
    assert raw.request(server, "DELETE", f"/{name}/").status == 204
    assert raw.request(server, "HEAD", f"/{name}").status == 404


@pytest.mark.parametrize(
    "name",
    ["ab", "a" * 64, "Upper", "under_score", "-start", "end-", "a..b", "a.-b", "192.168.1.1", "xn--a", "a--x-s3"],
)
def test_names_that_break_the_rules_are_refused(server: RunningServer, name: str) -> None:
    reply = raw.request(server, "PUT", f"/{name}")
    assert (reply.status, reply.code) == (400, "InvalidBucketName")


@pytest.mark.parametrize("name", ["abc", "a" * 63, "a.b", "0-9", "a1.2b"])
def test_names_at_the_edge_of_the_rules_are_taken(server: RunningServer, name: str) -> None:
    assert raw.request(server, "PUT", f"/{name}").status == 200
    assert raw.request(server, "DELETE", f"/{name}").status == 204


def test_an_unknown_bucket_with_a_bad_name_is_merely_absent(server: RunningServer) -> None:
    assert raw.request(server, "GET", "/No_Such").code == "NoSuchBucket"


def test_the_own_region_is_a_valid_location_constraint(server: RunningServer) -> None:
    name = fresh_name()
    assert raw.request(server, "PUT", f"/{name}", located("us-east-1")).status == 200
    assert raw.request(server, "GET", f"/{name}?location").text("") == ""


def test_an_empty_location_constraint_is_none(server: RunningServer) -> None:
    assert raw.request(server, "PUT", f"/{fresh_name()}", located("")).status == 200


@pytest.mark.parametrize(
    ("region", "code"),
    [
        ("eu-central-1", "IllegalLocationConstraintException"),
        ("EU", "IllegalLocationConstraintException"),
        ("nowhere", "InvalidLocationConstraint"),
        ("us-east-1 ; x", "InvalidLocationConstraint"),
    ],
)
def test_other_regions_are_refused(server: RunningServer, region: str, code: str) -> None:
    name = fresh_name()
    reply = raw.request(server, "PUT", f"/{name}", located(region))
    assert (reply.status, reply.code) == (400, code)
    assert raw.request(server, "HEAD", f"/{name}").status == 404


def test_a_server_without_a_region_keeps_any(start_server: StartServer) -> None:
    server = start_server("--server.region", "")
    name = fresh_name()
    assert raw.request(server, "PUT", f"/{name}", located("mars-north-7")).status == 200
    assert raw.request(server, "GET", f"/{name}?location").xml.text == "mars-north-7"
    assert raw.request(server, "HEAD", f"/{name}").headers["x-amz-bucket-region"] == "mars-north-7"


def test_a_configuration_that_is_no_xml_is_refused(server: RunningServer) -> None:
    reply = raw.request(server, "PUT", f"/{fresh_name()}", b"<CreateBucketConfiguration>")
    assert (reply.status, reply.code) == (400, "MalformedXML")


def test_a_configuration_that_is_too_long_is_refused(server: RunningServer) -> None:
    reply = raw.request(server, "PUT", f"/{fresh_name()}", b" " * 300_000)
    assert (reply.status, reply.code) == (400, "MaxMessageLengthExceeded")


def test_tags_come_with_the_creation(server: RunningServer, s3: Any) -> None:
    name = fresh_name()
    tags = LOCATION.format("<Tags><Tag><Key>team</Key><Value>blue</Value></Tag></Tags>").encode()
    assert raw.request(server, "PUT", f"/{name}", tags).status == 200
    assert s3.get_bucket_tagging(Bucket=name)["TagSet"] == [{"Key": "team", "Value": "blue"}]


def test_object_lock_is_not_promised(s3: Any) -> None:
    name = fresh_name()
    assert refusal(s3.create_bucket, Bucket=name, ObjectLockEnabledForBucket=True) == (501, "NotImplemented")
    assert refusal(s3.head_bucket, Bucket=name)[0] == 404


def test_creation_takes_no_foreign_parameter(server: RunningServer) -> None:
    name = fresh_name()
    assert raw.request(server, "PUT", f"/{name}?colour=red").code == "InvalidArgument"
    assert raw.request(server, "PUT", f"/{name}?x-id=CreateBucket").status == 200


# -- creating again ----------------------------------------------------------------------------------------------


def test_creating_ones_bucket_again_changes_nothing(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"kept")
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    assert s3.create_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert s3.create_bucket(Bucket=bucket, ACL="private")["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"kept"
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == [{"Key": "a", "Value": "b"}]


def test_creating_again_with_an_acl_is_a_conflict(s3: Any, bucket: str) -> None:
    assert refusal(s3.create_bucket, Bucket=bucket, ACL="public-read") == (409, "BucketAlreadyExists")


def test_creating_again_over_an_acl_is_a_conflict(s3: Any) -> None:
    name = fresh_name()
    s3.create_bucket(Bucket=name, ACL="public-read")
    assert refusal(s3.create_bucket, Bucket=name) == (409, "BucketAlreadyExists")
    assert len(s3.get_bucket_acl(Bucket=name)["Grants"]) == 2


def test_creating_again_elsewhere_is_a_conflict(start_server: StartServer) -> None:
    server = start_server("--server.region", "")
    name = fresh_name()
    assert raw.request(server, "PUT", f"/{name}", located("eu-west-3")).status == 200
    for headers in ({}, {"x-amz-acl": "public-read"}):
        reply = raw.request(server, "PUT", f"/{name}", located("eu-west-3"), headers)
        assert (reply.status, reply.code) == (409, "BucketAlreadyOwnedByYou")


def test_the_name_of_anothers_bucket_is_taken(crowd: Crowd) -> None:
    name = fresh_name()
    crowd.alice.s3.create_bucket(Bucket=name)
    assert refusal(crowd.bob.s3.create_bucket, Bucket=name) == (409, "BucketAlreadyExists")


def test_anonymous_callers_create_nothing(crowd: Crowd) -> None:
    assert crowd.request("PUT", f"/{fresh_name()}").code == "AccessDenied"


# -- deleting, asking --------------------------------------------------------------------------------------------


def test_a_bucket_with_objects_stays(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    assert refusal(s3.delete_bucket, Bucket=bucket) == (409, "BucketNotEmpty")
    s3.delete_object(Bucket=bucket, Key="k")
    s3.delete_bucket(Bucket=bucket)
    assert refusal(s3.delete_bucket, Bucket=bucket) == (404, "NoSuchBucket")


def test_versions_and_markers_keep_a_bucket(s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    marker = s3.delete_object(Bucket=bucket, Key="never-was")["VersionId"]
    assert refusal(s3.delete_bucket, Bucket=bucket) == (409, "BucketNotEmpty")
    s3.delete_object(Bucket=bucket, Key="never-was", VersionId=marker)
    s3.delete_bucket(Bucket=bucket)


def test_a_deleted_buckets_configuration_is_gone(s3: Any, bucket: str) -> None:
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    s3.delete_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=bucket)
    assert refusal(s3.get_bucket_tagging, Bucket=bucket) == (404, "NoSuchTagSet")


def test_head_tells_the_region_and_nothing_else(server: RunningServer, bucket: str) -> None:
    reply = raw.request(server, "HEAD", f"/{bucket}")
    assert (reply.status, reply.headers["x-amz-bucket-region"], reply.body) == (200, "us-east-1", b"")


def test_head_of_no_bucket_is_404_without_a_body(server: RunningServer) -> None:
    reply = raw.request(server, "HEAD", f"/{fresh_name()}")
    assert (reply.status, reply.body) == (404, b"")


def test_the_location_of_the_first_region_is_an_empty_element(server: RunningServer, bucket: str) -> None:
    document = raw.request(server, "GET", f"/{bucket}?location").xml
    assert (document.tag, document.text) == (f"{raw.NAMESPACE}LocationConstraint", None)


def test_the_wrong_expected_owner_is_refused_before_anything_else(s3: Any, bucket: str) -> None:
    other = "0" * 12
    assert refusal(s3.head_bucket, Bucket=bucket, ExpectedBucketOwner=other)[0] == 403
    assert refusal(s3.delete_bucket, Bucket=bucket, ExpectedBucketOwner=other) == (403, "AccessDenied")


# -- listing -----------------------------------------------------------------------------------------------------


def test_each_sees_his_own_buckets_only(crowd: Crowd) -> None:
    ours, theirs = fresh_name("alice"), fresh_name("bob")
    crowd.alice.s3.create_bucket(Bucket=ours)
    crowd.bob.s3.create_bucket(Bucket=theirs, ACL="public-read-write")
    answer = crowd.alice.s3.list_buckets()
    names = [bucket["Name"] for bucket in answer["Buckets"]]
    assert ours in names
    assert theirs not in names
    assert answer["Owner"] == {"ID": crowd.alice.id, "DisplayName": "alice"}


def test_anonymous_callers_list_no_buckets(crowd: Crowd) -> None:
    assert crowd.request("GET", "/").code == "AccessDenied"


def test_pages_are_disjoint_complete_and_in_order(s3: Any) -> None:
    prefix = fresh_name("page")
    names = [f"{prefix}-{number}" for number in range(5)]
    for name in reversed(names):
        s3.create_bucket(Bucket=name)
    pages, token = [], None
    while True:
        answer = s3.list_buckets(Prefix=prefix, MaxBuckets=2, **({"ContinuationToken": token} if token else {}))
        pages.append([bucket["Name"] for bucket in answer["Buckets"]])
        assert answer["Prefix"] == prefix
        token = answer.get("ContinuationToken")
        if token is None:
            break
    assert pages == [names[:2], names[2:4], names[4:]]


def test_buckets_are_filtered_by_region(s3: Any, bucket: str) -> None:
    assert [found["Name"] for found in s3.list_buckets(Prefix=bucket, BucketRegion="us-east-1")["Buckets"]] == [bucket]
    assert s3.list_buckets(Prefix=bucket, BucketRegion="eu-west-1")["Buckets"] == []


@pytest.mark.parametrize("value", ["0", "-1", "ten", "99999999999", "+1", "1.0"])
def test_page_sizes_that_are_none_are_refused(server: RunningServer, value: str) -> None:
    reply = raw.request(server, "GET", f"/?max-buckets={value.replace('+', '%2B')}")
    assert (reply.status, reply.code) == (400, "InvalidArgument")


@pytest.mark.parametrize("token", ["nonsense", "bzE6", base64.urlsafe_b64encode(b"objects:x").decode(), "%C3%A9"])
def test_tokens_that_we_never_gave_are_refused(server: RunningServer, token: str) -> None:
    reply = raw.request(server, "GET", f"/?continuation-token={token}")
    assert (reply.status, reply.code) == (400, "InvalidArgument")


def test_unknown_parameters_do_not_matter_to_a_listing(server: RunningServer) -> None:
    assert raw.request(server, "GET", "/?x-id=ListBuckets&v=1").status == 200
