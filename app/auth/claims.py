"""What a request says of its own signature, read from the Authorization header or from a presigned query.

A claim is well-formed, of this region and timely; whether it is true is `sigv4`'s to find out.
Source: "Authenticating Requests: Using the Authorization Header" and "… Using Query Parameters", AWS S3 API reference.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from app.auth import payload_mode
from app.auth.canonical import (
    ALGORITHM,
    SERVICE,
    TERMINAL,
    canonical_query,
    decode_part,
    query_pairs,
    signed_header_names,
)
from app.auth.credentials import CREDENTIAL_MAX_CHARS, Scope, read_scope, read_timestamp, write_timestamp
from app.domain.dates import iso_date, parse_date
from app.domain.errors import (
    AccessDenied,
    AuthorizationHeaderMalformed,
    AuthorizationQueryParametersError,
    InvalidArgument,
    InvalidRequest,
    RequestTimeTooSkewed,
    S3Error,
    S3NotImplemented,
)

SKEW_MAX_S = 900
EXPIRES_MAX_S = 604_800
AUTHORIZATION_MAX_CHARS = 16_384

ECDSA = "AWS4-ECDSA-P256-SHA256"

Pairs = Sequence[tuple[str, str]]


class Claim(NamedTuple):
    """`query` is the canonical query that is signed, `payload_hash` the last line of the canonical request."""

    scope: Scope
    timestamp: str
    signed: tuple[str, ...]
    signature: str
    payload_hash: str
    query: str


# -- The Authorization header ------------------------------------------------------------------------------------


def header_claim(authorization: str, headers: Mapping[str, str], query: Pairs, region: str, now_s: float) -> Claim:
    """Raises: the S3 error of whatever is missing, malformed, of another region or out of time."""
    scope, signed, signature = _read_authorization(authorization)
    timestamp, moment_s = header_time(headers)
    _check_scope(scope, timestamp, region, AuthorizationHeaderMalformed, "The authorization header is malformed")
    require_no_skew(timestamp, moment_s, now_s)
    payload_hash = headers.get(payload_mode.HEADER)
    if payload_hash is None:
        raise InvalidRequest(f"Missing required header for this request: {payload_mode.HEADER}")
    return Claim(
        scope, timestamp, signed, signature, payload_hash.strip(" \t"), canonical_query(query) if query else ""
    )


def _read_authorization(authorization: str) -> tuple[Scope, tuple[str, ...], str]:
    """What is claimed, the signed headers, and the signature. Only the latter differs among a client's requests."""
    before, mark, signature = authorization.rpartition("Signature=")
    if (
        mark
        and len(signature) == SIGNATURE_CHARS
        and signature.isascii()
        and signature.isalnum()
        and len(before) <= _REMEMBERED_CHARS
    ):
        remembered = _remembered_authorization(before)
        if remembered is not None:
            return *remembered, signature
    fields = _authorization_fields(authorization)
    scope = read_scope(fields["Credential"])
    if scope is None:
        raise _malformed('the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".')
    signed = signed_header_names(fields["SignedHeaders"])
    if signed is None:
        raise _malformed("SignedHeaders must be lower-case header names in order, each once.")
    return scope, signed, fields["Signature"]


@lru_cache(maxsize=256)
def _remembered_authorization(before: str) -> tuple[Scope, tuple[str, ...]] | None:
    """Of an Authorization header up to its signature; None for one that is refused, each time by name."""
    try:
        scope, signed, _ = _read_authorization(f"{before}Signature={'0' * (SIGNATURE_CHARS + 1)}")
    except S3Error:
        return None
    return scope, signed


def _authorization_fields(authorization: str) -> dict[str, str]:
    scheme, _, rest = authorization.strip(" \t").partition(" ")
    if scheme != ALGORITHM:
        raise _other_scheme(scheme)
    if len(rest) > AUTHORIZATION_MAX_CHARS or not rest.isascii():
        raise _malformed("it is too long or holds characters that are not ASCII.")
    fields = {}
    parts = rest.split(",")
    for part in parts:
        name, _, value = part.strip(" \t").partition("=")
        fields[name] = value
    if len(parts) != 3 or fields.keys() != _COMPONENTS:
        raise _malformed(
            "the authorization header requires three components: Credential, SignedHeaders, and Signature."
        )
    return fields


_COMPONENTS = {"Credential", "SignedHeaders", "Signature"}


