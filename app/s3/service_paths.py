"""Which paths are the service's own and not S3's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.domain.names import bucket_of_host

# An unsigned GET or HEAD of exactly one of these is the service; signed, or any other method, it is a bucket.
SERVICE_PATHS = frozenset(
    {
        "/health", "/healthz", "/readyz", "/metrics", "/openapi.json", "/docs",
        # Where those who came from MinIO ask.
        "/minio/health/live", "/minio/health/ready", "/minio/health/cluster", "/minio/health/cluster/read",
    }
)  # fmt: skip
SERVICE_PREFIX = "/.bleepstore/"  # which is no bucket's name
DEEP_PREFIXES = (SERVICE_PREFIX, "/minio/health/")  # below these are all that look like an object's path


def is_service(method: str, path: str, *, is_signed: bool, host: str, domains: Sequence[str]) -> bool:
    """`path` is the raw one, `host` the Host header. In a virtual host every path but the prefix is a key."""
    if path.startswith(SERVICE_PREFIX):
        return True
    if path not in SERVICE_PATHS or method not in ("GET", "HEAD") or is_signed:
        return False
    return bucket_of_host(host, domains) is None


def asks_service(environ: dict[str, Any], domains: Sequence[str]) -> bool:
    """The same of a WSGI request as our server makes it."""
    return is_service(
        environ["REQUEST_METHOD"],
        environ["bleepstore.target"].partition("?")[0],
        is_signed="HTTP_AUTHORIZATION" in environ
        or any(name in environ.get("QUERY_STRING", "") for name in ("X-Amz-Signature", "AWSAccessKeyId")),
        host=environ.get("HTTP_HOST", ""),
        domains=domains,
    )
