"""What every SDK must be able to do, written once and played through each of them.

A scenario gets `call`, which sends one operation by AWS's name with AWS's parameters, and the name of a fresh bucket.
boto3, the AWS CLI and the JavaScript SDK each bring their `call`; so an operation is proven by three signers, three
serialisers and three parsers.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

PART_BYTES = 5 * 1024 * 1024  # the least that a part may have
ODD_KEY = "a b/ü+%2F&=?#'(1)*~/日本 ☃.txt"

# Everything that the server promises to its clients; a test holds the scenarios to it.
OPERATIONS = frozenset(
    {
        "AbortMultipartUpload", "CompleteMultipartUpload", "CopyObject", "CreateBucket", "CreateMultipartUpload",
        "DeleteBucket", "DeleteBucketOwnershipControls", "DeleteBucketTagging", "DeleteObject", "DeleteObjectTagging",
        "DeleteObjects", "GetBucketAcl", "GetBucketLocation", "GetBucketOwnershipControls", "GetBucketTagging",
        "GetBucketVersioning", "GetObject", "GetObjectAcl", "GetObjectAttributes", "GetObjectTagging", "HeadBucket",
        "HeadObject", "ListBuckets", "ListMultipartUploads", "ListObjectVersions", "ListObjects", "ListObjectsV2",
        "ListParts", "PutBucketAcl", "PutBucketOwnershipControls", "PutBucketTagging", "PutBucketVersioning",
        "PutObject", "PutObjectAcl", "PutObjectTagging", "UploadPart", "UploadPartCopy",
    }
)  # fmt: skip


@dataclass
class Refused(Exception):
    """The server's error as the client understood it. HEAD has no body, so its code is the status."""

    code: str
    status: int | None  # None where a client does not say


class Call(Protocol):
    def __call__(self, operation: str, /, **parameters: Any) -> Mapping[str, Any]:
        """The parsed answer; `Body` is bytes in both directions. Raises: Refused."""
        ...


Scenario = Callable[[Call, str], None]


def refused(call: Call, expected: str | int, operation: str, **parameters: Any) -> None:
    """The operation fails with this code, or, where the code is not in the answer, this status."""
    refusal: Refused | None = None
    try:
        call(operation, **parameters)
    except Refused as raised:
        refusal = raised
    assert refusal is not None, f"{operation} did not fail with {expected}"
    found = refusal.code if isinstance(expected, str) else refusal.status
    assert found == expected, f"{operation} failed with {refusal}, not {expected}"


def keys(listing: Mapping[str, Any], field: str = "Contents") -> list[str]:
    return [row["Key"] for row in listing.get(field) or []]


def pages(call: Call, operation: str, tokens: Mapping[str, str], **parameters: Any) -> Iterator[Mapping[str, Any]]:
    """Every page; `tokens` leads from a field of the answer to the parameter that asks for the next one."""
    while True:
        page = call(operation, **parameters)
        yield page
        if not page.get("IsTruncated"):
            return
        parameters |= {parameter: page[field] for field, parameter in tokens.items() if page.get(field)}


# -- Buckets


def buckets(call: Call, bucket: str) -> None:
    name = f"{bucket}-own"
    refused(call, 404, "HeadBucket", Bucket=name)
    assert call("CreateBucket", Bucket=name)["Location"] == f"/{name}"
    call("HeadBucket", Bucket=name)
    assert not call("GetBucketLocation", Bucket=name).get("LocationConstraint"), "us-east-1 has no constraint"
    listing = call("ListBuckets")
    assert {name, bucket} <= {row["Name"] for row in listing["Buckets"]}
    assert len(listing["Owner"]["ID"]) == 64
    call("PutObject", Bucket=name, Key="in the way", Body=b"")
    refused(call, "BucketNotEmpty", "DeleteBucket", Bucket=name)
    call("DeleteObject", Bucket=name, Key="in the way")
    call("DeleteBucket", Bucket=name)
    refused(call, "NoSuchBucket", "ListObjectsV2", Bucket=name)
    refused(call, "NoSuchBucket", "PutObject", Bucket=name, Key="k", Body=b"x")


