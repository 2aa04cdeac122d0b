"""Signed requests exactly as a test wants them, and their answers as they came."""

from __future__ import annotations

import hashlib
import http.client
from dataclasses import dataclass
from typing import Any, Protocol
from xml.etree import ElementTree as ET

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"
TIMEOUT_S = 20.0


class Place(Protocol):
    """A running server and the keys to it."""

    host: str
    port: int
    access_key: str
    secret_key: str


@dataclass(frozen=True)
class Reply:
    """`headers` by lower-case name."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def xml(self) -> Any:
        return ET.fromstring(self.body)

    @property
    def code(self) -> str:
        """The error's code; "" of an answer without a document."""
        return self.text("Code") if self.body else ""

    def text(self, path: str) -> str:
        """The text of the first element on the path, in S3's namespace or in none."""
        found = self.xml.find("/".join(f"{NAMESPACE}{name}" for name in path.split("/")))
        if found is None:
            found = self.xml.find(path)
        return "" if found is None else found.text or ""


def request(
    place: Place,
    method: str,
    target: str,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    *,
    keys: tuple[str, str] | None = None,
    is_anonymous: bool = False,
) -> Reply:
    """One request on a connection of its own, signed with `keys` (the place's unless given). `target` goes out as it is."""
    sent = {"x-amz-content-sha256": hashlib.sha256(body).hexdigest(), **(headers or {})}
    if not is_anonymous:
        sent = signed(place, method, target, sent, keys=keys)
    connection = http.client.HTTPConnection(place.host, place.port, timeout=TIMEOUT_S)
    try:
        connection.request(method, target, body or None, sent)
        answer = connection.getresponse()
        return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def signed(
    place: Place, method: str, target: str, headers: dict[str, str], *, keys: tuple[str, str] | None = None
) -> dict[str, str]:
    """The headers with a signature by `keys`; they must hold x-amz-content-sha256."""
    request = AWSRequest(method, f"http://{place.host}:{place.port}{target}", headers)
    _Signer(Credentials(*(keys or (place.access_key, place.secret_key))), "s3", "us-east-1").add_auth(request)
    return dict(request.headers.items())


class _Signer(S3SigV4Auth):  # type: ignore[misc]
    """botocore's, with the payload hash that the headers have already."""

    def payload(self, request: AWSRequest) -> str:
        return self._hash

    def add_auth(self, request: AWSRequest) -> None:
        self._hash = request.headers["x-amz-content-sha256"]
        super().add_auth(request)
