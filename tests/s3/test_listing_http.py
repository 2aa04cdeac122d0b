"""ListObjectsV2, ListObjects and ListObjectVersions over HTTP: order, pages, prefixes, encoding, owners."""

from __future__ import annotations

import base64
import random
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.s3 import raw
from tests.s3.conftest import Crowd
from tests.s3.naming import fresh_name, refusal
from tests.servers import RunningServer

AWKWARD = ["a", "a/b", "dir/", "a//b", "/lead", "a/./b", "a/../b", "q?#%+", "ü/é", "日本/語", "blank key", "x&<>'\""]


def fill(s3: Any, bucket: str, keys: list[str]) -> None:
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")


def keys_of(answer: dict[str, Any]) -> list[str]:
    return [entry["Key"] for entry in answer.get("Contents", ())]


def prefixes_of(answer: dict[str, Any]) -> list[str]:
    return [entry["Prefix"] for entry in answer.get("CommonPrefixes", ())]


def v2_pages(s3: Any, **arguments: Any) -> Iterator[dict[str, Any]]:
    token: str | None = None
    while True:
        answer = s3.list_objects_v2(**arguments, **({"ContinuationToken": token} if token else {}))
        yield answer
        assert answer["IsTruncated"] == ("NextContinuationToken" in answer)
        token = answer.get("NextContinuationToken")
        if token is None:
            return


# -- order and pages ---------------------------------------------------------------------------------------------


def test_keys_come_in_the_order_of_their_bytes(s3: Any, bucket: str) -> None:
    fill(s3, bucket, AWKWARD)
    assert keys_of(s3.list_objects_v2(Bucket=bucket)) == sorted(AWKWARD, key=str.encode)
    assert keys_of(s3.list_objects(Bucket=bucket)) == sorted(AWKWARD, key=str.encode)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_pages_are_disjoint_and_complete(s3: Any, bucket: str, size: int) -> None:
    choose = random.Random(size)
    keys = sorted({"".join(choose.choices("ab/é", k=choose.randint(1, 5))) for _ in range(40)}, key=str.encode)
    fill(s3, bucket, keys)
    for prefix, delimiter in (("", ""), ("", "/"), ("a", "/"), ("a/", "/"), ("", "b"), ("b", ""), ("zz", "/")):
        expected: list[str] = []
        for key in (key for key in keys if key.startswith(prefix)):
            cut = key.find(delimiter, len(prefix)) if delimiter else -1
            entry = key if cut < 0 else key[: cut + len(delimiter)]
            if entry not in expected:
                expected.append(entry)
        found = []
        for answer in v2_pages(s3, Bucket=bucket, Prefix=prefix, Delimiter=delimiter, MaxKeys=size):
            entries = keys_of(answer) + prefixes_of(answer)
            assert answer["KeyCount"] == len(entries) <= size
            found += sorted(entries, key=str.encode)
        assert found == sorted(expected, key=str.encode)


def test_an_empty_bucket_has_no_contents_element(server: RunningServer, bucket: str) -> None:
    reply = raw.request(server, "GET", f"/{bucket}?list-type=2")
    assert (reply.text("KeyCount"), reply.text("IsTruncated")) == ("0", "false")
    assert b"<Contents>" not in reply.body
    assert b"<Prefix></Prefix>" in reply.body


def test_a_page_that_ends_with_the_last_key_is_not_truncated(s3: Any, bucket: str) -> None:
    fill(s3, bucket, ["a", "b/1", "b/2"])
    assert s3.list_objects_v2(Bucket=bucket, MaxKeys=3)["IsTruncated"] is False
    assert s3.list_objects_v2(Bucket=bucket, MaxKeys=2, Delimiter="/")["IsTruncated"] is False
    assert s3.list_objects_v2(Bucket=bucket, MaxKeys=2)["IsTruncated"] is True


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2", "list_object_versions"])
def test_no_keys_may_be_asked_for(s3: Any, bucket: str, operation: str) -> None:
    fill(s3, bucket, ["a"])
    answer = getattr(s3, operation)(Bucket=bucket, MaxKeys=0)
    assert (answer["MaxKeys"], answer["IsTruncated"]) == (0, False)
    assert "Contents" not in answer
    assert "Versions" not in answer


@pytest.mark.parametrize("listing", ["list-type=2&", "", "versions&"])
@pytest.mark.parametrize("value", ["-1", "ten", "1.5", "99999999999", "%2B1", "1_0", "%D9%A1"])
def test_page_sizes_that_are_none_are_refused(server: RunningServer, bucket: str, listing: str, value: str) -> None:
    reply = raw.request(server, "GET", f"/{bucket}?{listing}max-keys={value}")
    assert (reply.status, reply.code) == (400, "InvalidArgument")