def acls_and_ownership(call: Call, bucket: str) -> None:
    owner = call("GetBucketAcl", Bucket=bucket)["Owner"]["ID"]
    call("PutBucketAcl", Bucket=bucket, ACL="public-read")
    grants = call("GetBucketAcl", Bucket=bucket)["Grants"]
    assert sorted(grant["Permission"] for grant in grants) == ["FULL_CONTROL", "READ"]
    assert {grant["Grantee"]["Type"] for grant in grants} == {"CanonicalUser", "Group"}
    call("PutObject", Bucket=bucket, Key="k", Body=b"x")
    document = {
        "Owner": {"ID": owner},
        "Grants": [{"Grantee": {"Type": "CanonicalUser", "ID": owner}, "Permission": "READ_ACP"}],
    }
    call("PutObjectAcl", Bucket=bucket, Key="k", AccessControlPolicy=document)
    found = call("GetObjectAcl", Bucket=bucket, Key="k")
    assert [(grant["Grantee"]["ID"], grant["Permission"]) for grant in found["Grants"]] == [(owner, "READ_ACP")]
    refused(call, "NoSuchKey", "GetObjectAcl", Bucket=bucket, Key="absent")

    refused(call, "OwnershipControlsNotFoundError", "GetBucketOwnershipControls", Bucket=bucket)
    call("PutBucketAcl", Bucket=bucket, ACL="private")
    enforced = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    call("PutBucketOwnershipControls", Bucket=bucket, OwnershipControls=enforced)
    assert call("GetBucketOwnershipControls", Bucket=bucket)["OwnershipControls"] == enforced
    refused(call, "AccessControlListNotSupported", "PutObjectAcl", Bucket=bucket, Key="k", ACL="public-read")
    call("DeleteBucketOwnershipControls", Bucket=bucket)
    refused(call, "OwnershipControlsNotFoundError", "GetBucketOwnershipControls", Bucket=bucket)


def tags(call: Call, bucket: str) -> None:
    tag_set = [{"Key": "team", "Value": "søk / co"}, {"Key": "empty", "Value": ""}]
    refused(call, "NoSuchTagSet", "GetBucketTagging", Bucket=bucket)
    call("PutBucketTagging", Bucket=bucket, Tagging={"TagSet": tag_set})
    assert same_tags(call("GetBucketTagging", Bucket=bucket), tag_set)
    call("DeleteBucketTagging", Bucket=bucket)
    refused(call, "NoSuchTagSet", "GetBucketTagging", Bucket=bucket)

    call("PutObject", Bucket=bucket, Key="k", Body=b"x", Tagging="colour=dark%20blue&size=1")
    assert call("GetObject", Bucket=bucket, Key="k")["TagCount"] == 2
    given = [{"Key": "colour", "Value": "dark blue"}, {"Key": "size", "Value": "1"}]
    assert same_tags(call("GetObjectTagging", Bucket=bucket, Key="k"), given)
    call("PutObjectTagging", Bucket=bucket, Key="k", Tagging={"TagSet": tag_set})
    assert same_tags(call("GetObjectTagging", Bucket=bucket, Key="k"), tag_set)
    twice = {"TagSet": [{"Key": "same", "Value": "1"}, {"Key": "same", "Value": "2"}]}
    refused(call, "InvalidTag", "PutObjectTagging", Bucket=bucket, Key="k", Tagging=twice)
    call("DeleteObjectTagging", Bucket=bucket, Key="k")
    assert call("GetObjectTagging", Bucket=bucket, Key="k")["TagSet"] == []


def same_tags(answer: Mapping[str, Any], expected: list[dict[str, str]]) -> bool:
    """A tag set has no order."""
    return sorted(answer["TagSet"], key=lambda tag: tag["Key"]) == sorted(expected, key=lambda tag: tag["Key"])


# -- Objects


def objects(call: Call, bucket: str) -> None:
    body = bytes(range(256)) * 300
    where = {"Bucket": bucket, "Key": ODD_KEY}
    stored = {
        "CacheControl": "max-age=60",
        "ContentDisposition": 'attachment; filename="x.bin"',
        "ContentEncoding": "gzip",
        "ContentLanguage": "de",
        "ContentType": "application/x-test",
        "Metadata": {"my_key": "under score", "my-key": "hyphen", "sums": "a=b;c"},
    }
    etag = call("PutObject", **where, Body=body, **stored)["ETag"]
    found = call("GetObject", **where)
    assert found["Body"] == body
    assert {name: found[name] for name in stored} == stored
    assert (found["ETag"], found["ContentLength"], found["AcceptRanges"]) == (etag, len(body), "bytes")
    head = call("HeadObject", **where)
    assert {name: head[name] for name in stored} == stored
    assert head["ContentLength"] == len(body)

    part = call("GetObject", **where, Range="bytes=1000-70999")
    assert (part["Body"], part["ContentRange"]) == (body[1000:71_000], f"bytes 1000-70999/{len(body)}")
    assert call("GetObject", **where, Range="bytes=-5")["Body"] == body[-5:]
    refused(call, "InvalidRange", "GetObject", **where, Range="bytes=76800-")
    assert call("GetObject", **where, ResponseContentType="text/plain")["ContentType"] == "text/plain"

    call("PutObject", Bucket=bucket, Key="empty", Body=b"")
    assert call("GetObject", Bucket=bucket, Key="empty")["Body"] == b""
    call("DeleteObject", **where)
    call("DeleteObject", **where)
    refused(call, "NoSuchKey", "GetObject", **where)
    refused(call, 404, "HeadObject", **where)


