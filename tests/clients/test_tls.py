"""boto3 and the AWS CLI over TLS with a certificate that the server's owner has signed.

Over TLS boto3 does not hash a body beforehand: it sends it unsigned, in chunks, with its checksum in a trailer.
"""

from __future__ import annotations

import concurrent.futures
import io
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import tls_flags
from tests.clients.drivers import AwsCli, Boto3Call
from tests.clients.scenarios import ODD_KEY, PART_BYTES, RECENT_SCENARIOS, SCENARIOS, Scenario, objects
from tests.clients.test_boto3_transfers import IN_PARTS
from tests.servers import RunningServer, boto_client


@pytest.fixture(scope="module")
def secure(certificate: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    data = tmp_path_factory.mktemp("secure") / "data"
    server = RunningServer(data, args=tls_flags(certificate), workers=2, scheme="https")
    try:
        yield server.start()
    finally:
        server.kill9()


@pytest.fixture(scope="module")
def client(secure: RunningServer, certificate: Path) -> Any:
    return boto_client(secure.endpoint, secure.access_key, secure.secret_key, verify=str(certificate))


@pytest.fixture
def bucket(client: Any) -> str:
    name = f"test-{secrets.token_hex(8)}"
    client.create_bucket(Bucket=name)
    return name


@pytest.mark.parametrize("scenario", [*SCENARIOS, *RECENT_SCENARIOS], ids=lambda scenario: scenario.__name__)
def test_boto3(scenario: Scenario, client: Any, bucket: str) -> None:
    scenario(Boto3Call(client), bucket)


def test_boto3_sends_the_checksum_in_a_trailer(client: Any, bucket: str) -> None:
    sent: list[Any] = []
    client.meta.events.register("before-send.s3.PutObject", lambda request, **_: sent.append(request.headers))
    for algorithm in ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"):
        field, body = f"Checksum{algorithm}", secrets.token_bytes(100_000)
        stored = client.put_object(Bucket=bucket, Key=algorithm, Body=io.BytesIO(body), ChecksumAlgorithm=algorithm)
        assert sent[-1]["x-amz-content-sha256"] == b"STREAMING-UNSIGNED-PAYLOAD-TRAILER"
        assert sent[-1]["x-amz-trailer"] == f"x-amz-checksum-{algorithm.lower()}".encode()
        found = client.get_object(Bucket=bucket, Key=algorithm, ChecksumMode="ENABLED")
        assert (found["Body"].read(), found[field]) == (body, stored[field])
        assert "ContentEncoding" not in found, "aws-chunked is the transfer's, not the object's"


def test_boto3_transfers_in_parts(client: Any, bucket: str) -> None:
    body = secrets.token_bytes(3 * PART_BYTES + 1)
    client.upload_fileobj(io.BytesIO(body), bucket, ODD_KEY, Config=IN_PARTS)
    received = io.BytesIO()
    client.download_fileobj(bucket, ODD_KEY, received, Config=IN_PARTS)
    assert received.getvalue() == body


def test_files_are_read_side_by_side(client: Any, bucket: str) -> None:
    """Each reader gets its own file's bytes, over and over on the same connections."""
    bodies = {f"k{number}": secrets.token_bytes(100_000 + number) for number in range(8)}
    for key, body in bodies.items():
        client.put_object(Bucket=bucket, Key=key, Body=body)

    def is_right(key: str) -> bool:
        body: bytes = client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return body == bodies[key]

    with concurrent.futures.ThreadPoolExecutor(len(bodies)) as pool:
        assert all(pool.map(is_right, list(bodies) * 20))


def test_aws_cli(secure: RunningServer, certificate: Path, bucket: str, tmp_path: Path) -> None:
    objects(AwsCli(secure, tmp_path, ca_file=str(certificate)), bucket)


def test_aws_cli_transfers(secure: RunningServer, certificate: Path, bucket: str, tmp_path: Path) -> None:
    aws = AwsCli(secure, tmp_path, ca_file=str(certificate))
    body = secrets.token_bytes(20 * 1024 * 1024 + 1)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/large").write_bytes(body)
    (tmp_path / "tree/empty").touch()
    aws.run("s3", "sync", "tree", f"s3://{bucket}/")
    assert aws.run("s3", "cp", f"s3://{bucket}/large", "-") == body
    assert aws.run("s3", "cp", f"s3://{bucket}/empty", "-") == b""
