"""OPTIONS: a browser asks whether a page of another origin may send a request.

No bucket has rules for other origins, so nobody may. Source: "Using cross-origin resource sharing (CORS)", AWS S3 user
guide; specs/routing.md.
"""

from __future__ import annotations

from app.domain.errors import AccessForbidden, BadRequest, S3Error
from app.s3.request import Headers

_METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE"})


def refusal(headers: Headers) -> S3Error:
    """Why not: BadRequest for what is no preflight, AccessForbidden for one. Needs no signature and no bucket."""
    if not headers.get("origin"):
        return BadRequest("Insufficient information. Origin request header needed.")
    method = headers.get("access-control-request-method")
    if method not in _METHODS:
        return BadRequest(f"Invalid Access-Control-Request-Method: {'null' if method is None else method}")
    return AccessForbidden()
