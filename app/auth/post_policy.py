"""The policy of a browser's form: until when it holds, and what the form's fields may be.

    {"expiration": "2030-01-01T00:00:00Z",
     "conditions": [{"bucket": "photos"}, ["starts-with", "$key", "user/"], ["content-length-range", 1, 1048576]]}

Every field has to be named by a condition, but for the file, the signature's own and x-ignore-*.
Source: "POST policy" in "Browser-based uploads using POST", AWS S3 API reference.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from app.domain.errors import AccessDenied, InvalidPolicyDocument
from app.domain.names import shown

_UNNAMED = frozenset({"policy", "x-amz-signature", "signature", "awsaccesskeyid", "file"})
_IGNORED_PREFIX = "x-ignore-"
_RANGE = "content-length-range"


class LengthRange(NamedTuple):
    """Bytes of the file, both ends included."""

    min_bytes: int = 0
    max_bytes: int | None = None


def check(policy: str, fields: Mapping[str, str], now_s: float) -> LengthRange:
    """Hold the form's fields (lower-case names, the bucket among them) against the policy in base64.

    Gives what the file's length must be. Raises: AccessDenied (expired, a condition that fails, a field without one),
    InvalidPolicyDocument.
    """
    document = _read(policy)
    if now_s > _expiration(document):
        raise _not_allowed("Policy expired.")
    conditions = document.get("conditions")
    if not isinstance(conditions, list):
        raise _invalid("Policy missing conditions list.")
    lengths = LengthRange()
    named = set()
    for condition in conditions:
        if isinstance(condition, list) and condition and str(condition[0]).lower() == _RANGE:
            lengths = _narrower(lengths, _length_range(condition))
            continue
        for operator, name, wanted in _tests(condition):
            named.add(name)
            value = fields.get(name, "")
            holds = value == wanted if operator == "eq" else value.startswith(wanted)
            if not holds:
                raise _not_allowed(f"Policy Condition failed: {json.dumps([operator, '$' + name, wanted])}")
    extra = [name for name in fields if name not in named and _must_be_named(name)]
    if extra:
        raise _not_allowed(f"Extra input fields: {shown(', '.join(extra), 200)}")
    return lengths


def _must_be_named(name: str) -> bool:
    # The bucket is the request's own and need not be in the form.
    return name not in _UNNAMED and name != "bucket" and not name.startswith(_IGNORED_PREFIX)


def _read(policy: str) -> dict[str, Any]:
    try:
        document = json.loads(base64.b64decode("".join(policy.split()), validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise _invalid("Invalid JSON.") from None
    if not isinstance(document, dict):
        raise _invalid("Invalid JSON.")
    return document


def _expiration(document: Mapping[str, Any]) -> float:
    text = document.get("expiration")
    if not isinstance(text, str):
        raise _invalid("Policy missing expiration.")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise _invalid("Invalid 'expiration' value.")
    return moment.astimezone(UTC).timestamp()


def _tests(condition: Any) -> list[tuple[str, str, str]]:
    """(operator, field's name, text) of a condition in either of its forms."""
    if isinstance(condition, dict):
        pairs = [("eq", f"${name}", wanted) for name, wanted in condition.items()]
    elif isinstance(condition, list) and len(condition) == 3:
        pairs = [(str(condition[0]).lower(), condition[1], condition[2])]
    else:
        pairs = []
    for operator, name, wanted in pairs:
        is_right = isinstance(name, str) and name.startswith("$") and isinstance(wanted, str)
        if operator not in ("eq", "starts-with") or not is_right:
            raise _invalid("Invalid Condition.")
    if not pairs:
        raise _invalid("Invalid Condition.")
    return [(operator, name[1:].lower(), wanted) for operator, name, wanted in pairs]


def _length_range(condition: list[Any]) -> LengthRange:
    ends = [int(end) for end in condition[1:] if _is_length(end)]
    if len(condition) != 3 or len(ends) != 2:
        raise _invalid("Invalid content-length-range.")
    return LengthRange(ends[0], ends[1])


def _is_length(end: Any) -> bool:
    if isinstance(end, str):
        return end.isascii() and end.isdigit() and len(end) < 20
    return isinstance(end, int) and not isinstance(end, bool) and end >= 0


def _narrower(one: LengthRange, other: LengthRange) -> LengthRange:
    ends = [end for end in (one.max_bytes, other.max_bytes) if end is not None]
    return LengthRange(max(one.min_bytes, other.min_bytes), min(ends) if ends else None)


def _invalid(why: str) -> InvalidPolicyDocument:
    return InvalidPolicyDocument(f"Invalid Policy: {why}")


def _not_allowed(why: str) -> AccessDenied:
    return AccessDenied(f"Invalid according to Policy: {why}")
