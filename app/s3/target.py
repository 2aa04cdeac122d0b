"""One parse of the raw request target. The same bytes serve signature, access and storage.

Flask's own routing would merge "//", refuse a leading "/" and map two spellings of a broken key to one, so it is
not asked. Source: design section "The wire", RFC 9112 section 3.2, RFC 3986 section 2.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from app.domain.errors import InvalidURI
from app.domain.names import bucket_of_host
from app.s3.request import Query, Target

_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")


def parse_target(raw: str, host: str, domains: Sequence[str]) -> tuple[Target, Query]:
    """What a request line's target and Host name. `raw` is latin-1 decoded, `domains` lower case without a leading dot.

    Raises: InvalidURI when the path or a parameter is not percent-encoded UTF-8, or a key has no bucket before it.
    """
    raw_path, _, raw_query = _origin_form(raw).partition("?")
    bucket = bucket_of_host(host, domains)
    if bucket is not None:
        key = _decode(raw_path[1:])
        return Target(raw_path, raw_query, bucket, key or None), parse_query(raw_query)
    raw_bucket, _, raw_key = raw_path[1:].partition("/")
    if raw_key and not raw_bucket:
        raise InvalidURI("A key without a bucket names nothing.")
    return (
        Target(raw_path, raw_query, _decode(raw_bucket) or None, _decode(raw_key) or None),
        parse_query(raw_query),
    )


def parse_query(raw: str) -> Query:
    """Parameters in order. "+" is a blank here, unlike in a path. Raises: InvalidURI.

    A signature that stands last is left out: nobody asks for it here, and what comes before it is the same for every
    object that is read with one presigner's URLs of one second, so that it is parsed once.
    """
    if not raw:
        return _NO_QUERY
    before, mark, signature = raw.rpartition(_SIGNATURE)
    if mark and len(before) <= _REMEMBERED_CHARS and len(signature) == 64 and signature.isalnum():
        return _remembered(before)
    return _read_query(raw)


_NO_QUERY = Query(())
_SIGNATURE = "&X-Amz-Signature="
_REMEMBERED_CHARS = 512


def _read_query(raw: str) -> Query:
    usual = _USUAL_QUERY(raw)
    if usual is not None:
        algorithm, credential, date, expires, names = usual.groups()
        return Query.of_signature(algorithm, credential.replace("%2F", "/"), date, expires, names.replace("%3B", ";"))
    items = []
    for pair in raw.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            items.append((_decode(name.replace("+", " ")), _decode(value.replace("+", " "))))
    return Query(items)


# What signers write before the signature where there is nothing else. Many users, or URLs of many moments, are more than can
# be remembered, and this reads them in a fourth of the time.
_USUAL_QUERY = re.compile(
    r"X-Amz-Algorithm=([A-Z0-9-]++)&X-Amz-Credential=([A-Za-z0-9._~-]++(?:%2F[A-Za-z0-9._~-]++)*+)&X-Amz-Date=([0-9TZ]++)"
    r"&X-Amz-Expires=([0-9]++)&X-Amz-SignedHeaders=([a-z0-9-]++(?:%3B[a-z0-9-]++)*+)"
).fullmatch

_remembered = lru_cache(maxsize=256)(_read_query)


def _origin_form(raw: str) -> str:
    """Absolute-form ("http://host/path") is what a proxy gets; only its path and query count."""
    if raw.startswith("/"):
        return raw
    scheme, separator, rest = raw.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        raise InvalidURI
    cut = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
    if cut == 0:
        raise InvalidURI  # RFC 9110 section 4.2.1: there is always a host
    path = rest[cut:]
    return path if path.startswith("/") else "/" + path


def _decode(raw: str) -> str:
    if "%" not in raw:
        if raw.isascii():
            return raw
        raise InvalidURI
    if _BROKEN_ESCAPE.search(raw):
        raise InvalidURI
    try:
        octets = _ESCAPE.sub(lambda match: bytes((int(match[1], 16),)), raw.encode("ascii"))
        return octets.decode("utf-8")
    except UnicodeError:
        raise InvalidURI from None
