"""boto3's transfers in parts: by its threads, by awscrt, and checksums of parts that make an object's."""

from __future__ import annotations

import io
import secrets
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig

from tests.clients.scenarios import ODD_KEY, PART_BYTES
from tests.components import require_python
from tests.servers import RunningServer

IN_PARTS = TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=4)
CHECKSUM_TYPES = [
    ("CRC32", "COMPOSITE"),
    ("CRC32", "FULL_OBJECT"),
    ("CRC32C", "COMPOSITE"),
    ("CRC32C", "FULL_OBJECT"),
    ("CRC64NVME", "FULL_OBJECT"),
    ("SHA1", "COMPOSITE"),
    ("SHA256", "COMPOSITE"),
]


def test_files_travel_in_parts_by_several_threads(admin: Any, bucket: str, tmp_path: Path) -> None:
    body = secrets.token_bytes(4 * PART_BYTES + 12_345)
    (tmp_path / "sent").write_bytes(body)
    seen: list[int] = []
    extra = {"ContentType": "text/x", "Metadata": {"a": "1"}}
    admin.upload_file(str(tmp_path / "sent"), bucket, ODD_KEY, ExtraArgs=extra, Config=IN_PARTS, Callback=seen.append)
    assert sum(seen) == len(body)
    head = admin.head_object(Bucket=bucket, Key=ODD_KEY)
    assert (head["ContentLength"], head["ContentType"], head["Metadata"]) == (len(body), "text/x", {"a": "1"})
    assert head["ETag"].endswith('-5"')
    admin.download_file(bucket, ODD_KEY, str(tmp_path / "received"), Config=IN_PARTS)
    assert (tmp_path / "received").read_bytes() == body


def test_what_has_no_length_travels_too(admin: Any, bucket: str) -> None:
    class Pipe(io.RawIOBase):
        def __init__(self, content: bytes) -> None:
            self._content = io.BytesIO(content)

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            return self._content.read(size)

    body = secrets.token_bytes(PART_BYTES + 1)
    admin.upload_fileobj(Pipe(body), bucket, "k", Config=IN_PARTS)
    received = io.BytesIO()
    admin.download_fileobj(bucket, "k", received, Config=IN_PARTS)
    assert received.getvalue() == body


def test_a_managed_copy_goes_part_by_part(admin: Any, bucket: str) -> None:
    body = secrets.token_bytes(2 * PART_BYTES + 7)
    admin.upload_fileobj(io.BytesIO(body), bucket, ODD_KEY, Config=IN_PARTS)
    admin.copy({"Bucket": bucket, "Key": ODD_KEY}, bucket, "copy", Config=IN_PARTS)
    found = admin.get_object(Bucket=bucket, Key="copy")
    assert found["ETag"].endswith('-3"')
    assert found["Body"].read() == body


@pytest.mark.parametrize(("algorithm", "kind"), CHECKSUM_TYPES)
def test_checksums_of_parts_make_the_objects(algorithm: str, kind: str, admin: Any, bucket: str) -> None:
    field, where = f"Checksum{algorithm}", {"Bucket": bucket, "Key": "k"}
    bodies = [secrets.token_bytes(PART_BYTES), secrets.token_bytes(1000)]
    made = admin.create_multipart_upload(**where, ChecksumAlgorithm=algorithm, ChecksumType=kind)
    assert (made["ChecksumAlgorithm"], made["ChecksumType"]) == (algorithm, kind)
    upload = where | {"UploadId": made["UploadId"]}
    parts = []
    for number, body in enumerate(bodies, 1):
        part = admin.upload_part(**upload, PartNumber=number, Body=body, ChecksumAlgorithm=algorithm)
        parts.append({"PartNumber": number, "ETag": part["ETag"], field: part[field]})
    listed = admin.list_parts(**upload)
    assert [part[field] for part in listed["Parts"]] == [part[field] for part in parts]
    done = admin.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, ChecksumType=kind)
    assert done["ChecksumType"] == kind
    assert done[field].endswith("-2") == (kind == "COMPOSITE")
    found = admin.get_object(**where, ChecksumMode="ENABLED")
    assert (found[field], found["ChecksumType"]) == (done[field], kind)
    assert found["Body"].read() == b"".join(bodies)  # boto3 compares a whole object's checksum here
    if kind == "FULL_OBJECT":
        plain = admin.put_object(Bucket=bucket, Key="plain", Body=b"".join(bodies), ChecksumAlgorithm=algorithm)
        assert plain[field] == done[field]
    second = admin.get_object(**where, PartNumber=2, ChecksumMode="ENABLED")
    assert (second["Body"].read(), second[field]) == (bodies[1], parts[1][field])
    admin.download_fileobj(bucket, "k", io.BytesIO(), Config=IN_PARTS)  # by ranges, which bear no checksum


def test_the_transfer_manager_in_c(service: RunningServer, bucket: str, tmp_path: Path) -> None:
    """awscrt signs, splits and verifies without botocore. boto3's own switch for it knows no endpoint but AWS's."""
    require_python("awscrt")
    from botocore.session import Session
    from s3transfer import crt

    session = Session()
    session.set_credentials(service.access_key, service.secret_key)
    options = {"region_name": "us-east-1", "endpoint_url": service.endpoint}
    credentials = crt.BotocoreCRTCredentialsWrapper(session.get_credentials()).to_crt_credentials_provider()
    client = crt.create_s3_crt_client("us-east-1", credentials, use_ssl=False, part_size=PART_BYTES)
    body = secrets.token_bytes(3 * PART_BYTES + 5)
    (tmp_path / "sent").write_bytes(body)
    (tmp_path / "small").write_bytes(body[:1000])
    with crt.CRTTransferManager(client, crt.BotocoreCRTRequestSerializer(session, options)) as manager:
        for name in ("sent", "small"):
            manager.upload(str(tmp_path / name), bucket, f"{name} {ODD_KEY}").result()
            manager.download(bucket, f"{name} {ODD_KEY}", str(tmp_path / f"{name} back")).result()
        manager.delete(bucket, f"small {ODD_KEY}").result()
    for name in ("sent", "small"):  # a file gets its name in the background; the manager's end waits for that
        assert (tmp_path / f"{name} back").read_bytes() == (tmp_path / name).read_bytes()
