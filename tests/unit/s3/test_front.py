"""What is answered without Flask, and that Flask is made once and only when it is needed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import flask
import pytest

from app.domain.types import Health
from app.observe.endpoints import service_blueprint
from app.observe.health import HealthChecks
from app.observe.metrics import NoMetrics
from app.s3.front import Front

CALLERS = 8
SIGNED = {"HTTP_AUTHORIZATION": "AWS4-HMAC-SHA256 Credential=…"}


def front(made: list[Any], *, ok: bool = True, is_watched: bool = True) -> Front:
    """One whose Flask answers service paths only, and is noted in `made`."""
    health = HealthChecks({"metadata": lambda: Health(ok=ok)}) if is_watched else None

    def make() -> Any:
        application = flask.Flask("test", static_folder=None)
        application.register_blueprint(service_blueprint(health, NoMetrics()))
        made.append(application)
        return application

    return Front(make, None, health, ("s3.example.com",))


def call(application: Callable[..., Any], path: str, method: str = "GET", **further: str) -> tuple[int, Any, bytes]:
    """Status code, headers in any order and body, as a server gets them."""
    environ = {
        "REQUEST_METHOD": method, "PATH_INFO": path, "bleepstore.target": path, "SERVER_NAME": "localhost",
        "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": "http", **further,
    }  # fmt: skip
    began: list[Any] = []
    body = b"".join(application(environ, lambda *answer: began.append(answer)))
    status, headers, *_ = began.pop()
    return int(status[:3]), sorted(headers), body


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("ok", [True, False])
def test_probes_are_answered_as_flask_would_without_it(path: str, method: str, ok: bool) -> None:
    made: list[Any] = []
    this = front(made, ok=ok)
    answer = call(this, path, method)
    assert made == []
    assert answer == call(this.load(), path, method)


def test_what_only_looks_like_a_probe_is_flasks() -> None:
    """A bucket may be called `healthz`: who signs, writes or names another host means that one."""
    for further in (SIGNED, {"REQUEST_METHOD": "PUT"}, {"HTTP_HOST": "bucket.s3.example.com"}):
        made: list[Any] = []
        call(front(made), "/healthz", **further)
        assert len(made) == 1


def test_probes_that_are_switched_off_are_not_found() -> None:
    assert call(front([], is_watched=False), "/healthz")[0] == 404


def test_flask_is_made_once_whoever_needs_it_at_the_same_time() -> None:
    made: list[Any] = []
    this = front(made)
    together = threading.Barrier(CALLERS)

    def need(_: int) -> Any:
        together.wait()
        return this.load()

    with ThreadPoolExecutor(CALLERS) as callers:
        given = list(callers.map(need, range(CALLERS)))
    assert given == made * CALLERS
