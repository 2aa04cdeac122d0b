"""Who may read the metrics: everybody, or who sends the token of observability.metrics_token."""

from __future__ import annotations

import hmac
from collections.abc import Callable

# What a request without the token gets beside 401 (RFC 6750, section 3).
CHALLENGE = ("WWW-Authenticate", 'Bearer realm="metrics"')


def guard(token: str) -> Callable[[str], bool]:
    """Says of an Authorization header, or "" where there is none, whether it lets in. An empty token lets in everybody."""
    wanted = token.encode()

    def lets_in(authorization: str) -> bool:
        if not wanted:
            return True
        scheme, _, given = authorization.partition(" ")
        # In constant time: how long a refusal takes does not say how much of a guess is right.
        is_right = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), wanted)
        return is_right and scheme.lower() == "bearer"

    return lets_in


ANYBODY = guard("")