def _other_scheme(scheme: str) -> S3Error:
    """The value is not shown: with another scheme it may be a password."""
    if scheme == "AWS":
        return signature_v2()
    if scheme == ECDSA:
        return S3NotImplemented(f"{ECDSA} is not supported. Please use {ALGORITHM}.", Header="Authorization")
    return InvalidArgument("Unsupported Authorization Type", ArgumentName="Authorization")


def signature_v2() -> S3Error:
    return InvalidRequest(f"The authorization mechanism you have provided is not supported. Please use {ALGORITHM}.")


def header_time(headers: Mapping[str, str]) -> tuple[str, int]:
    """The moment of signing as the string to sign has it, and in seconds. x-amz-date goes before Date."""
    timestamp = headers.get("x-amz-date")
    if timestamp is not None:
        timestamp = timestamp.strip(" \t")
        moment_s = read_timestamp(timestamp)
    else:
        moment_s = parse_date(headers.get("date", ""))
        timestamp = "" if moment_s is None else write_timestamp(moment_s)
    if moment_s is None:
        raise AccessDenied("AWS authentication requires a valid Date or x-amz-date header")
    return timestamp, moment_s


def read_moment(text: str) -> int | None:
    """Seconds, of a date as Version 4 has them or as HTTP has; None for what is neither."""
    moment_s = read_timestamp(text)
    return parse_date(text) if moment_s is None else moment_s


def require_no_skew(timestamp: str, moment_s: int, now_s: float) -> None:
    """`timestamp` is the moment as it was sent. Raises: RequestTimeTooSkewed."""
    if abs(now_s - moment_s) > SKEW_MAX_S:
        raise RequestTimeTooSkewed(
            RequestTime=timestamp,
            ServerTime=iso_date(int(now_s * 1000)),
            MaxAllowedSkewMilliseconds=str(SKEW_MAX_S * 1000),
        )


def _malformed(why: str) -> S3Error:
    return AuthorizationHeaderMalformed(f"The authorization header is malformed; {why}")


# -- The fields of a browser's form ------------------------------------------------------------------------------


def form_claim(fields: Mapping[str, str], region: str) -> tuple[Scope, str]:
    """The scope and the signature of a form's policy.

    Raises: InvalidArgument, AuthorizationQueryParametersError, NotImplemented.
    """
    if "awsaccesskeyid" in fields and "x-amz-algorithm" not in fields:
        raise signature_v2()
    for name in ("x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"):
        if not fields.get(name):
            raise InvalidArgument(
                f"Bucket POST must contain a field named '{name}'.  If it is specified, please check the order of the "
                "fields.",
                ArgumentName=name,
                ArgumentValue="",
            )
    algorithm, timestamp = fields["x-amz-algorithm"], fields["x-amz-date"]
    if algorithm == ECDSA:
        raise S3NotImplemented(f"{ECDSA} is not supported. Please use {ALGORITHM}.")
    scope = read_scope(fields["x-amz-credential"])
    if algorithm != ALGORITHM or scope is None or read_timestamp(timestamp) is None:
        raise InvalidArgument(
            f"A form is signed by {ALGORITHM}, with x-amz-credential as "
            '"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request" and x-amz-date as "YYYYMMDDTHHMMSSZ".',
            ArgumentName="x-amz-credential",
        )
    where = "Error parsing the x-amz-credential field"
    _check_scope(scope, timestamp, region, AuthorizationQueryParametersError, where)
    return scope, fields["x-amz-signature"]


# -- The presigned query -----------------------------------------------------------------------------------------

_PARAMETERS = (
    "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Expires",
)  # fmt: skip
_SPELLING = {name.lower(): name for name in _PARAMETERS}
_OF_QUERY_AUTH = frozenset({*_SPELLING, "x-amz-security-token"})
_OF_SIGNATURE_V2 = frozenset({"AWSAccessKeyId", "Signature"})


def is_presigned(query: Pairs) -> bool:
    """Whether any parameter belongs to a signature, in whatever case: half of one is an error and not anonymous.

    Raises: InvalidRequest for a presigned URL of Signature Version 2.
    """
    is_v2 = False
    for name, _ in query:
        if name[:6].lower() == "x-amz-" and name.lower() in _OF_QUERY_AUTH:
            return True
        is_v2 = is_v2 or name in _OF_SIGNATURE_V2
    if is_v2:
        raise signature_v2()
    return False


