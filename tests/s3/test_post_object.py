"""Browsers' forms: fields, signed policies, and the objects they make."""

from __future__ import annotations

import base64
import datetime as dt
import http.client
import json
import time
import urllib.parse
from collections.abc import Sequence
from typing import Any

import pytest

from tests.s3 import raw
from tests.s3.conftest import Crowd
from tests.s3.naming import fresh_name, refusal
from tests.servers import RunningServer, boto_client

BOUNDARY = "----8f6e3b"


@pytest.fixture
def bucket(crowd: Crowd) -> str:
    """Alice's."""
    name = fresh_name()
    crowd.alice.s3.create_bucket(Bucket=name)
    return name


def form(fields: Sequence[tuple[str, str]], data: bytes | None = b"the file", filename: str = "a.txt") -> bytes:
    """The body, its file last; `data` None: without one."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields
    ]
    if data is not None:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n'
        parts.append(f"{head}Content-Type: text/html\r\n\r\n".encode() + data + b"\r\n")
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def send(server: RunningServer, bucket: str, body: bytes, content_type: str | None = None) -> raw.Reply:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=20)
    headers = {"Content-Type": content_type or f"multipart/form-data; boundary={BOUNDARY}"}
    try:
        connection.request("POST", f"/{bucket}", body, headers)
        answer = connection.getresponse()
        return raw.Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def signed(
    crowd: Crowd, bucket: str, fields: dict[str, str], conditions: list[Any], key: str = "k", **options: Any
) -> list[tuple[str, str]]:
    """The fields of a form as boto3 signs them, in alice's name."""
    signer = boto_client(crowd.server.endpoint, *crowd.alice.keys, signature_version="s3v4")
    made = signer.generate_presigned_post(bucket, key, fields, conditions, **options)["fields"]
    return list(made.items())


def signed_policy(crowd: Crowd, policy: bytes, fields: dict[str, str]) -> list[tuple[str, str]]:
    """Fields with a policy of any kind, rightly signed."""
    from app.auth.canonical import sign, signing_key

    now = dt.datetime.now(dt.UTC)
    text = base64.b64encode(policy).decode()
    key = signing_key(crowd.alice.keys[1], f"{now:%Y%m%d}", "us-east-1")
    signature = {
        "x-amz-algorithm": "AWS4-HMAC-SHA256",
        "x-amz-credential": f"{crowd.alice.keys[0]}/{now:%Y%m%d}/us-east-1/s3/aws4_request",
        "x-amz-date": f"{now:%Y%m%dT%H%M%SZ}",
        "policy": text,
        "x-amz-signature": sign(key, text.encode()),
    }
    return list({**fields, **signature}.items())


def read(crowd: Crowd, bucket: str, key: str = "k") -> Any:
    return crowd.alice.s3.get_object(Bucket=bucket, Key=key)


def keys(crowd: Crowd, bucket: str) -> list[str]:
    return [each["Key"] for each in crowd.alice.s3.list_objects_v2(Bucket=bucket).get("Contents", ())]


