"""S-01, S-02, S-22, S-23: what the Authorization header may not be, and what each mistake is called."""

from __future__ import annotations

import time

import pytest

from app.auth.canonical import joined_headers
from app.auth.credentials import Credential
from app.auth.payload_mode import STREAMING_UNSIGNED_TRAILER, UNSIGNED, PayloadMode
from app.auth.signing import sign_headers
from app.auth.sigv4 import Authenticator
from app.domain.errors import (
    AccessDenied,
    AuthorizationHeaderMalformed,
    InvalidAccessKeyId,
    InvalidArgument,
    InvalidRequest,
    InvalidToken,
    InvalidURI,
    RequestTimeTooSkewed,
    S3Error,
    S3NotImplemented,
    SignatureDoesNotMatch,
)
from app.domain.types import ANONYMOUS, Principal
from tests.unit.auth.examples import (
    CREDENTIAL,
    EMPTY_SHA256,
    HOST,
    NOW_S,
    OWNER,
    REGION,
    SCOPE,
    TIMESTAMP,
    Headers,
    authenticate,
    authenticator,
    authorization,
)

URL = f"http://{HOST}/key"
GIVEN = [("host", HOST), ("x-amz-date", TIMESTAMP), ("x-amz-content-sha256", "UNSIGNED-PAYLOAD")]
SIGNED = "host;x-amz-content-sha256;x-amz-date"
ZEROS = "0" * 64


def signed(
    method: str = "GET",
    url: str = URL,
    headers: Headers = (),
    *,
    credential: Credential = CREDENTIAL,
    region: str = REGION,
    now_s: float = NOW_S,
    payload_hash: str = "UNSIGNED-PAYLOAD",
) -> list[tuple[str, str]]:
    return sign_headers(method, url, headers, credential, region=region, now_s=now_s, payload_hash=payload_hash).headers


def refusal(headers: Headers, target: str = "/key", *, region: str = REGION) -> S3Error:
    with pytest.raises(S3Error) as caught:
        authenticate("GET", target, headers, region=region)
    return caught.value


def test_a_request_without_authentication_is_anonymous() -> None:
    result = authenticate("GET", "/key?prefix=a&x-id=GetObject", [("host", HOST)])
    assert (result.principal, result.payload, result.seed) == (ANONYMOUS, UNSIGNED, None)


def test_an_anonymous_request_may_say_how_its_body_is_framed() -> None:
    name = "x-amz-content-sha256"
    assert authenticate("PUT", "/key", [(name, EMPTY_SHA256.upper())]).payload == PayloadMode(EMPTY_SHA256)
    assert authenticate("PUT", "/key", [(name, "UNSIGNED-PAYLOAD")]).payload == UNSIGNED
    mode = authenticate("PUT", "/key", [(name, "STREAMING-UNSIGNED-PAYLOAD-TRAILER")]).payload
    assert mode == STREAMING_UNSIGNED_TRAILER


@pytest.mark.parametrize("suffix", ["", "-TRAILER"])
def test_an_anonymous_request_cannot_have_signed_chunks(suffix: str) -> None:
    value = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" + suffix
    assert isinstance(refusal([("x-amz-content-sha256", value)]), InvalidRequest)


SCHEMES: list[tuple[str, type[S3Error]]] = [
    ("AWS AKIAIOSFODNN7EXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=", InvalidRequest),
    ("AWS", InvalidRequest),
    ("AWS4-ECDSA-P256-SHA256 Credential=a/20130524/s3/aws4_request,SignedHeaders=host,Signature=00", S3NotImplemented),
    ("", InvalidArgument),
    ("Basic dXNlcjpwYXNzd29yZA==", InvalidArgument),
    ("Bearer token", InvalidArgument),
    ("AWS4-HMAC-SHA512 Credential=x", InvalidArgument),
    ("aws4-hmac-sha256 Credential=x", InvalidArgument),
    ("AWS4-HMAC-SHA256Credential=x", InvalidArgument),
    ("Bearer é", InvalidArgument),
]


