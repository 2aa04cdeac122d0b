"""Conditions of a bucket policy: `"IpAddress": {"aws:SourceIp": ["10.0.0.0/8"]}` and their like.

Every operator and every key of a statement must hold; of a key's values one is enough, or, for an operator that
negates, none may match. A key that the request lacks makes a negated operator true and another one false.
Source: "IAM JSON policy elements: Condition operators" and "Conditions with multiple context keys or values", AWS IAM
user guide; "Actions, resources, and condition keys for Amazon S3", service authorisation reference.
"""

from __future__ import annotations

import enum
import ipaddress
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from app.domain.names import shown
from app.domain.patterns import Pattern, Values

# A value of the policy and one of the request.
Matcher = Callable[[Pattern, str, Values], bool]


class Malformed(ValueError):
    """What a policy may not say; the text is for whoever wrote it."""


class Over(enum.Enum):
    """How the values of a key that has several count."""

    ONE = enum.auto()
    ALL = enum.auto()  # ForAllValues: every one of the request's, and none is fine
    ANY = enum.auto()  # ForAnyValue


# Those of a request to a bucket. Some stand for what no request here has (a VPC): they are known, and absent.
_KEYS = {
    key.lower()
    for key in (
        "aws:CurrentTime", "aws:EpochTime", "aws:MultiFactorAuthAge", "aws:MultiFactorAuthPresent",
        "aws:PrincipalAccount", "aws:PrincipalArn", "aws:PrincipalIsAWSService", "aws:PrincipalOrgID",
        "aws:PrincipalOrgPaths", "aws:PrincipalServiceName", "aws:PrincipalType", "aws:Referer",
        "aws:RequestedRegion", "aws:ResourceAccount", "aws:ResourceOrgID", "aws:SecureTransport", "aws:SourceAccount",
        "aws:SourceArn", "aws:SourceIp", "aws:SourceOrgID", "aws:SourceVpc", "aws:SourceVpce", "aws:TokenIssueTime",
        "aws:UserAgent", "aws:userid", "aws:username", "aws:ViaAWSService", "aws:VpcSourceIp",
        "s3:authType", "s3:DataAccessPointAccount", "s3:DataAccessPointArn", "s3:delimiter", "s3:if-match",
        "s3:if-none-match", "s3:max-keys", "s3:object-lock-legal-hold", "s3:object-lock-mode",
        "s3:object-lock-remaining-retention-days", "s3:object-lock-retain-until-date", "s3:prefix",
        "s3:RequestObjectTagKeys", "s3:ResourceAccount", "s3:signatureAge", "s3:signatureversion", "s3:TlsVersion",
        "s3:VersionId", "s3:x-amz-acl", "s3:x-amz-content-sha256", "s3:x-amz-copy-source",
        "s3:x-amz-grant-full-control", "s3:x-amz-grant-read", "s3:x-amz-grant-read-acp", "s3:x-amz-grant-write",
        "s3:x-amz-grant-write-acp", "s3:x-amz-metadata-directive", "s3:x-amz-object-ownership",
        "s3:x-amz-server-side-encryption", "s3:x-amz-server-side-encryption-aws-kms-key-id",
        "s3:x-amz-server-side-encryption-customer-algorithm", "s3:x-amz-storage-class",
        "s3:x-amz-website-redirect-location",
    )
}  # fmt: skip
# … and those that go on with a name of the policy's choosing.
_KEY_FAMILIES = ("aws:principaltag/", "aws:requesttag/", "s3:existingobjecttag/", "s3:requestobjecttag/")


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator on one key."""

    operator: str
    key: str  # lower case, but for the tag that it may name
    wanted: tuple[Pattern, ...]
    over: Over = Over.ONE
    if_exists: bool = False

    def holds(self, values: Values) -> bool:
        found = values(self.key)
        if self.operator == "Null":
            return any((found is None) == (pattern.text.lower() == "true") for pattern in self.wanted)
        if self.over is Over.ALL:
            return all(self._fits(value, values) for value in found or ())
        if self.over is Over.ANY:
            return any(self._fits(value, values) for value in found or ())
        if found is None:
            return self.if_exists or self.operator in _NEGATED
        return all(self._fits(value, values) for value in found)

    def _fits(self, value: str, values: Values) -> bool:
        matcher = _MATCHERS[_NEGATED.get(self.operator, self.operator)]
        matched = any(matcher(pattern, value, values) for pattern in self.wanted)
        return matched != (self.operator in _NEGATED)


def read_condition(operator: str, key: str, wanted: list[str], *, with_variables: bool) -> Condition:
    """Raises: Malformed."""
    over, plain, if_exists = _read_operator(operator)
    check = _CHECKS.get(_NEGATED.get(plain, plain))
    patterns = tuple(Pattern(text, with_variables=with_variables) for text in wanted)
    for pattern in patterns:
        if check is not None and not pattern.has_variables and not check(pattern.text):
            raise Malformed(f"Invalid value for the condition {plain}: {shown(pattern.text)}")
    return Condition(plain, _read_key(key), patterns, over, if_exists)


def _read_operator(text: str) -> tuple[Over, str, bool]:
    over, name = Over.ONE, text
    for prefix, meant in (("forallvalues:", Over.ALL), ("foranyvalue:", Over.ANY)):
        if text.lower().startswith(prefix):
            over, name = meant, text[len(prefix) :]
    if_exists = name.lower().endswith("ifexists")
    name = name[: -len("ifexists")] if if_exists else name
    plain = _OPERATORS.get(name.lower())
    if plain is None or (plain == "Null" and (if_exists or over is not Over.ONE)):
        raise Malformed(f"Invalid Condition type : {shown(text)}")
    return over, plain, if_exists


def _read_key(text: str) -> str:
    family = next((family for family in _KEY_FAMILIES if text.lower().startswith(family)), None)
    if family is not None and len(text) > len(family):
        return family + text[len(family) :]
    if text.lower() not in _KEYS:
        raise Malformed("Policy has an invalid condition key")
    return text.lower()


# -- one value against one ---------------------------------------------------------------------------------------


def _equal(pattern: Pattern, value: str, values: Values) -> bool:
    return pattern.expanded(values) == value


def _equal_any_case(pattern: Pattern, value: str, values: Values) -> bool:
    wanted = pattern.expanded(values)
    return wanted is not None and wanted.casefold() == value.casefold()


def _alike(pattern: Pattern, value: str, values: Values) -> bool:
    return pattern.matches(value, values)


def _compared(read: Callable[[str], float | None], holds: Callable[[float, float], bool]) -> Matcher:
    def match(pattern: Pattern, value: str, values: Values) -> bool:
        wanted = pattern.expanded(values)
        left, right = read(value), None if wanted is None else read(wanted)
        return left is not None and right is not None and holds(left, right)

    return match


def _in_network(pattern: Pattern, value: str, values: Values) -> bool:
    wanted = pattern.expanded(values)
    network, address = None if wanted is None else read_network(wanted), _address(value)
    return network is not None and address is not None and address in network


def read_number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def read_moment(text: str) -> float | None:
    """Seconds since the epoch of an ISO 8601 date or of a number of seconds."""
    if text.isascii() and text.isdigit():
        return read_number(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def read_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """An address, or a range of them: host bits may be set, as AWS has it."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    # A listener of both families shows IPv4 clients so.
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


