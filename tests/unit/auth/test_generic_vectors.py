"""S-01: the generic Signature Version 4 test vectors, but for those that normalise dot segments: S3 does not.

Each is a request of 2015-08-30T12:36:00Z to a service called "service"; x-amz-date is signed in all of them.
"""

from __future__ import annotations

import pytest

from app.auth.canonical import (
    canonical_path,
    canonical_query,
    canonical_request,
    joined_headers,
    query_pairs,
    sign,
    signing_key,
    string_to_sign,
)
from tests.unit.auth.examples import EMPTY_SHA256

SECRET_KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
UNRESERVED = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
FORM_SHA256 = "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e"
FORM = [("content-length", "13"), ("x-amz-content-sha256", FORM_SHA256)]

# name: (method, raw target, headers beside host and x-amz-date, signature)
VECTORS: dict[str, tuple[str, str, list[tuple[str, str]], str]] = {
    "vanilla": ("GET", "/", [], "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    "post-vanilla": ("POST", "/", [], "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    "header-key-duplicate": (
        "GET",
        "/",
        [("my-header1", "value2"), ("my-header1", "value2"), ("my-header1", "value1")],
        "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
    ),
    "header-value-order": (
        "GET",
        "/",
        [("my-header1", "value4"), ("my-header1", "value1"), ("my-header1", "value3"), ("my-header1", "value2")],
        "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01",
    ),
    "header-value-trim": (
        "GET",
        "/",
        [("my-header1", " value1"), ("my-header2", ' "a   b   c" ')],
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    "header-key-sort": (
        "POST",
        "/",
        [("my-header1", "value1")],
        "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
    ),
    "header-value-case": (
        "POST",
        "/",
        [("my-header1", "VALUE1")],
        "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
    ),
    "relative-relative": (
        "GET",
        "/example1/example2/../..",
        [],
        "dc33e0856fd4baca4d7aa2146c38958283844764f38c74252a333df5e613003b",
    ),
    "relative": ("GET", "/example/..", [], "eca7ead57bb5aa5c8e28007acd4ff04e1ff9a0ff3b237ec1554a184887ff9282"),
    "slash-dot-slash": ("GET", "/./", [], "68714168e6557f8f2de0ef956fc24dc2593a4bd2961f8df51898d8a134695145"),
    "slash-pointless-dot": (
        "GET",
        "/./example",
        [],
        "beb03f223f7deae4146464f06e29eebbee9c8afbe15c290cf07aa8b119e14cff",
    ),
    "slash": ("GET", "//", [], "c88bcd3d312d75078c0cd961d6deae3f4c754924b01669efcfcb439fd5e5b76e"),
    "slashes": ("GET", "//example//", [], "87cca117541a147f6df867677d98a7d80dff226d2bfca9e4ffa899665623c7e5"),
    "space": ("GET", "/example space/", [], "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"),
    "unreserved": ("GET", f"/{UNRESERVED}", [], "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"),
    "utf8": (
        "GET",
        "/\u1234".encode().decode("latin-1"),
        [],
        "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
    ),
    "query": ("GET", "/?Param1=value1", [], "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"),
    "post-query": ("POST", "/?Param1=value1", [], "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"),
    "query-order-key-case": (
        "GET",
        "/?Param2=value2&Param1=value1",
        [],
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    "query-order-encoded": (
        "GET",
        "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
        [],
        "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
    ),
    "query-unreserved": (
        "GET",
        f"/?{UNRESERVED}={UNRESERVED}",
        [],
        "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
    ),
    "query-utf8": (
        "GET",
        "/?\u1234=bar".encode().decode("latin-1"),
        [],
        "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
    ),
    "session-token": (
        "GET",
        "/",
        [("x-amz-security-token", "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267")],
        "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8",
    ),
    "form": (
        "POST",
        "/",
        [("content-type", "application/x-www-form-urlencoded"), *FORM],
        "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
    ),
    "form-parameters": (
        "POST",
        "/",
        [("content-type", "application/x-www-form-urlencoded; charset=utf-8"), *FORM],
        "328d1b9eaadca9f5818ef05e8392801e091653bafec24fcab71e7344e7f51422",
    ),
}


@pytest.mark.parametrize("name", VECTORS)
def test_a_generic_vector_is_signed_as_published(name: str) -> None:
    method, target, extra, signature = VECTORS[name]
    path, _, query = target.partition("?")
    headers = joined_headers([("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z"), *extra])
    payload_hash = headers.get("x-amz-content-sha256", EMPTY_SHA256)
    request = canonical_request(
        method, canonical_path(path), canonical_query(query_pairs(query)), headers, sorted(headers), payload_hash
    )
    text = string_to_sign("20150830T123600Z", "20150830/us-east-1/service/aws4_request", request)
    assert sign(signing_key(SECRET_KEY, "20150830", "us-east-1", "service"), text) == signature
