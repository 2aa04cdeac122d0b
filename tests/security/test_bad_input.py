"""Requests that make no sense get the error that AWS gives, with a request id, and do nothing.

What is wrong with names, bodies, documents, sizes and signatures has files of its own; here is what is left, and that every
refusal has the same form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

import pytest

from app.s3.routing import Level
from app.s3.subresources import BUCKET_SUBRESOURCES, OBJECT_SUBRESOURCES
from tests.exchange import exchange
from tests.inventory import inventory
from tests.security.auth_matrix import RULES, Scene
from tests.server.wire import Answer
from tests.signing import Draft, anonymous, sign

REQUEST_ID = re.compile("[0-9A-F]{16}")
OBJECT = b"0123456789"
WRITES = ("PUT", "POST", "DELETE")


@pytest.fixture
def ten(scene: Scene, client: Any) -> str:
    """The path of an object of ten bytes."""
    client.put_object(Bucket=scene.bucket, Key="ten", Body=OBJECT)
    return f"/{scene.bucket}/ten"


def _ask(scene: Scene, drafts: Iterable[Draft]) -> list[Answer]:
    return exchange(scene.port, [(draft.method, sign(draft, scene.keys).wire()) for draft in drafts])


# -- The form of a refusal ---------------------------------------------------------------------------------------


def check_form(answer: Answer, method: str) -> None:
    """One id, in the header and in the document, and what every answer carries."""
    request_id = answer.header("x-amz-request-id") or ""
    assert REQUEST_ID.fullmatch(request_id)
    assert answer.header("x-amz-id-2")
    assert answer.header("date")
    assert answer.header("server") == "BleepStore"
    if answer.status < 400 or method == "HEAD":
        return
    assert answer.header("content-type") == "application/xml"
    error = ET.fromstring(answer.body)
    assert error.tag == "Error"
    texts = {child.tag: child.text or "" for child in error}
    assert {"Code", "Message", "Resource", "RequestId", "HostId"} <= texts.keys()
    assert texts["RequestId"] == request_id
    assert texts["Message"]


@pytest.mark.parametrize(
    ("request_line", "code"),
    [
        ("GET / HTTP/1.1", "AccessDenied"),
        ("BREW / HTTP/1.1", "MethodNotAllowed"),
        ("GET /%zz HTTP/1.1", "InvalidURI"),
        ("GET x HTTP/1.1", "InvalidURI"),
        ("GET / HTTP/3.0", "BadRequest"),
        ("GET /", "BadRequest"),
        ("nonsense", "BadRequest"),
        ("OPTIONS / HTTP/1.1", "BadRequest"),
        ("PATCH /bucket/key HTTP/1.1", "AccessDenied"),
        ("GET /" + "k" * 9_000 + " HTTP/1.1", "InvalidURI"),
    ],
)
def test_every_refusal_has_the_same_form(scene: Scene, request_line: str, code: str) -> None:
    (answer,) = exchange(scene.port, [("GET", f"{request_line}\r\nHost: localhost\r\n\r\n".encode())])
    assert answer.code == code
    check_form(answer, "GET")


def test_every_operation_refuses_in_that_form(scene: Scene) -> None:
    """A stranger's request for each rule of the router."""
    paths = {Level.SERVICE: "/", Level.BUCKET: f"/{scene.bucket}", Level.OBJECT: f"/{scene.bucket}/there"}
    drafts = [Draft(rule.method, f"{paths[rule.level]}?{rule.subresource}") for rule in RULES]
    answers = exchange(scene.port, [(draft.method, anonymous(draft).wire()) for draft in drafts])
    for draft, answer in zip(drafts, answers, strict=True):
        assert answer.status >= 400, draft.target
        check_form(answer, draft.method)


# -- Sub-resources and parameters --------------------------------------------------------------------------------


def test_a_subresource_without_an_operation_never_runs_the_base_operation(scene: Scene, client: Any) -> None:
    """Every name that AWS knows, on buckets and objects, with every method."""
    known = {(rule.method, rule.level, rule.subresource) for rule in RULES}
    places = [
        (Level.BUCKET, f"/{scene.bucket}", BUCKET_SUBRESOURCES),
        (Level.OBJECT, f"/{scene.bucket}/there", OBJECT_SUBRESOURCES),
    ]
    drafts = [
        Draft(method, f"{path}?{name}", body=b"overwritten" if method == "PUT" else b"")
        for level, path, names in places
        for name in sorted(names)
        for method in ("GET", "HEAD", *WRITES)
        if (method, level, name) not in known
    ]
    before = inventory(client, scene.bucket)
    for draft, answer in zip(drafts, _ask(scene, drafts), strict=True):
        assert answer.status == 405, f"{draft.method} {draft.target}: {answer.status} {answer.code}"
        check_form(answer, draft.method)
    assert inventory(client, scene.bucket) == before


