"""`auth.enabled: false`: everybody may do everything, however the request is signed, and bodies are still checked."""

from __future__ import annotations

import http.client
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conftest import StartServer
from tests.servers import RunningServer, boto_client


@pytest.fixture
def open_server(start_server: StartServer) -> RunningServer:
    return start_server("--auth.enabled", "false")


def test_unsigned_requests_do_what_the_owner_may(open_server: RunningServer) -> None:
    connection = http.client.HTTPConnection(open_server.host, open_server.port, timeout=10)
    for method, path, body, status in (
        ("PUT", "/open", b"", 200),
        ("PUT", "/open/key", b"bytes", 200),
        ("GET", "/open/key", b"", 200),
        ("GET", "/open/missing", b"", 404),
        ("GET", "/open?list-type=2", b"", 200),
        ("DELETE", "/open/key", b"", 204),
        ("DELETE", "/open", b"", 204),
    ):
        connection.request(method, path, body)
        answer = connection.getresponse()
        answer.read()
        assert (method, path, answer.status) == (method, path, status)
    connection.close()


def test_signatures_by_unknown_keys_are_not_looked_at(open_server: RunningServer) -> None:
    s3: Any = boto_client(open_server.endpoint, "nobody", "wrong-secret-0123")
    s3.create_bucket(Bucket="anyone")
    s3.put_object(Bucket="anyone", Key="key", Body=b"bytes")
    assert s3.get_object(Bucket="anyone", Key="key")["Body"].read() == b"bytes"
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["anyone"]


def test_chunk_signatures_are_passed_over_and_the_payload_is_stored(open_server: RunningServer) -> None:
    connection = http.client.HTTPConnection(open_server.host, open_server.port, timeout=10)
    connection.request("PUT", "/chunks", b"")
    connection.getresponse().read()
    signature = b"0" * 64
    body = b"5;chunk-signature=%b\r\nhello\r\n0;chunk-signature=%b\r\n\r\n" % (signature, signature)
    headers = {"x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "x-amz-decoded-content-length": "5"}
    connection.request("PUT", "/chunks/key", body, headers)
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"")
    connection.request("GET", "/chunks/key")
    assert connection.getresponse().read() == b"hello"
    connection.close()


def test_a_wrong_checksum_is_still_refused(open_server: RunningServer) -> None:
    s3: Any = boto_client(open_server.endpoint, "nobody", "wrong-secret-0123")
    s3.create_bucket(Bucket="checked")
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket="checked", Key="key", Body=b"bytes", ContentMD5="AAAAAAAAAAAAAAAAAAAAAA==")
    assert refused.value.response["Error"]["Code"] == "BadDigest"