def test_page_sizes_are_clamped(server: RunningServer, bucket: str) -> None:
    for text in ("5000", "2147483647", ""):
        assert raw.request(server, "GET", f"/{bucket}?list-type=2&max-keys={text}").text("MaxKeys") == "1000"


# -- prefixes ----------------------------------------------------------------------------------------------------


def test_a_token_jumps_over_a_whole_prefix(s3: Any, bucket: str) -> None:
    fill(s3, bucket, ["a/1", "a/2", "b", "c/1"])
    pages = [keys_of(page) + prefixes_of(page) for page in v2_pages(s3, Bucket=bucket, Delimiter="/", MaxKeys=1)]
    assert pages == [["a/"], ["b"], ["c/"]]


def test_a_delimiter_may_be_long(s3: Any, bucket: str) -> None:
    fill(s3, bucket, ["a--b--c", "a--d", "e"])
    answer = s3.list_objects_v2(Bucket=bucket, Delimiter="--")
    assert (keys_of(answer), prefixes_of(answer)) == (["e"], ["a--"])


def test_an_empty_delimiter_is_none(server: RunningServer, s3: Any, bucket: str) -> None:
    fill(s3, bucket, ["a/1", "a/2"])
    reply = raw.request(server, "GET", f"/{bucket}?list-type=2&delimiter=")
    assert b"<Delimiter>" not in reply.body
    assert reply.text("KeyCount") == "2"


def test_a_prefix_may_end_inside_a_name(s3: Any, bucket: str) -> None:
    fill(s3, bucket, ["logs/1", "logs-old/1", "log"])
    answer = s3.list_objects_v2(Bucket=bucket, Prefix="logs", Delimiter="/")
    assert prefixes_of(answer) == ["logs-old/", "logs/"]


# -- version 2 ---------------------------------------------------------------------------------------------------


def test_a_listing_starts_behind_start_after(s3: Any, bucket: str) -> None:
    fill(s3, bucket, ["a", "b", "c"])
    answer = s3.list_objects_v2(Bucket=bucket, StartAfter="a")
    assert (keys_of(answer), answer["StartAfter"]) == (["b", "c"], "a")


def test_a_token_beats_start_after(s3: Any, bucket: str) -> None:
    fill(s3, bucket, ["a", "b", "c", "d"])
    token = s3.list_objects_v2(Bucket=bucket, MaxKeys=1, StartAfter="a")["NextContinuationToken"]
    answer = s3.list_objects_v2(Bucket=bucket, ContinuationToken=token, StartAfter="c")
    assert keys_of(answer) == ["c", "d"]
    assert (answer["ContinuationToken"], answer["StartAfter"]) == (token, "c")


def test_an_empty_token_begins_at_the_beginning(s3: Any, bucket: str) -> None:
    fill(s3, bucket, ["a"])
    answer = s3.list_objects_v2(Bucket=bucket, ContinuationToken="")
    assert (keys_of(answer), answer["ContinuationToken"], answer["IsTruncated"]) == (["a"], "", False)


@pytest.mark.parametrize(
    "token", ["nonsense", "bzE6===", base64.urlsafe_b64encode(b"buckets:x").decode(), "b2JqZWN0czr/"]
)
def test_tokens_that_we_never_gave_are_refused(s3: Any, bucket: str, token: str) -> None:
    assert refusal(s3.list_objects_v2, Bucket=bucket, ContinuationToken=token) == (400, "InvalidArgument")


def test_tokens_hold_any_key_and_need_no_escaping(s3: Any, bucket: str) -> None:
    fill(s3, bucket, AWKWARD)
    tokens = [page.get("NextContinuationToken", "") for page in v2_pages(s3, Bucket=bucket, MaxKeys=1)]
    assert all(re.fullmatch(r"[A-Za-z0-9_-]*", token) for token in tokens)
    assert len(tokens) == len(AWKWARD)


def test_owners_are_shown_when_asked_for(s3: Any, bucket: str) -> None:
    fill(s3, bucket, ["a"])
    assert "Owner" not in s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    assert s3.list_objects_v2(Bucket=bucket, FetchOwner=True)["Contents"][0]["Owner"]["DisplayName"] == "root"


def test_an_entry_describes_its_object(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="a", Body=b"12345", StorageClass="STANDARD_IA")["ETag"]
    entry = s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    head = s3.head_object(Bucket=bucket, Key="a")
    assert (entry["ETag"], entry["Size"], entry["StorageClass"]) == (etag, 5, "STANDARD_IA")
    assert entry["LastModified"] == head["LastModified"]


