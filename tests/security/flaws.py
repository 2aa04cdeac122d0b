"""What can be wrong with a signed request, and what each is called."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from tests.signing import Draft, Keys, Sign, Signed, presign, sign


class Refusal(NamedTuple):
    status: int
    code: str


DENIED = Refusal(403, "AccessDenied")
MISMATCH = Refusal(403, "SignatureDoesNotMatch")
SKEWED = Refusal(403, "RequestTimeTooSkewed")
UNKNOWN = Refusal(403, "InvalidAccessKeyId")
MALFORMED = Refusal(400, "AuthorizationHeaderMalformed")
PARAMETERS = Refusal(400, "AuthorizationQueryParametersError")
TWO_WAYS = Refusal(400, "InvalidArgument")
CHUNKS_WITHOUT_SIGNATURE = Refusal(400, "InvalidRequest")


class Flaw(NamedTuple):
    """A wrong request from a right one, and what it is called in a header and in a query."""

    name: str
    in_header: Refusal
    in_query: Refusal
    make: Callable[[Draft, Keys, Sign], Signed]


# -- What can be wrong -------------------------------------------------------------------------------------------


def _replaced(signed: Signed, change: Callable[[str], str]) -> Signed:
    """`change` is made to the text that holds the signature: the header's value or the parameter."""
    signed.headers = [(name, change(value) if name == "Authorization" else value) for name, value in signed.headers]
    signed.query = [change(pair) if pair.startswith("X-Amz-Signature=") else pair for pair in signed.query]
    return signed


def _unknown_key(draft: Draft, keys: Keys, by: Sign) -> Signed:
    return by(draft, Keys("nobody-at-all", keys.secret_key))


def _wrong_secret(draft: Draft, keys: Keys, by: Sign) -> Signed:
    return by(draft, Keys(keys.access_key, keys.secret_key + "x"))


def _altered(draft: Draft, keys: Keys, by: Sign) -> Signed:
    return _replaced(by(draft, keys), lambda text: text[:-1] + ("0" if text[-1] != "0" else "1"))


def _expired(draft: Draft, keys: Keys, by: Sign) -> Signed:
    return by(draft.copy(moment_s=time.time() - 910, expires_s=900), keys)


def _future(draft: Draft, keys: Keys, by: Sign) -> Signed:
    return by(draft.copy(moment_s=time.time() + 930), keys)


def _other_region(draft: Draft, keys: Keys, by: Sign) -> Signed:
    return by(draft.copy(region="eu-central-1"), keys)


def _other_service(draft: Draft, keys: Keys, by: Sign) -> Signed:
    return by(draft.copy(service="sqs"), keys)


def _other_date(draft: Draft, keys: Keys, by: Sign) -> Signed:
    return by(draft.copy(scope_date="20200101"), keys)


def _names_reordered(draft: Draft, keys: Keys, by: Sign) -> Signed:
    """SignedHeaders in another order than the canonical one."""
    signed = by(draft, keys)

    def reverse(text: str, separator: str) -> str:
        start = text.index("SignedHeaders=") + len("SignedHeaders=")
        names = text[start:].partition(",")[0].partition("&")[0]
        return text.replace(names, separator.join(reversed(names.split(separator))))

    signed.headers = [
        (name, reverse(value, ";") if name == "Authorization" else value) for name, value in signed.headers
    ]
    signed.query = [reverse(pair, "%3B") if pair.startswith("X-Amz-SignedHeaders=") else pair for pair in signed.query]
    return signed


def _values_reordered(draft: Draft, keys: Keys, by: Sign) -> Signed:
    """Two headers of one name change places after signing."""
    signed = by(draft, keys)
    at = [place for place, (name, _) in enumerate(signed.headers) if name == "x-amz-meta-note"]
    signed.headers[at[0]], signed.headers[at[1]] = signed.headers[at[1]], signed.headers[at[0]]
    return signed


def _repeated(draft: Draft, keys: Keys, by: Sign) -> Signed:
    """A second signature beside the right one."""
    signed = _replaced(by(draft, keys), lambda text: text + ", Signature=" + "0" * 64 if "Credential" in text else text)
    signed.query += [f"X-Amz-Signature={'0' * 64}"] if by is presign else []
    return signed


def _header_repeated(draft: Draft, keys: Keys, by: Sign) -> Signed:
    """The whole statement twice."""
    signed = by(draft, keys)
    signed.headers += [item for item in signed.headers if item[0] == "Authorization"]
    signed.query += [pair for pair in signed.query if pair.startswith("X-Amz-Credential=")]
    return signed


def _other_method(draft: Draft, keys: Keys, by: Sign) -> Signed:
    signed = by(draft.copy(method="GET" if draft.method != "GET" else "PUT"), keys)
    signed.method = draft.method
    return signed


def _other_path(draft: Draft, keys: Keys, by: Sign) -> Signed:
    path, mark, query = draft.target.partition("?")
    signed = by(draft.copy(target=f"{path}x{mark}{query}"), keys)
    signed.path = path
    return signed


def _parameter_added(draft: Draft, keys: Keys, by: Sign) -> Signed:
    signed = by(draft, keys)
    signed.query.append("x-id=GetObject")
    return signed


def _header_changed(draft: Draft, keys: Keys, by: Sign) -> Signed:
    signed = by(draft, keys)
    signed.headers = [(name, value + "x" if name == "x-amz-meta-note" else value) for name, value in signed.headers]
    return signed


def _both_ways(draft: Draft, keys: Keys, by: Sign) -> Signed:
    signed, other = presign(draft, keys), sign(draft, keys)
    signed.headers = other.headers
    return signed


FLAWS = (
    Flaw("unknown access key", UNKNOWN, UNKNOWN, _unknown_key),
    Flaw("wrong secret", MISMATCH, MISMATCH, _wrong_secret),
    Flaw("altered signature", MISMATCH, MISMATCH, _altered),
    Flaw("expired", SKEWED, DENIED, _expired),
    Flaw("from the future", SKEWED, DENIED, _future),
    Flaw("another region", MALFORMED, PARAMETERS, _other_region),
    Flaw("another service", MALFORMED, PARAMETERS, _other_service),
    Flaw("another date in the scope", MALFORMED, PARAMETERS, _other_date),
    Flaw("signed headers reordered", MALFORMED, PARAMETERS, _names_reordered),
    Flaw("repeated header reordered", MISMATCH, MISMATCH, _values_reordered),
    Flaw("signature repeated", MALFORMED, PARAMETERS, _repeated),
    Flaw("claim repeated", MALFORMED, PARAMETERS, _header_repeated),
    Flaw("another method", MISMATCH, MISMATCH, _other_method),
    Flaw("another path", MISMATCH, MISMATCH, _other_path),
    Flaw("parameter added", MISMATCH, MISMATCH, _parameter_added),
    Flaw("header changed", MISMATCH, MISMATCH, _header_changed),
    Flaw("header and query", TWO_WAYS, TWO_WAYS, _both_ways),
)