class Form(NamedTuple):
    """A presigned query without its signature: what does not depend on the moment and on the headers."""

    scope: Scope
    timestamp: str
    moment_s: int
    expires_s: int
    signed: tuple[str, ...]
    payload_hash: str | None  # of the parameter, still encoded
    query: str
    has_token: bool

    def claim(self, signature: str, headers: Mapping[str, str], now_s: float) -> Claim:
        """Raises: AccessDenied (expired, not yet valid)."""
        _check_validity(self.timestamp, self.moment_s, self.expires_s, now_s)
        payload_hash = _presigned_hash(self.payload_hash, headers, self.signed)
        return Claim(self.scope, self.timestamp, self.signed, signature, payload_hash, self.query)


def presigned_claim(query: Pairs, headers: Mapping[str, str], region: str, now_s: float) -> Claim:
    """Raises: AuthorizationQueryParametersError, AccessDenied (expired, not yet valid), NotImplemented."""
    amz = _amz_parameters(query)
    return _read_form(amz, query, region).claim(amz["x-amz-signature"], headers, now_s)


def usual_claim(raw_query: str, headers: Mapping[str, str], region: str, now_s: float) -> Claim | None:
    """The claim of a presigned query whose signature stands last, as signers leave it; None: read it the long way.

    Raises: AccessDenied (expired, not yet valid).
    """
    form, signature = usual_form(raw_query, region)
    return None if form is None or form.has_token else form.claim(signature, headers, now_s)


def usual_form(raw_query: str, region: str) -> tuple[Form | None, str]:
    """The form of such a query, and its signature.

    What comes before the signature is the same for all that one signer signs in one second for one kind of request, and
    is read once. Nothing is remembered of whether it was true.
    """
    before, mark, signature = raw_query.rpartition(_SIGNATURE)
    if (
        not mark
        or len(before) > _REMEMBERED_CHARS
        or len(signature) != SIGNATURE_CHARS
        or not (signature.isascii() and signature.isalnum())
    ):
        return None, ""
    return _remembered_form(before, region), signature


_SIGNATURE = "&X-Amz-Signature="
_REMEMBERED_CHARS = 512
SIGNATURE_CHARS = 64


@lru_cache(maxsize=256)
def _remembered_form(before: str, region: str) -> Form | None:
    """None for a query that is refused, each time by name."""
    plain = _PLAIN_FORM(before)
    try:
        if plain is not None:
            return _read_plain_form(plain, region)
        query = query_pairs(f"{before}{_SIGNATURE}{'0' * SIGNATURE_CHARS}")
        return _read_form(_amz_parameters(query), query, region)
    except S3Error:
        return None


# What signers write where nothing but the signature is in the query; it is its own canonical form. Many users, or URLs
# signed at many moments, are more than can be remembered, and to read this takes a fourth of the time of any query.
_PLAIN_FORM = re.compile(
    f"X-Amz-Algorithm={ALGORITHM}"
    r"&X-Amz-Credential=([A-Za-z0-9._~-]++)%2F([0-9]{8})%2F([A-Za-z0-9-]++)%2F([a-z0-9]++)%2F([a-z0-9_]++)"
    r"&X-Amz-Date=([0-9TZ]++)&X-Amz-Expires=([0-9]++)&X-Amz-SignedHeaders=([a-z0-9-]++(?:%3B[a-z0-9-]++)*+)"
).fullmatch


def _read_plain_form(plain: re.Match[str], region: str) -> Form | None:
    """As `_read_form`, of such a query; None where it would be refused. Raises: S3Error, where it would be refused too."""
    access_key, date, scope_region, service, terminal, timestamp, expires, names = plain.groups()
    scope = Scope(access_key, date, scope_region, service, terminal)
    moment_s, signed = read_timestamp(timestamp), signed_header_names(names.replace("%3B", ";"))
    if moment_s is None or signed is None or sum(map(len, scope)) + len(scope) - 1 > CREDENTIAL_MAX_CHARS:
        return None
    expires_s = _expires(expires)
    _check_scope(scope, timestamp, region, AuthorizationQueryParametersError, "")
    return Form(scope, timestamp, moment_s, expires_s, signed, None, plain.string, False)


