"""S-02: a header that changes what a request does counts only where whoever signed the request signed it too.

Seen to fail: tests/mutants/test_security_mutants.py.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.exchange import exchange
from tests.inventory import inventory
from tests.security.auth_matrix import Scene
from tests.signing import UNSIGNED, Draft, Sign, presign, sign

HEADERS = (
    ("x-amz-acl", "public-read"),
    ("X-AMZ-ACL", "public-read-write"),
    ("x-amz-bypass-governance-retention", "true"),
    ("x-amz-checksum-crc32", "AAAAAA=="),
    ("x-amz-copy-source", "/{bucket}/there"),
    ("X-Amz-Copy-Source", "/{bucket}/there"),
    ("x-amz-copy-source-range", "bytes=0-1"),
    ("x-amz-decoded-content-length", "4"),
    ("x-amz-expected-bucket-owner", "0" * 64),
    ("x-amz-grant-full-control", 'uri="http://acs.amazonaws.com/groups/global/AllUsers"'),
    ("x-amz-grant-read", 'uri="http://acs.amazonaws.com/groups/global/AllUsers"'),
    ("x-amz-meta-note", "unsigned"),
    ("x-amz-meta-", "unsigned"),
    ("x-amz-metadata-directive", "REPLACE"),
    ("x-amz-mfa", "serial 123456"),
    ("x-amz-mp-object-size", "4"),
    ("x-amz-object-ownership", "BucketOwnerEnforced"),
    ("x-amz-request-payer", "requester"),
    ("x-amz-security-token", "token"),
    ("x-amz-server-side-encryption", "AES256"),
    ("x-amz-storage-class", "GLACIER"),
    ("x-amz-tagging", "a=b"),
    ("x-amz-tagging-directive", "REPLACE"),
    ("x-amz-trailer", "x-amz-checksum-crc32"),
    ("x-amz-website-redirect-location", "/elsewhere"),
    ("x-amz-what-comes-next-year", "1"),
)
REQUESTS = (
    ("PUT", "/{bucket}/there"),
    ("PUT", "/{bucket}/new"),
    ("GET", "/{bucket}/there"),
    ("DELETE", "/{bucket}/there"),
    ("PUT", "/{bucket}"),
    ("PUT", "/{bucket}/there?partNumber=1&uploadId={upload_id}"),
    ("POST", "/{bucket}/there?uploads"),
)


def check_unsigned_headers(scene: Scene, by: Sign) -> None:
    """Each request with each header is denied, and told which header it was."""
    cases = [(method, target, header) for method, target in REQUESTS for header in HEADERS]
    drafts = [_draft(scene, *case) for case in cases]
    requests = [(each.method, by(each, scene.keys, unsigned=[each.headers[0][0]]).wire()) for each in drafts]
    for case, answer in zip(cases, exchange(scene.port, requests), strict=True):
        assert (answer.status, answer.code) == (403, "AccessDenied"), case
        assert f"<HeadersNotSigned>{case[2][0].lower()}</HeadersNotSigned>".encode() in answer.body, case


@pytest.mark.parametrize("by", [sign, presign])
def test_a_header_that_nobody_signed_denies_the_request(scene: Scene, client: Any, by: Sign) -> None:
    """S-02. Unsigned, x-amz-copy-source on a presigned PUT would read any object of the signer's."""
    before = inventory(client, scene.bucket)
    check_unsigned_headers(scene, by)
    assert inventory(client, scene.bucket) == before


@pytest.mark.parametrize("by", [sign, presign])
def test_the_same_headers_are_heard_when_signed(scene: Scene, by: Sign) -> None:
    """S-02: so it was the missing signature that was refused. What the operation makes of them is another matter."""
    drafts = [_draft(scene, "PUT", "/{bucket}/new", header) for header in HEADERS]
    answers = exchange(scene.port, [(each.method, by(each, scene.keys).wire()) for each in drafts])
    for draft, answer in zip(drafts, answers, strict=True):
        assert b"HeadersNotSigned" not in answer.body, draft.headers
        assert answer.code != "SignatureDoesNotMatch", draft.headers


@pytest.mark.parametrize("by", [sign, presign])
@pytest.mark.parametrize(
    "header", [("x-amzn-trace-id", "Root=1"), ("x-forwarded-for", "10.0.0.1"), ("Range", "bytes=0-1")]
)
def test_what_proxies_and_clients_add_needs_no_signature(scene: Scene, by: Sign, header: tuple[str, str]) -> None:
    draft = _draft(scene, "GET", "/{bucket}/there", header)
    (answer,) = exchange(scene.port, [("GET", by(draft, scene.keys, unsigned=[header[0]]).wire())])
    assert answer.status in (200, 206)


def _draft(scene: Scene, method: str, target: str, header: tuple[str, str]) -> Draft:
    name, value = header
    body = b"body" if method == "PUT" else b""
    places = {"bucket": scene.bucket, "upload_id": scene.upload_id}
    return Draft(method, target.format(**places), [(name, value.format(**places))], body, payload_hash=UNSIGNED)