_NUMBERS: dict[str, Callable[[float, float], bool]] = {
    "Equals": lambda left, right: left == right,
    "LessThan": lambda left, right: left < right,
    "LessThanEquals": lambda left, right: left <= right,
    "GreaterThan": lambda left, right: left > right,
    "GreaterThanEquals": lambda left, right: left >= right,
}

_MATCHERS: dict[str, Matcher] = {
    "StringEquals": _equal,
    "StringEqualsIgnoreCase": _equal_any_case,
    "StringLike": _alike,
    "ArnEquals": _alike,
    "ArnLike": _alike,
    "BinaryEquals": _equal,
    "Bool": _equal_any_case,
    "IpAddress": _in_network,
    **{f"Numeric{name}": _compared(read_number, holds) for name, holds in _NUMBERS.items()},
    **{f"Date{name}": _compared(read_moment, holds) for name, holds in _NUMBERS.items()},
}
# An operator that negates -> the one it negates.
_NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
    "NotIpAddress": "IpAddress",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
}
_OPERATORS = {name.lower(): name for name in (*_MATCHERS, *_NEGATED, "Null")}


def _is_flag(text: str) -> bool:
    return text.lower() in ("true", "false")


def _is_number(text: str) -> bool:
    return read_number(text) is not None


def _is_moment(text: str) -> bool:
    return read_moment(text) is not None


def _is_network(text: str) -> bool:
    return read_network(text) is not None


_CHECKS: dict[str, Callable[[str], bool]] = {
    "Bool": _is_flag,
    "Null": _is_flag,
    "IpAddress": _is_network,
    **{f"Numeric{name}": _is_number for name in _NUMBERS},
    **{f"Date{name}": _is_moment for name in _NUMBERS},
}
