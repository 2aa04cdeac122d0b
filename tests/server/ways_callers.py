"""Who asks both ways, by which host and target, and how a connection goes on. What is asked is in ways_corpus.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.server.ways import Case
from tests.server.ways_corpus import DOMAIN, LARGE, SMALL, by_all, case, reads, writes
from tests.servers import ACCESS_KEY
from tests.signing import Draft, Keys, anonymous, presign, sign

# -- Who asks, and how -------------------------------------------------------------------------------------------


def callers() -> Iterator[Case]:
    nobody, wrong = Keys("nobody", "x" * 20), Keys(ACCESS_KEY, "x" * 20)
    for method, body in (("GET", b""), ("HEAD", b""), ("PUT", SMALL), ("DELETE", b"")):
        for keys in (nobody, wrong):
            for by in (sign, presign):
                yield case(
                    403, method, "/plain/small", body=body, by=by, keys=keys, name=f"{method} by {keys.access_key}"
                )
        for target in ("/plain/small", "/plain/absent", "/nosuchbucket/k", "/public/private"):
            yield case(404 if "nosuch" in target else 403, method, target, body=body, by=anonymous)
        yield case(403, method, "/plain/small", body=body, moment_s=1e9, name=f"{method} long ago")
        yield case(403, method, "/plain/small", body=body, moment_s=1e9, by=sign, name=f"{method} long ago")
        yield case(400, method, "/plain/small", body=body, expires_s=999_999_999, name=f"{method} for ever")
        yield case(400, method, "/plain/small", body=body, region="eu-west-9", name=f"{method} elsewhere")
        yield case(
            403,
            method,
            "/plain/small",
            "x-amz-meta-a: b",
            body=body,
            by=_leaving_out,
            name=f"{method}, a header unsigned",
        )
        yield case(400, method, "/plain/small", "Authorization: AWS4-HMAC-SHA256 x", body=body, by=anonymous)
        yield case(400, method, "/plain/small?X-Amz-Signature=x", body=body, by=anonymous)
        yield case(400, method, "/plain/small", "Authorization: AWS a:b", body=body, by=anonymous)
    yield from (case(200, method, "/public/k", by=anonymous) for method in ("GET", "HEAD"))
    yield case(400, "GET", "/public/k?response-content-type=x", by=anonymous)
    yield case(403, "PUT", "/public/k", body=LARGE, by=anonymous)


def _leaving_out(draft: Draft, keys: Keys) -> Any:
    return sign(draft, keys, unsigned=["x-amz-meta-a"])


def hosts() -> Iterator[Case]:
    """Virtual hosts, other spellings of a target, and paths that are the service's own."""
    for host in (f"plain.{DOMAIN}", f"PLAIN.{DOMAIN}:9000", f"plain.{DOMAIN.upper()}"):
        for method, status in (("GET", 200), ("HEAD", 200)):
            yield from by_all(status, method, "/small", host=host)
        yield from by_all(200, "PUT", "/health", body=SMALL, host=host)
        yield case(200, "GET", "/health", host=host)
        yield case(403, "GET", "/health", host=host, by=anonymous)
    yield case(404, "GET", "/small", host=f"nosuchbucket.{DOMAIN}")
    yield case(200, "GET", "/plain/small", host=DOMAIN)
    for host in ("localhost:1", "[::1]:9000", "a_b", "x;y", "%41", "localhost.", f".{DOMAIN}", "a:b:c"):
        yield case(200 if not host.startswith(".") else 404, "GET", "/plain/small", host=host)
    for target, status in (
        ("/plain/%73mall", 200), ("/plain/%FF", 400), ("/plain/%", 400), ("/plain/%zz", 400), ("/plain/a%00b", 404), ("//plain/small", 400),
        ("/plain//small", 404), ("/plain/small/", 404), ("/plain/small?%FF=1", 400), ("/plain/./small", 404), ("/.bleepstore/x", 404), ("/plain/", 200),
        ("/health/small", 404), ("/plain/small?acl", 200), ("/plain/small?tagging", 200), ("/plain/small?torrent", 501), ("/plain/small?uploads", 405),
        ("/plain/small?legal-hold", 400), ("/plain/small?attributes", 400), ("/plain?list-type=2", 200),
    ):  # fmt: skip
        yield case(status, "GET", target, name=f"target {target}")
    for origin, path, status in (
        ("http://localhost", "/plain/small", 200), ("HTTP://other:1", "/plain/small", 200), ("https://localhost", "/plain/small?", 200),
        ("http://localhost", "/.bleepstore/x", 404), ("http://localhost", "/health", 404),
    ):  # fmt: skip
        wire = case(status, "GET", path).steps[0].replace(b"GET /", f"GET {origin}/".encode(), 1)
        yield Case(f"target {origin}{path}", status, (wire,))
    for target in ("/healthz", "/readyz", "/.bleepstore/x", "/"):
        for method in ("HEAD", "PUT", "DELETE", "POST", "OPTIONS", "PATCH"):
            yield case(None, method, target, by=anonymous)


