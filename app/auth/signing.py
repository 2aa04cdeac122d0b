"""Signing requests: for `bleepstore presign`, the benchmark and the tests. The canonical code is the verifier's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from app.auth import payload_mode
from app.auth.canonical import (
    ALGORITHM,
    canonical_path,
    canonical_query,
    canonical_request,
    encode_part,
    joined_headers,
    query_pairs,
    sign,
    signing_key,
    string_to_sign,
)
from app.auth.chunked import ChunkSigner
from app.auth.claims import EXPIRES_MAX_S
from app.auth.credentials import Credential, Scope, scope_of, write_timestamp

Pairs = Sequence[tuple[str, str]]


class Signed(NamedTuple):
    """`headers` are to be sent, lower-case names, the ones given included; `seed` signs an aws-chunked body."""

    headers: list[tuple[str, str]]
    seed: ChunkSigner


def sign_headers(
    method: str,
    url: str,
    headers: Pairs,
    credential: Credential,
    *,
    region: str,
    now_s: float,
    payload_hash: str = payload_mode.UNSIGNED_PAYLOAD,
) -> Signed:
    """Adds host (from the URL, unless given), x-amz-date, x-amz-content-sha256 and Authorization.

    Every header given is signed. `url` has its path and query percent-encoded.
    """
    parts = urlsplit(url)
    sent = [(name.lower(), value) for name, value in headers]
    if not any(name == "host" for name, _ in sent):
        sent.append(("host", parts.netloc))
    timestamp = write_timestamp(now_s)
    sent += [("x-amz-date", timestamp), (payload_mode.HEADER, payload_hash)]
    scope = scope_of(credential, timestamp, region)
    values = joined_headers(sent)
    signed = tuple(sorted(values))
    key = signing_key(credential.secret_key, scope.date, region)
    path, query = canonical_path(parts.path), canonical_query(query_pairs(parts.query))
    signature = _signature(key, timestamp, scope, canonical_request(method, path, query, values, signed, payload_hash))
    authorization = (
        f"{ALGORITHM} Credential={scope.access_key}/{scope.text}, "
        f"SignedHeaders={';'.join(signed)}, Signature={signature}"
    )
    sent.append(("authorization", authorization))
    return Signed(sent, ChunkSigner(key, timestamp, scope.text, signature))


def presign(
    method: str,
    url: str,
    credential: Credential,
    *,
    expires_s: int,
    region: str,
    now_s: float,
    query: Pairs = (),
    headers: Mapping[str, str] | None = None,
) -> str:
    """A URL that does `method` for whoever has it, for `expires_s` seconds.

    `url` has its path and query percent-encoded; `query` is plain text to be added. `headers` (lower-case names) are
    those that the request must carry; "X-Amz-Content-Sha256" in `query` binds the payload. Raises: ValueError for a time to live that no server would accept.
    """
    if not 1 <= expires_s <= EXPIRES_MAX_S:
        raise ValueError(f"a presigned URL lives for 1 to {EXPIRES_MAX_S} seconds, not {expires_s}")
    parts = urlsplit(url)
    values = {"host": parts.netloc, **(headers or {})}
    signed = tuple(sorted(values))
    timestamp = write_timestamp(now_s)
    scope = scope_of(credential, timestamp, region)
    added = [
        *query,
        ("X-Amz-Algorithm", ALGORITHM),
        ("X-Amz-Credential", f"{scope.access_key}/{scope.text}"),
        ("X-Amz-Date", timestamp),
        ("X-Amz-Expires", str(expires_s)),
        ("X-Amz-SignedHeaders", ";".join(signed)),
    ]
    pairs = query_pairs(parts.query) if parts.query else []
    text = canonical_query(pairs + [(encode_part(name), encode_part(value)) for name, value in added])
    path = canonical_path(parts.path)
    payload_hash = dict(query).get("X-Amz-Content-Sha256", payload_mode.UNSIGNED_PAYLOAD)
    request = canonical_request(method, path, text, values, signed, payload_hash)
    signature = _signature(signing_key(credential.secret_key, scope.date, region), timestamp, scope, request)
    return f"{parts.scheme}://{parts.netloc}{path}?{text}&X-Amz-Signature={signature}"


def _signature(key: bytes, timestamp: str, scope: Scope, request: bytes) -> str:
    return sign(key, string_to_sign(timestamp, scope.text, request))
