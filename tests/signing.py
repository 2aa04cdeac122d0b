"""Signature Version 4 from the published description alone: what a test sends owes nothing to the code under test.

A `Draft` is a request before it is signed; a test may spoil any part of it, before or after. `wire` is what goes out.
Source: "Authenticating Requests (AWS Signature Version 4)", AWS S3 API reference.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import quote, unquote_to_bytes

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
STREAMING = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
STREAMING_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
STREAMING_UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
EMPTY_SHA256 = hashlib.sha256().hexdigest()
EXPIRES_S = 600

Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class Keys:
    access_key: str
    secret_key: str


@dataclass
class Draft:
    """`target` is sent as it stands, `headers` in order. `payload_hash` None is the hash of the body."""

    method: str
    target: str
    headers: Pairs = field(default_factory=list)
    body: bytes = b""
    host: str = "localhost"
    payload_hash: str | None = None
    region: str = "us-east-1"
    service: str = "s3"
    moment_s: float = field(default_factory=time.time)
    scope_date: str = ""  # the moment's
    expires_s: int = EXPIRES_S
    is_chunked: bool = False  # the body is sent without a length, as it stands

    @property
    def timestamp(self) -> str:
        return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self.moment_s))

    @property
    def scope(self) -> str:
        return f"{self.scope_date or self.timestamp[:8]}/{self.region}/{self.service}/aws4_request"

    @property
    def declared_hash(self) -> str:
        return self.payload_hash or hashlib.sha256(self.body).hexdigest()

    def copy(self, **changes: object) -> Draft:
        return replace(self, **{"headers": list(self.headers), **changes})  # type: ignore[arg-type]


@dataclass
class Signed:
    """A draft with its signature; `wire` gives the bytes. `headers` and `query` may be spoiled still."""

    method: str
    path: str
    query: list[str]  # "name=value", encoded
    headers: Pairs
    body: bytes
    chain: Chain | None = None
    is_chunked: bool = False

    @property
    def target(self) -> str:
        return self.path + ("?" + "&".join(self.query) if self.query else "")

    def wire(self, body: bytes | None = None, *, length: int | None = None) -> bytes:
        """The whole request. `length` is what Content-Length says, the body's unless given."""
        return self.head(length=length, body=body) + (self.body if body is None else body)

    def head(self, *, length: int | None = None, body: bytes | None = None) -> bytes:
        sent = self.body if body is None else body
        headers = list(self.headers)
        names = {name.lower() for name, _ in headers}
        if self.is_chunked:
            headers.append(("Transfer-Encoding", "chunked"))
        elif "content-length" not in names and (sent or length is not None or self.method in ("PUT", "POST")):
            headers.append(("Content-Length", str(len(sent) if length is None else length)))
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", ""]
        return "\r\n".join(lines).encode("latin-1")


class Chain:
    """Signs the chunks of one body, each with the signature before it."""

    def __init__(self, key: bytes, timestamp: str, scope: str, seed: str) -> None:
        self._key, self._context, self._last = key, f"{timestamp}\n{scope}", seed

    def chunk(self, data: bytes) -> str:
        hashed = hashlib.sha256(data).hexdigest()
        return self._sign(f"AWS4-HMAC-SHA256-PAYLOAD\n{self._context}\n{self._last}\n{EMPTY_SHA256}\n{hashed}")

    def trailer(self, lines: bytes) -> str:
        hashed = hashlib.sha256(lines).hexdigest()
        return self._sign(f"AWS4-HMAC-SHA256-TRAILER\n{self._context}\n{self._last}\n{hashed}")

    def _sign(self, text: str) -> str:
        self._last = hmac.new(self._key, text.encode("latin-1"), "sha256").hexdigest()
        return self._last


def sign(draft: Draft, keys: Keys, *, unsigned: Iterable[str] = ()) -> Signed:
    """By the Authorization header. Headers named in `unsigned` are sent and not signed."""
    headers = [
        ("Host", draft.host), ("x-amz-date", draft.timestamp), ("x-amz-content-sha256", draft.declared_hash),
        *draft.headers,
    ]  # fmt: skip
    path, _, query = draft.target.partition("?")
    pairs = query.split("&") if query else []
    left_out = {name.lower() for name in unsigned}
    signed = sorted({name.lower() for name, _ in headers} - left_out)
    signature, chain = _signature(draft, keys, path, pairs, headers, signed, draft.declared_hash)
    credential = f"{keys.access_key}/{draft.scope}"
    value = f"{ALGORITHM} Credential={credential}, SignedHeaders={';'.join(signed)}, Signature={signature}"
    headers.append(("Authorization", value))
    return Signed(draft.method, path, pairs, headers, draft.body, chain, draft.is_chunked)


