"""Response documents, read back by the parser that boto3 uses and by a plain XML parser."""

from __future__ import annotations

import time
from typing import Any
from xml.etree import ElementTree as ET

import botocore.parsers
import botocore.session
import pytest
from hypothesis import given, strategies as st

from app.domain import acl
from app.domain.acl import Acl, Grant, GranteeType, Permission
from app.domain.errors import InvalidArgument, NoSuchKey, SignatureDoesNotMatch
from app.domain.types import (
    Attributes,
    BlobRef,
    Bucket,
    Checksum,
    ListQuery,
    Page,
    Part,
    Upload,
    UploadQuery,
    Version,
    Versioning,
    VersionQuery,
)
from app.s3 import xml
from app.s3.xml.text import escape, key_text, key_texts, url_encoded

NOON_MS = 1_771_761_600_000
ETAG = "9b2cf535f27731c974343645a3985328"
CRC = Checksum("CRC64NVME", "rosUhgp5mYg=")
NASTY = ' a&<b>"\r\n\t+%/é😀 '

MODEL = botocore.session.get_session().get_service_model("s3")


class People:
    """Two people with names, and strangers."""

    def display_name(self, user_id: str) -> str:
        return {"alice-id": "Alice & Co", "bob-id": "Bob"}.get(user_id, "")


PEOPLE = People()


def as_boto3(operation: str, document: bytes) -> Any:
    """What boto3 would give its caller for this body."""
    shape = MODEL.operation_model(operation).output_shape
    parser = botocore.parsers.create_parser("rest-xml")
    parsed = parser.parse({"body": document, "headers": {}, "status_code": 200}, shape)
    parsed.pop("ResponseMetadata")
    return parsed


def root_of(document: bytes) -> ET.Element:
    return ET.fromstring(document)


def version(key: str, **fields: Any) -> Version:
    values: dict[str, Any] = {
        "bucket": "b",
        "version_id": "null",
        "sequence": 1,
        "is_current": True,
        "is_delete_marker": False,
        "owner_id": "alice-id",
        "modified_ms": NOON_MS,
        "size_bytes": 17,
        "etag": ETAG,
        "checksum": CRC,
    }
    return Version(key=key, **(values | fields))


def part(number: int, checksum: Checksum | None = CRC) -> Part:
    return Part(number, 5 << 20, ETAG, NOON_MS, BlobRef("blob"), checksum)


UPLOAD = Upload(
    "upload-id", "b", NASTY, "alice-id", "bob-id", NOON_MS, checksum_algorithm="CRC32", checksum_type="COMPOSITE"
)


# -- Text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain/key.txt", "plain/key.txt"),
        ('<a & "b">', "&lt;a &amp; &quot;b&quot;&gt;"),
        ("a\rb", "a&#13;b"),
        ("a\n\tb", "a\n\tb"),
        ("a\x00\x01\x1fb", "a&#0;&#1;&#31;b"),
        ("\ufffe\uffff", "&#65534;&#65535;"),
        ("é😀\u0085\u2028", "é😀\u0085\u2028"),
        ("]]>", "]]&gt;"),
        ("&#13;", "&amp;#13;"),
    ],
)
def test_text_is_escaped_as_s3_does(text: str, escaped: str) -> None:
    assert escape(text) == escaped


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("a/b-c_d.e~f", "a/b-c_d.e~f"),
        ("a b+c", "a%20b%2Bc"),
        ("test_file(3).png", "test_file%283%29.png"),
        ("é&<\r\x00", "%C3%A9%26%3C%0D%00"),
        ("50%", "50%25"),
    ],
)
def test_url_encoding_keeps_slashes_only(text: str, encoded: str) -> None:
    assert url_encoded(text) == encoded