@pytest.mark.parametrize(("value", "error"), SCHEMES)
def test_another_scheme_is_refused_by_name_and_not_repeated(value: str, error: type[S3Error]) -> None:
    caught = refusal([*GIVEN, ("authorization", value)])
    assert type(caught) is error
    shown = caught.message + "".join(caught.fields.values())
    assert "dXNlcjpwYXNzd29yZA" not in shown
    if error is InvalidRequest:
        assert "AWS4-HMAC-SHA256" in caught.message


GOOD = f"Credential={CREDENTIAL.access_key}/{SCOPE}"
MALFORMED = [
    "",
    " ",
    ",,",
    "=,=,=",
    GOOD,
    f"{GOOD},SignedHeaders={SIGNED}",
    f"{GOOD},Signature={ZEROS}",
    f"SignedHeaders={SIGNED},Signature={ZEROS}",
    f"{GOOD},{GOOD},Signature={ZEROS}",
    f"{GOOD},SignedHeaders={SIGNED},Signature={ZEROS},Extra=1",
    f"{GOOD},SignedHeaders={SIGNED},Signature={ZEROS},",
    f"{GOOD} SignedHeaders={SIGNED} Signature={ZEROS}",
    f"credential=a,signedheaders={SIGNED},signature={ZEROS}",
    f"{GOOD},SignedHeaders={SIGNED},Signature=é",
    f"Credential=,SignedHeaders={SIGNED},Signature={ZEROS}",
    f"Credential=AKID,SignedHeaders={SIGNED},Signature={ZEROS}",
    f"Credential=/{SCOPE},SignedHeaders={SIGNED},Signature={ZEROS}",
    f"Credential={SCOPE},SignedHeaders={SIGNED},Signature={ZEROS}",
    f"Credential={'A' * 300}/{SCOPE},SignedHeaders={SIGNED},Signature={ZEROS}",
    f"Credential=A\x01/{SCOPE},SignedHeaders={SIGNED},Signature={ZEROS}",
    f"Credential=A/////,SignedHeaders={SIGNED},Signature={ZEROS}",
    f"{GOOD},SignedHeaders=,Signature={ZEROS}",
    f"{GOOD},SignedHeaders=;host,Signature={ZEROS}",
    f"{GOOD},SignedHeaders=host;;x-amz-date,Signature={ZEROS}",
    f"{GOOD},SignedHeaders=host;host,Signature={ZEROS}",
    f"{GOOD},SignedHeaders=x-amz-date;host,Signature={ZEROS}",
    f"{GOOD},SignedHeaders=Host;x-amz-date,Signature={ZEROS}",
    f"{GOOD},SignedHeaders=ho st,Signature={ZEROS}",
    f"{GOOD},SignedHeaders=host:x,Signature={ZEROS}",
]


@pytest.mark.parametrize("rest", MALFORMED)
def test_a_malformed_authorization_header_says_so(rest: str) -> None:
    caught = refusal([*GIVEN, ("authorization", f"AWS4-HMAC-SHA256 {rest}")])
    assert type(caught) is AuthorizationHeaderMalformed
    assert caught.message.startswith("The authorization header is malformed; ")


def test_two_authorization_headers_are_malformed() -> None:
    header = authorization(SIGNED, ZEROS)
    assert isinstance(refusal([*GIVEN, header, header]), AuthorizationHeaderMalformed)


SCOPES = [
    ("20130524/eu-central-1/s3/aws4_request", "region 'eu-central-1' is wrong; expecting 'us-east-1'", True),
    ("20130524/us-east-1/ec2/aws4_request", 'incorrect service "ec2"', True),
    ("20130524/us-east-1/s3/aws3_request", 'incorrect terminal "aws3_request"', True),
    ("20130525/us-east-1/s3/aws4_request", 'Invalid credential date "20130525"', False),
    ("2013/us-east-1/s3/aws4_request", 'Invalid credential date "2013"', False),
]


@pytest.mark.parametrize(("scope", "words", "names_region"), SCOPES)
def test_a_scope_that_is_not_this_servers_is_malformed(scope: str, words: str, names_region: bool) -> None:
    caught = refusal([*GIVEN, authorization(SIGNED, ZEROS, credential=f"{CREDENTIAL.access_key}/{scope}")])
    assert type(caught) is AuthorizationHeaderMalformed
    assert words in caught.message
    assert caught.fields.get("Region") == ("us-east-1" if names_region else None)


