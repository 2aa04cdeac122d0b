"""Headers of S3: what requests say about an object and its ACL, and how an object is described in answers.

What a client stores is kept as received and given back as it was; so nothing is stored that could not be sent.
Source: PutObject and GetObject, AWS S3 API reference; specs/decisions/0003-sse-s3-header.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Protocol

from app.domain import acl
from app.domain.acl import GRANTS_MAX, Acl, Grant, GranteeType, Permission
from app.domain.dates import http_date
from app.domain.digests import is_supported
from app.domain.errors import (
    InvalidArgument,
    InvalidRequest,
    InvalidStorageClass,
    MetadataTooLarge,
    S3NotImplemented,
    UnresolvableGrantByEmailAddress,
)
from app.domain.types import Attributes, Version, Versioning
from app.s3.request import Headers, Query

FORM_TYPE = "multipart/form-data"
USER_METADATA_MAX_BYTES = 2048  # names and values together
WEBSITE_REDIRECT_MAX = 2048
DEFAULT_CONTENT_TYPE = "binary/octet-stream"
DEFAULT_STORAGE_CLASS = "STANDARD"
# The class is a label here; those of other kinds of bucket are none that an object of ours could have.
STORAGE_CLASSES = frozenset(
    {
        DEFAULT_STORAGE_CLASS,
        "REDUCED_REDUNDANCY",
        "STANDARD_IA",
        "ONEZONE_IA",
        "INTELLIGENT_TIERING",
        "GLACIER",
        "GLACIER_IR",
        "DEEP_ARCHIVE",
    }
)
# Sent with every answer about an object where the operator says that the storage is encrypted, as AWS sends it.
ENCRYPTED_AT_REST = ("x-amz-server-side-encryption", "AES256")

_STORED = tuple(
    (name.lower(), name) for name in ("Cache-Control", "Content-Disposition", "Content-Language", "Expires")
)
_OVERRIDES = {
    "response-cache-control": "Cache-Control",
    "response-content-disposition": "Content-Disposition",
    "response-content-encoding": "Content-Encoding",
    "response-content-language": "Content-Language",
    "response-content-type": "Content-Type",
    "response-expires": "Expires",
}
_UNSENDABLE = re.compile("[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]")


def read_attributes(headers: Headers) -> Attributes:
    """What the headers of a write say about the object.

    Raises: InvalidArgument (a value that no header can carry back), MetadataTooLarge, InvalidStorageClass.
    """
    stored = [("Content-Type", _sendable(headers, "content-type") or DEFAULT_CONTENT_TYPE)]
    encoding = _without_framing(_sendable(headers, "content-encoding"))
    if encoding:
        stored.append(("Content-Encoding", encoding))
    for lower, name in _STORED:
        value = _sendable(headers, lower)
        if value:
            stored.append((name, value))
    if not headers.amz_names:
        return Attributes(tuple(stored))
    storage_class = headers.get("x-amz-storage-class") or DEFAULT_STORAGE_CLASS
    if storage_class not in STORAGE_CLASSES:
        raise InvalidStorageClass(StorageClassRequested=storage_class)
    return Attributes(tuple(stored), _user_metadata(headers), storage_class, _website_redirect(headers))


def _without_framing(encoding: str | None) -> str | None:
    """Content-Encoding without aws-chunked, which says how the request travelled and not what the object is."""
    if encoding is None or "aws-chunked" not in encoding.lower():
        return encoding
    tokens = (token.strip() for token in encoding.split(","))
    return ",".join(token for token in tokens if token.lower() != "aws-chunked")


def _user_metadata(headers: Headers) -> tuple[tuple[str, str], ...]:
    metadata = tuple(headers.with_prefix("x-amz-meta-"))
    size_bytes = 0
    for name, value in metadata:
        if not name:
            raise _invalid("x-amz-meta-", value, "User metadata needs a name.")
        _require_sendable("x-amz-meta-" + name, value)
        # Headers are latin-1 decoded: one character is one byte of what the client sent.
        size_bytes += len(name) + len(value)
    if size_bytes > USER_METADATA_MAX_BYTES:
        raise MetadataTooLarge(Size=str(size_bytes), MaxSizeAllowed=str(USER_METADATA_MAX_BYTES))
    return metadata


def _website_redirect(headers: Headers) -> str | None:
    name = "x-amz-website-redirect-location"
    location = _sendable(headers, name)
    if location is None:
        return None
    if not location.startswith(("/", "http://", "https://")) or len(location) > WEBSITE_REDIRECT_MAX:
        raise _invalid(name, location, "The website redirect location must begin with '/', 'http://' or 'https://'.")
    return location


def _sendable(headers: Headers, name: str) -> str | None:
    value = headers.get(name)
    if value is not None:
        _require_sendable(name, value)
    return value


def _require_sendable(name: str, value: str) -> None:
    if _UNSENDABLE.search(value):
        raise _invalid(name, value, "The value holds characters that a header cannot carry.")


def _invalid(name: str, value: str, message: str) -> InvalidArgument:
    return InvalidArgument(message, ArgumentName=name, ArgumentValue=value)


# Each would let a client believe something about its data that is not so. A prefix ends in "-".
_NOT_BUILT = (
    "x-amz-server-side-encryption-",
    "x-amz-copy-source-server-side-encryption-customer-",
    "x-amz-write-offset-bytes",
)


def is_form(content_type: str | None) -> bool:
    """Whether a body is a browser's form with a file."""
    return (content_type or "").partition(";")[0].strip().lower() == FORM_TYPE