@pytest.mark.parametrize("code_point", [*range(1, 0x300), 0x2028, 0xD7FF, 0xE000, 0xFFFD, 0xFFFE, 0x10FFFF])
def test_every_character_survives_the_way_to_the_client_or_is_a_reference(code_point: int) -> None:
    key = f"a{chr(code_point)}b"
    document = xml.delete_result([xml.Deleted(key)])
    allowed = code_point in (9, 10, 13) or (code_point >= 0x20 and code_point not in (0xFFFE, 0xFFFF))
    if allowed:
        found = root_of(document).find(".//{*}Key")
        assert found is not None
        assert found.text == key
    else:
        assert f"a&#{code_point};b".encode() in document


# -- Errors


def test_an_error_has_its_context_and_no_namespace() -> None:
    error = NoSuchKey(Key=NASTY)
    document = xml.error(error, resource="/b/" + NASTY, request_id="0123456789ABCDEF", host_id="host")
    root = root_of(document)
    assert root.tag == "Error"
    assert [child.tag for child in root] == ["Code", "Message", "Key", "Resource", "RequestId", "HostId"]
    assert root.findtext("Code") == "NoSuchKey"
    assert root.findtext("Key") == NASTY
    assert root.findtext("Resource") == "/b/" + NASTY
    assert root.findtext("RequestId") == "0123456789ABCDEF"
    assert document.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n')


def test_context_that_spans_lines_is_kept() -> None:
    error = SignatureDoesNotMatch(StringToSign="AWS4\n2026\n", CanonicalRequest="GET\n/\n\n")
    root = root_of(xml.error(error, resource="/", request_id="R", host_id="H"))
    assert root.findtext("StringToSign") == "AWS4\n2026\n"
    assert root.findtext("CanonicalRequest") == "GET\n/\n\n"


def test_boto3_reads_an_error() -> None:
    document = xml.error(InvalidArgument("No <such> thing"), resource="/", request_id="R", host_id="H")
    parser = botocore.parsers.create_parser("rest-xml")
    shape = MODEL.operation_model("GetObject").output_shape
    parsed = parser.parse({"body": document, "headers": {}, "status_code": 400}, shape)
    assert parsed["Error"]["Code"] == "InvalidArgument"
    assert parsed["Error"]["Message"] == "No <such> thing"


def test_success_documents_have_s3s_namespace() -> None:
    namespace = "{http://s3.amazonaws.com/doc/2006-03-01/}"
    assert root_of(xml.tagging(())).tag == namespace + "Tagging"
    assert root_of(xml.location_constraint("us-east-1")).tag == namespace + "LocationConstraint"


# -- Listings


def test_buckets_are_listed_with_their_owner() -> None:
    page = Page((Bucket(1, "one", "alice-id", "eu-west-1", NOON_MS), Bucket(2, "two", "alice-id", "", NOON_MS)))
    parsed = as_boto3(
        "ListBuckets", xml.list_all_my_buckets_result(page, "alice-id", PEOPLE, prefix="t", next_token="more")
    )
    assert parsed["Owner"] == {"ID": "alice-id", "DisplayName": "Alice & Co"}
    assert [bucket["Name"] for bucket in parsed["Buckets"]] == ["one", "two"]
    assert parsed["Buckets"][0]["BucketRegion"] == "eu-west-1"
    assert parsed["Buckets"][0]["CreationDate"].timestamp() * 1000 == NOON_MS
    assert (parsed["Prefix"], parsed["ContinuationToken"]) == ("t", "more")
    empty = as_boto3("ListBuckets", xml.list_all_my_buckets_result(Page(()), "alice-id", PEOPLE))
    assert empty["Buckets"] == []
    assert "ContinuationToken" not in empty


