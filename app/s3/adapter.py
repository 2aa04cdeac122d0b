"""The one place where Flask's objects and ours meet.

`S3Flask` asks our router instead of Werkzeug's for everything that is not a service path, and every S3 endpoint is
the same function: environ -> Incoming -> pipeline -> WSGI body. Service paths are ordinary Flask blueprints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import flask
from werkzeug.routing import BaseConverter, Rule as FlaskRule

from app.s3.blueprint import S3Blueprint
from app.s3.outcome import Ending
from app.s3.pipeline import Incoming, Pipeline
from app.s3.request import Headers, S3Response
from app.s3.sending import SentBody, start_line
from app.s3.service_paths import asks_service

_S3_ENDPOINT = "s3"
_S3_RULE = FlaskRule("/", endpoint=_S3_ENDPOINT)
_S3_RULE.provide_automatic_options = False  # type: ignore[attr-defined]


class KeyConverter(BaseConverter):
    """`<key:key>`: anything, slashes included. It documents the route; matching is our router's."""

    part_isolating = False
    regex = ".+"


class _S3Match:
    """What Flask takes for a bound URL map, for requests that are S3's."""

    def match(self, return_rule: bool = False) -> tuple[FlaskRule, dict[str, Any]]:
        return _S3_RULE, {}

    def allowed_methods(self) -> list[str]:
        return []


class S3Flask(flask.Flask):
    """Flask with the S3 pipeline behind every path that is not the service's."""

    def __init__(self, pipeline: Pipeline, domains: Iterable[str], blueprints: Iterable[S3Blueprint]) -> None:
        super().__init__("app", static_folder=None, template_folder=None)
        self._domains = tuple(domains)
        self.url_map.converters["key"] = KeyConverter
        self.url_map.merge_slashes = False
        self.view_functions[_S3_ENDPOINT] = _view(pipeline)
        for blueprint in blueprints:
            self.register_blueprint(self._routes(blueprint))

    def _routes(self, blueprint: S3Blueprint) -> flask.Blueprint:
        routes = flask.Blueprint(blueprint.name, __name__)
        for rule in blueprint.rules:
            routes.add_url_rule(
                rule.path,
                endpoint=rule.operation,
                view_func=self.view_functions[_S3_ENDPOINT],
                methods=[rule.method],
                provide_automatic_options=False,
            )
        return routes

    def create_url_adapter(self, request: flask.Request | None) -> Any:
        if request is not None and not asks_service(request.environ, self._domains):
            return _S3Match()
        return super().create_url_adapter(request)


def _view(pipeline: Pipeline) -> Callable[[], flask.typing.ResponseReturnValue]:
    def serve_s3(**names: str) -> flask.typing.ResponseReturnValue:
        if names:
            flask.abort(404)  # below the service's prefix, where no service answers and no bucket can be
        environ = flask.request.environ
        incoming = Incoming(
            method=environ["REQUEST_METHOD"],
            raw_target=environ["bleepstore.target"],
            headers=Headers(environ["bleepstore.headers"]),
            wire=environ["bleepstore.body"],
            remote_address=environ.get("REMOTE_ADDR", ""),
            is_secure=environ.get("wsgi.url_scheme") == "https",
        )
        return _WsgiResponse(*pipeline.handle(incoming))

    return serve_s3


class _WsgiResponse(flask.Response):
    """Our response as Flask takes it. It starts the WSGI response itself: Werkzeug would rewrite headers and HEAD."""

    def __init__(self, answer: S3Response, ending: Ending) -> None:
        super().__init__(status=answer.status)
        self._answer = answer
        self._ending = ending

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response(*start_line(self._answer))
        return SentBody(self._answer, self._ending, self._ending.begin)
