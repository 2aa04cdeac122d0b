"""What a request says of its own signature, read from the Authorization header or from a presigned query.

A claim is well-formed, of this region and timely; whether it is true is `sigv4`'s to find out.
Source: "Authenticating Requests: Using the Authorization Header" and "… Using Query Parameters", AWS S3 API reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from app.auth import payload_mode
from app.auth.canonical import ALGORITHM, SERVICE, TERMINAL, decode_part, signed_header_names
from app.auth.credentials import Scope, read_scope, read_timestamp, write_timestamp
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
    """`query` holds the encoded parameters that are signed, `payload_hash` the last line of the canonical request."""

    scope: Scope
    timestamp: str
    signed: tuple[str, ...]
    signature: str
    payload_hash: str
    query: Pairs


# -- The Authorization header ------------------------------------------------------------------------------------


def header_claim(authorization: str, headers: Mapping[str, str], query: Pairs, region: str, now_s: float) -> Claim:
    """Raises: the S3 error of whatever is missing, malformed, of another region or out of time."""
    fields = _authorization_fields(authorization)
    scope = read_scope(fields["Credential"])
    if scope is None:
        raise _malformed('the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".')
    signed = signed_header_names(fields["SignedHeaders"])
    if signed is None:
        raise _malformed("SignedHeaders must be lower-case header names in order, each once.")
    timestamp, moment_s = _header_time(headers)
    _check_scope(scope, timestamp, region, AuthorizationHeaderMalformed, "The authorization header is malformed")
    if abs(now_s - moment_s) > SKEW_MAX_S:
        raise RequestTimeTooSkewed(
            RequestTime=timestamp,
            ServerTime=iso_date(int(now_s * 1000)),
            MaxAllowedSkewMilliseconds=str(SKEW_MAX_S * 1000),
        )
    payload_hash = headers.get(payload_mode.HEADER)
    if payload_hash is None:
        raise InvalidRequest(f"Missing required header for this request: {payload_mode.HEADER}")
    return Claim(scope, timestamp, signed, fields["Signature"], payload_hash.strip(" \t"), query)


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


def _header_time(headers: Mapping[str, str]) -> tuple[str, int]:
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


def _malformed(why: str) -> S3Error:
    return AuthorizationHeaderMalformed(f"The authorization header is malformed; {why}")


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


def presigned_claim(query: Pairs, headers: Mapping[str, str], region: str, now_s: float) -> Claim:
    """Raises: AuthorizationQueryParametersError, AccessDenied (expired, not yet valid), NotImplemented."""
    amz = _amz_parameters(query)
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
    _check_validity(timestamp, moment_s, expires_s, now_s)
    payload_hash = _presigned_hash(amz, headers, signed)
    query = [pair for pair in query if pair[0] != "X-Amz-Signature"]
    return Claim(scope, timestamp, signed, amz["x-amz-signature"], payload_hash, query)


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
        raise _untimely("Request is not yet valid", now_s, {"X-Amz-Date": timestamp})
    if now_s > moment_s + expires_s:
        expired = {"X-Amz-Expires": str(expires_s), "Expires": iso_date((moment_s + expires_s) * 1000)}
        raise _untimely("Request has expired", now_s, expired)


def _untimely(message: str, now_s: float, fields: Mapping[str, str]) -> S3Error:
    error = AccessDenied(message)
    error.fields.update(fields, ServerTime=iso_date(int(now_s * 1000)))
    return error


def _presigned_hash(amz: Mapping[str, str], headers: Mapping[str, str], signed: Sequence[str]) -> str:
    """A signed header goes before the parameter, and that before a header that nobody signed."""
    in_header, in_query = headers.get(payload_mode.HEADER), amz.get(payload_mode.HEADER)
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