@pytest.mark.parametrize("encode", [False, True])
def test_a_v2_listing_shows_keys_prefixes_and_paging(encode: bool) -> None:
    query = ListQuery("b", prefix="p ", delimiter="/+", after="", limit=3)
    page = Page((version(NASTY), version("k2", checksum=None)), (f"p {NASTY}/+",), True, f"p {NASTY}/+")
    document = xml.list_objects_v2_result(
        query,
        page,
        continuation_token="tok+en/==",
        start_after="s t",
        next_token="next/+=",
        directory=PEOPLE,
        encode=encode,
    )
    shown = url_encoded if encode else str
    parsed = as_boto3("ListObjectsV2", document)
    assert parsed["Name"] == "b"
    assert parsed["Prefix"] == shown("p ")
    assert parsed["Delimiter"] == shown("/+")
    assert parsed["StartAfter"] == shown("s t")
    assert parsed["KeyCount"] == 3
    assert parsed["MaxKeys"] == 3
    assert parsed["IsTruncated"] is True
    assert parsed["ContinuationToken"] == "tok+en/==", "tokens are never encoded"
    assert parsed["NextContinuationToken"] == "next/+="
    assert parsed.get("EncodingType") == ("url" if encode else None)
    assert parsed["CommonPrefixes"] == [{"Prefix": shown(f"p {NASTY}/+")}]
    first, second = parsed["Contents"]
    assert first.pop("LastModified").timestamp() * 1000 == NOON_MS
    assert first == {
        "Key": shown(NASTY),
        "ETag": f'"{ETAG}"',
        "ChecksumAlgorithm": ["CRC64NVME"],
        "ChecksumType": "FULL_OBJECT",
        "Size": 17,
        "StorageClass": "STANDARD",
        "Owner": {"ID": "alice-id", "DisplayName": "Alice & Co"},
    }
    assert "ChecksumAlgorithm" not in second


def test_an_empty_v2_listing_has_no_contents_and_no_owner() -> None:
    document = xml.list_objects_v2_result(
        ListQuery("b", limit=0),
        Page(()),
        continuation_token=None,
        start_after=None,
        next_token=None,
        directory=None,
        encode=False,
    )
    parsed = as_boto3("ListObjectsV2", document)
    assert parsed == {"Name": "b", "Prefix": "", "KeyCount": 0, "MaxKeys": 0, "IsTruncated": False}
    with_key = xml.list_objects_v2_result(
        ListQuery("b"),
        Page((version("k"),)),
        continuation_token="",
        start_after="",
        next_token=None,
        directory=None,
        encode=False,
    )
    parsed = as_boto3("ListObjectsV2", with_key)
    assert "Owner" not in parsed["Contents"][0]
    assert parsed["ContinuationToken"] == parsed["StartAfter"] == ""


def test_a_v1_listing_has_a_next_marker_only_with_a_delimiter() -> None:
    page = Page((version("k", owner_id="nobody-id"),), (), True, "k")
    plain = as_boto3(
        "ListObjects", xml.list_objects_result(ListQuery("b"), page, marker="", directory=PEOPLE, encode=False)
    )
    assert plain["Marker"] == ""
    assert "NextMarker" not in plain
    assert plain["Contents"][0]["Owner"] == {"ID": "nobody-id"}
    grouped = as_boto3(
        "ListObjects",
        xml.list_objects_result(ListQuery("b", delimiter="/"), page, marker="a b", directory=PEOPLE, encode=True),
    )
    assert grouped["Marker"] == "a%20b"
    assert grouped["NextMarker"] == "k"
    assert grouped["EncodingType"] == "url"