def conditional_reads(call: Call, bucket: str) -> None:
    etag = call("PutObject", Bucket=bucket, Key="k", Body=b"one")["ETag"]
    where = {"Bucket": bucket, "Key": "k"}
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    past, future = now - dt.timedelta(days=1), now + dt.timedelta(seconds=1)
    assert call("GetObject", **where, IfMatch=etag)["Body"] == b"one"
    assert call("GetObject", **where, IfModifiedSince=past)["Body"] == b"one"
    refused(call, 304, "GetObject", **where, IfNoneMatch=etag)
    refused(call, 304, "HeadObject", **where, IfModifiedSince=future)
    refused(call, "PreconditionFailed", "GetObject", **where, IfMatch='"0"')
    refused(call, 412, "HeadObject", **where, IfUnmodifiedSince=past)


def conditional_writes(call: Call, bucket: str) -> None:
    where = {"Bucket": bucket, "Key": "k"}
    refused(call, "NoSuchKey", "PutObject", **where, Body=b"x", IfMatch='"0"')
    etag = call("PutObject", **where, Body=b"first", IfNoneMatch="*")["ETag"]
    refused(call, "PreconditionFailed", "PutObject", **where, Body=b"second", IfNoneMatch="*")
    refused(call, "PreconditionFailed", "PutObject", **where, Body=b"second", IfMatch='"0"')
    call("PutObject", **where, Body=b"second", IfMatch=etag)
    assert call("GetObject", **where)["Body"] == b"second"
    refused(call, "PreconditionFailed", "DeleteObject", **where, IfMatch=etag)
    call("DeleteObject", **where, IfMatch="*")
    refused(call, 404, "HeadObject", **where)


def copies(call: Call, bucket: str) -> None:
    call("PutObject", Bucket=bucket, Key=ODD_KEY, Body=b"x" * 70_000, ContentType="text/x", Metadata={"a": "1"})
    source = {"Bucket": bucket, "Key": ODD_KEY}
    copied = call("CopyObject", Bucket=bucket, Key="copy", CopySource=source)
    found = call("GetObject", Bucket=bucket, Key="copy")
    assert copied["CopyObjectResult"]["ETag"] == found["ETag"]
    assert (found["Body"], found["ContentType"], found["Metadata"]) == (b"x" * 70_000, "text/x", {"a": "1"})
    changed = {"MetadataDirective": "REPLACE", "ContentType": "text/y", "Metadata": {"b": "2"}}
    call("CopyObject", Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "copy"}, **changed)
    found = call("HeadObject", Bucket=bucket, Key="copy")
    assert (found["ContentType"], found["Metadata"], found["ContentLength"]) == ("text/y", {"b": "2"}, 70_000)
    refused(call, "InvalidRequest", "CopyObject", **source, CopySource=source)
    refused(call, "NoSuchKey", "CopyObject", Bucket=bucket, Key="k", CopySource={"Bucket": bucket, "Key": "absent"})
    refused(
        call, "PreconditionFailed", "CopyObject", Bucket=bucket, Key="k", CopySource=source, CopySourceIfMatch='"0"'
    )


def checksums(call: Call, bucket: str) -> None:
    known = {"CRC32": "y/Q5Jg==", "SHA1": "98O8HYCOBHMq32eZZczDTKeuNEE=", "SHA256": _SHA256_OF_DIGITS}
    for algorithm, expected in known.items():
        _checksum(call, bucket, algorithm, expected)


def castagnoli_and_nvme_checksums(call: Call, bucket: str) -> None:
    _checksum(call, bucket, "CRC32C", "4waSgw==")
    _checksum(call, bucket, "CRC64NVME", "rosUhgp5mIg=")


_SHA256_OF_DIGITS = "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="


