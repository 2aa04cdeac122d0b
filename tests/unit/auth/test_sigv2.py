"""Signature Version 2: AWS's published examples, what botocore signs, and what must not pass."""

from __future__ import annotations

import time
from collections.abc import Sequence
from urllib.parse import quote

import pytest
from botocore.auth import HmacV1Auth, HmacV1QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, strategies as st

from app.auth.canonical import joined_headers
from app.auth.payload_mode import UNSIGNED
from app.auth.sigv2 import EitherVersion
from app.auth.sigv4 import Authenticated
from app.domain.errors import (
    AccessDenied,
    InvalidAccessKeyId,
    InvalidArgument,
    InvalidRequest,
    InvalidToken,
    RequestTimeTooSkewed,
    S3Error,
    SignatureDoesNotMatch,
)
from app.s3.subresources import BUCKET_SUBRESOURCES
from tests.unit.auth.examples import CREDENTIAL, OWNER, REGION

DOMAIN = "s3.amazonaws.com"
ID = CREDENTIAL.access_key
KEYS = Credentials(CREDENTIAL.access_key, CREDENTIAL.secret_key)
OF_2007 = 1_175_024_202.0  # Tue, 27 Mar 2007 19:36:42 +0000

Headers = Sequence[tuple[str, str]]


def authenticate(method: str, target: str, headers: Headers, now_s: float = OF_2007) -> Authenticated:
    known = {CREDENTIAL.access_key: CREDENTIAL}
    path, _, query = target.partition("?")
    made = EitherVersion(known.get, REGION, (), lambda: now_s, (DOMAIN,), BUCKET_SUBRESOURCES)
    return made.authenticate(method, path, query, joined_headers(headers))


HOST = ("host", f"johnsmith.{DOMAIN}")
EXAMPLES = [
    ("GET", "/photos/puppy.jpg", [HOST, ("date", "Tue, 27 Mar 2007 19:36:42 +0000")], "bWq2s1WEIj+Ydj0vQ697zp+IXMU="),
    (
        "PUT",
        "/photos/puppy.jpg",
        [
            HOST,
            ("content-type", "image/jpeg"),
            ("content-length", "94328"),
            ("date", "Tue, 27 Mar 2007 21:15:45 +0000"),
        ],
        "MyyxeRY7whkBe+bq8fHCL/2kKUg=",
    ),
    (
        "GET",
        "/?prefix=photos&max-keys=50&marker=puppy",
        [HOST, ("user-agent", "Mozilla/5.0"), ("date", "Tue, 27 Mar 2007 19:42:41 +0000")],
        "htDYFYduRNen8P9ZfE/s9SuKy0U=",
    ),
    ("GET", "/?acl", [HOST, ("date", "Tue, 27 Mar 2007 19:44:46 +0000")], "c2WLPFtWHVgbEmeEG93a4cG37dM="),
]


@pytest.mark.parametrize(("method", "target", "headers", "signature"), EXAMPLES)
def test_the_published_examples(method: str, target: str, headers: Headers, signature: str) -> None:
    from app.domain.dates import parse_date

    moment_s = parse_date(dict(headers)["date"])
    assert moment_s is not None
    signed = [*headers, ("authorization", f"AWS {ID}:{signature}")]
    found = authenticate(method, target, signed, now_s=moment_s)
    assert (found.principal, found.payload, found.seed, found.is_presigned) == (OWNER, UNSIGNED, None, False)
    for wrong in (
        ("DELETE", target),
        (method, "/photos/other.jpg"),
        (method, f"{target}{'&' if '?' in target else '?'}torrent"),
    ):
        with pytest.raises(SignatureDoesNotMatch):
            authenticate(*wrong, signed, now_s=moment_s)


def test_the_published_url() -> None:
    target = f"/photos/puppy.jpg?AWSAccessKeyId={ID}&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D&Expires=1175139620"
    assert authenticate("GET", target, [HOST], now_s=1_175_139_620).is_presigned
    with pytest.raises(AccessDenied, match="expired"):
        authenticate("GET", target, [HOST], now_s=1_175_139_621)
    for altered in (
        target.replace("1175139620", "1175139621"),
        target + "&acl",
        target + "&response-content-type=text/html",
    ):
        with pytest.raises(SignatureDoesNotMatch):
            authenticate("GET", altered, [HOST])
    with pytest.raises(SignatureDoesNotMatch):
        authenticate("GET", target, [HOST, ("x-amz-acl", "public-read")])


def sent(request: AWSRequest, url: str) -> list[tuple[str, str]]:
    return [("host", url.split("/")[2]), *((name.lower(), value) for name, value in request.headers.items())]


def target_of(url: str) -> str:
    return "/" + url.split("/", 3)[3]


odd_keys = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30)