def test_versions_and_markers_are_one_sequence() -> None:
    page = Page(
        (
            version("a", version_id="v3", is_delete_marker=True, size_bytes=0, etag=""),
            version("a", version_id="v2", is_current=False),
            version("b", version_id="null"),
        ),
        ("c/",),
        True,
        "b b",
        "null",
    )
    query = VersionQuery("b", delimiter="/", after="key+", limit=4)
    document = xml.list_versions_result(query, page, version_id_marker="v9", directory=PEOPLE, encode=True)
    tags = [child.tag.rpartition("}")[2] for child in root_of(document)]
    assert [tag for tag in tags if tag in ("Version", "DeleteMarker")] == ["DeleteMarker", "Version", "Version"]
    parsed = as_boto3("ListObjectVersions", document)
    assert parsed["KeyMarker"] == "key%2B"
    assert parsed["VersionIdMarker"] == "v9"
    assert parsed["NextKeyMarker"] == "b%20b"
    assert parsed["NextVersionIdMarker"] == "null"
    assert parsed["CommonPrefixes"] == [{"Prefix": "c/"}]
    marker = parsed["DeleteMarkers"][0]
    assert (marker["Key"], marker["VersionId"], marker["IsLatest"]) == ("a", "v3", True)
    assert marker["Owner"]["ID"] == "alice-id"
    assert [(row["VersionId"], row["IsLatest"], row["Size"]) for row in parsed["Versions"]] == [
        ("v2", False, 17),
        ("null", True, 17),
    ]


def test_a_last_page_of_versions_has_no_next_markers() -> None:
    document = xml.list_versions_result(
        VersionQuery("b"),
        Page((version("a"),), last="a", last_id="v"),
        version_id_marker="",
        directory=PEOPLE,
        encode=False,
    )
    parsed = as_boto3("ListObjectVersions", document)
    assert "NextKeyMarker" not in parsed
    assert "NextVersionIdMarker" not in parsed


def test_uploads_are_listed_with_owner_initiator_and_checksum() -> None:
    query = UploadQuery("b", prefix="p", delimiter="/", after="k", limit=2)
    page = Page((UPLOAD,), ("p/",), True, "p/ ", "upload-id")
    document = xml.list_multipart_uploads_result(query, page, upload_id_marker="u", directory=PEOPLE, encode=True)
    parsed = as_boto3("ListMultipartUploads", document)
    shown = parsed["Uploads"][0]
    assert shown.pop("Initiated").timestamp() * 1000 == NOON_MS
    assert shown == {
        "UploadId": "upload-id",
        "Key": url_encoded(NASTY),
        "StorageClass": "STANDARD",
        "Owner": {"ID": "alice-id", "DisplayName": "Alice & Co"},
        "Initiator": {"ID": "bob-id", "DisplayName": "Bob"},
        "ChecksumAlgorithm": "CRC32",
        "ChecksumType": "COMPOSITE",
    }
    assert (parsed["KeyMarker"], parsed["UploadIdMarker"]) == ("k", "u")
    assert (parsed["NextKeyMarker"], parsed["NextUploadIdMarker"]) == ("p/%20", "upload-id")
    assert (parsed["Bucket"], parsed["MaxUploads"], parsed["Prefix"], parsed["Delimiter"]) == ("b", 2, "p", "/")


def test_parts_are_listed_with_their_checksums() -> None:
    document = xml.list_parts_result(
        UPLOAD, [part(1), part(7, None)], after=0, limit=2, is_truncated=True, directory=PEOPLE, encode=False
    )
    parsed = as_boto3("ListParts", document)
    assert parsed["Key"] == NASTY
    assert (parsed["PartNumberMarker"], parsed["NextPartNumberMarker"], parsed["MaxParts"]) == (0, 7, 2)
    assert parsed["IsTruncated"] is True
    assert (parsed["ChecksumAlgorithm"], parsed["ChecksumType"]) == ("CRC32", "COMPOSITE")
    assert parsed["Initiator"]["ID"] == "bob-id"
    assert parsed["Parts"][0].pop("LastModified").timestamp() * 1000 == NOON_MS
    assert parsed["Parts"][0] == {
        "PartNumber": 1,
        "ETag": f'"{ETAG}"',
        "Size": 5 << 20,
        "ChecksumCRC64NVME": "rosUhgp5mYg=",
    }
    empty = xml.list_parts_result(UPLOAD, [], after=3, limit=0, is_truncated=False, directory=PEOPLE, encode=False)
    assert "NextPartNumberMarker" not in as_boto3("ListParts", empty)


