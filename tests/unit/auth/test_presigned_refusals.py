"""S-01, S-02, S-28: what a presigned URL may not be, and for how long it is good."""

from __future__ import annotations

import pytest

from app.auth.canonical import joined_headers
from app.auth.payload_mode import UNSIGNED, PayloadMode
from app.auth.signing import presign, sign_headers
from app.domain.errors import (
    AccessDenied,
    AuthorizationQueryParametersError,
    InvalidAccessKeyId,
    InvalidArgument,
    InvalidRequest,
    InvalidToken,
    S3Error,
    S3NotImplemented,
    SignatureDoesNotMatch,
)
from tests.unit.auth.examples import (
    CREDENTIAL,
    EMPTY_SHA256,
    HOST,
    NOW_S,
    OWNER,
    REGION,
    Headers,
    authenticate,
    authenticator,
)

URL = f"https://{HOST}/key"
HOST_ONLY = [("host", HOST)]


def presigned(
    *,
    expires_s: int = 3600,
    now_s: float = NOW_S,
    region: str = REGION,
    query: Headers = (),
    headers: dict[str, str] | None = None,
) -> str:
    url = presign("GET", URL, CREDENTIAL, expires_s=expires_s, region=region, now_s=now_s, query=query, headers=headers)
    return url[len(f"https://{HOST}") :]


def refusal(target: str, headers: Headers = HOST_ONLY, *, now_s: float = NOW_S) -> S3Error:
    with pytest.raises(S3Error) as caught:
        authenticate("GET", target, headers, now_s=now_s)
    return caught.value


PARAMETERS = ["Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature"]


def without(target: str, name: str) -> str:
    path, _, query = target.partition("?")
    return f"{path}?{'&'.join(pair for pair in query.split('&') if not pair.startswith(f'X-Amz-{name}='))}"


def with_value(target: str, name: str, value: str) -> str:
    return without(target, name) + f"&X-Amz-{name}={value}"


@pytest.mark.parametrize("name", PARAMETERS)
def test_each_parameter_is_needed_once_with_a_value_and_in_its_spelling(name: str) -> None:
    good = presigned()
    value = next(pair for pair in good.split("&") if f"X-Amz-{name}=" in pair).partition("=")[2]
    for target in (
        without(good, name),
        with_value(good, name, ""),
        with_value(good, name, value).replace(f"X-Amz-{name}", f"x-amz-{name.lower()}"),
        f"{good}&X-Amz-{name}={value}",
        f"{good}&X-Amz-{name}=other",
        f"{good}&x-amz-{name.lower()}={value}",
        f"{good}&%58-Amz-{name}={value}",
    ):
        assert type(refusal(target)) is AuthorizationQueryParametersError


@pytest.mark.parametrize("name", PARAMETERS)
def test_one_parameter_alone_is_not_anonymous(name: str) -> None:
    assert type(refusal(f"/key?X-Amz-{name}=x")) is AuthorizationQueryParametersError
    assert type(refusal(f"/key?x-amz-{name.lower()}=x")) is AuthorizationQueryParametersError


BAD_VALUES = [
    ("Algorithm", "AWS4-HMAC-SHA512"),
    ("Credential", "AKID"),
    ("Credential", "%FF%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"),
    ("Credential", "%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"),
    ("Credential", "A" * 300 + "%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"),
    ("Credential", "AKID%2F20130525%2Fus-east-1%2Fs3%2Faws4_request"),
    ("Credential", "AKID%2F20130524%2Feu-west-1%2Fs3%2Faws4_request"),
    ("Credential", "AKID%2F20130524%2Fus-east-1%2Fsts%2Faws4_request"),
    ("Credential", "AKID%2F20130524%2Fus-east-1%2Fs3%2Faws4"),
    ("Date", "2013-05-24"),
    ("Date", "Fri, 24 May 2013 00:00:00 GMT"),
    ("Date", "20130532T000000Z"),
    ("Expires", "0"),
    ("Expires", "-1"),
    ("Expires", "604801"),
    ("Expires", "9" * 5000),
    ("Expires", "1.5"),
    ("Expires", "%2B60"),
    ("Expires", "1_0"),
    ("Expires", "%C2%B2"),
    ("SignedHeaders", "Host"),
    ("SignedHeaders", "host%3Bhost"),
    ("SignedHeaders", "x-a%3Bhost"),
    ("SignedHeaders", "%FF"),
]


@pytest.mark.parametrize(("name", "value"), BAD_VALUES)
def test_a_parameter_that_cannot_be_right_is_named(name: str, value: str) -> None:
    caught = refusal(with_value(presigned(), name, value))
    assert type(caught) is AuthorizationQueryParametersError
    assert f"X-Amz-{name}" in caught.message


def test_a_wrong_region_comes_with_the_right_one() -> None:
    assert refusal(presigned(region="eu-west-1")).fields["Region"] == REGION


def test_ecdsa_is_refused_by_name() -> None:
    caught = refusal(with_value(presigned(), "Algorithm", "AWS4-ECDSA-P256-SHA256"))
    assert type(caught) is S3NotImplemented


@pytest.mark.parametrize(("expires_s", "age_s"), [(1, 0), (1, 1), (60, 60), (604_800, 604_800), (60, -900)])
def test_a_url_is_good_until_its_last_second(expires_s: int, age_s: int) -> None:
    """S-28"""
    target = presigned(expires_s=expires_s)
    assert authenticate("GET", target, HOST_ONLY, now_s=NOW_S + age_s).principal is OWNER


