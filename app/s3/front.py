"""The server as a WSGI application that loads Flask when a request needs it.

Flask, with what it brings, is a fifth of an idle server's memory. Hot requests go the short way and probes are answered
here, so a lone worker may do without; where several workers share the master's memory, the master calls `load`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from http import HTTPStatus
from threading import Lock
from typing import TYPE_CHECKING, Any

from app import runtime
from app.observe.health import NOTHING_HERE, PROBES, SERVICE_HEADERS, HealthChecks
from app.s3.service_paths import LISTENER, asks_service, is_served_by_listener, path_of

if TYPE_CHECKING:
    from app.s3.adapter import S3Flask

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]


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
    ) -> None:
        self.lifecycle = lifecycle
        self._make_flask = make_flask
        self._flask: S3Flask | None = None
        self._loading = Lock()
        self._health = health
        self._domains = domains
        self._elsewhere = elsewhere

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
        path = path_of(environ)
        probe = PROBES.get(path)
        if not is_served_by_listener(environ) or (path in self._elsewhere and self._is_hidden(environ)):
            status, body = 404, NOTHING_HERE
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
