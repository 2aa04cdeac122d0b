"""The AWS SDK for JavaScript v3: every operation, uploads in parts, presigned URLs."""

from __future__ import annotations

import secrets
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.drivers import NodeSdk
from tests.clients.scenarios import ODD_KEY, PART_BYTES, RECENT_SCENARIOS, SCENARIOS, Scenario
from tests.servers import RunningServer


@pytest.fixture(scope="module")
def node(service: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeSdk]:
    sdk = NodeSdk(service, tmp_path_factory.mktemp("node"))
    yield sdk
    sdk.close()


@pytest.mark.parametrize("scenario", [*SCENARIOS, *RECENT_SCENARIOS], ids=lambda scenario: scenario.__name__)
def test_scenario(scenario: Scenario, node: NodeSdk, bucket: str) -> None:
    scenario(node, bucket)


@pytest.mark.parametrize("streamed", [False, True], ids=["buffer", "stream"])
def test_uploads_go_in_parts(node: NodeSdk, bucket: str, admin: Any, *, streamed: bool) -> None:
    body = secrets.token_bytes(2 * PART_BYTES + 17)
    params = {"Bucket": bucket, "Key": ODD_KEY, "Body": body, "ContentType": "text/x"}
    node.request({"upload": params, "options": {"streamed": streamed, "partSize": PART_BYTES, "queueSize": 3}})
    found = admin.get_object(Bucket=bucket, Key=ODD_KEY)
    assert found["Body"].read() == body
    assert (found["ContentType"], found["ETag"][-3:]) == ("text/x", '-3"')
    small = params | {"Key": "small", "Body": b"small"}
    node.request({"upload": small, "options": {"streamed": streamed}})
    assert node("GetObject", Bucket=bucket, Key="small")["Body"] == b"small"


def presigned(node: NodeSdk, operation: str, parameters: dict[str, Any], **options: Any) -> str:
    url: str = node.request({"presign": operation, "parameters": parameters, "options": options})["url"]
    return url


def fetch(url: str, method: str = "GET", body: bytes | None = None, headers: dict[str, str] | None = None) -> bytes:
    request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    with urllib.request.urlopen(request, timeout=10) as answer:
        content: bytes = answer.read()
        return content


def test_presigned_urls(node: NodeSdk, bucket: str, admin: Any) -> None:
    where = {"Bucket": bucket, "Key": ODD_KEY}
    # This presigner moves x-amz-* headers into the query, and signs the checksum of a body that it has not seen.
    url = presigned(node, "PutObject", where | {"Metadata": {"a": "1 & 2"}, "Tagging": "t=1"}, expiresIn=60)
    fetch(url, "PUT", b"presigned", {"Content-Type": "text/x"})
    head = admin.head_object(**where)
    assert (head["ContentType"], head["Metadata"]) == ("text/x", {"a": "1 & 2"})
    assert admin.get_object_tagging(**where)["TagSet"] == [{"Key": "t", "Value": "1"}]
    assert fetch(presigned(node, "GetObject", where, expiresIn=60)) == b"presigned"
    assert fetch(presigned(node, "DeleteObject", where), "DELETE") == b""
    with pytest.raises(urllib.error.HTTPError, match="404"):
        fetch(presigned(node, "GetObject", where))