def test_an_empty_region_accepts_any_but_no_other_service() -> None:
    for region in ("us-east-1", "eu-central-1", "garage"):
        assert authenticate("GET", "/key", signed(region=region), region="").principal is OWNER
    other = authorization(SIGNED, ZEROS, credential=f"{CREDENTIAL.access_key}/20130524/us-east-1/ec2/aws4_request")
    assert refusal([*GIVEN, other], region="").fields == {}


def test_an_access_key_may_hold_slashes() -> None:
    credential = Credential("team/one", "secret", OWNER, 1)
    result = authenticator(credentials=[credential]).authenticate(
        "GET", "/key", "", joined_headers(signed(credential=credential))
    )
    assert result.principal is OWNER


@pytest.mark.parametrize("offset_s", [-900, -1, 0, 1, 900])
def test_a_clock_within_a_quarter_of_an_hour_will_do(offset_s: int) -> None:
    """S-28"""
    assert authenticate("GET", "/key", signed(now_s=NOW_S + offset_s)).principal is OWNER


@pytest.mark.parametrize("offset_s", [-86_400, -901, 901, 86_400])
def test_a_clock_further_off_is_too_skewed(offset_s: int) -> None:
    """S-28"""
    caught = refusal(signed(now_s=NOW_S + offset_s))
    assert type(caught) is RequestTimeTooSkewed
    assert caught.fields["ServerTime"] == "2013-05-24T00:00:00.000Z"
    assert caught.fields["MaxAllowedSkewMilliseconds"] == "900000"


BAD_DATES = ["", "now", "20130524", "20130524T000000", "20130524T000060Z", "20131324T000000Z", "20130524t000000z"]


@pytest.mark.parametrize("date", [*BAD_DATES, "²0130524T000000Z", "20130524T000000Z,20130524T000000Z"])
def test_a_date_that_is_none_is_denied(date: str) -> None:
    headers = [(name, date if name == "x-amz-date" else value) for name, value in signed()]
    caught = refusal(headers)
    assert type(caught) is AccessDenied
    assert caught.message == "AWS authentication requires a valid Date or x-amz-date header"


