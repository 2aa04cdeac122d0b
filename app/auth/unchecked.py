"""Authentication switched off (`auth.enabled: false`): every caller is one principal, whatever was signed, or nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping

from app.auth.canonical import query_pairs
from app.auth.chunked import UncheckedSigner
from app.auth.claims import is_presigned
from app.auth.payload_mode import HEADER, UNSIGNED_PAYLOAD, read_mode
from app.auth.sigv4 import Authenticated, Proof
from app.domain.types import Principal


class Unchecked:
    """In the place of an `Authenticator`. Bodies are still read as they were framed, and hashes in them still hold."""

    def __init__(self, principal: Principal) -> None:
        self._principal = principal

    def authenticate(self, method: str, raw_path: str, raw_query: str, headers: Mapping[str, str]) -> Authenticated:
        """Raises: InvalidArgument for an x-amz-content-sha256 that is none."""
        mode = read_mode(headers.get(HEADER, UNSIGNED_PAYLOAD).strip(" \t"))
        seed = UncheckedSigner() if mode.has_signatures else None
        in_query = bool(raw_query) and is_presigned(query_pairs(raw_query))
        return Authenticated(self._principal, mode, seed, in_query)

    def authenticate_form(self, fields: Mapping[str, str]) -> Principal:
        return self._principal

    def proof(self, method: str, raw_path: str, raw_query: str, headers: Mapping[str, str]) -> Proof | None:
        """There is nothing to prove, but how a body is framed. Raises: as `authenticate`."""
        _, payload, seed, in_query = self.authenticate(method, raw_path, raw_query, headers)
        return Proof(None, b"", payload, -math.inf, math.inf, in_query) if seed is None else None

    def verify(self, proof: Proof) -> Authenticated:
        return Authenticated(self._principal, proof.payload, None, proof.is_presigned)
