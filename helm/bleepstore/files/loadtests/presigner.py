"""Presigned requests by the thousand: what one client's signatures have in common is computed once an hour.

`app.auth.signing.presign` computes all of it for every URL, which takes seven times as long.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from app.auth.canonical import (
    ALGORITHM,
    canonical_path,
    canonical_query,
    canonical_request,
    encode_part,
    sign,
    signing_key,
    string_to_sign,
)
from app.auth.credentials import Credential, scope_of, write_timestamp
from app.auth.payload_mode import UNSIGNED_PAYLOAD
from app.domain.types import Principal

EXPIRES_S = 6 * 3_600
RENEWED_EVERY_S = 3_600

NOTHING: Mapping[str, str] = {}


class Presigner:
    """Signs for one server and one key pair. `endpoint` is scheme://host[:port]; `host` is the Host header to be sent."""

    def __init__(self, endpoint: str, access_key: str, secret_key: str, region: str) -> None:
        self.host = urlsplit(endpoint).netloc
        self._credential = Credential(access_key, secret_key, Principal(id=""))
        self._region = region
        self._renew_s = 0.0

    def target(
        self, method: str, path: str, query: Sequence[tuple[str, str]] = (), headers: Mapping[str, str] = NOTHING
    ) -> str:
        """The request target, "/bucket/key?X-Amz-…", good for five hours at least.

        `path` is percent-encoded; `query` is plain text, its names in lower case. `headers` (lower-case names) are those
        that the request must carry.
        """
        now_s = time.time()
        if now_s >= self._renew_s:
            self._renew(now_s)
        values = {"host": self.host, **headers}
        signed = sorted(values)
        # Sorted by name as the signature has it: "X-Amz-" stands before all lower-case names.
        text = f"{self._common}{'%3B'.join(signed)}"
        if query:
            text += "&" + canonical_query([(encode_part(name), encode_part(value)) for name, value in query])
        path = canonical_path(path)
        request = canonical_request(method, path, text, values, signed, UNSIGNED_PAYLOAD)
        return f"{path}?{text}&X-Amz-Signature={sign(self._key, string_to_sign(self._timestamp, self._scope, request))}"

    def _renew(self, now_s: float) -> None:
        timestamp = write_timestamp(now_s)
        scope = scope_of(self._credential, timestamp, self._region)
        self._common = (
            f"X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={encode_part(f'{scope.access_key}/{scope.text}')}"
            f"&X-Amz-Date={timestamp}&X-Amz-Expires={EXPIRES_S}&X-Amz-SignedHeaders="
        )
        self._timestamp, self._scope = timestamp, scope.text
        self._key = signing_key(self._credential.secret_key, scope.date, self._region)
        self._renew_s = now_s + RENEWED_EVERY_S
