"""Conditions: what a request's If-… headers ask of the object, on reads, copies, writes and deletes.

`get` gives a header's value by its lower-case name, or None. Dates compare at one second; a date that cannot be read
is ignored on reads, as AWS does, and refused where ignoring it would delete something.
Source: RFC 9110, section 13; "Conditional requests", AWS S3 user guide.
"""

from __future__ import annotations

from collections.abc import Callable

from app.domain.dates import http_date, parse_date
from app.domain.errors import InvalidArgument, NotModified, PreconditionFailed, S3NotImplemented
from app.domain.types import Condition

GetHeader = Callable[[str], str | None]

ANY = ("*",)
_SIZE_DIGITS_MAX = 18


def parse_etags(header: str) -> tuple[str, ...]:
    """The ETags of a list, without quotes; ("*",) for any. A weak one keeps its W/, so that it equals no stored ETag.

    Never empty: an empty header asks for an object that cannot be.
    """
    if header.strip() == "*":
        return ANY
    return tuple(_unquoted(item) for item in header.split(","))


def evaluate_read(get: GetHeader, etag: str, modified_ms: int) -> None:
    """If-Match, else If-Unmodified-Since; then If-None-Match, else If-Modified-Since.

    Raises: PreconditionFailed; NotModified, which carries ETag and Last-Modified.
    """
    failed = _failed_requirement(get, "", etag, modified_ms)
    if failed:
        raise PreconditionFailed(Condition=failed)
    if _failed_wish(get, "", etag, modified_ms):
        raise NotModified(headers=(("ETag", f'"{etag}"'), ("Last-Modified", http_date(modified_ms))))


def range_holds(if_range: str | None, etag: str, modified_ms: int) -> bool:
    """Whether a range may be sent: where If-Range names this object, or is not there. Else the whole object is the answer.

    A weak ETag and a date that cannot be read name none (RFC 9110 section 13.1.5).
    """
    if if_range is None:
        return True
    value = if_range.strip()
    if value[:1] == '"':
        return value == f'"{etag}"'
    return parse_date(value) == modified_ms // 1000


def evaluate_copy_source(get: GetHeader, etag: str, modified_ms: int) -> None:
    """The x-amz-copy-source-if-* headers, against the source. Raises: PreconditionFailed for every one of them."""
    prefix = "x-amz-copy-source-"
    failed = _failed_requirement(get, prefix, etag, modified_ms) or _failed_wish(get, prefix, etag, modified_ms)
    if failed:
        raise PreconditionFailed(Condition=failed)


def write_condition(get: GetHeader) -> Condition | None:
    """What PutObject, CopyObject (for its destination) and CompleteMultipartUpload ask of the current object.

    Raises: S3NotImplemented for an If-None-Match that is not "*", and for If-Unmodified-Since: a condition that is not
    checked must not look as if it had been.
    """
    none_match, match = get("if-none-match"), get("if-match")
    if none_match is not None and none_match.strip() != "*":
        raise _not_implemented("If-None-Match")
    if get("if-unmodified-since") is not None:
        raise _not_implemented("If-Unmodified-Since")
    if none_match is None and match is None:
        return None
    return Condition(if_none_match_any=none_match is not None, if_match=None if match is None else parse_etags(match))


def delete_condition(get: GetHeader) -> Condition | None:
    """What DeleteObject asks of the current object: its ETag, size and date of last change.

    Raises: InvalidArgument for a size or date that cannot be read, S3NotImplemented for other conditions.
    """
    for name in ("If-None-Match", "If-Unmodified-Since"):
        if get(name.lower()) is not None:
            raise _not_implemented(name)
    match, size, modified = get("if-match"), get("x-amz-if-match-size"), get("x-amz-if-match-last-modified-time")
    if match is None and size is None and modified is None:
        return None
    return Condition(
        if_match=None if match is None else parse_etags(match),
        if_match_size_bytes=None if size is None else _size(size),
        if_match_modified_s=None if modified is None else _date(modified),
    )


def _failed_requirement(get: GetHeader, prefix: str, etag: str, modified_ms: int) -> str:
    """The name of the header that demands another object than this, or ""."""
    match = get(prefix + "if-match")
    if match is not None:
        tags = parse_etags(match)
        return "" if tags == ANY or etag in tags else _shown(prefix, "If-Match")
    unmodified = get(prefix + "if-unmodified-since")
    since_s = None if unmodified is None else parse_date(unmodified)
    if since_s is not None and modified_ms // 1000 > since_s:
        return _shown(prefix, "If-Unmodified-Since")
    return ""


def _failed_wish(get: GetHeader, prefix: str, etag: str, modified_ms: int) -> str:
    """The name of the header that wants no object like this, or ""."""
    none_match = get(prefix + "if-none-match")
    if none_match is not None:
        # Whoever has a weak copy, a compressing proxy's for example, has this object all the same.
        tags = parse_etags(none_match)
        return _shown(prefix, "If-None-Match") if tags == ANY or etag in tags or f"W/{etag}" in tags else ""
    modified = get(prefix + "if-modified-since")
    since_s = None if modified is None else parse_date(modified)
    if since_s is not None and modified_ms // 1000 <= since_s:
        return _shown(prefix, "If-Modified-Since")
    return ""


def _shown(prefix: str, name: str) -> str:
    return prefix + name.lower() if prefix else name


def _unquoted(item: str) -> str:
    item = item.strip()
    weak = "W/" if item.startswith("W/") else ""
    item = item.removeprefix("W/")
    if len(item) >= 2 and item[0] == item[-1] == '"':
        # A star in quotes is an ETag that no object has, not a wildcard.
        item = item if item == '"*"' else item[1:-1]
    return weak + item


def _size(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= _SIZE_DIGITS_MAX:
        return int(text)
    raise InvalidArgument(
        "The size to compare with is not a number.", ArgumentName="x-amz-if-match-size", ArgumentValue=text
    )


def _date(text: str) -> int:
    moment_s = parse_date(text)
    if moment_s is None:
        raise InvalidArgument(
            "The date to compare with is not a date.",
            ArgumentName="x-amz-if-match-last-modified-time",
            ArgumentValue=text,
        )
    return moment_s


def _not_implemented(header: str) -> S3NotImplemented:
    return S3NotImplemented("A header you provided implies functionality that is not implemented", Header=header)
