"""What the clients that are made of `requests`, Google's and Azure's, share: connections, bodies and answers."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from typing import Any

import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.connection import HTTPConnection

from app.storage.remote_calls import Kind, Trouble, UpstreamError, describe
from app.storage.remote_upstream import CONNECTIONS_MAX, Download

HOSTS_MAX = 4  # the service, and who gives out credentials
PIECE_BYTES = 1 << 16
# What stands between may forget a connection that is idle, and say so to nobody.
KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
)

_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)", re.ASCII)


def prepare(session: requests.Session, url: str) -> None:
    """Make a session ready for requests to this service: pooled, and with what the environment says of proxies and CAs.

    That is read once: for every request it costs as much as a fourth of all the rest. And never what .netrc says: it
    would take the place of the signature.
    """
    for scheme in ("http://", "https://"):
        session.mount(scheme, PooledAdapter())
    session.proxies = get_environ_proxies(url)
    session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
    session.trust_env = False


class PooledAdapter(HTTPAdapter):
    """A connection for every thread, kept; no retries, for those are ours (remote_calls)."""

    def __init__(self) -> None:
        super().__init__(pool_connections=HOSTS_MAX, pool_maxsize=CONNECTIONS_MAX, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        options = [*HTTPConnection.default_socket_options, *KEEPALIVE]
        super().init_poolmanager(*args, **kwargs, socket_options=options)

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(request.body, (bytes, memoryview)) and len(request.body) > PIECE_BYTES:
            request.body = Pieces((request.body,))
        return super().send(request, *args, **kwargs)


class Pieces:
    """A body that leaves in pieces, without being copied together: the time-out for sending holds for each of them.

    For one call of `sendall` it is the time for all that was given, and the client takes the short one for connecting.
    """

    def __init__(self, contents: tuple[bytes | memoryview, ...]) -> None:
        self._contents = contents
        self._size_bytes = sum(len(content) for content in contents)

    def __len__(self) -> int:
        return self._size_bytes

    def __iter__(self) -> Iterator[memoryview]:
        """Any number of times: a request may be repeated."""
        for content in self._contents:
            view = memoryview(content)
            for start in range(0, len(view), PIECE_BYTES):
                yield view[start : start + PIECE_BYTES]


class ResponseDownload(Download):
    """The answer to a GET, its body not read yet."""

    def __init__(self, response: requests.Response, start: int) -> None:
        """Raises: UpstreamError for an answer that does not begin at `start`, closed."""
        self._response = response
        size_bytes = _size_of_object(response, start)
        if size_bytes is None:
            self.close()
            raise UpstreamError(Trouble(Kind.WRONG, "UnexpectedRange"))
        self.size_bytes = size_bytes

    def read(self, count: int) -> bytes:
        """What has come, as soon as something has: a service that trickles is noticed by its slowness."""
        content: bytes = self._response.raw.read1(count, decode_content=False)
        return content

    def close(self) -> None:
        self._response.close()


def transport_trouble(error: Exception) -> Trouble | None:
    """What an exception of `requests`, or of what is below it, means: no connection, or one that broke."""
    if isinstance(error, (OSError, urllib3.exceptions.HTTPError)):  # those of `requests` are the former
        return Trouble(Kind.AWAY, describe(error))
    return None


def _size_of_object(response: requests.Response, start: int) -> int | None:
    """The whole object's, by an answer that begins at `start`; None where it says that it begins elsewhere."""
    status, headers = response.status_code, response.headers
    if status == requests.codes.partial_content:
        match = _CONTENT_RANGE.match(headers.get("Content-Range", ""))
        return int(match[2]) if match and int(match[1]) == start else None
    length = headers.get("Content-Length", "")
    is_whole = status == requests.codes.ok and not start
    return int(length) if is_whole and length.isascii() and length.isdigit() else None