# -- How a connection goes on ------------------------------------------------------------------------------------


def connections() -> Iterator[Case]:
    for method, body in (("GET", b""), ("HEAD", b""), ("PUT", SMALL), ("DELETE", b"")):
        wire = case(0, method, "/plain/kept", body=body).steps[0]
        status = {"GET": 404, "HEAD": 404, "PUT": 200, "DELETE": 204}[method]
        for version in (b"1.0", b"1.1"):
            for extra in (
                b"",
                b"Connection: close\r\n",
                b"Connection: keep-alive\r\n",
                b"Connection: x, close\r\n",
                b"Keep-Alive: 1\r\n",
            ):
                made = _with_lines(wire, extra).replace(b"HTTP/1.1", b"HTTP/" + version, 1)
                yield Case(f"{method} {version!r} {extra!r}", status, (made,), method)
        yield Case(f"{method} of HTTP/1.0 without Host", 403, (_without_host(method, body),), method)
        yield Case(f"{method} behind an empty line", status, (b"\r\n" + wire,), method)
        yield Case(f"{method} behind two", 400, (b"\r\n\r\n" + wire,), method)
        yield Case(f"{method}, then the end", status, (wire,), method, ends=True)
        yield Case(f"half of {method}", 0, (wire[:40],), method, ends=True)
    yield from bodies()
    yield from expectations()


def _with_lines(wire: bytes, extra: bytes) -> bytes:
    head, end, body = wire.partition(b"\r\n\r\n")
    return head + b"\r\n" + extra[:-2] + end + body if extra else wire


def _without_host(method: str, body: bytes) -> bytes:
    return b"%b /plain/kept HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % (method.encode(), len(body)) + body


def bodies() -> Iterator[Case]:
    """Bodies where none is wanted, none where one is, chunked ones, and those that end too soon."""
    for method, status in (("GET", 200), ("HEAD", 200), ("DELETE", 204)):
        for size in (0, 5, 70_000):
            yield case(
                status,
                method,
                "/plain/empty" if method != "DELETE" else "/plain/x",
                body=b"b" * size,
                name=f"{method} with {size} bytes",
            )
        chunked = b"5\r\nabcde\r\n0\r\n\r\n"
        yield case(
            status,
            method,
            "/plain/empty" if method != "DELETE" else "/plain/x",
            body=chunked,
            is_chunked=True,
            name=f"{method} in chunks",
        )
    put = case(200, "PUT", "/plain/body", body=SMALL).steps[0]
    yield Case("PUT without a length", 411, (put.replace(b"Content-Length: 1024\r\n", b"")[: -len(SMALL)],), "PUT")
    yield Case("PUT with its body cut", 400, (put[:-5],), "PUT", ends=True)
    yield Case("PUT without its body", 400, (put[: -len(SMALL)],), "PUT", ends=True)
    yield case(
        200, "PUT", "/plain/body", body=b"5\r\nabcde\r\n0\r\nX: y\r\n\r\n", is_chunked=True, name="PUT in chunks"
    )
    yield case(400, "PUT", "/plain/body", body=b"5\r\nabcd", is_chunked=True, name="PUT in chunks, broken")
    yield case(400, "PUT", "/plain/body", "Content-Length: 99999999999999", name="PUT of more than an object may have")
    yield case(403, "PUT", "/plain/body", body=LARGE, by=anonymous, name="large body, refused")
    yield case(403, "PUT", "/plain/body", body=SMALL, by=anonymous, name="small body, refused")


def expectations() -> Iterator[Case]:
    for body, by, status in ((SMALL, sign, 200), (LARGE, presign, 200), (b"", sign, 200), (SMALL, anonymous, 403)):
        made = case(status, "PUT", "/plain/expected", "Expect: 100-continue", body=body, by=by, length=len(body))
        wire = made.steps[0]
        head = wire[: len(wire) - len(body)]
        steps = (head, body) if body else (head,)
        yield Case(f"PUT of {len(body)} that expects ({by.__name__})", status, steps, "PUT")
        yield Case(f"PUT of {len(body)} that does not wait ({by.__name__})", status, (wire,), "PUT")
    chunked = b"5\r\nabcde\r\n0\r\n\r\n"
    wire = case(200, "PUT", "/plain/expected", "Expect: 100-Continue", body=chunked, is_chunked=True).steps[0]
    yield Case("PUT in chunks that expects", 200, (wire[: -len(chunked)], chunked), "PUT")
    late = case(400, "PUT", "/plain/expected", body=SMALL).steps[0]
    yield Case("PUT whose body stops", 400, (late[:-5],), "PUT")


GROUPS = {each.__name__: each for each in (reads, writes, callers, hosts, connections)}


def cases_of(group: str) -> list[Case]:
    return list(GROUPS[group]())