def _checksum(call: Call, bucket: str, algorithm: str, expected: str) -> None:
    """`expected` is the checksum of the digits 1 to 9. The client computes it, the server compares and keeps it."""
    where, field = {"Bucket": bucket, "Key": algorithm}, f"Checksum{algorithm}"
    assert call("PutObject", **where, Body=b"123456789", ChecksumAlgorithm=algorithm)[field] == expected
    found = call("GetObject", **where, ChecksumMode="ENABLED")
    assert (found["Body"], found[field]) == (b"123456789", expected)
    assert field not in call("GetObject", **where, ChecksumMode="ENABLED", Range="bytes=0-1")
    attributes = call("GetObjectAttributes", **where, ObjectAttributes=["Checksum"])
    assert attributes["Checksum"][field] == expected
    wrong = ("A" if expected[0] != "A" else "B") + expected[1:]
    refused(call, "BadDigest", "PutObject", **where, Body=b"123456789", **{field: wrong})


# -- Listings


def listings(call: Call, bucket: str) -> None:
    names = sorted([ODD_KEY, "dir/", "dir/a", "dir/b/c", "e//f", " lead", "trail ", "z"], key=str.encode)
    for name in names:
        call("PutObject", Bucket=bucket, Key=name, Body=b"x")
    assert keys(call("ListObjectsV2", Bucket=bucket)) == names
    assert keys(call("ListObjects", Bucket=bucket)) == names
    for operation, tokens in (
        ("ListObjectsV2", {"NextContinuationToken": "ContinuationToken"}),
        ("ListObjects", {"NextMarker": "Marker"}),
    ):
        found: list[str] = []
        for page in pages(call, operation, tokens, Bucket=bucket, Delimiter="/", MaxKeys=3):
            assert len(keys(page)) + len(page.get("CommonPrefixes") or []) <= 3
            found += keys(page) + [row["Prefix"] for row in page.get("CommonPrefixes") or []]
        assert sorted(found) == sorted([" lead", "a b/", "dir/", "e/", "trail ", "z"])
    inside = call("ListObjectsV2", Bucket=bucket, Prefix="dir/", Delimiter="/", FetchOwner=True)
    assert keys(inside) == ["dir/", "dir/a"]
    assert [row["Prefix"] for row in inside["CommonPrefixes"]] == ["dir/b/"]
    assert len(inside["Contents"][0]["Owner"]["ID"]) == 64
    assert keys(call("ListObjectsV2", Bucket=bucket, StartAfter="e//f")) == ["trail ", "z"]
    assert not call("ListObjectsV2", Bucket=bucket, Prefix="nothing").get("Contents")


def deletion_of_many(call: Call, bucket: str) -> None:
    for name in (ODD_KEY, "b", "c"):
        call("PutObject", Bucket=bucket, Key=name, Body=b"x")
    doomed = [{"Key": ODD_KEY}, {"Key": "absent"}]
    answer = call("DeleteObjects", Bucket=bucket, Delete={"Objects": doomed})
    assert keys(answer, "Deleted") == [ODD_KEY, "absent"]
    quiet = call("DeleteObjects", Bucket=bucket, Delete={"Objects": [{"Key": "b"}], "Quiet": True})
    assert not quiet.get("Deleted")
    assert keys(call("ListObjectsV2", Bucket=bucket)) == ["c"]


# -- Multipart uploads


def multipart(call: Call, bucket: str) -> None:
    body = secrets.token_bytes(PART_BYTES)
    where = {"Bucket": bucket, "Key": ODD_KEY}
    call("PutObject", Bucket=bucket, Key="source", Body=b"0123456789")
    upload = {**where, "UploadId": call("CreateMultipartUpload", **where, ContentType="text/x")["UploadId"]}
    assert keys(call("ListMultipartUploads", Bucket=bucket), "Uploads") == [ODD_KEY]
    first = call("UploadPart", **upload, PartNumber=1, Body=body)["ETag"]
    source = {"CopySource": {"Bucket": bucket, "Key": "source"}, "CopySourceRange": "bytes=2-4"}
    last = call("UploadPartCopy", **upload, PartNumber=7, **source)["CopyPartResult"]["ETag"]
    listed = call("ListParts", **upload, MaxParts=1)
    assert [(part["PartNumber"], part["Size"]) for part in listed["Parts"]] == [(1, PART_BYTES)]
    assert listed["IsTruncated"]
    rest = call("ListParts", **upload, PartNumberMarker=1)
    assert [(part["PartNumber"], part["ETag"]) for part in rest["Parts"]] == [(7, last)]

    parts = [{"PartNumber": 1, "ETag": first}, {"PartNumber": 7, "ETag": last}]
    refused(call, "InvalidPartOrder", "CompleteMultipartUpload", **upload, MultipartUpload={"Parts": parts[::-1]})
    unknown = [parts[0], {"PartNumber": 8, "ETag": last}]
    refused(call, "InvalidPart", "CompleteMultipartUpload", **upload, MultipartUpload={"Parts": unknown})
    done = call("CompleteMultipartUpload", **upload, MultipartUpload={"Parts": parts})
    assert done["ETag"].endswith('-2"')
    found = call("GetObject", **where)
    assert (found["Body"], found["ContentType"], found["ETag"]) == (body + b"234", "text/x", done["ETag"])
    part = call("GetObject", **where, PartNumber=7)
    assert (part["Body"], part["PartsCount"]) == (b"234", 2)
    attributes = call("GetObjectAttributes", **where, ObjectAttributes=["ETag", "ObjectParts", "ObjectSize"])
    assert (attributes["ObjectSize"], attributes["ObjectParts"]["TotalPartsCount"]) == (PART_BYTES + 3, 2)
    assert attributes["ETag"] == done["ETag"].strip('"')
    assert not call("ListMultipartUploads", Bucket=bucket).get("Uploads")


