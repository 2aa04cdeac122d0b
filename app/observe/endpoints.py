"""The service's own paths as a Flask blueprint: health, metrics, and the API's description.

Which requests get here instead of to S3 is decided elsewhere; a bucket may be called `health`. Answers are made by
modules that know no Flask.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import flask

from app import runtime
from app.observe.guard import ANYBODY, CHALLENGE
from app.observe.health import NOTHING_HERE, PROBES, SERVICE_HEADERS, HealthChecks
from app.observe.metrics import Metrics, NoMetrics
from app.observe.minio_metrics import MinioCollector
from app.observe.shared import Shared

ASSETS = Path(__file__).parent / "assets"
ASSET_AGE_S = 3_600
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

# Served by name, and nothing else of the disk.
_DOCS_ASSETS = {
    "docs.css": ASSETS,
    "docs.js": ASSETS,
    "swagger-ui.css": ASSETS / "swagger-ui",
    "swagger-ui-bundle.js": ASSETS / "swagger-ui",
}

_SCHEMA = "s3-api.openapi.yaml"
# In an installed package beside the assets; in a checkout where everybody looks for it.
_SCHEMA_PATHS = (ASSETS / _SCHEMA, Path(__file__).parents[2] / "schemas" / _SCHEMA)

_DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def service_blueprint(
    health: HealthChecks | None,
    metrics: Metrics | NoMetrics,
    may_read: Callable[[str], bool] = ANYBODY,
    server: str = "",
) -> flask.Blueprint:
    """The service's routes. What is switched off (`health` None, `NoMetrics`) answers 404.

    `may_read` says by a request's Authorization header whether it is shown the metrics, see guard.py. `server` is this
    one's address for metrics that name it.
    """
    blueprint = flask.Blueprint("observe", __name__)
    description = ApiDescription()
    scrapes = Scrapes(server)

    def answer_probe() -> flask.Response:
        return _off() if health is None else _json(*PROBES[flask.request.path](health))

    for path in PROBES:
        blueprint.add_url_rule(path, view_func=answer_probe)

    @blueprint.get("/metrics")
    @blueprint.get("/minio/v2/metrics/<any(cluster, node, bucket):page>")
    def render_metrics(page: str = "") -> flask.Response:
        if isinstance(metrics, NoMetrics):
            return _off()
        if not may_read(flask.request.headers.get("Authorization", "")):
            return _refused()
        return _answer(200, *scrapes.get(metrics, flask.request.headers.get("Accept", ""), page))

    @blueprint.get("/openapi.json")
    def openapi() -> flask.Response:
        return _json(200, description.as_json())

    @blueprint.get("/docs")
    def docs() -> flask.Response:
        answer = _answer(200, (ASSETS / "docs.html").read_bytes(), "text/html; charset=utf-8")
        answer.headers["Content-Security-Policy"] = _DOCS_POLICY
        return answer

    @blueprint.get("/.bleepstore/docs/<name>")
    def docs_asset(name: str) -> flask.Response:
        if name not in _DOCS_ASSETS:
            return _off()
        answer = flask.send_from_directory(_DOCS_ASSETS[name], name, max_age=ASSET_AGE_S)
        answer.headers["X-Content-Type-Options"] = "nosniff"
        return answer

    return blueprint


class Scrapes:
    """Answers to those who ask for metrics, each with its content type. Who asks meanwhile gets the same one."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._shared: Shared[tuple[bytes, str]] = Shared()

    def get(self, metrics: Metrics, accept: str, page: str) -> tuple[bytes, str]:
        """`page` is one of MinIO's, which are text whatever is accepted, or ours, the empty one."""
        view = None if not page else partial(MinioCollector, page, server=self._server)
        kind = "openmetrics" if "openmetrics" in accept and not page else f"text {page}"
        accepted = OPEN_METRICS if kind == "openmetrics" else ""
        # Reading every worker's files is a long loop of Python: in a thread it shares the interpreter with requests.
        return self._shared.get(kind, partial(runtime.offload_scan, metrics.render, accepted, view))


class ApiDescription:
    """The OpenAPI document as JSON. Parsing the YAML takes a while and is done once, for whoever asks first."""

    def __init__(self) -> None:
        self._document: bytes | None = None

    def as_json(self) -> bytes:
        if self._document is None:
            self._document = runtime.offload_scan(_read_schema)
        return self._document


def _read_schema() -> bytes:
    import yaml

    path = next(path for path in _SCHEMA_PATHS if path.is_file())
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return json.dumps(yaml.load(path.read_bytes(), loader), default=str).encode()  # noqa: S506  # safe loaders, both


def _json(status: int, document: bytes) -> flask.Response:
    return _answer(status, document, "application/json")


def _refused() -> flask.Response:
    answer = _json(401, b'{"status": "error", "detail": "observability.metrics_token is needed"}')
    answer.headers.add(*CHALLENGE)
    return answer


def _off() -> flask.Response:
    return _json(404, NOTHING_HERE)


def _answer(status: int, body: bytes, content_type: str) -> flask.Response:
    answer = flask.Response(body, status, content_type=content_type)
    answer.headers.extend(SERVICE_HEADERS)
    return answer
