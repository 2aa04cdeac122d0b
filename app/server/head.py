"""One strict parse of a request's head: the request line, the header section and what they say about the body.

Pure functions over bytes. Whatever two HTTP implementations might read differently is refused here, for behind a proxy
a difference is a smuggled request: bare LF, folded lines, blanks before a colon, repeated or contradicting lengths.
Source: RFC 9112 sections 2 to 7, RFC 9110 section 5.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.domain.errors import (
    BadRequest,
    InvalidURI,
    MethodNotAllowed,
    RequestHeaderSectionTooLarge,
    S3Error,
    S3NotImplemented,
)
from app.s3.request import Headers
from app.server.limits import WireLimits

METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"})
CONTENT_LENGTH_MAX_DIGITS = 18

_TOKEN = rb"[0-9A-Za-z!#$%&'*+.^_`|~-]"
_METHOD = re.compile(_TOKEN + rb"{1,32}")
# Printable ASCII without "#": a fragment is never sent, and proxies disagree on what to do with one.
_TARGET = re.compile(rb"[!-\"$-~]+")
# A line that nothing is wrong with, in one look.
_USUAL_LINE = re.compile(rb"(GET|HEAD|PUT|POST|DELETE) (/[!-\"$-~]*+) HTTP/1\.([01])").fullmatch
# Name, colon, visible characters, blanks and bytes above 127: user metadata is bytes. Possessive, so it cannot backtrack.
FIELD_LINE = rb"(?:" + _TOKEN + rb"++:[\t -~\x80-\xff]*+)"
_SECTION = re.compile(FIELD_LINE + rb"(?:\r\n" + FIELD_LINE + rb")*+")
_HOST = re.compile(r"[0-9A-Za-z.\-_~!$&'()*+;=:\[\]%]+")
_FRAMING = frozenset({"host", "content-length", "transfer-encoding", "connection", "expect"})

NO_FIELDS = Headers([])


@dataclass(slots=True)
class RequestHead:
    """`headers` are exact: names and values as received, blanks around a value removed, in order, latin-1 decoded.

    `content_length` is None where there is none. `keeps_alive` is the client's wish. `fields` are the headers as S3 reads
    them.
    """

    method: str
    target: str
    minor_version: int
    headers: list[tuple[str, str]]
    content_length: int | None = None
    is_chunked: bool = False
    expects_continue: bool = False
    keeps_alive: bool = True
    fields: Headers = NO_FIELDS


class HeadReader:
    """Parses the heads of one connection. A client says much the same each time: a section that comes again is not parsed again."""

    __slots__ = ("_limits", "_minor_version", "_parsed", "_section")

    def __init__(self, limits: WireLimits) -> None:
        self._limits = limits
        self._section = b""
        self._minor_version = -1
        self._parsed: RequestHead | None = None

    def read(self, block: bytes) -> RequestHead:
        """The head from its bytes, without the empty line behind it.

        Raises: BadRequest, InvalidURI, MethodNotAllowed, RequestHeaderSectionTooLarge, S3NotImplemented.
        """
        line, _, section = block.partition(b"\r\n")
        method, target, minor_version = parse_request_line(line, self._limits)
        like = self._parsed
        if like is not None and section == self._section and minor_version == self._minor_version:
            return RequestHead(
                method, target, minor_version, like.headers, like.content_length, like.is_chunked,
                like.expects_continue, like.keeps_alive, like.fields,
            )  # fmt: skip
        headers = _parse_section(section, self._limits) if section else []
        head = RequestHead(method, target, minor_version, headers)
        _read_framing(head)
        head.fields = Headers(headers)
        self._parsed, self._section, self._minor_version = head, section, minor_version
        return head


def parse_head(block: bytes, limits: WireLimits) -> RequestHead:
    """One head by itself; as `HeadReader.read`."""
    return HeadReader(limits).read(block)


def check_arriving(received: bytes, limits: WireLimits) -> None:
    """Refuse a head of which only a part is here as soon as it cannot become a request any more.

    `received` has no empty line yet. Without this, garbage would be waited for until the deadline. Raises as `parse_head`.
    """
    end = received.find(b"\n")
    if end < 0:
        if not _METHOD.match(received) and received != b"\r":
            raise BadRequest("This is not an HTTP request.")
        _check_line_length(len(received), limits)
        return
    if received[end - 1 : end] != b"\r":
        raise _bare_line_end()
    parse_request_line(received[: end - 1], limits)
    if received.count(b"\n") != received.count(b"\r\n"):
        raise _bare_line_end()
    if len(received) - end > limits.header_section_max_bytes:
        raise _section_too_large(limits)


def parse_request_line(line: bytes, limits: WireLimits) -> tuple[str, str, int]:
    """(method, target, minor version). Raises: BadRequest, InvalidURI, MethodNotAllowed."""
    usual = _USUAL_LINE(line)
    if usual is not None and len(line) <= limits.request_line_max_bytes:
        return usual[1].decode("ascii"), usual[2].decode("ascii"), usual[3][0] - ord("0")
    _check_line_length(len(line), limits)
    words = line.split(b" ")
    if len(words) != 3 or not _METHOD.fullmatch(words[0]):
        raise BadRequest("The request line is malformed.")
    if words[2] not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise BadRequest("This server speaks HTTP/1.1.")
    method = words[0].decode("ascii")
    if method not in METHODS:
        raise MethodNotAllowed
    if not _TARGET.fullmatch(words[1]):
        raise InvalidURI
    target = words[1].decode("ascii")
    _check_form(method, target)
    return method, target, words[2][-1] - ord("0")


def refused_request(received: bytes) -> tuple[str, str]:
    """(method, path) of a head that was refused, as far as they can be made out; for the refusal's own text."""
    words = received.lstrip(b"\r\n").partition(b"\r\n")[0].split(b" ")
    if len(words) < 2 or not _METHOD.fullmatch(words[0]):
        return "", "/"
    path = words[1].partition(b"?")[0]
    return words[0].decode("ascii"), path.decode("ascii") if _TARGET.fullmatch(path) else "/"