def refuse_protections(headers: Headers, *, encrypted_at_rest: bool = False) -> None:
    """Refuse what promises a protection, or another kind of write, that this server does not give.

    For every operation that takes such headers, reads with SSE-C included. With `encrypted_at_rest`, which an operator
    declares of the storage, SSE-S3 is honest and accepted.
    Raises: S3NotImplemented; InvalidRequest (object lock on a bucket without it); InvalidArgument.
    """
    if not headers.amz_names:
        return
    for name in headers.amz_names:
        if name.startswith("x-amz-object-lock-"):
            raise InvalidRequest("Bucket is missing Object Lock Configuration")
        if name.startswith(_NOT_BUILT) and not _is_off(name, headers.get(name)):
            raise S3NotImplemented("A header you provided implies functionality that is not implemented", Header=name)
    if (headers.get("x-amz-bucket-object-lock-enabled") or "").lower() == "true":
        raise S3NotImplemented("Object lock is not implemented.", Header="x-amz-bucket-object-lock-enabled")
    _check_encryption(headers.get("x-amz-server-side-encryption"), encrypted_at_rest)


def _is_off(name: str, value: str | None) -> bool:
    return name == "x-amz-server-side-encryption-bucket-key-enabled" and (value or "").lower() == "false"


def _check_encryption(algorithm: str | None, encrypted_at_rest: bool) -> None:
    name = "x-amz-server-side-encryption"
    if algorithm is None or (algorithm == "AES256" and encrypted_at_rest):
        return
    if algorithm == "AES256":
        raise S3NotImplemented(
            "This server does not encrypt what it stores. Where the storage beneath it is encrypted, its operator can "
            "say so (storage.encrypted_at_rest), and the header is accepted.",
            Header=name,
        )
    if algorithm in ("aws:kms", "aws:kms:dsse", "aws:fsx", "aws:backup"):
        raise S3NotImplemented(f"Encryption by {algorithm} is not implemented.", Header=name)
    raise _invalid(name, algorithm, "The encryption method specified is not supported")


_CHECKSUM_WORDS = frozenset({"algorithm", "type", "mode"})  # of header names that begin like a checksum's


def checksum_algorithm(headers: Headers) -> str | None:
    """The algorithm that CopyObject or CreateMultipartUpload asks for. Raises: InvalidRequest for an unknown one."""
    for name, _ in headers.with_prefix("x-amz-checksum-"):
        if name not in _CHECKSUM_WORDS and not is_supported(name.upper()):
            raise InvalidRequest(f"The header x-amz-checksum-{name} names no checksum algorithm.")
    value = headers.get("x-amz-checksum-algorithm")
    if value is None:
        return None
    if not is_supported(value.upper()):
        raise InvalidRequest("Checksum algorithm provided is unsupported. Please try again with a valid one.")
    return value.upper()


class KnownUsers(Protocol):
    """Whose canonical ids may be granted to; core's directory of users is one."""

    def exists(self, user_id: str) -> bool: ...


_GRANT_HEADERS = {
    "full-control": Permission.FULL_CONTROL,
    "read": Permission.READ,
    "read-acp": Permission.READ_ACP,
    "write": Permission.WRITE,
    "write-acp": Permission.WRITE_ACP,
}


