"""What a bucket policy's conditions see of a request: its values by the condition key's name.

Loaded when a policy asks. A key that is absent here is absent in every request: there is no VPC, no session token and
no TLS version to be known. Source: specs/policies.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import unquote

from app.auth.credentials import read_timestamp
from app.domain.errors import S3Error
from app.domain.tags import parse_tagging_header
from app.domain.types import Tags, Version
from app.s3.request import S3Request

ROOT_ARN = "arn:aws:iam::000000000000:root"
USER_ARN = "arn:aws:iam::000000000000:user/"

_EXISTING_TAG, _REQUEST_TAG = "s3:existingobjecttag/", "s3:requestobjecttag/"
_HEADER = "s3:x-amz-"
_PLAIN_HEADERS = {"aws:referer": "referer", "aws:useragent": "user-agent", "s3:if-match": "if-match",
                  "s3:if-none-match": "if-none-match"}  # fmt: skip


def value(request: S3Request, name: str, version: Version | None) -> tuple[str, ...] | None:
    """The values of the condition key `name` (lower case, but for a tag's own name); None where it has none."""
    if name.startswith(_EXISTING_TAG):
        return None if version is None else _tag(version.tags, name.removeprefix(_EXISTING_TAG))
    if name.startswith(_REQUEST_TAG):
        return _tag(_request_tags(request), name.removeprefix(_REQUEST_TAG))
    lower = name.lower()  # a variable is spelled as its author likes
    header = _PLAIN_HEADERS.get(lower)
    if header is not None:
        return _one(request.headers.get(header))
    read = _READERS.get(lower)
    if read is not None:
        return read(request)
    if lower.startswith(_HEADER):
        return _one(request.headers.get(lower.removeprefix("s3:")))
    return None


def _one(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else (text,)


def _tag(tags: Tags, key: str) -> tuple[str, ...] | None:
    return next(((value,) for name, value in tags if name == key), None)


def _request_tags(request: S3Request) -> Tags:
    in_body: Tags | None = request.body_tags
    if in_body is not None:
        return in_body
    header = request.headers.get("x-amz-tagging")
    if header is None:
        return ()
    try:
        return parse_tagging_header(header)
    except S3Error:
        return ()  # the view refuses the request


def _request_tag_keys(request: S3Request) -> tuple[str, ...] | None:
    return tuple(name for name, _ in _request_tags(request)) or None


def _current_time(_: S3Request) -> tuple[str, ...]:
    return (datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),)


def _epoch_time(_: S3Request) -> tuple[str, ...]:
    return (str(int(time.time())),)


def _secure(request: S3Request) -> tuple[str, ...]:
    return ("true" if request.is_secure else "false",)


def _user_name(request: S3Request) -> tuple[str, ...] | None:
    return None if request.principal.is_anonymous else (request.principal.name,)


def _user_id(request: S3Request) -> tuple[str, ...]:
    return ("anonymous" if request.principal.is_anonymous else request.principal.id,)


def _principal_type(request: S3Request) -> tuple[str, ...]:
    principal = request.principal
    return ("Anonymous" if principal.is_anonymous else "Account" if principal.is_root else "User",)


def _principal_arn(request: S3Request) -> tuple[str, ...] | None:
    principal = request.principal
    if principal.is_anonymous:
        return None
    return (ROOT_ARN if principal.is_root else f"{USER_ARN}{principal.name}",)


def _auth_type(request: S3Request) -> tuple[str, ...] | None:
    if not request.is_signed:
        return None
    if request.rule.operation == "PostObject":
        return ("POST",)
    return ("REST-HEADER" if "authorization" in request.headers else "REST-QUERY-STRING",)


def _signature_version(request: S3Request) -> tuple[str, ...] | None:
    if not request.is_signed:
        return None
    said = request.headers.get("authorization") or request.query.get("X-Amz-Algorithm") or "AWS"
    return ("AWS" if said.partition(" ")[0] == "AWS" else "AWS4-HMAC-SHA256",)


def _signature_age(request: S3Request) -> tuple[str, ...] | None:
    """Milliseconds since a presigned URL was signed."""
    date = request.query.get("X-Amz-Date")
    moment = None if date is None else read_timestamp(date)
    return None if moment is None else (str(max(0, int((time.time() - moment) * 1000))),)


def _copy_source(request: S3Request) -> tuple[str, ...] | None:
    source = request.headers.get("x-amz-copy-source")
    return None if source is None else (unquote(source.partition("?")[0]).removeprefix("/"),)


def _parameter(*names: str) -> Callable[[S3Request], tuple[str, ...] | None]:
    return lambda request: next((_one(request.query.get(name)) for name in names if name in request.query), None)


_READERS: dict[str, Callable[[S3Request], tuple[str, ...] | None]] = {
    "aws:currenttime": _current_time,
    "aws:epochtime": _epoch_time,
    "aws:securetransport": _secure,
    "aws:sourceip": lambda request: _one(request.remote_address or None),
    "aws:username": _user_name,
    "aws:userid": _user_id,
    "aws:principaltype": _principal_type,
    "aws:principalarn": _principal_arn,
    "s3:authtype": _auth_type,
    "s3:signatureversion": _signature_version,
    "s3:signatureage": _signature_age,
    "s3:x-amz-copy-source": _copy_source,
    "s3:prefix": _parameter("prefix"),
    "s3:delimiter": _parameter("delimiter"),
    "s3:max-keys": _parameter("max-keys", "max-uploads"),
    "s3:versionid": _parameter("versionId"),
    "s3:requestobjecttagkeys": _request_tag_keys,
}