def multipart_given_up(call: Call, bucket: str) -> None:
    upload = {"Bucket": bucket, "Key": "k"}
    upload["UploadId"] = call("CreateMultipartUpload", **upload)["UploadId"]
    etags = [call("UploadPart", **upload, PartNumber=number, Body=b"small")["ETag"] for number in (1, 2)]
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    refused(call, "EntityTooSmall", "CompleteMultipartUpload", **upload, MultipartUpload={"Parts": parts})
    call("AbortMultipartUpload", **upload)
    refused(call, "NoSuchUpload", "ListParts", **upload)
    refused(call, "NoSuchUpload", "UploadPart", **upload, PartNumber=1, Body=b"x")
    refused(call, "NoSuchUpload", "AbortMultipartUpload", **upload)
    refused(call, 404, "HeadObject", Bucket=bucket, Key="k")


# -- Versions


def versions(call: Call, bucket: str) -> None:
    where = {"Bucket": bucket, "Key": "k"}
    assert not call("GetBucketVersioning", Bucket=bucket).get("Status")
    call("PutObject", **where, Body=b"old")
    call("PutBucketVersioning", Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert call("GetBucketVersioning", Bucket=bucket)["Status"] == "Enabled"
    first = call("PutObject", **where, Body=b"first")["VersionId"]
    second = call("PutObject", **where, Body=b"second")["VersionId"]
    marker = call("DeleteObject", **where)
    assert marker["DeleteMarker"] is True
    refused(call, "NoSuchKey", "GetObject", **where)
    assert call("GetObject", **where, VersionId=first)["Body"] == b"first"
    assert call("GetObject", **where, VersionId="null")["Body"] == b"old"
    refused(call, "MethodNotAllowed", "GetObject", **where, VersionId=marker["VersionId"])

    tokens = {"NextKeyMarker": "KeyMarker", "NextVersionIdMarker": "VersionIdMarker"}
    found = list(pages(call, "ListObjectVersions", tokens, Bucket=bucket, MaxKeys=2))
    assert [row["VersionId"] for page in found for row in page.get("Versions") or []] == [second, first, "null"]
    assert [row["VersionId"] for page in found for row in page.get("DeleteMarkers") or []] == [marker["VersionId"]]

    call("DeleteObject", **where, VersionId=marker["VersionId"])
    assert call("GetObject", **where)["Body"] == b"second"
    source = {"Bucket": bucket, "Key": "k", "VersionId": first}
    assert call("CopyObject", **where, CopySource=source)["CopySourceVersionId"] == first
    assert call("GetObject", **where)["Body"] == b"first"

    call("PutBucketVersioning", Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    assert "VersionId" not in call("PutObject", **where, Body=b"null again")
    assert call("GetObject", **where)["VersionId"] == "null"
    answer = call("DeleteObjects", Bucket=bucket, Delete={"Objects": [{"Key": "k", "VersionId": second}, {"Key": "k"}]})
    assert [row.get("VersionId") for row in answer["Deleted"]] == [second, None]
    assert answer["Deleted"][1]["DeleteMarker"] is True
    for page in list(pages(call, "ListObjectVersions", tokens, Bucket=bucket)):
        for row in [*(page.get("Versions") or []), *(page.get("DeleteMarkers") or [])]:
            call("DeleteObject", **where, VersionId=row["VersionId"])
    call("DeleteBucket", Bucket=bucket)


# In their oldest form these operations are known to every release in use.
SCENARIOS: tuple[Scenario, ...] = (
    buckets, acls_and_ownership, tags, objects, conditional_reads, copies, listings, deletion_of_many, multipart,
    multipart_given_up, versions, checksums,
)  # fmt: skip

# These need a client from 2025 or later.
RECENT_SCENARIOS: tuple[Scenario, ...] = (conditional_writes, castagnoli_and_nvme_checksums)