@pytest.mark.parametrize("date", ["Fri, 24 May 2013 00:00:00 GMT", "Fri, 24 May 2013 00:00:00 +0000", TIMESTAMP])
def test_the_date_header_serves_where_x_amz_date_is_absent(date: str) -> None:
    headers = [("host", HOST), ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"), ("date", date)]
    caught = refusal([*headers, authorization("host;x-amz-content-sha256", ZEROS)])
    assert type(caught) is SignatureDoesNotMatch
    assert caught.fields["StringToSign"].split("\n")[1] == TIMESTAMP
    assert type(refusal([*headers[:2], authorization("host;x-amz-content-sha256", ZEROS)])) is AccessDenied


def test_x_amz_content_sha256_is_required_and_read_strictly() -> None:
    missing = [pair for pair in GIVEN if pair[0] != "x-amz-content-sha256"]
    assert type(refusal([*missing, authorization("host;x-amz-date", ZEROS)])) is InvalidRequest
    for value in ("", "abc", "g" * 64, "unsigned-payload", "STREAMING-", f"{EMPTY_SHA256},{EMPTY_SHA256}"):
        caught = refusal(signed(payload_hash=value))
        assert type(caught) is InvalidArgument
        assert caught.fields["ArgumentName"] == "x-amz-content-sha256"
    for suffix in ("", "-TRAILER"):
        assert (
            type(refusal(signed(payload_hash="STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD" + suffix))) is S3NotImplemented
        )


AMZ_HEADERS = [
    "x-amz-acl",
    "x-amz-copy-source",
    "x-amz-copy-source-range",
    "x-amz-meta-a",
    "x-amz-meta-a_b",
    "x-amz-tagging",
    "x-amz-storage-class",
    "x-amz-grant-read",
    "x-amz-grant-full-control",
    "x-amz-security-token",
    "x-amz-checksum-crc32",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-server-side-encryption",
    "x-amz-website-redirect-location",
    "x-amz-object-lock-mode",
    "x-amz-bypass-governance-retention",
    "x-amz-expected-bucket-owner",
    "x-amz-request-payer",
    "x-amz-trailer",
    "x-amz-unknown",
]


@pytest.mark.parametrize("name", AMZ_HEADERS)
def test_an_unsigned_amz_header_is_denied(name: str) -> None:
    """S-02"""
    caught = refusal([*signed(), (name, "x")])
    assert type(caught) is AccessDenied
    assert caught.fields["HeadersNotSigned"] == name


def test_trace_ids_and_the_payload_hash_need_no_signature() -> None:
    assert authenticate("GET", "/key", [*signed(), ("x-amzn-trace-id", "Root=1")]).principal is OWNER


def test_the_host_must_be_signed() -> None:
    caught = refusal([*GIVEN, authorization("x-amz-content-sha256;x-amz-date", ZEROS)])
    assert caught.fields == {"HeadersNotSigned": "host"}


def test_a_session_token_is_invalid_even_when_it_is_signed() -> None:
    assert type(refusal(signed(headers=[("x-amz-security-token", "t")]))) is InvalidToken


def test_a_signed_header_that_did_not_come_makes_the_signature_wrong() -> None:
    headers = [pair for pair in signed(headers=[("content-type", "text/plain")]) if pair[0] != "content-type"]
    assert type(refusal(headers)) is SignatureDoesNotMatch


CHANGES = {
    "host": "other",
    "x-amz-date": "20130524T000001Z",
    "x-amz-content-sha256": EMPTY_SHA256,
    "x-amz-meta-a": "2",
    "content-type": "b",
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_header_does_not_match(name: str) -> None:
    headers = signed(headers=[("x-amz-meta-a", "1"), ("content-type", "a")])
    changed = [(other, CHANGES[name] if other == name else value) for other, value in headers]
    assert changed != headers
    assert type(refusal(changed)) is SignatureDoesNotMatch


@pytest.mark.parametrize("target", ["/kez", "/key?acl", "/key?x-id=GetObject", "/key/", "//key", "/./key"])
def test_a_changed_target_does_not_match(target: str) -> None:
    assert type(refusal(signed(), target)) is SignatureDoesNotMatch


@pytest.mark.parametrize("target", ["/%6bey", "/%6Bey", "/k%65%79"])
def test_another_spelling_of_the_same_path_matches(target: str) -> None:
    """S-07"""
    assert authenticate("GET", target, signed()).principal is OWNER


@pytest.mark.parametrize("target", ["/%", "/%4", "/%zz", "/key?a=%", "/key?%g0", "/key?" + "a&" * 1001])
def test_a_broken_target_is_an_invalid_uri(target: str) -> None:
    assert type(refusal(signed(), target)) is InvalidURI


@pytest.mark.parametrize("signature", ["", "0", ZEROS, "f" * 64, "x" * 5000, "A" * 64])
def test_a_wrong_signature_shows_what_was_signed_and_no_secret(signature: str) -> None:
    caught = refusal([*GIVEN, authorization(SIGNED, signature)])
    assert type(caught) is SignatureDoesNotMatch
    assert list(caught.fields) == [
        "AWSAccessKeyId",
        "StringToSign",
        "SignatureProvided",
        "StringToSignBytes",
        "CanonicalRequest",
        "CanonicalRequestBytes",
    ]
    assert caught.fields["SignatureProvided"] == signature
    assert bytes.fromhex(caught.fields["CanonicalRequestBytes"]).decode() == caught.fields["CanonicalRequest"]
    assert CREDENTIAL.secret_key not in "".join(caught.fields.values())
    assert CREDENTIAL.secret_key not in repr(CREDENTIAL)


def test_a_wrong_secret_and_an_unknown_key_have_their_own_names() -> None:
    wrong = Credential(CREDENTIAL.access_key, "wrong", OWNER, 1)
    assert type(refusal(signed(credential=wrong))) is SignatureDoesNotMatch
    caught = refusal(signed(credential=Credential("AKIDUNKNOWN", CREDENTIAL.secret_key, OWNER, 1)))
    assert type(caught) is InvalidAccessKeyId
    assert caught.fields == {"AWSAccessKeyId": "AKIDUNKNOWN"}


def test_an_unknown_key_takes_as_long_as_a_wrong_secret() -> None:
    """S-22"""
    checker = authenticator()
    requests = {
        "unknown": signed(credential=Credential("AKIAUNKNOWN7EXAMPLES", "x", OWNER, 1)),
        "wrong": signed(credential=Credential(CREDENTIAL.access_key, "x", OWNER, 1)),
    }
    # Two measurements in turn; a machine that is busy with something else may spoil one of them, not three.
    assert any(_is_within_a_tenth(checker, requests) for _ in range(3))


def _is_within_a_tenth(checker: Authenticator, requests: dict[str, list[tuple[str, str]]]) -> bool:
    costs_ns: dict[str, list[int]] = {"unknown": [], "wrong": []}
    for turn in range(1000):
        name = "unknown" if turn % 2 else "wrong"
        begin = time.perf_counter_ns()
        try:
            checker.authenticate("GET", "/key", "", joined_headers(requests[name]))
        except S3Error:
            costs_ns[name].append(time.perf_counter_ns() - begin)
    unknown, wrong = (sorted(costs)[len(costs) // 4] for costs in costs_ns.values())
    return abs(unknown - wrong) < 0.1 * wrong


def test_a_rotated_secret_counts_at_once() -> None:
    known = {CREDENTIAL.access_key: CREDENTIAL}
    checker = authenticator()
    checker._find_credential = known.get
    old = signed()
    assert checker.authenticate("GET", "/key", "", joined_headers(old)).principal is OWNER
    rotated = Credential(CREDENTIAL.access_key, "rotated", Principal("b" * 64), 2)
    known[CREDENTIAL.access_key] = rotated
    with pytest.raises(SignatureDoesNotMatch):
        checker.authenticate("GET", "/key", "", joined_headers(old))
    assert checker.authenticate("GET", "/key", "", joined_headers(signed(credential=rotated))).principal.id == "b" * 64


def test_a_host_that_a_proxy_changed_is_found_in_the_operators_list() -> None:
    headers = [
        (name, "localhost:9000" if name == "host" else value) for name, value in signed(url="http://minio:9000/key")
    ]
    assert type(refusal(headers)) is SignatureDoesNotMatch
    checker = authenticator(signing_hosts=["proxy.example", "minio:9000"])
    assert checker.authenticate("GET", "/key", "", joined_headers(headers)).principal is OWNER
    with pytest.raises(SignatureDoesNotMatch):
        checker.authenticate("PUT", "/key", "", joined_headers(headers))


HOSTILE = [
    ("authorization", "AWS4-HMAC-SHA256 " + "," * 65_536),
    ("authorization", "AWS4-HMAC-SHA256 " + "Credential=" + "/" * 65_536),
    ("authorization", f"AWS4-HMAC-SHA256 {GOOD},SignedHeaders={'a;' * 8000},Signature={ZEROS}"),
    ("authorization", f"AWS4-HMAC-SHA256 {GOOD},SignedHeaders={'a' * 16_000},Signature={ZEROS}"),
    ("authorization", " " * 65_536),
    ("authorization", "\t" * 65_536 + "AWS4"),
    ("x-amz-content-sha256", "a" * 65_536),
    ("x-amz-date", "2" * 65_536),
    ("date", ", " * 32_768),
    ("x-amz-meta-a", " \t" * 32_768),
    ("host", "  a" * 21_845),
]


@pytest.mark.parametrize(("name", "value"), HOSTILE)
def test_a_header_of_64_kib_costs_little(name: str, value: str) -> None:
    """S-23"""
    replaced = {name, "x-amz-date"} if name == "date" else {name}
    headers = [pair for pair in signed(headers=[("x-amz-meta-a", "b")]) if pair[0] not in replaced] + [(name, value)]
    begin = time.process_time()
    caught = refusal(headers)
    assert time.process_time() - begin < 0.05
    assert caught.status in (400, 403)


def test_ten_thousand_headers_cost_little() -> None:
    """S-29"""
    many = [(f"a{number % 3}", "v") for number in range(10_000)] + [(f"b{number}", "v") for number in range(10_000)]
    begin = time.process_time()
    assert authenticate("GET", "/key", [*signed(), *many]).principal is OWNER
    assert time.process_time() - begin < 0.1