def _read_form(amz: Mapping[str, str], query: Pairs, region: str) -> Form:
    algorithm = amz["x-amz-algorithm"]
    if algorithm == ECDSA:
        raise S3NotImplemented(f"{ECDSA} is not supported. Please use {ALGORITHM}.", Header="X-Amz-Algorithm")
    if algorithm != ALGORITHM:
        raise AuthorizationQueryParametersError(f'X-Amz-Algorithm only supports "{ALGORITHM}"')
    scope = read_scope(decode_part(amz["x-amz-credential"]))
    if scope is None:
        raise AuthorizationQueryParametersError(
            "Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; "
            'expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".'
        )
    timestamp = amz["x-amz-date"]
    moment_s = read_timestamp(timestamp)
    if moment_s is None:
        raise AuthorizationQueryParametersError(
            "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""
        )
    expires_s = _expires(amz["x-amz-expires"])
    signed = signed_header_names(decode_part(amz["x-amz-signedheaders"]))
    if signed is None:
        raise AuthorizationQueryParametersError(
            "X-Amz-SignedHeaders must be lower-case header names in order, each once."
        )
    where = "Error parsing the X-Amz-Credential parameter"
    _check_scope(scope, timestamp, region, AuthorizationQueryParametersError, where)
    text = canonical_query([pair for pair in query if pair[0] != "X-Amz-Signature"])
    has_token = "x-amz-security-token" in amz
    return Form(scope, timestamp, moment_s, expires_s, signed, amz.get(payload_mode.HEADER), text, has_token)


def _amz_parameters(query: Pairs) -> dict[str, str]:
    """Encoded values by lower-case name. One that came twice could mean two things, so it means none."""
    amz: dict[str, str] = {}
    for name, value in query:
        if name[:6].lower() == "x-amz-":
            lower = name.lower()
            if lower in amz:
                raise AuthorizationQueryParametersError(f"{name} must not be given more than once.")
            amz[lower] = value if _SPELLING.get(lower, name) == name else ""
    if not all(map(amz.get, _SPELLING)):
        raise AuthorizationQueryParametersError
    return amz


def _expires(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        is_negative = text[:1] == "-" and text[1:].isascii() and text[1:].isdigit()
        raise AuthorizationQueryParametersError(
            "X-Amz-Expires must be non-negative" if is_negative else "X-Amz-Expires should be a number"
        )
    if len(text) > len(str(EXPIRES_MAX_S)) or not 1 <= int(text) <= EXPIRES_MAX_S:
        raise AuthorizationQueryParametersError(
            f"X-Amz-Expires must be between 1 second and a week, that is {EXPIRES_MAX_S} seconds."
        )
    return int(text)


def _check_validity(timestamp: str, moment_s: int, expires_s: int, now_s: float) -> None:
    """From 15 minutes before its date, for clocks that differ, to date + expires and not a second longer."""
    if moment_s - now_s > SKEW_MAX_S:
        raise untimely("Request is not yet valid", now_s, {"X-Amz-Date": timestamp})
    if now_s > moment_s + expires_s:
        expired = {"X-Amz-Expires": str(expires_s), "Expires": iso_date((moment_s + expires_s) * 1000)}
        raise untimely("Request has expired", now_s, expired)


def untimely(message: str, now_s: float, fields: Mapping[str, str]) -> S3Error:
    error = AccessDenied(message)
    error.fields.update(fields, ServerTime=iso_date(int(now_s * 1000)))
    return error


def _presigned_hash(in_query: str | None, headers: Mapping[str, str], signed: Sequence[str]) -> str:
    """A signed header goes before the parameter, and that before a header that nobody signed."""
    in_header = headers.get(payload_mode.HEADER)
    if in_header is not None and (in_query is None or payload_mode.HEADER in signed):
        return in_header.strip(" \t")
    return payload_mode.UNSIGNED_PAYLOAD if in_query is None else decode_part(in_query)


# -- Both --------------------------------------------------------------------------------------------------------


def _check_scope(scope: Scope, timestamp: str, region: str, error: type[S3Error], where: str) -> None:
    """An empty `region` is at home everywhere."""
    if (
        scope.service == SERVICE
        and scope.terminal == TERMINAL
        and scope.date == timestamp[:8]
        and (scope.region == region or not region)
    ):
        return
    if region and scope.region != region:
        refusal = error(f"{where}; the region '{scope.region}' is wrong; expecting '{region}'")
    elif scope.service != SERVICE:
        refusal = error(f'{where}; incorrect service "{scope.service}". This endpoint belongs to "{SERVICE}".')
    elif scope.terminal != TERMINAL:
        refusal = error(f'{where}; incorrect terminal "{scope.terminal}". This endpoint uses "{TERMINAL}".')
    else:
        raise error(
            f'{where}; Invalid credential date "{scope.date}". '
            f'This date is not the same as X-Amz-Date: "{timestamp[:8]}".'
        )
    if region:
        refusal.fields["Region"] = region
    raise refusal