def presign(draft: Draft, keys: Keys, *, unsigned: Iterable[str] = ()) -> Signed:
    """By the query. The payload hash is UNSIGNED-PAYLOAD unless the draft has one, which then is a parameter."""
    headers = [("Host", draft.host), *draft.headers]
    path, _, query = draft.target.partition("?")
    left_out = {name.lower() for name in unsigned}
    signed = sorted({name.lower() for name, _ in headers} - left_out)
    parameters = {
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{keys.access_key}/{draft.scope}",
        "X-Amz-Date": draft.timestamp,
        "X-Amz-Expires": str(draft.expires_s),
        "X-Amz-SignedHeaders": ";".join(signed),
        **({} if draft.payload_hash is None else {"X-Amz-Content-Sha256": draft.payload_hash}),
    }
    pairs = query.split("&") if query else []
    pairs += [f"{name}={quote(value, safe='')}" for name, value in parameters.items()]
    signature, chain = _signature(draft, keys, path, pairs, headers, signed, draft.payload_hash or UNSIGNED)
    return Signed(
        draft.method, path, [*pairs, f"X-Amz-Signature={signature}"], headers, draft.body, chain, draft.is_chunked
    )


Sign = Callable[..., Signed]


def anonymous(draft: Draft) -> Signed:
    """Without any signature; a payload hash that the draft has is sent."""
    headers = [("Host", draft.host), *draft.headers]
    if draft.payload_hash is not None:
        headers.append(("x-amz-content-sha256", draft.payload_hash))
    path, _, query = draft.target.partition("?")
    return Signed(draft.method, path, query.split("&") if query else [], headers, draft.body, None, draft.is_chunked)


def aws_chunked(
    pieces: Sequence[bytes],
    chain: Chain | None,
    trailers: Sequence[tuple[str, str]] = (),
    *,
    signs_trailer: bool = False,
) -> bytes:
    """A body in aws-chunked encoding, with chunk signatures where there is a chain."""
    body = b""
    for piece in (*pieces, b""):
        extension = f";chunk-signature={chain.chunk(piece)}" if chain else ""
        body += f"{len(piece):x}{extension}\r\n".encode() + piece + (b"\r\n" if piece else b"")
    lines = "".join(f"{name}:{value}\n" for name, value in trailers).encode()
    body += lines.replace(b"\n", b"\r\n")
    if signs_trailer and chain is not None:
        body += f"x-amz-trailer-signature:{chain.trailer(lines)}\r\n".encode()
    return body + b"\r\n"


def _signature(
    draft: Draft, keys: Keys, path: str, pairs: Sequence[str], headers: Pairs, signed: Sequence[str], payload_hash: str
) -> tuple[str, Chain]:
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name.lower(), []).append(" ".join(value.split()))
    canonical = "\n".join([
        draft.method,
        quote(unquote_to_bytes(path), safe="/~"),
        "&".join(f"{name}={value}" for name, value in sorted(map(_canonical_pair, filter(None, pairs)))),
        *(f"{name}:{','.join(values.get(name, ['']))}" for name in signed),
        "",
        ";".join(signed),
        payload_hash,
    ])  # fmt: skip
    hashed = hashlib.sha256(canonical.encode("latin-1")).hexdigest()
    key = ("AWS4" + keys.secret_key).encode()
    for step in draft.scope.split("/"):
        key = hmac.new(key, step.encode(), "sha256").digest()
    text = f"{ALGORITHM}\n{draft.timestamp}\n{draft.scope}\n{hashed}"
    signature = hmac.new(key, text.encode(), "sha256").hexdigest()
    return signature, Chain(key, draft.timestamp, draft.scope, signature)


def _canonical_pair(pair: str) -> tuple[str, str]:
    name, _, value = pair.partition("=")
    return tuple(quote(unquote_to_bytes(part.replace("+", " ")), safe="~") for part in (name, value))  # type: ignore[return-value]
