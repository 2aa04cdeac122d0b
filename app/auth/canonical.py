"""The canonical forms that Signature Version 4 signs, for verifying and for signing alike.

Texts are latin-1: one character a byte, so what was received and what is hashed are the same bytes.
Source: "Signature Calculations for the Authorization Header", AWS S3 API reference. S3 decodes the path once and
normalises no dot segments.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from app.domain.errors import InvalidURI

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "s3"
TERMINAL = "aws4_request"

QUERY_PARAMETERS_MAX = 1000

_UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"

# What an encoder that follows the rules leaves behind; it is its own canonical form. The quantifiers are possessive:
# a hostile text costs one pass, never a backtrack.
_ESCAPED_ANY = r"%(?:[0189A-F][0-9A-F]|2[0-9A-C]|3[A-F]|40|5[B-E]|60|7[BCDF])"
_CANONICAL_PATH = re.compile(rf"(?:[A-Za-z0-9\-._~/]++|{_ESCAPED_ANY})*+").fullmatch
_CANONICAL_PART = re.compile(rf"(?:[A-Za-z0-9\-._~]++|{_ESCAPED_ANY}|%2F)*+").fullmatch
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})").search

_PART_ENCODING = tuple(chr(octet) if chr(octet) in _UNRESERVED else f"%{octet:02X}" for octet in range(256))
_PATH_ENCODING = tuple("/" if octet == 0x2F else _PART_ENCODING[octet] for octet in range(256))


_KEYS_MAX = 16_384  # more than there can be users; some 1,000 bytes each
_BLOCK_BYTES = 64  # of SHA-256: what an HMAC pads its key to
_INNER, _OUTER = (bytes(octet ^ mask for octet in range(256)) for mask in (0x36, 0x5C))


def canonical_path(raw_path: str) -> str:
    """The path decoded once and encoded anew. Raises: InvalidURI for a broken escape."""
    if _CANONICAL_PATH(raw_path):
        return raw_path or "/"
    return "".join(map(_PATH_ENCODING.__getitem__, _decode(raw_path)))


def encode_path(key: str) -> str:
    """A key as it stands in a path: UTF-8, everything escaped but unreserved characters and the slash."""
    return "".join(map(_PATH_ENCODING.__getitem__, key.encode()))


def encode_part(text: str) -> str:
    """A query parameter's name or value, encoded as UTF-8."""
    return "".join(map(_PART_ENCODING.__getitem__, text.encode()))


def decode_part(encoded: str) -> str:
    """The latin-1 text of a name or value from `query_pairs`."""
    return unquote_to_bytes(encoded).decode("latin-1") if "%" in encoded else encoded


def query_pairs(raw_query: str) -> list[tuple[str, str]]:
    """(name, value) of each parameter in the order received, each in its canonical encoding; empty pairs left out.

    Two spellings of one name come out equal, so names may be compared as they are. Raises: InvalidURI.
    """
    if raw_query.count("&") >= QUERY_PARAMETERS_MAX:
        raise InvalidURI("The query has too many parameters.")
    pairs = []
    for pair in raw_query.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            pairs.append((_canonical_part(name), _canonical_part(value)))
    return pairs


def canonical_query(pairs: Iterable[tuple[str, str]]) -> str:
    """Encoded pairs by encoded name, then value; a parameter without "=" gets one."""
    return "&".join([f"{name}={value}" for name, value in sorted(pairs)])


def joined_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Values by name; those of one name joined by commas, in order. Folding is `canonical_request`'s."""
    values: dict[str, str] = {}
    repeated: dict[str, list[str]] = {}
    for name, value in headers:
        if name not in values:
            values[name] = value
        elif name in repeated:
            repeated[name].append(value)
        else:
            repeated[name] = [values[name], value]
    for name, several in repeated.items():
        values[name] = ",".join([value.strip(" \t") for value in several])
    return values


def canonical_request(
    method: str, path: str, query: str, headers: Mapping[str, str], signed: Sequence[str], payload_hash: str
) -> bytes:
    """`path` and `query` are canonical already. A signed header that did not come counts as empty."""
    lines = []
    for name in signed:
        value = headers.get(name, "")
        if "  " in value or "\t" in value or value[:1] == " " or value[-1:] == " ":
            value = " ".join([word for word in value.replace("\t", " ").split(" ") if word])
        lines.append(f"{name}:{value}\n")
    text = f"{method}\n{path}\n{query}\n{''.join(lines)}\n{';'.join(signed)}\n{payload_hash}"
    return text.encode("latin-1")


def string_to_sign(timestamp: str, scope: str, request: bytes) -> bytes:
    """`scope` is "date/region/service/aws4_request"."""
    return f"{ALGORITHM}\n{timestamp}\n{scope}\n{hashlib.sha256(request).hexdigest()}".encode("latin-1")


def signing_key(secret_key: str, date: str, region: str, service: str = SERVICE) -> bytes:
    key = ("AWS4" + secret_key).encode()
    for step in (date, region, service, TERMINAL):
        key = hmac.digest(key, step.encode("latin-1"), "sha256")
    return key


def sign(key: bytes, text: bytes) -> str:
    """Lower-case hexadecimal. `key` is one of `signing_key`."""
    copy_inner, copy_outer = _keyed(key)
    inner, outer = copy_inner(), copy_outer()
    inner.update(text)
    outer.update(inner.digest())
    return outer.hexdigest()


@lru_cache(maxsize=_KEYS_MAX)
def _keyed(key: bytes) -> tuple[Callable[[], Hash], Callable[[], Hash]]:
    """The two hashes of an HMAC (RFC 2104) that have taken the key in, which is half the work of a short text.

    `hmac.new` gives the same, and its copies cost three times as much.
    """
    block = key.ljust(_BLOCK_BYTES, b"\0")
    return hashlib.sha256(block.translate(_INNER)).copy, hashlib.sha256(block.translate(_OUTER)).copy


def _canonical_part(raw: str) -> str:
    if _CANONICAL_PART(raw):
        return raw
    return "".join(map(_PART_ENCODING.__getitem__, _decode(raw.replace("+", " "))))


def _decode(raw: str) -> bytes:
    if _BROKEN_ESCAPE(raw):
        raise InvalidURI
    try:
        return unquote_to_bytes(raw.encode("latin-1"))
    except UnicodeEncodeError:
        raise InvalidURI from None


_HEADER_NAMES = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]++(?:;[!#$%&'*+\-.^_`|~0-9a-z]++)*+").fullmatch


def signed_header_names(text: str) -> tuple[str, ...] | None:
    """The names in a SignedHeaders list; None unless it is lower-case names in ascending order, each once."""
    return _remembered_names(text) if len(text) <= _NAMES_REMEMBERED_CHARS else _split_names(text)


# A client sends one of a few lists again and again; long ones, which a stranger could fill memory with, are not kept.
_NAMES_REMEMBERED_CHARS = 512


def _split_names(text: str) -> tuple[str, ...] | None:
    if not _HEADER_NAMES(text):
        return None
    names = tuple(text.split(";"))
    return names if all(first < second for first, second in pairwise(names)) else None


_remembered_names = lru_cache(maxsize=256)(_split_names)
