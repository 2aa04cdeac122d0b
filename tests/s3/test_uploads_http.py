"""Multipart uploads over HTTP: repeated and mistaken Completes, foreign hands, and words that must not be passed over."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import pytest

from tests.s3 import raw
from tests.s3.conftest import Crowd, Person
from tests.s3.naming import fresh_name, refusal

PART = b"one part"
ZEROS = "0" * 32


@pytest.fixture
def bucket(crowd: Crowd) -> str:
    name = fresh_name("uploads")
    crowd.alice.s3.create_bucket(Bucket=name)
    return name


def complete(
    crowd: Crowd, by: Person | None, bucket: str, upload_id: str, etag: str, extra: str = "", **options: Any
) -> raw.Reply:
    body = f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag>{extra}</Part></CompleteMultipartUpload>"
    return crowd.request("POST", f"/{bucket}/key?uploadId={upload_id}", body.encode(), by=by, **options)


def raw_upload(crowd: Crowd, by: Person | None, bucket: str) -> str:
    """An upload that names no checksum algorithm; boto3 would name one by itself."""
    return crowd.request("POST", f"/{bucket}/key?uploads", by=by).text("UploadId")


def upload_raw(crowd: Crowd, by: Person | None, bucket: str, upload_id: str, **options: Any) -> raw.Reply:
    return crowd.request("PUT", f"/{bucket}/key?partNumber=1&uploadId={upload_id}", PART, by=by, **options)


def test_a_repeated_complete_answers_the_same_and_one_with_another_list_does_not(crowd: Crowd, bucket: str) -> None:
    upload_id = raw_upload(crowd, crowd.alice, bucket)
    etag = upload_raw(crowd, crowd.alice, bucket, upload_id).headers["etag"]
    first = complete(crowd, crowd.alice, bucket, upload_id, etag)
    again = complete(crowd, crowd.alice, bucket, upload_id, etag, headers={"if-none-match": "*"})
    assert (first.status, again.status) == (200, 200)
    assert first.text("ETag") == again.text("ETag")
    for wrong in (ZEROS, "not hexadecimal", "", "é"):
        assert complete(crowd, crowd.alice, bucket, upload_id, wrong).code in ("NoSuchUpload", "MalformedXML")


def test_a_listed_checksum_is_verified_whatever_the_upload_was_created_with(crowd: Crowd, bucket: str) -> None:
    crc32 = base64.b64encode(zlib.crc32(PART).to_bytes(4, "big")).decode()
    upload_id = raw_upload(crowd, crowd.alice, bucket)
    part = upload_raw(crowd, crowd.alice, bucket, upload_id, headers={"x-amz-checksum-crc32": crc32})
    etag = part.headers["etag"]
    for wrong in ("<ChecksumCRC32>AAAAAA==</ChecksumCRC32>", f"<ChecksumCRC32C>{crc32}</ChecksumCRC32C>"):
        assert complete(crowd, crowd.alice, bucket, upload_id, etag, wrong).code == "InvalidPart"
    done = complete(crowd, crowd.alice, bucket, upload_id, etag, f"<ChecksumCRC32>{crc32}</ChecksumCRC32>")
    assert (done.status, done.text("ChecksumCRC32"), done.text("ChecksumType")) == (200, crc32, "FULL_OBJECT")


def test_parts_of_different_algorithms_make_an_object_without_a_checksum(crowd: Crowd, bucket: str) -> None:
    crc32 = base64.b64encode(zlib.crc32(PART).to_bytes(4, "big")).decode()
    large = bytes(5 << 20)
    upload_id = raw_upload(crowd, crowd.alice, bucket)
    target = f"/{bucket}/key?uploadId={upload_id}&partNumber="
    etags = [
        crowd.request("PUT", f"{target}1", large, by=crowd.alice).headers["etag"],
        crowd.request("PUT", f"{target}2", PART, by=crowd.alice, headers={"x-amz-checksum-crc32": crc32}).headers[
            "etag"
        ],
    ]
    listed = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in enumerate(etags, 1)
    )
    body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
    done = crowd.request("POST", f"/{bucket}/key?uploadId={upload_id}", body, by=crowd.alice)
    assert (done.status, b"Checksum" in done.body) == (200, False)
    assert crowd.request("GET", f"/{bucket}/key", by=crowd.alice).body == large + PART


def test_nobody_but_its_initiator_and_the_buckets_owner_goes_on_with_an_upload(crowd: Crowd, bucket: str) -> None:
    crowd.alice.s3.put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    upload_id = raw_upload(crowd, crowd.bob, bucket)
    etag = upload_raw(crowd, crowd.bob, bucket, upload_id).headers["etag"]
    for stranger in (crowd.root, None):
        assert upload_raw(crowd, stranger, bucket, upload_id).code == "AccessDenied"
        assert complete(crowd, stranger, bucket, upload_id, etag).code == "AccessDenied"
        for method in ("GET", "DELETE"):
            refused = crowd.request(method, f"/{bucket}/key?uploadId={upload_id}", by=stranger)
            assert refused.code == "AccessDenied"
    assert upload_raw(crowd, crowd.alice, bucket, upload_id).status == 200
    assert complete(crowd, crowd.bob, bucket, upload_id, etag).status == 200


def test_an_unknown_checksum_is_refused_where_no_body_is_read_too(crowd: Crowd, bucket: str) -> None:
    crowd.alice.s3.put_object(Bucket=bucket, Key="key", Body=b"x")
    headers = {"x-amz-checksum-crc16": "AAA="}
    create = crowd.request("POST", f"/{bucket}/key?uploads", by=crowd.alice, headers=headers)
    copy = crowd.request(
        "PUT", f"/{bucket}/copy", by=crowd.alice, headers={**headers, "x-amz-copy-source": f"/{bucket}/key"}
    )
    put = crowd.request("PUT", f"/{bucket}/put", b"x", by=crowd.alice, headers={"x-amz-checksum-algorithm": "FOO"})
    assert [answer.code for answer in (create, copy, put)] == ["InvalidRequest"] * 3
    assert refusal(crowd.alice.s3.head_object, Bucket=bucket, Key="copy")[0] == 404


def test_protections_that_are_not_built_are_refused_by_every_operation_on_a_key(crowd: Crowd, bucket: str) -> None:
    upload_id = raw_upload(crowd, crowd.alice, bucket)
    etag = upload_raw(crowd, crowd.alice, bucket, upload_id).headers["etag"]
    headers = {"x-amz-server-side-encryption-customer-algorithm": "AES256"}
    for method, target, body in (
        ("POST", f"/{bucket}/key?uploadId={upload_id}", b"<CompleteMultipartUpload/>"),
        ("GET", f"/{bucket}/key?uploadId={upload_id}", b""),
        ("PUT", f"/{bucket}/key?partNumber=1&uploadId={upload_id}", PART),
        ("POST", f"/{bucket}/key?uploads", b""),
        ("PUT", f"/{bucket}/other", b"x"),
    ):
        assert crowd.request(method, target, body, by=crowd.alice, headers=headers).code == "NotImplemented"
    assert complete(crowd, crowd.alice, bucket, upload_id, etag).status == 200


def test_a_page_of_no_parts_is_not_truncated(crowd: Crowd, bucket: str) -> None:
    upload_id = raw_upload(crowd, crowd.alice, bucket)
    upload_raw(crowd, crowd.alice, bucket, upload_id)
    page = crowd.request("GET", f"/{bucket}/key?uploadId={upload_id}&max-parts=0", by=crowd.alice)
    assert (page.status, page.text("IsTruncated"), page.text("Part/PartNumber")) == (200, "false", "")


def test_a_version_id_means_nothing_to_a_bucket_or_the_service(crowd: Crowd, bucket: str) -> None:
    for target in (f"/{bucket}?list-type=2&versionId=", "/?versionId=nonsense"):
        assert crowd.request("GET", target, by=crowd.alice).status == 200


def test_a_failed_condition_is_named(crowd: Crowd, bucket: str) -> None:
    crowd.alice.s3.put_object(Bucket=bucket, Key="key", Body=b"x")
    for method, key, header, value, code, field, named in (
        ("PUT", "key", "if-none-match", "*", "PreconditionFailed", "Condition", "If-None-Match"),
        ("PUT", "key", "if-match", f'"{ZEROS}"', "PreconditionFailed", "Condition", "If-Match"),
        ("DELETE", "key", "if-match", f'"{ZEROS}"', "PreconditionFailed", "Condition", "If-Match"),
        ("PUT", "absent", "if-match", "*", "NoSuchKey", "Key", "absent"),
        ("DELETE", "absent", "if-match", "*", "NoSuchKey", "Key", "absent"),
    ):
        refused = crowd.request(method, f"/{bucket}/{key}", by=crowd.alice, headers={header: value})
        assert (refused.code, refused.text(field)) == (code, named)