@pytest.mark.parametrize(
    "parameter", ["v=1", "12345", "Policy", "tomorrow", "acl2", "version-id=null", "%00", "=", "versionid=null"]
)
def test_an_unknown_parameter_is_ignored_by_reads_and_refused_by_writes(
    scene: Scene, client: Any, ten: str, parameter: str
) -> None:
    before = inventory(client, scene.bucket)
    (read,) = _ask(scene, [Draft("GET", f"{ten}?{parameter}")])
    assert (read.status, read.body) == (200, OBJECT)
    drafts = [
        Draft(method, f"{path}?{parameter}") for method in ("PUT", "DELETE") for path in (ten, f"/{scene.bucket}")
    ]
    for draft, answer in zip(drafts, _ask(scene, drafts), strict=True):
        assert (answer.status, answer.code) == (400, "InvalidArgument"), f"{draft.method} {draft.target}"
    assert inventory(client, scene.bucket) == before


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("list-type=2&max-keys=-1", "InvalidArgument"), ("max-keys=x", "InvalidArgument"), ("max-keys=1.5", "InvalidArgument"),
        ("max-keys=99999999999999999999", "InvalidArgument"), ("versions&max-keys=0x1", "InvalidArgument"),
        ("uploads&max-uploads=-1", "InvalidArgument"), ("list-type=2&encoding-type=gzip", "InvalidArgument"),
        ("list-type=2&continuation-token=garbage", "InvalidArgument"), ("list-type=2&continuation-token=YWJj%0A", "InvalidArgument"),
        ("versions&version-id-marker=null", "InvalidArgument"), ("versions&key-marker=a&version-id-marker=x", "InvalidArgument"),
        ("acl&tagging", "InvalidArgument"), ("policy&cors", "InvalidArgument"),
    ],
)  # fmt: skip
def test_absurd_parameters_of_a_bucket_are_refused(scene: Scene, query: str, code: str) -> None:
    (answer,) = _ask(scene, [Draft("GET", f"/{scene.bucket}?{query}")])
    assert (answer.status, answer.code) == (400, code)


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("partNumber=0", 400, "InvalidArgument"), ("partNumber=x", 400, "InvalidArgument"), ("partNumber=10001", 400, "InvalidArgument"),
        ("partNumber=2", 416, "InvalidPartNumber"), ("versionId=", 400, "InvalidArgument"), ("versionId=x", 400, "InvalidArgument"),
        ("versionId=" + "a" * 32, 404, "NoSuchVersion"), ("uploadId=", 404, "NoSuchUpload"), ("uploadId=x&partNumber=1", 404, "NoSuchUpload"),
        ("response-content-type=" + quote("a\r\nX-Injected: b"), 400, "InvalidArgument"), ("response-expires=%00", 400, "InvalidArgument"),
        ("uploadId=x&max-parts=-1", 404, "NoSuchUpload"), ("attributes", 400, "InvalidArgument"), ("torrent", 501, "NotImplemented"),
    ],
)  # fmt: skip
def test_absurd_parameters_of_an_object_are_refused(scene: Scene, ten: str, query: str, status: int, code: str) -> None:
    (answer,) = _ask(scene, [Draft("GET", f"{ten}?{query}")])
    assert (answer.status, answer.code) == (status, code)
    assert answer.header("x-injected") is None


