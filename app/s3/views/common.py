"""What several views ask of a request: the object it is about, or the answer that there is none."""

from __future__ import annotations

import base64
import re

from app.domain.dates import http_date
from app.domain.errors import InvalidArgument, MethodNotAllowed, NoSuchKey, NoSuchVersion
from app.domain.types import Version, Versioning
from app.s3.request import Query, S3Request

DELETE_MARKER = "x-amz-delete-marker"
VERSION_ID = "x-amz-version-id"

_NUMBER = re.compile(r"[0-9]{1,10}")
_INTEGER_MAX = 2_147_483_647


def require_object(request: S3Request) -> Version:
    """The version the request is about, for rules that need one. It is an object: a delete marker is answered as such.

    Raises: NoSuchKey (with the marker's id, where a current marker hides the key), NoSuchVersion, MethodNotAllowed
    (a marker named by its id). Source: specs/versioning.md.
    """
    version, named = request.version, request.version_id
    if version is None:
        if named is not None:
            raise NoSuchVersion(Key=request.key, VersionId=named)
        raise NoSuchKey(Key=request.key)
    if not version.is_delete_marker:
        return version
    headers = ((DELETE_MARKER, "true"), (VERSION_ID, version.version_id))
    if named is None:
        raise NoSuchKey(headers=headers, Key=request.key)
    last_modified = ("Last-Modified", http_date(version.modified_ms))
    raise MethodNotAllowed(
        headers=(*headers, last_modified, ("Allow", "DELETE")), Method=request.method, ResourceType="DeleteMarker"
    )


def version_header(request: S3Request, version: Version) -> list[tuple[str, str]]:
    """`x-amz-version-id` of an existing version, as reads and changes of it send it: never on unversioned buckets."""
    if request.bucket.versioning is Versioning.UNVERSIONED:
        return []
    return [(VERSION_ID, version.version_id)]


def limit_parameter(query: Query, name: str, maximum: int, *, minimum: int = 0) -> int:
    """A page size: `maximum` where none is asked for or more is. Raises: InvalidArgument."""
    text = query.get(name)
    if not text:
        return maximum
    if not _NUMBER.fullmatch(text) or not minimum <= int(text) <= _INTEGER_MAX:
        raise InvalidArgument(
            f"Argument {name} must be an integer between {minimum} and {_INTEGER_MAX}",
            ArgumentName=name,
            ArgumentValue=text,
        )
    return min(int(text), maximum)


def encodes_urls(query: Query) -> bool:
    """Whether the names in a listing are to be percent-encoded. Raises: InvalidArgument."""
    encoding = query.get("encoding-type")
    if encoding is None:
        return False
    if encoding != "url":
        raise InvalidArgument(
            "Invalid Encoding Method specified in Request", ArgumentName="encoding-type", ArgumentValue=encoding
        )
    return True


def encode_token(kind: str, after: str) -> str:
    """A continuation token: url-safe base64 of "kind:after". Clients treat it as opaque."""
    return base64.urlsafe_b64encode(f"{kind}:{after}".encode()).rstrip(b"=").decode()


def decode_token(kind: str, token: str) -> str:
    """The `after` of a token; "" of an empty one, which begins at the beginning. Raises: InvalidArgument."""
    if not token:
        return ""
    try:
        # validate: base64 would skip foreign characters, and two tokens would mean the same.
        text = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True).decode()
    except ValueError:
        text = ""
    prefix, colon, after = text.partition(":")
    if not colon or prefix != kind:
        raise InvalidArgument(
            "The continuation token provided is incorrect",
            ArgumentName="continuation-token",
            ArgumentValue=token,
        )
    return after
