"""What the server listens on: the port of S3, and ports where only some of the service's own paths are answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from app.settings import host_and_port

if TYPE_CHECKING:
    from app.config import Config

S3: Final = ""  # the name of S3's listener
METRICS: Final = "metrics"
CONSOLE: Final = "console"

# A service listener is for a few probes and scrapers. Their connections are counted apart from those of S3, so that a full
# worker still answers them, and they never take S3's.
SERVICE_CONNECTIONS_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Listener:
    """`bind` is an address as gunicorn has it, "host:port" or "[host]:port". Which paths `name` stands for says s3/service_paths."""

    name: str
    bind: str


def listeners(config: Config) -> tuple[Listener, ...]:
    """S3's first. The sockets that a worker inherits are in the same order."""
    server, observability = config.server, config.observability
    found = [Listener(S3, _bind(server.host, server.port))]
    for name, bind in ((METRICS, observability.metrics_bind), (CONSOLE, server.console_bind)):
        if bind:
            host, port = host_and_port(bind)
            # Without a host all addresses are meant, of the kind that the main port has.
            found.append(Listener(name, _bind(host or ("::" if ":" in server.host else "0.0.0.0"), port)))  # noqa: S104
    return tuple(found)


def names_of(binds: Sequence[str], *configs: Config) -> tuple[str, ...]:
    """What each of the addresses that are listened on is for, by the first configuration that has it.

    A reload may bring another configuration and stay at the addresses that there are.
    """
    names = {each.bind: each.name for config in reversed(configs) for each in listeners(config)}
    return tuple(names.get(bind, S3) for bind in binds)


def _bind(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
