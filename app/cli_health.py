"""`bleepstore healthcheck`: asks the server of this configuration how it is, for whoever has no HTTP client at hand."""

from __future__ import annotations

import http.client
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.config import Config

TIMEOUT_S = 4.0  # less than those who ask usually allow

# "All addresses" is none that a client could name.
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # compared, not bound


def healthcheck(config: Config, *, is_live: bool) -> int:
    """0 where the server would serve (or, with `is_live`, answers at all), 1 otherwise, with its word on standard error."""
    try:
        status, text = _ask(config, "/healthz" if is_live else "/readyz")
    except (OSError, http.client.HTTPException) as error:
        print(f"unhealthy: no answer: {error}", file=sys.stderr)
        return 1
    # Where probes are switched off, any answer but a failure is as much as can be known.
    if status == 200 or (not config.observability.health_check and status < 500):
        return 0
    print(f"unhealthy: {status} {text}", file=sys.stderr)
    return 1


def _ask(config: Config, path: str) -> tuple[int, str]:
    host = _EVERYWHERE.get(config.server.host, config.server.host)
    connection = _connection(host, config.server.port, is_secure=bool(config.server.tls.cert_file))
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(4_096).decode(errors="replace")
    finally:
        connection.close()


def _connection(host: str, port: int, *, is_secure: bool) -> http.client.HTTPConnection:
    if not is_secure:
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    import ssl

    # The certificate is in another name than the address that is asked here, and nothing secret is sent.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)
