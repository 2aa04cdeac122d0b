"""Answers that no application gives: what the server itself refuses, in S3's words and S3's XML."""

from __future__ import annotations

from email.utils import formatdate
from http import HTTPStatus

from app.domain.names import HOST_ID, new_request_id

SERVER_NAME = "BleepStore"

_RESOURCE_MAX_CHARS = 1_024


def render_refusal(status: int, code: str, message: str, *, resource: str = "/", with_body: bool = True) -> bytes:
    """A whole response that ends its connection. Without a body, for HEAD, the length is still the document's.

    `resource` is the path as it was received; it may hold anything printable and is cut where it is long.
    """
    request_id = new_request_id()
    document = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{_escaped(message)}</Message>"
        f"<Resource>{_escaped(resource[:_RESOURCE_MAX_CHARS])}</Resource>"
        f"<RequestId>{request_id}</RequestId><HostId>{HOST_ID}</HostId></Error>"
    ).encode()
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        f"Date: {formatdate(usegmt=True)}\r\n"
        f"Server: {SERVER_NAME}\r\n"
        "Connection: close\r\n"
        "Content-Type: application/xml\r\n"
        f"Content-Length: {len(document)}\r\n"
        f"x-amz-request-id: {request_id}\r\n"
        f"x-amz-id-2: {HOST_ID}\r\n\r\n"
    ).encode("ascii")
    return head + document if with_body else head


def _escaped(text: str) -> str:
    """For element content. The standard library's own would load a whole HTTP client with it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
