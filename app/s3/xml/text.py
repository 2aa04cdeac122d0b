"""The small change of response documents: escaping, checksums, owners.

Documents are put together from strings: 1,000 entries of a listing take a few milliseconds so, and every value passes
through `escape`, `key_text` or is a number, a date or a word of ours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol
from urllib.parse import quote

from app.domain.digests import element_name
from app.domain.types import Checksum

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

# Characters that markup reserves; CR, which a parser would turn into LF; and what XML 1.0 forbids.
_SPECIAL = re.compile('[&<>"\r\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]')
_NAMED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
_URL_SAFE = re.compile(r"[A-Za-z0-9._~/-]*")

# The same for many names at once: the bytes that stand for themselves.
_URL_SAFE_BYTES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~/-"
_PLAIN_BYTES = bytes(byte for byte in range(0x20, 0x7F) if chr(byte) not in _NAMED)


class Directory(Protocol):
    """Who is shown by which name; core's directory of users is one."""

    def display_name(self, user_id: str) -> str: ...


def escape(text: str) -> str:
    """Text as element content. A character that XML 1.0 forbids becomes a numeric reference, as AWS writes it."""
    return _SPECIAL.sub(_reference, text) if _SPECIAL.search(text) else text


def _reference(match: re.Match[str]) -> str:
    char = match.group()
    return _NAMED.get(char) or f"&#{ord(char)};"


def url_encoded(text: str) -> str:
    """A name under encoding-type=url: blanks %20, "+" %2B, "/" kept."""
    return text if _URL_SAFE.fullmatch(text) else quote(text, safe="/")


def key_text(text: str, encode: bool) -> str:
    return url_encoded(text) if encode else escape(text)


def key_texts(texts: Sequence[str], encode: bool) -> Sequence[str]:
    """`key_text` of each, much faster for a page of them: most need nothing done, which is found out in one go."""
    # NUL ends each name, and is told from one inside a name by counting.
    joined = "\0".join(texts).encode()
    odd = joined.translate(None, _URL_SAFE_BYTES if encode else _PLAIN_BYTES)
    ends = len(texts) - 1
    if len(odd) == ends and odd.count(b"\0") == ends:
        return texts
    if not encode or odd.count(b"\0") != ends:
        return [key_text(text, encode) for text in texts]
    # "%" first: what stands for the others begins with it.
    for byte in sorted({*odd} - {0}, key=lambda byte: byte != 0x25):
        joined = joined.replace(bytes((byte,)), b"%%%02X" % byte)
    return joined.decode().split("\0")


def document(root: str, *pieces: str) -> bytes:
    """A success document: its root in S3's namespace."""
    return "".join((HEAD, f'<{root} xmlns="{NAMESPACE}">', *pieces, f"</{root}>")).encode()


def element(name: str, text: str) -> str:
    return f"<{name}>{escape(text)}</{name}>"


def optional(name: str, text: str | None) -> str:
    """The element, or nothing where there is no text for it."""
    return f"<{name}>{escape(text)}</{name}>" if text else ""


def boolean(name: str, value: bool) -> str:
    return f"<{name}>{'true' if value else 'false'}</{name}>"


def etag_element(etag: str) -> str:
    return f"<ETag>&quot;{escape(etag)}&quot;</ETag>"


def checksum_elements(checksum: Checksum | None, *, with_type: bool = True) -> str:
    """ChecksumXXX with its value, and ChecksumType: as results and parts carry them."""
    if checksum is None:
        return ""
    value = element(element_name(checksum.algorithm), checksum.value)
    return f"{value}<ChecksumType>{checksum.type}</ChecksumType>" if with_type else value


def person(name: str, user_id: str, directory: Directory) -> str:
    """Owner or Initiator: the canonical id, and the display name where there is one."""
    return f"<{name}>{element('ID', user_id)}{optional('DisplayName', directory.display_name(user_id))}</{name}>"