def test_optional_attributes_are_tolerated(s3: Any, bucket: str) -> None:
    s3.list_objects_v2(Bucket=bucket, OptionalObjectAttributes=["RestoreStatus"])


# -- version 1 ---------------------------------------------------------------------------------------------------


def test_the_marker_is_always_shown(server: RunningServer, bucket: str) -> None:
    assert b"<Marker></Marker>" in raw.request(server, "GET", f"/{bucket}").body
    assert raw.request(server, "GET", f"/{bucket}?marker=k").text("Marker") == "k"


def test_the_next_marker_comes_only_with_a_delimiter(s3: Any, bucket: str) -> None:
    fill(s3, bucket, ["a/1", "b", "c"])
    assert "NextMarker" not in s3.list_objects(Bucket=bucket, MaxKeys=1)
    first = s3.list_objects(Bucket=bucket, MaxKeys=1, Delimiter="/")
    assert (first["NextMarker"], prefixes_of(first)) == ("a/", ["a/"])
    second = s3.list_objects(Bucket=bucket, MaxKeys=1, Delimiter="/", Marker="a/")
    assert (second["NextMarker"], keys_of(second)) == ("b", ["b"])
    last = s3.list_objects(Bucket=bucket, MaxKeys=1, Delimiter="/", Marker="b")
    assert "NextMarker" not in last


def test_version_one_always_shows_owners(s3: Any, bucket: str) -> None:
    fill(s3, bucket, ["a"])
    assert s3.list_objects(Bucket=bucket)["Contents"][0]["Owner"]["DisplayName"] == "root"


def test_a_marker_may_be_no_key(s3: Any, bucket: str) -> None:
    fill(s3, bucket, ["a", "c"])
    assert keys_of(s3.list_objects(Bucket=bucket, Marker="b")) == ["c"]


# -- encoding ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("listing", ["list-type=2&", "", "versions&"])
def test_names_are_encoded_when_asked_for(server: RunningServer, s3: Any, bucket: str, listing: str) -> None:
    fill(s3, bucket, ["a b+c/d\x01é", "a b+c/x y"])
    parameters = f"{listing}encoding-type=url&prefix={quote('a b')}&delimiter={quote(' ')}"
    reply = raw.request(server, "GET", f"/{bucket}?{parameters}")
    assert reply.text("EncodingType") == "url"
    assert (reply.text("Prefix"), reply.text("Delimiter")) == ("a%20b", "%20")
    assert reply.text("CommonPrefixes/Prefix") == "a%20b%2Bc/x%20"
    assert b"<Key>a%20b%2Bc/d%01%C3%A9</Key>" in reply.body