def _check_form(method: str, target: str) -> None:
    """Origin-form, absolute-form of our schemes, or the asterisk of OPTIONS (RFC 9112 section 3.2)."""
    if target.startswith("/") or (target == "*" and method == "OPTIONS"):
        return
    if not target.lower().startswith(("http://", "https://")):
        raise InvalidURI


def _parse_section(section: bytes, limits: WireLimits) -> list[tuple[str, str]]:
    if len(section) > limits.header_section_max_bytes:
        raise _section_too_large(limits)
    if section.count(b"\r\n") >= limits.headers_max:
        raise RequestHeaderSectionTooLarge(f"A request may have at most {limits.headers_max} headers.")
    if not _SECTION.fullmatch(section):
        raise _complaint(section)
    headers = []
    longest = limits.header_field_max_bytes
    for line in section.decode("latin-1").split("\r\n"):
        if len(line) > longest:
            raise RequestHeaderSectionTooLarge(f"A header may have at most {longest} bytes.")
        name, _, value = line.partition(":")
        headers.append((name, value.strip(" \t")))
    return headers


def _complaint(section: bytes) -> S3Error:
    """What is wrong with a section that is malformed; a description of the first bad line."""
    if section.count(b"\n") != section.count(b"\r\n") or section.count(b"\r") != section.count(b"\r\n"):
        return _bare_line_end()
    for line in section.split(b"\r\n"):
        if line.startswith((b" ", b"\t")):
            return BadRequest("Folded header lines are not supported.")
        if not re.fullmatch(FIELD_LINE, line):
            break
    return BadRequest("A header line is malformed.")


def _read_framing(head: RequestHead) -> None:
    """Fill in what the headers say about the message. Raises: BadRequest, S3NotImplemented."""
    hosts: list[str] = []
    lengths: list[str] = []
    codings: list[str] = []
    connection = ""
    for name, value in head.headers:
        lowered = name.lower()
        if lowered not in _FRAMING:
            continue
        if lowered == "host":
            hosts.append(value)
        elif lowered == "content-length":
            lengths.append(value)
        elif lowered == "transfer-encoding":
            codings.append(value)
        elif lowered == "connection":
            connection += "," + value.lower()
        # RFC 9110 section 10.1.1: an expectation of HTTP/1.0 is ignored. So are unknown ones: 417 would be allowed, but
        # old clients send odd values and are served everywhere else.
        elif value.lower() == "100-continue" and head.minor_version == 1:
            head.expects_continue = True
    _check_host(hosts, head.minor_version)
    head.is_chunked = _is_chunked(codings, head.minor_version)
    head.content_length = _content_length(lengths)
    if head.is_chunked and lengths:
        raise BadRequest("Content-Length and Transfer-Encoding exclude each other.")
    options = {option.strip(" \t") for option in connection.split(",")}
    head.keeps_alive = "close" not in options and (head.minor_version == 1 or "keep-alive" in options)


def _check_host(hosts: list[str], minor_version: int) -> None:
    if len(hosts) > 1 or (not hosts and minor_version == 1):
        raise BadRequest("A request has exactly one Host header.")
    if hosts and not _HOST.fullmatch(hosts[0]):
        raise BadRequest("The Host header is malformed.")


def _content_length(values: list[str]) -> int | None:
    if not values:
        return None
    value = values[0]
    if len(values) > 1 or len(value) > CONTENT_LENGTH_MAX_DIGITS or not (value.isascii() and value.isdigit()):
        raise BadRequest("A request has at most one Content-Length, a decimal number.")
    return int(value)


def _is_chunked(values: list[str], minor_version: int) -> bool:
    if not values:
        return False
    coding = values[0].lower()
    if len(values) > 1 or minor_version == 0 or not coding or "chunked" in coding.split(",")[0:-1]:
        raise BadRequest("Transfer-Encoding is malformed.")
    if coding != "chunked":
        raise S3NotImplemented("The only transfer coding is chunked.")
    return True


def _check_line_length(length: int, limits: WireLimits) -> None:
    if length > limits.request_line_max_bytes:
        raise InvalidURI(f"The request line is longer than {limits.request_line_max_bytes} bytes.")


def _section_too_large(limits: WireLimits) -> S3Error:
    return RequestHeaderSectionTooLarge(f"The headers have more than {limits.header_section_max_bytes} bytes.")


def _bare_line_end() -> S3Error:
    return BadRequest("Lines of a request end in CR LF.")
