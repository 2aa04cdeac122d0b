"""The WSGI environ of one request (PEP 3333), with what WSGI loses beside it: exact target, exact headers, the wire."""

from __future__ import annotations

import io
import sys
from typing import Any
from urllib.parse import unquote_to_bytes

from app.server.body import NoBody, Wire, WireFile
from app.server.head import RequestHead


def base_environ(
    server_name: str, server_port: str, *, is_secure: bool, is_multiprocess: bool, listener: str
) -> dict[str, Any]:
    """What is the same for every request of a listener. Forwarding headers are never interpreted."""
    return {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https" if is_secure else "http",
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": is_multiprocess,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "SCRIPT_NAME": "",
        "SERVER_NAME": server_name,
        "SERVER_PORT": server_port,
        "SERVER_SOFTWARE": "BleepStore",
        "bleepstore.listener": listener,
    }


def make_environ(base: dict[str, Any], head: RequestHead, wire: Wire | NoBody, peer: tuple[str, str]) -> dict[str, Any]:
    """`peer` is the client's (address, port)."""
    path, _, query = _origin_form(head.target).partition("?")
    environ = dict(base)
    environ["REQUEST_METHOD"] = head.method
    environ["RAW_URI"] = environ["REQUEST_URI"] = environ["bleepstore.target"] = head.target
    environ["PATH_INFO"] = unquote_to_bytes(path).decode("latin-1")
    environ["QUERY_STRING"] = query
    environ["SERVER_PROTOCOL"] = f"HTTP/1.{head.minor_version}"
    environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = peer
    environ["wsgi.input"] = io.BufferedReader(WireFile(wire))
    environ["bleepstore.headers"] = head.headers
    environ["bleepstore.body"] = wire
    _add_headers(environ, head.headers)
    return environ


def _origin_form(target: str) -> str:
    """The path and query of an absolute-form target; others as they are."""
    if target.startswith("/") or "://" not in target:
        return target
    behind_scheme = target.partition("://")[2]
    start = min(place for place in (behind_scheme.find("/"), behind_scheme.find("?"), len(behind_scheme)) if place >= 0)
    rest = behind_scheme[start:]
    return rest if rest.startswith("/") else "/" + rest


def _add_headers(environ: dict[str, Any], headers: list[tuple[str, str]]) -> None:
    """Names with an underscore are left out: WSGI would merge `my_key` with `my-key`, and one could forge the other."""
    for name, value in headers:
        if "_" in name:
            continue
        key = "HTTP_" + name.upper().replace("-", "_")
        if key in ("HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"):
            key = key[5:]
        environ[key] = f"{environ[key]},{value}" if key in environ else value