# -- what it makes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size_bytes", [0, 1, 20_000, 70_000, 3_000_000])
def test_the_file_becomes_an_object(crowd: Crowd, bucket: str, size_bytes: int) -> None:
    data = (b"\r\n--" + BOUNDARY.encode()[:-1] + b"\r\n\n\r" + bytes(range(256)))[: size_bytes or 0]
    data = (data * (size_bytes // max(1, len(data)) + 1))[:size_bytes]
    reply = send(crowd.server, bucket, form(signed(crowd, bucket, {}, []), data))
    assert (reply.status, reply.code) == (204, "")
    answer = read(crowd, bucket)
    assert answer["Body"].read() == data
    assert answer["ETag"] == reply.headers["etag"]
    assert reply.headers["location"] == f"{crowd.server.endpoint}/{bucket}/k"
    assert answer["ContentType"] == "binary/octet-stream"


def test_fields_say_what_headers_do(crowd: Crowd, bucket: str) -> None:
    fields = {
        "acl": "public-read",
        "Content-Type": "text/plain",
        "Cache-Control": "no-store",
        "x-amz-meta-Who": "é",
        "x-amz-storage-class": "STANDARD_IA",
        "tagging": "<Tagging><TagSet><Tag><Key>a b</Key><Value>c/d</Value></Tag></TagSet></Tagging>",
    }
    body = form(signed(crowd, bucket, fields, [{name: value} for name, value in fields.items()]))
    reply = send(crowd.server, bucket, body)
    assert (reply.status, reply.code) == (204, "")
    answer = read(crowd, bucket)
    assert (answer["ContentType"], answer["CacheControl"], answer["StorageClass"]) == (
        "text/plain",
        "no-store",
        "STANDARD_IA",
    )
    assert answer["Metadata"] == {"who": "é".encode().decode("latin-1")}
    assert crowd.request("GET", f"/{bucket}/k").body == b"the file"
    tags = crowd.alice.s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"]
    assert tags == [{"Key": "a b", "Value": "c/d"}]


def test_the_key_may_take_the_files_name(crowd: Crowd, bucket: str) -> None:
    fields = signed(crowd, bucket, {}, [], key="up/${filename}")
    assert send(crowd.server, bucket, form(fields, filename="C:\\\\tmp\\\\b.txt")).status == 204
    assert keys(crowd, bucket) == ["up/b.txt"]


def test_what_the_answer_is(crowd: Crowd, bucket: str) -> None:
    def ask(**fields: str) -> raw.Reply:
        return send(crowd.server, bucket, form(signed(crowd, bucket, fields, [{k: v} for k, v in fields.items()])))

    reply = ask(success_action_status="201")
    assert reply.status == 201
    assert [reply.text(name) for name in ("Bucket", "Key", "ETag")] == [bucket, "k", reply.headers["etag"]]
    assert reply.text("Location") == reply.headers["location"]
    assert [ask(success_action_status=status).status for status in ("200", "404", "")] == [200, 204, 204]
    reply = ask(success_action_redirect="http://example.com/done?a=b")
    assert reply.status == 303
    parts = urllib.parse.urlsplit(reply.headers["location"])
    assert parts.netloc == "example.com"
    made = {"a": ["b"], "bucket": [bucket], "key": ["k"], "etag": [reply.headers["etag"]]}
    assert urllib.parse.parse_qs(parts.query) == made
    for odd in ("nowhere", "javascript:alert(1)", "http://", "http://x/\u00e9"):
        assert ask(success_action_redirect=odd).status == 204


def test_fields_with_filenames_and_fields_behind_the_file(crowd: Crowd, bucket: str) -> None:
    fields = signed(crowd, bucket, {}, [])
    body = form(fields).replace(b'name="policy"', b'name="policy"; filename="policy"')
    end = f"--{BOUNDARY}--\r\n".encode()
    body = body.removesuffix(end) + form([("key", "another")], data=None)
    reply = send(crowd.server, bucket, body)
    assert (reply.status, reply.code) == (204, "")
    assert keys(crowd, bucket) == ["k"]


def test_everybody_where_everybody_may_write(crowd: Crowd) -> None:
    name = fresh_name()
    crowd.alice.s3.create_bucket(Bucket=name, ACL="public-read-write")
    assert send(crowd.server, name, form([("key", "k")])).status == 204
    assert read(crowd, name)["Body"].read() == b"the file"


def test_a_policy_of_the_bucket_decides_by_the_forms_key(crowd: Crowd, bucket: str) -> None:
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{bucket}/drop/*",
    }
    crowd.alice.s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Statement": statement}))
    assert send(crowd.server, bucket, form([("key", "drop/a")])).status == 204
    assert send(crowd.server, bucket, form([("key", "a")])).code == "AccessDenied"
    assert keys(crowd, bucket) == ["drop/a"]


def test_a_policy_of_the_bucket_may_want_forms_only(crowd: Crowd, bucket: str) -> None:
    conditions = [{"s3:authType": "POST"}, {"s3:signatureversion": "AWS4-HMAC-SHA256"}]
    denials = [
        {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/*",
         "Condition": {"StringNotEquals": condition}}
        for condition in conditions
    ]  # fmt: skip
    crowd.alice.s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Statement": denials}))
    assert send(crowd.server, bucket, form(signed(crowd, bucket, {}, []))).status == 204
    assert refusal(crowd.alice.s3.put_object, Bucket=bucket, Key="k", Body=b"") == (403, "AccessDenied")


# -- S-10: each condition, broken --------------------------------------------------------------------------------


def changed(fields: list[tuple[str, str]], **other: str | None) -> list[tuple[str, str]]:
    named = {name.replace("_", "-"): value for name, value in other.items()}
    kept = [(name, named.pop(name, value)) for name, value in fields]
    return [(name, value) for name, value in [*kept, *named.items()] if value is not None]


@pytest.mark.parametrize(
    ("other", "status", "code"),
    [
        ({"key": "other"}, 403, "AccessDenied"),
        ({"key": None}, 400, "InvalidArgument"),
        ({"acl": "public-read"}, 403, "AccessDenied"),
        ({"x_amz_meta_extra": "x"}, 403, "AccessDenied"),
        ({"success_action_status": "200"}, 403, "AccessDenied"),
        ({"policy": None}, 400, "InvalidArgument"),
        ({"policy": base64.b64encode(b'{"expiration": "2999-01-01T00:00:00Z", "conditions": []}').decode()}, 403, "SignatureDoesNotMatch"),
        ({"x_amz_signature": "0" * 64}, 403, "SignatureDoesNotMatch"),
        ({"x_amz_signature": None}, 400, "InvalidArgument"),
        ({"x_amz_credential": None}, 400, "InvalidArgument"),
        ({"x_amz_credential": "nobody/20260101/us-east-1/s3/aws4_request"}, 400, "AuthorizationQueryParametersError"),
        ({"x_amz_algorithm": "AWS4-HMAC-MD5"}, 400, "InvalidArgument"),
        ({"x_amz_date": "yesterday"}, 400, "InvalidArgument"),
        ({"x_amz_security_token": "x"}, 400, "InvalidToken"),
    ],
)  # fmt: skip
def test_a_form_that_is_not_as_it_was_signed(
    crowd: Crowd, bucket: str, other: dict[str, str | None], status: int, code: str
) -> None:
    reply = send(crowd.server, bucket, form(changed(signed(crowd, bucket, {}, []), **other)))
    assert (reply.status, reply.code) == (status, code)
    assert keys(crowd, bucket) == []


LATER = "2999-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("policy", "status", "code"),
    [
        ({"expiration": "2020-01-01T00:00:00Z", "conditions": [{"key": "k"}]}, 403, "AccessDenied"),
        ({"Expiration": LATER, "conditions": [{"key": "k"}]}, 400, "InvalidPolicyDocument"),
        ({"expiration": "soon", "conditions": [{"key": "k"}]}, 400, "InvalidPolicyDocument"),
        ({"expiration": LATER}, 400, "InvalidPolicyDocument"),
        ({"expiration": LATER, "conditions": []}, 403, "AccessDenied"),
        ({"expiration": LATER, "conditions": [{"key": 7}]}, 400, "InvalidPolicyDocument"),
        ({"expiration": LATER, "conditions": [["ends-with", "$key", "k"]]}, 400, "InvalidPolicyDocument"),
        ({"expiration": LATER, "conditions": [["starts-with", "$key", "x"]]}, 403, "AccessDenied"),
        ({"expiration": LATER, "conditions": [{"key": "k"}, {"bucket": "other"}]}, 403, "AccessDenied"),
        ({"expiration": LATER, "conditions": [{"key": "k"}, {"acl": "private"}]}, 403, "AccessDenied"),
        ({"expiration": LATER, "conditions": [{"key": "k"}, ["content-length-range", 9, 20]]}, 400, "EntityTooSmall"),
        ({"expiration": LATER, "conditions": [{"key": "k"}, ["content-length-range", 0, 7]]}, 400, "EntityTooLarge"),
        ({"expiration": LATER, "conditions": [{"key": "k"}, ["content-length-range", 0]]}, 400, "InvalidPolicyDocument"),
        ({"expiration": LATER, "conditions": [{"key": "k"}, ["content-length-range", -1, 8]]}, 400, "InvalidPolicyDocument"),
        ([], 400, "InvalidPolicyDocument"),
        (None, 400, "InvalidPolicyDocument"),
    ],
)  # fmt: skip
def test_a_policy_that_does_not_allow_the_form(crowd: Crowd, bucket: str, policy: Any, status: int, code: str) -> None:
    text = b"{" if policy is None else json.dumps(policy).encode()
    ours = {"x-amz-algorithm", "x-amz-credential", "x-amz-date"}
    if isinstance(policy, dict) and policy.get("conditions"):
        policy["conditions"] += [["starts-with", f"${name}", ""] for name in ours]
        text = json.dumps(policy).encode()
    reply = send(crowd.server, bucket, form(signed_policy(crowd, text, {"key": "k"})))
    assert (reply.status, reply.code) == (status, code)
    assert keys(crowd, bucket) == []


def test_what_a_policy_allows(crowd: Crowd, bucket: str) -> None:
    """Names in any case, lengths as texts, and fields that need no condition."""
    conditions = [["starts-with", "$KEY", "user/"], ["content-length-range", "8", 8]]
    conditions += [["starts-with", f"${name}", ""] for name in ("x-amz-algorithm", "x-amz-credential", "x-amz-date")]
    policy = json.dumps({"expiration": LATER, "conditions": conditions}).encode()
    fields = signed_policy(crowd, policy, {"Key": "user/a", "x-ignore-me": "x", "bucket": bucket})
    assert send(crowd.server, bucket, form(fields)).status == 204
    assert keys(crowd, bucket) == ["user/a"]


# -- forms that are none -----------------------------------------------------------------------------------------


def test_broken_forms_change_nothing(crowd: Crowd, bucket: str) -> None:
    fields = signed(crowd, bucket, {}, [])
    whole = form(fields)
    cases = [
        (form(fields, data=None), None, 400, "InvalidArgument"),
        (b"", None, 400, "InvalidArgument"),
        (whole.replace(b"Content-Disposition", b"Content-Position"), None, 400, "MalformedPOSTRequest"),
        (form([*fields, ("key", "twice")]), None, 400, "MalformedPOSTRequest"),
        (form([*fields, ("x-ignore-it", "x" * 50_000)]), None, 400, "MaxPostPreDataLengthExceeded"),
        (whole, "multipart/form-data", 400, "MalformedPOSTRequest"),
        (whole, "multipart/form-data; boundary=other", 400, "InvalidArgument"),
        (whole[:-20], None, 400, "IncompleteBody"),
        (form(changed(fields, key="a\x01b")), None, 403, "AccessDenied"),
    ]
    for body, content_type, status, code in cases:
        reply = send(crowd.server, bucket, body, content_type)
        assert (reply.status, reply.code) == (status, code), (body[:80], content_type)
    assert send(crowd.server, bucket, whole, "text/plain").code == "AccessDenied"
    assert (
        crowd.request("POST", f"/{bucket}", whole, by=crowd.alice, headers={"Content-Type": "text/plain"}).status == 412
    )
    assert keys(crowd, bucket) == []


def test_a_field_cannot_smuggle_a_header(crowd: Crowd, bucket: str) -> None:
    fields = {"x-amz-meta-a": "b\r\nx-evil: yes"}
    made = signed(crowd, bucket, fields, [["starts-with", "$x-amz-meta-a", ""]])
    assert send(crowd.server, bucket, form(made)).code == "InvalidArgument"
    assert keys(crowd, bucket) == []


def test_who_and_what_are_in_the_log(crowd: Crowd, bucket: str) -> None:
    send(crowd.server, bucket, form(signed(crowd, bucket, {}, [], key="logged")))
    expected = f"operation=PostObject bucket={bucket} key=logged status=204"
    line = _logged(crowd, expected)
    assert "principal=alice" in line


def _logged(crowd: Crowd, text: str) -> str:
    """The line, which is written behind the answer."""
    for _ in range(500):
        found = [line for line in crowd.server.log().splitlines() if text in line]
        if found:
            return found[0]
        time.sleep(0.01)
    raise AssertionError(f"nobody logged {text}")
