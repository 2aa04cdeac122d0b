"""The service's paths over Flask: what they answer, with which headers, and that nothing else of the disk is served."""

from __future__ import annotations

import json
import re
from typing import Any

import flask
import pytest

from app.domain.types import Health
from app.observe.endpoints import service_blueprint
from app.observe.health import HealthChecks
from app.observe.metrics import Metrics, NoMetrics


@pytest.fixture
def client() -> Any:
    flask_app = flask.Flask("test", static_folder=None)
    metrics = Metrics()
    metrics.requests.service("GET", "/health", 200, 0.01, 7)
    checks = HealthChecks({"metadata": lambda: Health(ok=True), "storage": lambda: Health(ok=True)})
    flask_app.register_blueprint(service_blueprint(checks, metrics))
    return flask_app.test_client()


@pytest.mark.parametrize("path", ["/health", "/healthz", "/readyz"])
def test_health_is_json_that_nobody_caches(client: Any, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json["status"]) == (200, "ok")
    assert answer.content_type == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert client.head(path).status_code == 200


def test_metrics_are_prometheus_text(client: Any) -> None:
    answer = client.get("/metrics")
    assert answer.content_type.startswith("text/plain; version=0.0.4")
    assert 'bleepstore_http_requests_total{method="GET",path="/health",status="200"} 1.0' in answer.text


def test_the_api_is_described_in_json(client: Any) -> None:
    document = client.get("/openapi.json").json
    assert document["openapi"].startswith("3.")
    assert document["paths"]
    json.dumps(document)


def test_the_documentation_page_runs_no_script_but_its_own_files(client: Any) -> None:
    page = client.get("/docs")
    policy = page.headers["Content-Security-Policy"]
    assert "script-src 'self';" in policy
    assert "default-src 'none'" in policy
    assert not re.search(r"<script(?![^>]* src=)", page.text)
    assert "http" not in page.text.split("<body>")[1]
    names = re.findall(r'(?:src|href)="(/[^"]+)"', page.text)
    assert len(names) == 4
    for name in names:
        answer = client.get(name)
        assert answer.status_code == 200, name
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert len(answer.data) > 20
        answer.close()


@pytest.mark.parametrize("name", ["LICENSE", "docs.html", "..%2Fhealth.py", "../health.py", "%2e%2e/health.py", ""])
def test_nothing_else_of_the_disk_is_served(client: Any, name: str) -> None:
    assert client.get(f"/.bleepstore/docs/{name}").status_code == 404


@pytest.mark.parametrize("path", ["/health", "/healthz", "/readyz", "/metrics"])
def test_what_is_switched_off_is_not_there(path: str) -> None:
    flask_app = flask.Flask("test", static_folder=None)
    flask_app.register_blueprint(service_blueprint(None, NoMetrics()))
    assert flask_app.test_client().get(path).status_code == 404
