"""The server as a WSGI application that loads Flask when a request needs it.

Flask, with what it brings, is a fifth of an idle server's memory. Hot requests go the short way and probes are answered
here, so a lone worker may do without; where several workers share the master's memory, the master calls `load`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from http import HTTPStatus
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING, Any

from app import runtime
from app.observe.health import NOTHING_HERE, PROBES, SERVICE_HEADERS, HealthChecks
from app.s3.service_paths import LISTENER, START_PAGE, asks_service, is_served_by_listener, path_of, template_of

if TYPE_CHECKING:
    from app.s3.adapter import S3Flask

Environ = dict[str, Any]
StartResponse = Callable[..., object]
CountService = Callable[[str, str, int, float, int], None]  # method, path's template, status, seconds, bytes sent


class Front:
    """`lifecycle` is for the worker, see `app.Lifecycle`. `health` is None where probes are switched off.

    `elsewhere` are those of the service's paths that another listener answers and S3's does not.
    """

    def __init__(
        self,
        make_flask: Callable[[], S3Flask],
        lifecycle: object,
        health: HealthChecks | None,
        domains: Sequence[str],
        elsewhere: Collection[str] = (),
        count: CountService | None = None,
    ) -> None:
        """`count` counts what the service's own paths are asked for; S3's requests are counted by the pipeline."""
        self.lifecycle = lifecycle
        self._make_flask = make_flask
        self._flask: S3Flask | None = None
        self._loading = Lock()
        self._health = health
        self._domains = domains
        self._elsewhere = elsewhere
        self._count = count

    def load(self) -> S3Flask:
        """Flask with all its routes, made once; whoever comes meanwhile waits."""
        # A tenth of a second of Python: in a thread it shares the interpreter with other requests (I8).
        return self._flask or runtime.offload_scan(self._load_once)

    def _load_once(self) -> S3Flask:
        """In a thread: on the hub nobody may wait for the lock."""
        with self._loading:
            if self._flask is None:
                self._flask = self._make_flask()
            return self._flask

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        template = None if self._count is None else template_of(environ, self._domains)
        if template is None or self._count is None:
            return self._answer(environ, start_response)
        began_s = perf_counter()
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> object:
            started.append((status, headers))
            return start_response(status, headers, *rest)

        body = self._answer(environ, start)
        if started:
            status, headers = started[-1]
            length = 0 if environ["REQUEST_METHOD"] == "HEAD" else _length(headers)
            self._count(environ["REQUEST_METHOD"], template, int(status[:3]), perf_counter() - began_s, length)
        return body

    def _answer(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = path_of(environ)
        probe = PROBES.get(path)
        if not is_served_by_listener(environ) or (path in self._elsewhere and self._is_hidden(environ)):
            status, body = 404, NOTHING_HERE
        elif path == "/" and environ.get(LISTENER):
            start_response("302 Found", [("Location", START_PAGE), ("Content-Length", "0"), *SERVICE_HEADERS])
            return []
        elif probe is None or self._health is None or not asks_service(environ, self._domains):
            return self.load()(environ, start_response)  # type: ignore[arg-type]  # the server's own start_response
        else:
            status, body = probe(self._health)
        start_response(
            f"{status} {HTTPStatus(status).phrase}",
            [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *SERVICE_HEADERS],
        )
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _is_hidden(self, environ: Environ) -> bool:
        """Whether a request for a path that is answered elsewhere asks the service here, and not a bucket of that name."""
        return not environ.get(LISTENER) and asks_service(environ, self._domains)


def _length(headers: list[tuple[str, str]]) -> int:
    return next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
