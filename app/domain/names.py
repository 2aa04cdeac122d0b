"""Names: which bucket names and keys S3 allows, and the identifiers that the server makes up.

Source: "Bucket naming rules" and "Creating object key names", AWS S3 user guide.
"""

from __future__ import annotations

import base64
import hashlib
import os
import random
import re
from collections.abc import Sequence

from app.domain.errors import InvalidArgument, InvalidBucketName, InvalidURI, KeyTooLongError
from app.domain.types import NULL_VERSION

KEY_MAX_BYTES = 1024
HOST_ID = "bleepstore"  # x-amz-id-2: AWS names a machine here
IDENTIFIER_LENGTH = 32  # characters of a version id or an upload id
_IDENTIFIER_BYTES = 24

_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_IPV4 = re.compile(r"[0-9]+(\.[0-9]+){3}")
_RESERVED_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")

_IDENTIFIER = re.compile(rf"[A-Za-z0-9._]{{{IDENTIFIER_LENGTH}}}")


def check_bucket_name(name: str) -> None:
    """For CreateBucket: other operations find a bucket or they do not. Raises: InvalidBucketName."""
    if (
        not _BUCKET_NAME.fullmatch(name)
        or ".." in name
        or ".-" in name
        or "-." in name
        or _IPV4.fullmatch(name)
        or name.startswith(_RESERVED_PREFIXES)
        or name.endswith(_RESERVED_SUFFIXES)
    ):
        raise InvalidBucketName(BucketName=name)


def bucket_of_host(host: str, domains: Sequence[str]) -> str | None:
    """The bucket that a Host header names in virtual-host style; `domains` are lower case without a leading dot."""
    if not domains:
        return None
    name = host.rsplit(":", 1)[0].lower() if not host.endswith("]") else host.lower()
    for domain in domains:
        if name.endswith("." + domain):
            return name[: -len(domain) - 1]
    return None


def shown(text: str, max_chars: int = 100) -> str:
    """What a client wrote, for a complaint: cut, and nothing in it that a document cannot hold."""
    return "".join(char if char.isprintable() else "?" for char in text[:max_chars])


def check_key(key: str) -> None:
    """Raises: KeyTooLongError above 1,024 bytes of UTF-8, InvalidArgument (empty), InvalidURI (no UTF-8 at all)."""
    if not key:
        raise InvalidArgument("The key must not be empty.", ArgumentName="Key", ArgumentValue="")
    try:
        size_bytes = len(key) if key.isascii() else len(key.encode())
    except UnicodeEncodeError:
        raise InvalidURI from None
    if size_bytes > KEY_MAX_BYTES:
        raise KeyTooLongError(Size=str(size_bytes), MaxSizeAllowed=str(KEY_MAX_BYTES))


def new_version_id() -> str:
    """32 characters of [A-Za-z0-9._]: none of them needs escaping, and none looks like an option on a command line.

    It keeps no secret: who knows it may do nothing that he could not do without.
    """
    return _identifier(random.getrandbits(_IDENTIFIER_BYTES * 8).to_bytes(_IDENTIFIER_BYTES, "big"))


def is_version_id(text: str) -> bool:
    """Whether this could be a version's id. What could is NoSuchVersion when unknown; the rest is InvalidArgument."""
    return text == NULL_VERSION or _IDENTIFIER.fullmatch(text) is not None


def new_upload_id() -> str:
    """As a version id, and nobody can guess it."""
    return _identifier(os.urandom(_IDENTIFIER_BYTES))


def _identifier(octets: bytes) -> str:
    return base64.b64encode(octets, b"._").decode("ascii")


def new_request_id() -> str:
    """16 upper-case hexadecimal digits. They tell requests apart and keep no secret."""
    return f"{random.getrandbits(64):016X}"


def new_op_id() -> str:
    """The name of one mutation: 32 hexadecimal digits. As unique as they come, and no secret either."""
    return f"{random.getrandbits(128):032x}"


def canonical_id(name: str) -> str:
    """The canonical user id of a configured user: 64 hexadecimal digits, the same on every server and start."""
    return hashlib.sha256(b"bleepstore canonical user id\0" + name.encode()).hexdigest()