@given(
    texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("a/%&\x00"))),
    encode=st.booleans(),
)
def test_names_are_written_the_same_one_by_one_and_together(texts: list[str], encode: bool) -> None:
    assert list(key_texts(texts, encode)) == [key_text(text, encode) for text in texts]


@pytest.mark.parametrize("encode", [False, True])
def test_a_thousand_entries_take_a_few_milliseconds(encode: bool) -> None:
    page = Page(tuple(version(f"some folder/key&{number:06d}") for number in range(1000)))
    query = ListQuery("b")
    started = time.process_time()
    for _ in range(5):
        xml.list_objects_result(query, page, marker="", directory=PEOPLE, encode=encode)
    assert (time.process_time() - started) / 5 < 0.03


# -- Results of uploads, copies and deletions


def test_the_results_of_an_upload_and_of_copies() -> None:
    begun = as_boto3("CreateMultipartUpload", xml.initiate_multipart_upload_result(UPLOAD))
    assert begun == {"Bucket": "b", "Key": NASTY, "UploadId": "upload-id"}
    checksum = Checksum("CRC32", "AAAAAA==-2", "COMPOSITE")
    done = as_boto3(
        "CompleteMultipartUpload",
        xml.complete_multipart_upload_result("http://h/b/%20?", "b", NASTY, ETAG + "-2", checksum),
    )
    assert done == {
        "Location": "http://h/b/%20?",
        "Bucket": "b",
        "Key": NASTY,
        "ETag": f'"{ETAG}-2"',
        "ChecksumCRC32": "AAAAAA==-2",
        "ChecksumType": "COMPOSITE",
    }
    copied = as_boto3("CopyObject", xml.copy_object_result(ETAG, NOON_MS, CRC))["CopyObjectResult"]
    assert copied["ETag"] == f'"{ETAG}"'
    assert (copied["ChecksumCRC64NVME"], copied["ChecksumType"]) == ("rosUhgp5mYg=", "FULL_OBJECT")
    assert copied["LastModified"].timestamp() * 1000 == NOON_MS
    part_copied = as_boto3("UploadPartCopy", xml.copy_part_result(part(3)))["CopyPartResult"]
    assert part_copied["ETag"] == f'"{ETAG}"'
    assert part_copied["ChecksumCRC64NVME"] == "rosUhgp5mYg="


def test_deletions_say_what_became_of_each_key() -> None:
    document = xml.delete_result(
        [
            xml.Deleted(NASTY),
            xml.Deleted("k", "v1", is_delete_marker=True, marker_id="v1"),
            xml.Deleted("m", is_delete_marker=True, marker_id="v2"),
            xml.NotDeleted("n", "v3", NoSuchKey()),
        ]
    )
    parsed = as_boto3("DeleteObjects", document)
    assert parsed["Deleted"] == [
        {"Key": NASTY},
        {"Key": "k", "VersionId": "v1", "DeleteMarker": True, "DeleteMarkerVersionId": "v1"},
        {"Key": "m", "DeleteMarker": True, "DeleteMarkerVersionId": "v2"},
    ]
    assert parsed["Errors"] == [
        {"Key": "n", "VersionId": "v3", "Code": "NoSuchKey", "Message": "The specified key does not exist."}
    ]


