"""Which paths are the service's own and not S3's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.domain.names import bucket_of_host

METRICS_PATHS = frozenset(
    {"/metrics", "/minio/v2/metrics/cluster", "/minio/v2/metrics/node", "/minio/v2/metrics/bucket"}
)
HEALTH_PATHS = frozenset(
    {
        "/health", "/healthz", "/readyz",
        # Where those who came from MinIO ask.
        "/minio/health/live", "/minio/health/ready", "/minio/health/cluster", "/minio/health/cluster/read",
    }
)  # fmt: skip
# An unsigned GET or HEAD of exactly one of these is the service; signed, or any other method, it is a bucket.
SERVICE_PATHS = METRICS_PATHS | HEALTH_PATHS | {"/openapi.json", "/docs"}
SERVICE_PREFIX = "/.bleepstore/"  # which is no bucket's name
# Below these are all that look like an object's path.
DEEP_PREFIXES = (SERVICE_PREFIX, "/minio/health/", "/minio/v2/metrics/")

# A listener that is not S3's answers GET and HEAD of exactly these, and nothing else; by the name that the server gives
# it (server/listeners.py).
LISTENER = "bleepstore.listener"  # in the WSGI environ; empty for S3's
DOCS_ASSETS = frozenset({"docs.css", "docs.js", "swagger-ui.css", "swagger-ui-bundle.js"})
START_PAGE = "/docs"  # where "/" of a listener that has it leads
LISTENER_PATHS: Mapping[str, frozenset[str]] = {
    "metrics": METRICS_PATHS | HEALTH_PATHS,
    "console": HEALTH_PATHS
    | {"/", START_PAGE, "/openapi.json", *(f"{SERVICE_PREFIX}docs/{name}" for name in DOCS_ASSETS)},
}


def is_service(method: str, path: str, *, is_signed: bool, host: str, domains: Sequence[str]) -> bool:
    """`path` is the raw one, `host` the Host header. In a virtual host every path but the prefix is a key."""
    if path.startswith(SERVICE_PREFIX):
        return True
    if path not in SERVICE_PATHS or method not in ("GET", "HEAD") or is_signed:
        return False
    return bucket_of_host(host, domains) is None


def asks_service(environ: dict[str, Any], domains: Sequence[str]) -> bool:
    """The same of a WSGI request as our server makes it. A bearer's token is no signature: S3 knows none."""
    if environ.get(LISTENER):
        return True
    return is_service(
        environ["REQUEST_METHOD"],
        path_of(environ),
        is_signed=not is_bearer(environ.get("HTTP_AUTHORIZATION", "bearer"))
        or any(name in environ.get("QUERY_STRING", "") for name in ("X-Amz-Signature", "AWSAccessKeyId")),
        host=environ.get("HTTP_HOST", ""),
        domains=domains,
    )


def template_of(environ: dict[str, Any], domains: Sequence[str]) -> str | None:
    """The service's path that a request asks for, of a bounded set; None where it is S3's."""
    path = path_of(environ)
    if path.startswith(SERVICE_PREFIX):
        return SERVICE_PREFIX
    if environ.get(LISTENER) and path not in SERVICE_PATHS:
        return "/"
    return path if path in SERVICE_PATHS and asks_service(environ, domains) else None


def is_served_by_listener(environ: dict[str, Any]) -> bool:
    """Whether the request's listener has such a path at all. S3's has any."""
    name = environ.get(LISTENER)
    if not name:
        return True
    return environ["REQUEST_METHOD"] in ("GET", "HEAD") and path_of(environ) in LISTENER_PATHS[name]


def is_bearer(authorization: str) -> bool:
    return authorization.partition(" ")[0].lower() == "bearer"


def path_of(environ: dict[str, Any]) -> str:
    target: str = environ["bleepstore.target"]
    return target.partition("?")[0]
