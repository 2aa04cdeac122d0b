"""Checksums of single parts, as GET and HEAD with partNumber show them."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

PARTS = {1: b"a" * (5 << 20), 3: b"the last one"}


def sha256(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


def put_parts(s3: Any, bucket: str, algorithm: str, type_: str) -> dict[int, str]:
    """Upload PARTS as one object "k"; the checksum of each part as the server answered it."""
    target = {"Bucket": bucket, "Key": "k"}
    created = s3.create_multipart_upload(**target, ChecksumAlgorithm=algorithm, ChecksumType=type_)
    target["UploadId"] = created["UploadId"]
    name = f"Checksum{algorithm}"
    listed = []
    for number, content in PARTS.items():
        part = s3.upload_part(**target, PartNumber=number, Body=content, ChecksumAlgorithm=algorithm)
        listed.append({"PartNumber": number, "ETag": part["ETag"], name: part[name]})
    s3.complete_multipart_upload(**target, MultipartUpload={"Parts": listed})
    return {part["PartNumber"]: part[name] for part in listed}


@pytest.mark.parametrize("read", ["get_object", "head_object"])
def test_a_part_shows_its_own_checksum_and_the_objects_type(s3: Any, bucket: str, read: str) -> None:
    """The type says how the parts' checksums make the object's; a part has none of its own."""
    put_parts(s3, bucket, "SHA256", "COMPOSITE")
    for number, content in PARTS.items():
        answer = getattr(s3, read)(Bucket=bucket, Key="k", PartNumber=number, ChecksumMode="ENABLED")
        assert (answer["ChecksumSHA256"], answer["ChecksumType"]) == (sha256(content), "COMPOSITE")


@pytest.mark.parametrize("type_", ["COMPOSITE", "FULL_OBJECT"])
def test_the_type_is_the_uploads_for_the_whole_and_for_parts(s3: Any, bucket: str, type_: str) -> None:
    checksums = put_parts(s3, bucket, "CRC32", type_)
    assert s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")["ChecksumType"] == type_
    for number, checksum in checksums.items():
        answer = s3.head_object(Bucket=bucket, Key="k", PartNumber=number, ChecksumMode="ENABLED")
        assert (answer["ChecksumCRC32"], answer["ChecksumType"]) == (checksum, type_)
