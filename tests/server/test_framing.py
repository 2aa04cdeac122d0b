"""What two HTTP implementations might read differently is refused, in S3's words (S-21, S-29; S-12)."""

from __future__ import annotations

import re
import time
from xml.etree import ElementTree as ET

import pytest

from tests.server.conftest import AppServer
from tests.server.wire import Answer, Wire, get

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"


def put(*headers: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join([b"PUT /b/k HTTP/1.1", b"Host: localhost", *headers, b"", b""]) + body


def head(*lines: bytes) -> bytes:
    return b"\r\n".join([*lines, b"", b""])


CHUNKED = b"Transfer-Encoding: chunked"

# Name -> (what is sent, status, S3 code). Every one ends the connection: no byte behind it is read as a request.
REFUSED = {
    # The request line
    "no request line": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "BadRequest"),
    "garbage": (b"\x00\x01\x02\x03", 400, "BadRequest"),
    "one word": (head(b"GET", b"Host: localhost"), 400, "BadRequest"),
    "HTTP/0.9": (b"GET /\r\n", 400, "BadRequest"),
    "four words": (head(b"GET / x HTTP/1.1", b"Host: localhost"), 400, "BadRequest"),
    "two blanks": (head(b"GET  / HTTP/1.1", b"Host: localhost"), 400, "BadRequest"),
    "tab for a blank": (head(b"GET\t/\tHTTP/1.1", b"Host: localhost"), 400, "BadRequest"),
    "blank before the method": (head(b" GET / HTTP/1.1", b"Host: localhost"), 400, "BadRequest"),
    "blank behind the version": (head(b"GET / HTTP/1.1 ", b"Host: localhost"), 400, "BadRequest"),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "BadRequest"),
    "HTTP/1.2": (head(b"GET / HTTP/1.2", b"Host: localhost"), 400, "BadRequest"),
    "HTTP/11": (head(b"GET / HTTP/11", b"Host: localhost"), 400, "BadRequest"),
    "http/1.1": (head(b"GET / http/1.1", b"Host: localhost"), 400, "BadRequest"),
    "a method's bytes": (head(b"G\xc3\x89T / HTTP/1.1", b"Host: localhost"), 400, "BadRequest"),
    "a method's length": (head(b"G" * 33 + b" / HTTP/1.1", b"Host: localhost"), 400, "BadRequest"),
    "lower-case method": (head(b"get / HTTP/1.1", b"Host: localhost"), 405, "MethodNotAllowed"),
    "TRACE": (head(b"TRACE / HTTP/1.1", b"Host: localhost"), 405, "MethodNotAllowed"),
    "CONNECT": (head(b"CONNECT a:1 HTTP/1.1", b"Host: localhost"), 405, "MethodNotAllowed"),
    "target without a slash": (head(b"GET b/k HTTP/1.1", b"Host: localhost"), 400, "InvalidURI"),
    "asterisk of GET": (head(b"GET * HTTP/1.1", b"Host: localhost"), 400, "InvalidURI"),
    "other scheme": (head(b"GET ftp://h/b HTTP/1.1", b"Host: localhost"), 400, "InvalidURI"),
    "raw UTF-8 target": (head(b"GET /b/\xc3\xa9 HTTP/1.1", b"Host: localhost"), 400, "InvalidURI"),
    "control in the target": (head(b"GET /b/\x0b HTTP/1.1", b"Host: localhost"), 400, "InvalidURI"),
    "fragment": (head(b"GET /b/k#x HTTP/1.1", b"Host: localhost"), 400, "InvalidURI"),
    "long request line": (head(b"GET /" + b"k" * 8190 + b" HTTP/1.1", b"Host: localhost"), 400, "InvalidURI"),
    "endless request line": (b"GET /" + b"k" * 20_000, 400, "InvalidURI"),
    "10,000 parameters": (
        head(b"GET /?" + b"&".join(b"p%d=1" % n for n in range(10_000)) + b" HTTP/1.1", b"Host: localhost"),
        400, "InvalidURI",
    ),
    # Lines
    "bare LF": (b"GET / HTTP/1.1\nHost: localhost\n\n", 400, "BadRequest"),
    "bare LF in the headers": (b"GET / HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n", 400, "BadRequest"),
    "bare LF at the end": (b"GET / HTTP/1.1\r\nHost: localhost\n\n", 400, "BadRequest"),
    "bare CR in a value": (head(b"GET / HTTP/1.1", b"Host: localhost", b"X: a\rContent-Length: 5"), 400, "BadRequest"),
    "bare CR in a name": (head(b"GET / HTTP/1.1", b"Host: localhost", b"X\r: a"), 400, "BadRequest"),
    "folded line": (put(b"X: a", b" b"), 400, "BadRequest"),
    "folded with a tab": (put(b"X: a", b"\tb"), 400, "BadRequest"),
    "folded first line": (head(b"GET / HTTP/1.1", b" Host: localhost"), 400, "BadRequest"),
    "blank before the colon": (put(b"Content-Length : 0"), 400, "BadRequest"),
    "tab before the colon": (put(b"Content-Length\t: 0"), 400, "BadRequest"),
    "no colon": (put(b"Content-Length 5"), 400, "BadRequest"),
    "no name": (put(b": x"), 400, "BadRequest"),
    "NUL in a value": (put(b"X: a\x00b"), 400, "BadRequest"),
    "NUL in a name": (put(b"X\x00: a"), 400, "BadRequest"),
    "DEL in a value": (put(b"X: a\x7fb"), 400, "BadRequest"),
    "byte above 127 in a name": (put(b"X\xe9: a"), 400, "BadRequest"),
    # Host
    "no Host": (head(b"GET / HTTP/1.1", b"X: y"), 400, "BadRequest"),
    "no header at all": (head(b"GET / HTTP/1.1"), 400, "BadRequest"),
    "two Hosts": (put(b"Host: localhost"), 400, "BadRequest"),
    "two unlike Hosts": (put(b"host: evil"), 400, "BadRequest"),
    "empty Host": (head(b"GET / HTTP/1.1", b"Host:"), 400, "BadRequest"),
    "Host with a path": (head(b"GET / HTTP/1.1", b"Host: localhost/evil"), 400, "BadRequest"),
    "Host with user": (head(b"GET / HTTP/1.1", b"Host: a@b"), 400, "BadRequest"),
    "list of Hosts": (head(b"GET / HTTP/1.1", b"Host: a, b"), 400, "BadRequest"),
    # Length
    "repeated Content-Length": (put(b"Content-Length: 3", b"Content-Length: 3", body=b"abc"), 400, "BadRequest"),
    "unlike Content-Lengths": (put(b"Content-Length: 3", b"Content-Length: 40", body=b"abc"), 400, "BadRequest"),
    "list of Content-Lengths": (put(b"Content-Length: 3, 3", body=b"abc"), 400, "BadRequest"),
    "signed Content-Length": (put(b"Content-Length: +3", body=b"abc"), 400, "BadRequest"),
    "negative Content-Length": (put(b"Content-Length: -1"), 400, "BadRequest"),
    "hexadecimal Content-Length": (put(b"Content-Length: 0x3", body=b"abc"), 400, "BadRequest"),
    "Content-Length with a blank": (put(b"Content-Length: 3 3", body=b"abc"), 400, "BadRequest"),
    "empty Content-Length": (put(b"Content-Length:"), 400, "BadRequest"),
    "Content-Length in other digits": (put("Content-Length: ３".encode(), body=b"abc"), 400, "BadRequest"),
    "superscript Content-Length": (put(b"Content-Length: \xb2", body=b"ab"), 400, "BadRequest"),
    "enormous Content-Length": (put(b"Content-Length: 9223372036854775808"), 400, "BadRequest"),
    # Transfer codings
    "length and chunked": (put(b"Content-Length: 4", CHUNKED, body=b"0\r\n\r\n"), 400, "BadRequest"),
    "chunked and length": (put(CHUNKED, b"Content-Length: 4", body=b"0\r\n\r\n"), 400, "BadRequest"),
    "chunked twice": (put(CHUNKED, CHUNKED, body=b"0\r\n\r\n"), 400, "BadRequest"),
    "chunked, chunked": (put(b"Transfer-Encoding: chunked,chunked", body=b"0\r\n\r\n"), 400, "BadRequest"),
    "chunked, identity": (put(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n"), 400, "BadRequest"),
    "empty coding": (put(b"Transfer-Encoding:", body=b"0\r\n\r\n"), 400, "BadRequest"),
    "chunked of HTTP/1.0": (
        head(b"PUT /b/k HTTP/1.0", b"Host: localhost", CHUNKED) + b"0\r\n\r\n", 400, "BadRequest",
    ),
    "gzip, chunked": (put(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), 501, "NotImplemented"),
    "identity": (put(b"Transfer-Encoding: identity"), 501, "NotImplemented"),
    "xchunked": (put(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"), 501, "NotImplemented"),
    "quoted chunked": (put(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"), 501, "NotImplemented"),
    "chunked behind a vertical tab": (put(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"), 400, "BadRequest"),
    # Sizes
    "long header": (put(b"X: " + b"a" * 8190), 400, "RequestHeaderSectionTooLarge"),
    "201 headers": (put(*[b"X: y"] * 200), 400, "RequestHeaderSectionTooLarge"),
    "10,000 headers": (put(*[b"X-%d: y" % n for n in range(10_000)]), 400, "RequestHeaderSectionTooLarge"),
    "large section": (put(*[b"X: " + b"a" * 8000] * 5), 400, "RequestHeaderSectionTooLarge"),
    "endless section": (
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: %b\r\n" % (b"a" * 1000) * 60, 400, "RequestHeaderSectionTooLarge",
    ),
}  # fmt: skip

# A head that is right over a body that is not: what the application learns, and what becomes of the connection.
BROKEN_CHUNKS = {
    "no size": b"\r\nabc\r\n0\r\n\r\n",
    "not hexadecimal": b"g\r\nabc\r\n0\r\n\r\n",
    "0x": b"0x3\r\nabc\r\n0\r\n\r\n",
    "signed": b"+3\r\nabc\r\n0\r\n\r\n",
    "blank in front": b" 3\r\nabc\r\n0\r\n\r\n",
    "blank behind": b"3 \r\nabc\r\n0\r\n\r\n",
    "underscore": b"1_0\r\nabcdefghijklmnop\r\n0\r\n\r\n",
    "seventeen digits": b"00000000000000003\r\nabc\r\n0\r\n\r\n",
    "far too large": b"FFFFFFFFFFFFFFFF\r\nabc",
    "bare LF behind the size": b"3\nabc\r\n0\r\n\r\n",
    "bare LF in an extension": b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "bare CR in an extension": b"3;a\rb\r\nabc\r\n0\r\n\r\n",
    "endless extension": b"3;" + b"a" * 2_000 + b"\r\nabc\r\n0\r\n\r\n",
    "shorter than its size": b"4\r\nabc\r\n0\r\n\r\n",
    "longer than its size": b"2\r\nabc\r\n0\r\n\r\n",
    "bare LF behind a chunk": b"3\r\nabc\n0\r\n\r\n",
    "bad trailer": b"3\r\nabc\r\n0\r\nno colon\r\n\r\n",
    "folded trailer": b"3\r\nabc\r\n0\r\nX: a\r\n b\r\n\r\n",
    "endless trailers": b"3\r\nabc\r\n0\r\n" + b"X: yyyyyyyyyyyyyyy\r\n" * 1_000,
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_ambiguous_or_oversized_head_is_refused_and_ends_the_connection(app_server: AppServer, name: str) -> None:
    """S-21, S-29: whatever follows is never answered."""
    sent, status, code = REFUSED[name]
    began = time.monotonic()
    with app_server.wire() as wire:
        wire.send(sent + SMUGGLED)
        answer = wire.answer()
        took_s = time.monotonic() - began
        assert (answer.status, answer.code) == (status, code)
        check_refusal(answer)
        assert wire.is_closed()
    assert took_s < 0.5, "a refusal never waits for more"


@pytest.mark.parametrize("name", BROKEN_CHUNKS)
def test_broken_chunks_are_refused_and_end_the_connection(app_server: AppServer, name: str) -> None:
    """S-21: nothing behind a broken body is read as a request."""
    with app_server.wire() as wire:
        wire.send(put(CHUNKED, body=BROKEN_CHUNKS[name]) + SMUGGLED)
        answer = wire.answer()
        assert (answer.status, answer.code) == (400, "BadRequest")
        check_refusal(answer)
        assert wire.is_closed()


def check_refusal(answer: Answer) -> None:
    """The envelope of every answer that no application gave."""
    assert answer.header("content-type") == "application/xml"
    assert answer.header("connection") == "close"
    assert answer.header("server") == "BleepStore"
    assert answer.header("date")
    document = ET.fromstring(answer.body)
    assert document.tag == "Error"
    assert [each.tag for each in document] == ["Code", "Message", "Resource", "RequestId", "HostId"]
    request_id = document.findtext("RequestId") or ""
    assert re.fullmatch("[0-9A-F]{16}", request_id)
    assert answer.header("x-amz-request-id") == request_id
    assert answer.header("x-amz-id-2") == document.findtext("HostId")


def test_a_refusal_names_the_path_but_not_the_signed_query(app_server: AppServer) -> None:
    answer = app_server.ask(head(b"GET /b/k%20<&?X-Amz-Signature=00 HTTP/1.1", b"Host: a", b"Host: b"))
    assert b"<Resource>/b/k%20&lt;&amp;</Resource>" in answer.body
    assert b"Signature" not in answer.body


def test_a_refused_head_request_gets_no_body(app_server: AppServer) -> None:
    with app_server.wire() as wire:
        wire.send(head(b"HEAD /b/k HTTP/1.1"))
        answer = wire.answer("HEAD")
        assert answer.status == 400
        assert wire.is_closed()


def test_garbage_arriving_byte_by_byte_is_refused_before_its_line_ends(app_server: AppServer) -> None:
    with app_server.wire() as wire:
        for byte in (b"\r", b"\n", b"\x80"):
            wire.send(byte)
            time.sleep(0.02)
        assert wire.answer().code == "BadRequest"


def test_one_empty_line_before_a_request_is_forgiven(app_server: AppServer) -> None:
    with app_server.wire() as wire:
        for _ in range(2):
            wire.send(b"\r\n" + get("/x"))
            assert wire.answer().status == 200
        wire.send(b"\r\n\r\n" + get("/x"))
        assert wire.answer().status == 400


def test_headers_reach_the_application_exactly(app_server: AppServer) -> None:
    """Underscores, repeated names, case, order, bytes above 127 and inner blanks; WSGI's own view cannot be forged."""
    sent = [
        "x-amz-meta-my_key: one", "x-amz-meta-my-key: two", "X-Amz-Meta-Caf\xe9s:  a \t b ".replace("\xe9", "e"),
        "x-amz-meta-bytes: \xff\xfe", "x-repeated: 1", "X-Repeated: 2", "X_Forwarded_For: 6.6.6.6", "empty:",
        "Content_Length: 7",
    ]  # fmt: skip
    answer = app_server.get("/x", *sent).json
    assert answer["headers"][1:] == [
        ["x-amz-meta-my_key", "one"], ["x-amz-meta-my-key", "two"], ["X-Amz-Meta-Cafes", "a \t b"],
        ["x-amz-meta-bytes", "\xff\xfe"], ["x-repeated", "1"], ["X-Repeated", "2"],
        ["X_Forwarded_For", "6.6.6.6"], ["empty", ""], ["Content_Length", "7"],
    ]  # fmt: skip
    environ = answer["environ"]
    assert environ["HTTP_X_AMZ_META_MY_KEY"] == "two"
    assert environ["HTTP_X_REPEATED"] == "1,2"
    assert not {"HTTP_X_FORWARDED_FOR", "HTTP_CONTENT_LENGTH", "CONTENT_LENGTH"} & set(environ)


def test_forwarding_headers_change_nothing(app_server: AppServer) -> None:
    """S-12: neither the scheme, nor the peer, nor the script's name."""
    environ = app_server.get(
        "/x", "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil", "Forwarded: for=6.6.6.6",
        "Script-Name: /x", "Path-Info: /y", "Remote-User: root",
    ).json["environ"]  # fmt: skip
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["HTTP_HOST"] == "localhost"
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("", "/x")
    assert "REMOTE_USER" not in environ


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/b/a%2Fb%20c+d?x=%20+", "/b/a/b c+d", "x=%20+"),
        ("//b//k/../", "//b//k/../", ""),
        ("/b/k?a?b", "/b/k", "a?b"),
        ("http://other:9/b/k?q", "/b/k", "q"),
        ("http://other", "/", ""),
        ("http://other?q", "/", "q"),
        ("/b/%FF%0A", "/b/\xff\n", ""),
    ],
)  # fmt: skip
def test_the_target_reaches_the_application_raw(app_server: AppServer, target: str, path: str, query: str) -> None:
    answer = app_server.get(target).json
    assert answer["target"] == target
    assert (answer["environ"]["PATH_INFO"], answer["environ"]["QUERY_STRING"]) == (path, query)


def test_a_1024_byte_key_with_a_presigned_query_and_token_fits(app_server: AppServer) -> None:
    target = "/bucket/" + "%E2%82%AC" * 341 + "?X-Amz-Security-Token=" + "t" * 2_500
    assert app_server.get(target).json["target"] == target


def test_200_headers_and_long_values_fit(app_server: AppServer) -> None:
    """S-04: the bounds are where the documentation says."""
    assert app_server.get("/x", *["X: y"] * 199).status == 200
    assert app_server.get("/x", "X: " + "a" * 8_187).status == 200


def test_pipelined_requests_are_answered_in_order(app_server: AppServer) -> None:
    with app_server.wire() as wire:
        bodies = [b"a" * size for size in (0, 1, 70_000, 3)]
        wire.send(b"".join(get(f"/n{n}", method="PUT", body=body) for n, body in enumerate(bodies)) + get("/last"))
        answers = [wire.answer().json for _ in range(5)]
    assert [answer["target"] for answer in answers] == ["/n0", "/n1", "/n2", "/n3", "/last"]
    assert [sum(answer["pieces"]) for answer in answers] == [0, 1, 70_000, 3, 0]


@pytest.mark.parametrize(
    ("version", "header", "keeps"),
    [
        ("1.1", "X: y", True),
        ("1.1", "Connection: close", False),
        ("1.1", "Connection: x, CLOSE", False),
        ("1.0", "X: y", False),
        ("1.0", "Connection: Keep-Alive", True),
    ],
)
def test_the_connection_is_kept_as_the_client_wishes(
    app_server: AppServer, version: str, header: str, keeps: bool
) -> None:
    with app_server.wire() as wire:
        wire.send(get("/x", header).replace(b"HTTP/1.1", b"HTTP/" + version.encode()))
        answer = wire.answer()
        if not keeps:
            assert answer.header("connection") == "close"
            assert wire.is_closed()
            return
        assert answer.header("connection") == (None if version == "1.1" else "keep-alive")
        wire.send(get("/again"))
        assert wire.answer().json["target"] == "/again"


def test_a_request_split_anywhere_is_the_same_request(app_server: AppServer) -> None:
    request = b"\r\n" + put(CHUNKED, body=b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n")
    with Wire(app_server.port) as wire:
        for cut in range(1, len(request)):
            wire.send(request[:cut])
            time.sleep(0.001)
            wire.send(request[cut:])
            answer = wire.answer().json
            assert sum(answer["pieces"]) == 5
            assert answer["sha256"].startswith("36bbe50ed968")
