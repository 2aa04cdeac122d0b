"""The named bounds of the wire: sizes and times that a client cannot exceed, whatever it sends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.server.pace import Pace

if TYPE_CHECKING:
    from app.config import Config


@dataclass(frozen=True, slots=True)
class WireLimits:
    """What one connection may cost. An operator's settings replace some of these; tests shorten the times."""

    # A 1,024-byte key percent-encoded is 3 KiB; a presigned query with a session token adds up to 4 KiB.
    request_line_max_bytes: int = 8_190
    header_field_max_bytes: int = 8_190
    # AWS bounds a PUT's headers to 8 KiB; tokens, cookies of a shared domain and proxies' additions need more.
    header_section_max_bytes: int = 32_768
    headers_max: int = 200

    head_timeout_ms: int = (
        20_000  # from a request's first byte to the end of its head, and for a first request to begin
    )
    idle_timeout_ms: int = 65_000  # between two requests
    body_stall_ms: int = 30_000  # a body may send nothing for so long
    body_rate_min_bytes_per_s: int = 1_024  # asked of every `body_window_ms` spent waiting; 0: never
    body_window_ms: int = 30_000  # … so this is also the grace that a body has at its start
    send_stall_ms: int = 60_000  # a response may make no progress for so long
    send_rate_min_bytes_per_s: int = 256  # asked of every `send_stall_ms` spent waiting for the client

    rest_max_bytes: int = 65_536  # an unread body that is no larger, and already here, does not end the connection
    linger_timeout_ms: int = 2_000  # a closing connection listens for so long, that the client can read the answer
    linger_max_bytes: int = 262_144  # … and to so much

    connections_max: int = 1_000  # of one worker
    fresh_grace_ms: int = 1_000  # a stopping worker waits so long for the first request of a new connection
    evictable_after_ms: int = 1_000  # a full worker closes a connection that has been idle for so long

    def send_pace(self) -> Pace:
        """Of one response."""
        return Pace(self.send_stall_ms, self.send_stall_ms, self.send_rate_min_bytes_per_s)


def wire_limits(config: Config) -> WireLimits:
    """The limits as an operator's configuration has them."""
    limits = config.server.limits
    return WireLimits(
        head_timeout_ms=limits.header_timeout_s * 1_000,
        idle_timeout_ms=limits.keepalive_s * 1_000,
        body_stall_ms=limits.body_stall_timeout_s * 1_000,
        body_rate_min_bytes_per_s=limits.body_min_bytes_per_s,
        body_window_ms=limits.body_stall_timeout_s * 1_000,
        connections_max=limits.worker_connections,
    )