# -- Ranges and conditions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "status", "body"),
    [
        ("bytes=0-0", 206, b"0"), ("bytes=9-", 206, b"9"), ("bytes=-3", 206, b"789"), ("bytes=-99", 206, OBJECT), ("bytes=2-99", 206, OBJECT[2:]),
        ("bytes=10-", 416, b""), ("bytes=10-20", 416, b""), ("bytes=-0", 416, b""), ("bytes=99999999999999999999-", 416, b""),
        ("bytes=5-2", 200, OBJECT), ("bytes=", 200, OBJECT), ("bytes=-", 200, OBJECT), ("bytes=a-b", 200, OBJECT), ("bytes=0-1,3-4", 200, OBJECT),
        ("bytes=1", 200, OBJECT), ("bytes", 200, OBJECT), ("lines=0-1", 200, OBJECT), ("bytes=--1", 200, OBJECT), ("bytes=0x1-2", 200, OBJECT),
        ("bytes=+1-2", 200, OBJECT), ("bytes=1-2-3", 200, OBJECT), ("bytes=0-" + "9" * 5_000, 200, OBJECT), ("0-1", 200, OBJECT),
        ("bytes=" + "0-0," * 1_500, 200, OBJECT), ("bytes=\u0661-2", 200, OBJECT),
    ],
)  # fmt: skip
def test_an_impossible_range_is_416_and_a_malformed_one_ignored(
    scene: Scene, ten: str, header: str, status: int, body: bytes
) -> None:
    sent = header.encode().decode("latin-1")
    for method in ("GET", "HEAD"):
        (answer,) = _ask(scene, [Draft(method, ten, [("Range", sent)])])
        assert answer.status == status
        assert status == 416 or int(answer.header("content-length") or -1) == len(body)
        assert method == "HEAD" or status == 416 or answer.body == body
        if status == 416:
            assert answer.header("content-range") == "bytes */10"
            assert method == "HEAD" or answer.code == "InvalidRange"


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("If-Match", '"nothing"', 412), ("If-Match", "", 412), ("If-Match", ",,,", 412), ("If-Match", "*", 200), ("If-None-Match", "*", 304),
        ("If-Modified-Since", "yesterday", 200), ("If-Modified-Since", "Fri, 31 Dec 9999 23:59:59 GMT", 304),
        ("If-Unmodified-Since", "Thu, 99 Zzz 0000 99:99:99 GMT", 200), ("If-Unmodified-Since", "Thu, 01 Jan 1970 00:00:00 GMT", 412),
        ("If-None-Match", "\xff\xfe", 200), ("If-None-Match", '"' * 4_000, 200),
    ],
)  # fmt: skip
def test_odd_conditions_hold_or_fail_and_never_break(
    scene: Scene, ten: str, header: str, value: str, status: int
) -> None:
    (answer,) = _ask(scene, [Draft("GET", ten, [(header, value)])])
    assert answer.status == status
    check_form(answer, "GET")


# -- Headers of writes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "value", "status", "code"),
    [
        ("x-amz-acl", "everything", 400, "InvalidArgument"), ("x-amz-acl", "", 400, "InvalidArgument"),
        ("x-amz-grant-read", "nobody", 400, "InvalidArgument"), ("x-amz-grant-read", 'id="x"', 400, "InvalidArgument"),
        ("x-amz-grant-read", 'uri="http://example.com"', 400, "InvalidArgument"), ("x-amz-grant-fly", 'id="x"', 400, "InvalidArgument"),
        ("x-amz-grant-read", 'emailAddress="a@b"', 400, "UnresolvableGrantByEmailAddress"), ("x-amz-storage-class", "GOLD", 400, "InvalidStorageClass"),
        ("x-amz-tagging", "a=b&a=c", 400, "InvalidTag"), ("x-amz-tagging", "=b", 400, "InvalidTag"), ("x-amz-tagging", "aws:a=b", 400, "InvalidTag"),
        ("x-amz-website-redirect-location", "javascript:x", 400, "InvalidArgument"), ("x-amz-server-side-encryption", "rot13", 400, "InvalidArgument"),
        ("x-amz-server-side-encryption", "aws:kms", 501, "NotImplemented"), ("x-amz-object-lock-mode", "GOVERNANCE", 400, "InvalidRequest"),
        ("x-amz-server-side-encryption-customer-algorithm", "AES256", 501, "NotImplemented"), ("If-None-Match", '"etag"', 501, "NotImplemented"),
        ("x-amz-copy-source", "", 400, "InvalidArgument"), ("x-amz-copy-source", "x", 400, "InvalidArgument"),
        ("x-amz-copy-source", "/no-such-bucket/x", 404, "NoSuchBucket"), ("x-amz-expected-bucket-owner", "somebody", 403, "AccessDenied"),
        ("x-amz-meta-", "nameless", 400, "InvalidArgument"), ("x-amz-write-offset-bytes", "0", 501, "NotImplemented"),
    ],
)  # fmt: skip
def test_a_write_with_a_header_that_makes_no_sense_stores_nothing(
    scene: Scene, client: Any, header: str, value: str, status: int, code: str
) -> None:
    before = inventory(client, scene.bucket)
    for key in ("there", "new"):
        (answer,) = _ask(scene, [Draft("PUT", f"/{scene.bucket}/{key}", [(header, value)], body=b"body")])
        assert (answer.status, answer.code) == (status, code)
        check_form(answer, "PUT")
    assert inventory(client, scene.bucket) == before