def acl_from_headers(headers: Headers, owner_id: str, bucket_owner_id: str, users: KnownUsers) -> Acl | None:
    """The ACL of x-amz-acl or of the x-amz-grant-* headers; None where there is neither.

    Grants are exactly those named: the owner has no other. Raises: InvalidRequest (both kinds), InvalidArgument (an
    unknown name, group or user), UnresolvableGrantByEmailAddress.
    """
    canned = headers.get("x-amz-acl")
    granted = headers.with_prefix("x-amz-grant-")
    if canned is not None and granted:
        raise InvalidRequest("Specifying both Canned ACLs and Header Grants is not allowed")
    if canned is not None:
        named = acl.canned(canned, owner_id, bucket_owner_id)
        if named is None:
            raise _invalid("x-amz-acl", canned, "The canned ACL you provided is not valid")
        return named
    if not granted:
        return None
    grants: list[Grant] = []
    for suffix, value in granted:
        permission = _GRANT_HEADERS.get(suffix)
        if permission is None:
            raise _invalid("x-amz-grant-" + suffix, value, "There is no such permission to grant.")
        grants += (Grant(*_grantee(text, "x-amz-grant-" + suffix, users), permission) for text in value.split(","))
    if len(grants) > GRANTS_MAX:
        raise InvalidRequest(f"An ACL cannot hold more than {GRANTS_MAX} grants.")
    return Acl(owner_id, tuple(grants))


def _grantee(text: str, header: str, users: KnownUsers) -> tuple[GranteeType, str]:
    """One grantee of a grant header: id="…", uri="…" or emailAddress="…", quotes optional."""
    kind, equals, value = text.strip().partition("=")
    kind, value = kind.strip().lower(), value.strip().strip('"')
    if equals and kind == "id":
        if not users.exists(value):
            raise _invalid(header, value, "Invalid id")
        return GranteeType.CANONICAL_USER, value
    if equals and kind == "uri":
        if value not in acl.GROUPS:
            raise _invalid(header, value, "Invalid group uri")
        return GranteeType.GROUP, value
    if equals and kind == "emailaddress":
        raise UnresolvableGrantByEmailAddress(EmailAddress=value)
    raise _invalid(header, text, "Argument format not recognized")


def response_overrides(query: Query, *, is_signed: bool) -> list[tuple[str, str]]:
    """The response-* parameters as the headers they replace: for `object_headers`.

    Raises: InvalidRequest for an anonymous caller, InvalidArgument for what a header cannot carry.
    """
    overrides: list[tuple[str, str]] = []
    if query.is_plain:
        return overrides
    for name, header in _OVERRIDES.items():
        value = query.get(name)
        if value is None:
            continue
        if not is_signed:
            raise InvalidRequest("Request specific response headers cannot be used for anonymous GET requests.")
        _require_sendable(name, value)
        overrides.append((header, value))
    return overrides


def object_headers(
    version: Version, versioning: Versioning, overrides: Sequence[tuple[str, str]] = ()
) -> list[tuple[str, str]]:
    """How GET and HEAD describe a version, in whole or in part: all but length, range and checksum.

    An override takes the place of the stored header, so that each name is sent once. `versioning` is the bucket's:
    never configured, no answer names a version.
    """
    attributes = version.attributes
    headers = [
        ("Last-Modified", http_date(version.modified_ms)),
        ("ETag", f'"{version.etag}"'),
        ("Accept-Ranges", "bytes"),
        *(_replaced(attributes.headers, overrides) if overrides else attributes.headers),
    ]
    headers += [("x-amz-meta-" + name, value) for name, value in attributes.user_metadata]
    if versioning is not Versioning.UNVERSIONED:
        headers.append(("x-amz-version-id", version.version_id))
    if attributes.storage_class != DEFAULT_STORAGE_CLASS:
        headers.append(("x-amz-storage-class", attributes.storage_class))
    if attributes.website_redirect is not None:
        headers.append(("x-amz-website-redirect-location", attributes.website_redirect))
    if version.tags:
        headers.append(("x-amz-tagging-count", str(len(version.tags))))
    return headers


def _replaced(stored: Iterable[tuple[str, str]], overrides: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    replaced = {name for name, _ in overrides}
    return [*(item for item in stored if item[0] not in replaced), *overrides]