@given(
    odd_keys,
    st.sampled_from(["", "?acl", "?versionId=a%2Bb", "?uploads", "?response-content-type=text%2Fhtml&prefix=x"]),
)
def test_what_botocore_signs_in_the_header(key: str, query: str) -> None:
    url = f"http://127.0.0.1:9000/bucket/{quote(key)}{query}"
    request = AWSRequest(
        method="PUT",
        url=url,
        headers={"Content-Type": "text/plain", "x-amz-meta-b": " two  words ", "x-amz-acl": "private"},
    )
    HmacV1Auth(KEYS).add_auth(request)
    assert authenticate("PUT", target_of(url), sent(request, url), now_s=time.time()).principal == OWNER


@given(
    odd_keys,
    st.sampled_from(["", "?versionId=a%2Bb", "?response-content-disposition=attachment%3B%20filename%3D%22a%20b%22"]),
)
def test_what_botocore_signs_in_a_url(key: str, query: str) -> None:
    url = f"http://127.0.0.1:9000/bucket/{quote(key)}{query}"
    request = AWSRequest(method="GET", url=url, headers={"x-amz-request-payer": "requester"})
    HmacV1QueryAuth(KEYS, expires=60).add_auth(request)
    host = [("host", "127.0.0.1:9000")]
    assert authenticate("GET", target_of(request.url), host, now_s=time.time()).is_presigned
    with pytest.raises(AccessDenied):
        authenticate("GET", target_of(request.url), host, now_s=time.time() + 61)
    with pytest.raises(SignatureDoesNotMatch):
        authenticate("DELETE", target_of(request.url), host, now_s=time.time())


DATE = ("date", "Tue, 27 Mar 2007 19:36:42 +0000")
RIGHT = ("authorization", f"AWS {ID}:bWq2s1WEIj+Ydj0vQ697zp+IXMU=")
URL = f"AWSAccessKeyId={ID}&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D&Expires=1175139620"


@pytest.mark.parametrize(
    ("target", "headers", "error"),
    [
        ("/photos/puppy.jpg", [HOST, DATE, ("authorization", f"AWS {ID}:AAAA")], SignatureDoesNotMatch),
        ("/photos/puppy.jpg", [HOST, DATE, ("authorization", f"AWS {ID}:é")], SignatureDoesNotMatch),
        ("/photos/puppy.jpg", [HOST, DATE, ("authorization", "AWS nobody:bWq2s1WEIj+Ydj0vQ697zp+IXMU=")], InvalidAccessKeyId),
        ("/photos/puppy.jpg", [HOST, DATE, ("authorization", f"AWS {ID}")], InvalidArgument),
        ("/photos/puppy.jpg", [HOST, DATE, ("authorization", f"AWS {ID}:")], InvalidArgument),
        ("/photos/puppy.jpg", [HOST, RIGHT], AccessDenied),
        ("/photos/puppy.jpg", [HOST, RIGHT, ("date", "yesterday")], AccessDenied),
        ("/photos/puppy.jpg", [HOST, RIGHT, ("date", "Tue, 27 Mar 2007 19:06:42 +0000")], RequestTimeTooSkewed),
        ("/photos/puppy.jpg", [HOST, DATE, RIGHT, ("x-amz-security-token", "t")], InvalidToken),
        ("/photos/puppy.jpg", [HOST, DATE, RIGHT, ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")], InvalidRequest),
        ("/photos/puppy.jpg?attributes", [HOST, DATE, RIGHT], InvalidRequest),
        ("/photos/puppy.jpg?legal-hold", [HOST, DATE, RIGHT], InvalidRequest),
        (f"/photos/puppy.jpg?{URL}", [HOST, DATE, RIGHT], InvalidArgument),
        (f"/photos/puppy.jpg?{URL}&Expires=9999999999", [HOST], AccessDenied),
        (f"/photos/puppy.jpg?{URL.replace('1175139620', 'soon')}", [HOST], AccessDenied),
        (f"/photos/puppy.jpg?{URL.replace('1175139620', '-1')}", [HOST], AccessDenied),
        (f"/photos/puppy.jpg?{URL.replace('Expires=1175139620', '')}", [HOST], AccessDenied),
        (f"/photos/puppy.jpg?{URL.replace(ID, 'nobody')}", [HOST], InvalidAccessKeyId),
        (f"/photos/puppy.jpg?{URL}&retention", [HOST], InvalidRequest),
        ("/photos/puppy.jpg?AWSAccessKeyId=x", [HOST], InvalidRequest),
    ],
)  # fmt: skip
def test_what_is_refused(target: str, headers: Headers, error: type[S3Error]) -> None:
    with pytest.raises(error):
        authenticate("GET", target, headers)


def test_an_empty_value_is_signed_with_its_mark_or_without() -> None:
    """SDKs do not agree on `?uploads=`."""
    import base64
    import hashlib
    import hmac

    for resource in ("/johnsmith/k?uploads", "/johnsmith/k?uploads="):
        text = f"POST\n\n\n{DATE[1]}\n{resource}".encode()
        made = base64.b64encode(hmac.new(CREDENTIAL.secret_key.encode(), text, hashlib.sha1).digest()).decode()
        headers = [HOST, DATE, ("authorization", f"AWS {ID}:{made}")]
        assert authenticate("POST", "/k?uploads=", headers).principal == OWNER