@pytest.mark.parametrize(("expires_s", "age_s"), [(1, 1.001), (1, 2), (60, 61), (604_800, 604_801)])
def test_a_url_is_good_for_no_second_longer(expires_s: int, age_s: float) -> None:
    """S-28"""
    caught = refusal(presigned(expires_s=expires_s), now_s=NOW_S + age_s)
    assert type(caught) is AccessDenied
    assert caught.message == "Request has expired"
    assert caught.fields["X-Amz-Expires"] == str(expires_s)


def test_a_url_of_the_future_is_not_yet_valid() -> None:
    """S-28"""
    caught = refusal(presigned(), now_s=NOW_S - 901)
    assert (type(caught), caught.message) == (AccessDenied, "Request is not yet valid")


def test_an_impossible_time_to_live_is_not_signed() -> None:
    for expires_s in (-1, 0, 604_801):
        with pytest.raises(ValueError, match="presigned URL"):
            presigned(expires_s=expires_s)


@pytest.mark.parametrize(
    "name", ["x-amz-copy-source", "x-amz-acl", "x-amz-meta-a", "x-amz-tagging", "x-amz-date", "x-amz-security-token"]
)
def test_an_unsigned_amz_header_beside_a_presigned_url_is_denied(name: str) -> None:
    """S-02"""
    caught = refusal(presigned(), [*HOST_ONLY, (name, "x")])
    assert type(caught) is AccessDenied
    assert caught.fields == {"HeadersNotSigned": name}


def test_a_signed_header_must_come_as_it_was_signed() -> None:
    target = presigned(headers={"x-amz-acl": "private"})
    assert authenticate("GET", target, [*HOST_ONLY, ("x-amz-acl", "private")]).principal is OWNER
    assert type(refusal(target, [*HOST_ONLY, ("x-amz-acl", "public-read")])) is SignatureDoesNotMatch
    assert type(refusal(target)) is SignatureDoesNotMatch


def test_header_and_query_together_are_refused() -> None:
    headers = sign_headers("GET", URL, [], CREDENTIAL, region=REGION, now_s=NOW_S).headers
    caught = refusal(presigned(), headers)
    assert type(caught) is InvalidArgument
    assert caught.message.startswith("Only one auth mechanism allowed")


def test_a_token_in_the_query_is_invalid() -> None:
    assert type(refusal(presigned(query=[("X-Amz-Security-Token", "t")]))) is InvalidToken


@pytest.mark.parametrize(
    "query", ["AWSAccessKeyId=A&Signature=b&Expires=1", "AWSAccessKeyId=A", "Signature=x", "%41WSAccessKeyId=A"]
)
def test_signature_v2_is_refused_and_v4_named(query: str) -> None:
    caught = refusal(f"/key?{query}")
    assert type(caught) is InvalidRequest
    assert "AWS4-HMAC-SHA256" in caught.message


def test_expires_alone_is_no_authentication() -> None:
    assert authenticate("GET", "/key?Expires=1", HOST_ONLY).principal.is_anonymous


def test_the_payload_is_unsigned_unless_a_hash_is_given() -> None:
    assert authenticate("GET", presigned(), HOST_ONLY).payload == UNSIGNED
    in_query = presigned(query=[("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")])
    assert authenticate("GET", in_query, HOST_ONLY).payload == UNSIGNED
    # Where nothing says otherwise the header that came is the hash, so one that was not meant breaks the signature.
    unmeant = [*HOST_ONLY, ("x-amz-content-sha256", EMPTY_SHA256)]
    assert type(refusal(presigned(), unmeant)) is SignatureDoesNotMatch
    assert authenticate("GET", in_query, unmeant).payload == UNSIGNED
    assert type(refusal(presigned(), [*HOST_ONLY, ("x-amz-content-sha256", "x")])) is InvalidArgument


def test_a_hash_in_the_query_is_held_against_the_payload() -> None:
    target = presigned(query=[("X-Amz-Content-Sha256", EMPTY_SHA256)])
    assert authenticate("GET", target, HOST_ONLY).payload == PayloadMode(EMPTY_SHA256)


@pytest.mark.parametrize("signature", ["0" * 64, "%FF", "0", "x" * 5000])
def test_a_wrong_signature_does_not_match(signature: str) -> None:
    caught = refusal(with_value(presigned(), "Signature", signature))
    assert type(caught) is SignatureDoesNotMatch
    assert caught.fields["SignatureProvided"] == signature


def test_parameters_may_come_in_any_order_but_none_may_be_added() -> None:
    target = presigned(query=[("versionId", "v"), ("a", "1")])
    path, _, query = target.partition("?")
    reordered = path + "?" + "&".join(reversed(query.split("&")))
    assert authenticate("GET", reordered, HOST_ONLY).principal is OWNER
    assert type(refusal(f"{target}&acl")) is SignatureDoesNotMatch
    assert type(refusal(f"{target}&versionId=v")) is SignatureDoesNotMatch
    assert type(refusal(target.replace("versionId=v", "versionId=w"))) is SignatureDoesNotMatch


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(InvalidAccessKeyId):
        authenticator(credentials=[]).authenticate(
            "GET", "/key", presigned().partition("?")[2], joined_headers(HOST_ONLY)
        )
