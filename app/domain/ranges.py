"""Byte ranges: what a client asks for, against the size of what there is.

Source: RFC 9110, section 14; GetObject and UploadPartCopy, AWS S3 API reference.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.domain.errors import InvalidArgument, InvalidRange

_HEADER_MAX = 128  # characters; a longer one is no single range of numbers that a file can have


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The bytes [start, start + length); length is at least 1."""

    start: int
    length: int

    @property
    def last(self) -> int:
        return self.start + self.length - 1

    def content_range(self, size_bytes: int) -> str:
        return f"bytes {self.start}-{self.last}/{size_bytes}"


def parse_range(header: str | None, size_bytes: int) -> ByteRange | None:
    """The one range that a Range header selects; None where there is none, it is malformed, or there are several.

    Raises: InvalidRange, with Content-Range, when it selects no byte: always so for an empty object.
    """
    bounds = _bounds(header)
    if bounds is None:
        return None
    first, last = bounds
    if first is None:
        assert last is not None
        length = min(last, size_bytes)
        if length == 0:
            raise _unsatisfiable(header, size_bytes)
        return ByteRange(size_bytes - length, length)
    if last is not None and last < first:
        return None
    if first >= size_bytes:
        raise _unsatisfiable(header, size_bytes)
    end = size_bytes if last is None else min(last + 1, size_bytes)
    return ByteRange(first, end - first)


def parse_copy_source_range(header: str, size_bytes: int) -> ByteRange:
    """The range of x-amz-copy-source-range, which must be bytes=first-last.

    Raises: InvalidArgument for any other form, InvalidRange when it ends behind the source's last byte.
    """
    first, last = _bounds(header) or (None, None)
    if first is None or last is None or last < first:
        raise InvalidArgument(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
            "zero-based offsets of the first and last bytes to copy",
            ArgumentName="x-amz-copy-source-range",
            ArgumentValue=header,
        )
    if last >= size_bytes:
        raise _unsatisfiable(header, size_bytes)
    return ByteRange(first, last + 1 - first)


def _bounds(header: str | None) -> tuple[int | None, int | None] | None:
    """(first, last) of a well-formed single range, one of them perhaps None; None for anything else."""
    if header is None or len(header) > _HEADER_MAX:
        return None
    unit, _, span = header.partition("=")
    first, dash, last = span.partition("-")
    if unit.lower() != "bytes" or not dash or not (first or last):
        return None
    if not _is_number(first) or not _is_number(last):
        return None
    return (int(first) if first else None, int(last) if last else None)


def _is_number(text: str) -> bool:
    return not text or (text.isascii() and text.isdigit())


def _unsatisfiable(header: str | None, size_bytes: int) -> InvalidRange:
    return InvalidRange(
        headers=(("Content-Range", f"bytes */{size_bytes}"),),
        RangeRequested=header or "",
        ActualObjectSize=str(size_bytes),
    )
