"""S-01: what botocore signs, header and presigned, is accepted; with odd characters everywhere."""

from __future__ import annotations

import datetime as dt
from unittest.mock import patch
from urllib.parse import quote, urlsplit

import pytest
from botocore import auth as botocore_auth
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, strategies as st

from app.auth.signing import presign
from app.domain.errors import SignatureDoesNotMatch
from tests.unit.auth.examples import CREDENTIAL, NOW_S, OWNER, REGION, authenticate

KEYS = Credentials(CREDENTIAL.access_key, CREDENTIAL.secret_key)
MOMENT = dt.datetime.fromtimestamp(NOW_S, tz=dt.UTC)
ENDPOINT = "http://127.0.0.1:9000"


def sign(method: str, url: str, headers: dict[str, str], body: bytes = b"") -> tuple[str, list[tuple[str, str]]]:
    """The target and headers that botocore would send."""
    request = AWSRequest(method=method, url=url, headers=headers, data=body)
    with patch.object(botocore_auth, "get_current_datetime", return_value=MOMENT):
        S3SigV4Auth(KEYS, "s3", REGION).add_auth(request)
    return target_of(request.url), sent(request, url)


def sign_query(method: str, url: str, headers: dict[str, str]) -> tuple[str, list[tuple[str, str]]]:
    request = AWSRequest(method=method, url=url, headers=headers)
    with patch.object(botocore_auth, "get_current_datetime", return_value=MOMENT):
        S3SigV4QueryAuth(KEYS, "s3", REGION, expires=60).add_auth(request)
    return target_of(request.url), sent(request, url)


def target_of(url: str) -> str:
    return url[len(ENDPOINT) :]


def sent(request: AWSRequest, url: str) -> list[tuple[str, str]]:
    """As a server decodes them: one character a byte."""
    headers = [("host", urlsplit(url).netloc)]
    for name, value in request.headers.items():
        text = value if isinstance(value, bytes) else value.encode()
        headers.append((name.lower(), text.decode("latin-1")))
    return headers


def url_of(key: str, query: list[tuple[str, str]]) -> str:
    text = "&".join(f"{quote(name, safe='-._~')}={quote(value, safe='-._~')}" for name, value in query)
    return f"{ENDPOINT}/bucket/{quote(key, safe='/~')}" + (f"?{text}" if text else "")


TABLE = [
    ("GET", "key", [], {}),
    ("GET", "a b+c%d/é/%2F?#&=;:@,!*'()", [], {}),
    ("GET", "//a/./../b//", [], {}),
    ("GET", "key", [("acl", "")], {}),
    ("GET", "key", [("prefix", "a+b c/é"), ("delimiter", "/"), ("a", "2"), ("a", "1"), ("A", "")], {}),
    ("PUT", "key", [("partNumber", "1"), ("uploadId", "x~y-z")], {"Content-Type": "text/plain; charset=utf-8"}),
    ("PUT", "key", [], {"x-amz-meta-a_b": "1", "x-amz-meta-a-b": "2", "x-amz-meta-ab": "  a   b\tc "}),
    ("PUT", "key", [], {"x-amz-meta-utf8": "zażółć"}),
]


@pytest.mark.parametrize(("method", "key", "query", "headers"), TABLE)
def test_what_botocore_signs_in_a_header_is_accepted(
    method: str, key: str, query: list[tuple[str, str]], headers: dict[str, str]
) -> None:
    target, received = sign(method, url_of(key, query), headers, b"body" if method == "PUT" else b"")
    assert authenticate(method, target, received).principal is OWNER


@pytest.mark.parametrize(("method", "key", "query", "headers"), TABLE)
def test_what_botocore_presigns_is_accepted(
    method: str, key: str, query: list[tuple[str, str]], headers: dict[str, str]
) -> None:
    target, received = sign_query(method, url_of(key, query), headers)
    assert authenticate(method, target, received).principal is OWNER


text = st.text(st.characters(codec="utf-8"), max_size=20)
pairs = st.lists(st.tuples(st.text(st.characters(codec="utf-8"), min_size=1, max_size=8), text), max_size=5).filter(
    lambda items: (
        not any(name.lower().startswith("x-amz-") or name in ("AWSAccessKeyId", "Signature") for name, _ in items)
    )
)
# botocore folds every kind of white space; on the wire only blanks and tabs are left of them.
values = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x24FF, exclude_categories=("Zs", "Zl", "Zp", "Cc", "Cs"))
    | st.just(" "),
    max_size=20,
)
metadata = st.dictionaries(st.from_regex(r"x-amz-meta-[a-z0-9_-]{1,8}", fullmatch=True), values, max_size=4)


@given(key=text, query=pairs, headers=metadata)
def test_botocore_and_we_agree_on_any_request(key: str, query: list[tuple[str, str]], headers: dict[str, str]) -> None:
    target, received = sign("GET", url_of(key, query), headers)
    assert authenticate("GET", target, received).principal is OWNER


@given(key=text, query=pairs, headers=metadata)
def test_botocore_and_we_agree_on_any_presigned_url(
    key: str, query: list[tuple[str, str]], headers: dict[str, str]
) -> None:
    target, received = sign_query("GET", url_of(key, query), headers)
    assert authenticate("GET", target, received).principal is OWNER


@given(key=text, query=pairs)
def test_what_we_presign_is_accepted_and_nothing_else_is(key: str, query: list[tuple[str, str]]) -> None:
    url = presign("GET", url_of(key, []), CREDENTIAL, expires_s=60, region=REGION, now_s=NOW_S, query=query)
    host = [("host", "127.0.0.1:9000")]
    assert authenticate("GET", target_of(url), host).principal is OWNER
    with pytest.raises(SignatureDoesNotMatch):
        authenticate("PUT", target_of(url), host)
    with pytest.raises(SignatureDoesNotMatch):
        authenticate("GET", target_of(url).replace("/bucket/", "/bucket/x", 1), host)