def test_attributes_are_those_asked_for() -> None:
    everything = {"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"}
    page = xml.PartsPage(3, (part(2), part(4, None)), after=1, limit=2, is_truncated=True)
    parsed = as_boto3(
        "GetObjectAttributes", xml.get_object_attributes_response(version("k", etag=ETAG + "-3"), everything, page)
    )
    assert parsed == {
        "ETag": ETAG + "-3",
        "Checksum": {"ChecksumCRC64NVME": "rosUhgp5mYg=", "ChecksumType": "FULL_OBJECT"},
        "ObjectParts": {
            "TotalPartsCount": 3,
            "PartNumberMarker": 1,
            "NextPartNumberMarker": 4,
            "MaxParts": 2,
            "IsTruncated": True,
            "Parts": [
                {"PartNumber": 2, "Size": 5 << 20, "ChecksumCRC64NVME": "rosUhgp5mYg="},
                {"PartNumber": 4, "Size": 5 << 20},
            ],
        },
        "StorageClass": "STANDARD",
        "ObjectSize": 17,
    }
    one = xml.get_object_attributes_response(version("k"), {"ObjectSize"}, None)
    assert as_boto3("GetObjectAttributes", one) == {"ObjectSize": 17}
    plain = xml.get_object_attributes_response(version("k", checksum=None), everything, None)
    assert set(as_boto3("GetObjectAttributes", plain)) == {"ETag", "StorageClass", "ObjectSize"}


# -- Configurations


def test_an_acl_reads_back_with_the_type_as_an_attribute() -> None:
    policy = Acl(
        "alice-id",
        (
            Grant(GranteeType.GROUP, acl.ALL_USERS, Permission.READ),
            Grant(GranteeType.CANONICAL_USER, "bob-id", Permission.FULL_CONTROL),
        ),
    )
    document = xml.access_control_policy(policy, PEOPLE)
    parsed = as_boto3("GetBucketAcl", document)
    assert parsed["Owner"] == {"ID": "alice-id", "DisplayName": "Alice & Co"}
    assert parsed["Grants"] == [
        {"Grantee": {"URI": acl.ALL_USERS, "Type": "Group"}, "Permission": "READ"},
        {"Grantee": {"ID": "bob-id", "DisplayName": "Bob", "Type": "CanonicalUser"}, "Permission": "FULL_CONTROL"},
    ]
    assert xml.read_acl(document) == policy


def test_configurations_read_back() -> None:
    tags = (("a b", "é"), ("c", ""))
    assert xml.read_tagging(xml.tagging(tags), 10) == tags
    assert as_boto3("GetObjectTagging", xml.tagging(())) == {"TagSet": []}
    assert xml.read_ownership_controls(xml.ownership_controls("ObjectWriter")) == "ObjectWriter"
    assert xml.read_versioning(xml.versioning_configuration(Versioning.SUSPENDED)) is Versioning.SUSPENDED
    assert as_boto3("GetBucketVersioning", xml.versioning_configuration(Versioning.UNVERSIONED)) == {}
    assert root_of(xml.location_constraint("eu-west-1")).text == "eu-west-1"
    assert root_of(xml.location_constraint("us-east-1")).text is None


def test_what_was_never_configured_reads_as_nothing() -> None:
    assert as_boto3("GetBucketLogging", xml.bucket_logging_status()) == {}
    assert as_boto3("GetBucketNotificationConfiguration", xml.notification_configuration()) == {}
    assert as_boto3("GetBucketAccelerateConfiguration", xml.accelerate_configuration()) == {}
    assert as_boto3("GetBucketRequestPayment", xml.request_payment_configuration()) == {"Payer": "BucketOwner"}
    assert as_boto3("GetBucketAbac", xml.abac_status()) == {"AbacStatus": {"Status": "Disabled"}}
    for operation in (
        "ListBucketAnalyticsConfigurations",
        "ListBucketMetricsConfigurations",
        "ListBucketInventoryConfigurations",
        "ListBucketIntelligentTieringConfigurations",
    ):
        assert as_boto3(operation, xml.empty_list("Any")) == {"IsTruncated": False}


def test_a_storage_class_is_shown_in_listings() -> None:
    page = Page((version("k", attributes=Attributes(storage_class="GLACIER")),))
    document = xml.list_objects_result(ListQuery("b"), page, marker="", directory=PEOPLE, encode=False)
    assert as_boto3("ListObjects", document)["Contents"][0]["StorageClass"] == "GLACIER"