def test_names_that_xml_cannot_hold_are_references(server: RunningServer, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a\rb\x01c", Body=b"")
    assert b"<Key>a&#13;b&#1;c</Key>" in raw.request(server, "GET", f"/{bucket}?list-type=2").body


@pytest.mark.parametrize("listing", ["list-type=2&", "", "versions&"])
@pytest.mark.parametrize("encoding", ["", "base64", "URL"])
def test_unknown_encodings_are_refused(server: RunningServer, bucket: str, listing: str, encoding: str) -> None:
    reply = raw.request(server, "GET", f"/{bucket}?{listing}encoding-type={encoding}")
    assert (reply.status, reply.code) == (400, "InvalidArgument")


# -- versions ----------------------------------------------------------------------------------------------------


def version_entries(answer: dict[str, Any]) -> list[tuple[str, str]]:
    return [(entry["Key"], entry["VersionId"]) for entry in answer.get("Versions", ())]


def test_a_bucket_without_versions_lists_null_ones(s3: Any, bucket: str) -> None:
    fill(s3, bucket, ["a", "b"])
    answer = s3.list_object_versions(Bucket=bucket)
    assert version_entries(answer) == [("a", "null"), ("b", "null")]
    assert [entry["IsLatest"] for entry in answer["Versions"]] == [True, True]


def test_versions_and_markers_are_one_sequence_newest_first(server: RunningServer, s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    ids = [s3.put_object(Bucket=bucket, Key="k", Body=body)["VersionId"] for body in (b"1", b"2")]
    ids.append(s3.delete_object(Bucket=bucket, Key="k")["VersionId"])
    ids.append(s3.put_object(Bucket=bucket, Key="k", Body=b"3")["VersionId"])
    s3.put_object(Bucket=bucket, Key="a", Body=b"")
    document = raw.request(server, "GET", f"/{bucket}?versions").xml
    rows = [row for row in document if row.tag.rpartition("}")[2] in ("Version", "DeleteMarker")]
    shown = [(row.tag.rpartition("}")[2], row.findtext(f"{raw.NAMESPACE}VersionId")) for row in rows]
    assert shown[1:] == [("Version", ids[3]), ("DeleteMarker", ids[2]), ("Version", ids[1]), ("Version", ids[0])]
    latest = [row.findtext(f"{raw.NAMESPACE}IsLatest") for row in rows]
    assert latest == ["true", "true", "false", "false", "false"]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_version_pages_are_disjoint_and_complete(s3: Any, bucket: str, size: int) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    expected = []
    for key in ("a", "b/1", "b/2", "c"):
        ids = [s3.put_object(Bucket=bucket, Key=key, Body=b"")["VersionId"] for _ in range(3)]
        expected += [(key, version_id) for version_id in reversed(ids)]
    found: list[tuple[str, str]] = []
    markers: dict[str, str] = {}
    while True:
        answer = s3.list_object_versions(Bucket=bucket, MaxKeys=size, **markers)
        found += version_entries(answer)
        if not answer["IsTruncated"]:
            break
        markers = {"KeyMarker": answer["NextKeyMarker"], "VersionIdMarker": answer["NextVersionIdMarker"]}
    assert found == expected


def test_a_version_page_may_end_with_a_prefix(s3: Any, bucket: str) -> None:
    fill(s3, bucket, ["b/1", "b/2", "c"])
    first = s3.list_object_versions(Bucket=bucket, Delimiter="/", MaxKeys=1)
    assert (prefixes_of(first), first["NextKeyMarker"]) == (["b/"], "b/")
    assert "NextVersionIdMarker" not in first
    assert version_entries(s3.list_object_versions(Bucket=bucket, Delimiter="/", KeyMarker="b/")) == [("c", "null")]


def test_a_version_marker_needs_a_key_marker(server: RunningServer, bucket: str) -> None:
    reply = raw.request(server, "GET", f"/{bucket}?versions&version-id-marker=null")
    assert (reply.status, reply.code) == (400, "InvalidArgument")


def test_a_malformed_version_marker_is_refused(server: RunningServer, bucket: str) -> None:
    reply = raw.request(server, "GET", f"/{bucket}?versions&key-marker=k&version-id-marker=short")
    assert (reply.status, reply.code) == (400, "InvalidArgument")


# -- who may, and whose ------------------------------------------------------------------------------------------


def test_owners_are_the_writers_until_ownership_is_enforced(crowd: Crowd) -> None:
    name = fresh_name()
    crowd.alice.s3.create_bucket(Bucket=name, ACL="public-read-write")
    crowd.bob.s3.put_object(Bucket=name, Key="k", Body=b"")
    shown = crowd.alice.s3.list_objects(Bucket=name)["Contents"][0]["Owner"]
    assert shown == {"ID": crowd.bob.id, "DisplayName": "bob"}
    crowd.alice.s3.put_bucket_acl(Bucket=name, ACL="private")
    controls = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    crowd.alice.s3.put_bucket_ownership_controls(Bucket=name, OwnershipControls=controls)
    assert crowd.alice.s3.list_objects(Bucket=name)["Contents"][0]["Owner"]["ID"] == crowd.alice.id
    assert crowd.alice.s3.list_object_versions(Bucket=name)["Versions"][0]["Owner"]["ID"] == crowd.alice.id


def test_listing_needs_read_on_the_bucket(crowd: Crowd) -> None:
    name = fresh_name()
    crowd.alice.s3.create_bucket(Bucket=name)
    for call in (crowd.bob.s3.list_objects, crowd.bob.s3.list_objects_v2, crowd.bob.s3.list_object_versions):
        assert refusal(call, Bucket=name) == (403, "AccessDenied")
    assert crowd.request("GET", f"/{name}").code == "AccessDenied"
    crowd.alice.s3.put_bucket_acl(Bucket=name, ACL="public-read")
    assert crowd.request("GET", f"/{name}").status == 200
    assert crowd.bob.s3.list_object_versions(Bucket=name)["IsTruncated"] is False


def test_no_bucket_is_no_bucket_for_everybody(crowd: Crowd) -> None:
    assert crowd.request("GET", f"/{fresh_name()}?list-type=2").code == "NoSuchBucket"
    assert refusal(crowd.bob.s3.list_objects_v2, Bucket=fresh_name()) == (404, "NoSuchBucket")
