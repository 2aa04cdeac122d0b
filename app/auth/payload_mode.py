"""How a request's body is signed and framed, as x-amz-content-sha256 says."""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.domain.errors import InvalidArgument, S3NotImplemented

HEADER = "x-amz-content-sha256"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@dataclass(frozen=True, slots=True)
class PayloadMode:
    """`sha256` is what the whole payload must hash to, lower case; None where nothing of the kind was promised.

    With `is_streaming` the body is aws-chunked, `has_signatures` on its chunks and trailer, `has_trailer` behind them.
    """

    sha256: str | None = None
    is_streaming: bool = False
    has_signatures: bool = False
    has_trailer: bool = False


UNSIGNED = PayloadMode()
STREAMING_SIGNED = PayloadMode(is_streaming=True, has_signatures=True)
STREAMING_SIGNED_TRAILER = PayloadMode(is_streaming=True, has_signatures=True, has_trailer=True)
STREAMING_UNSIGNED_TRAILER = PayloadMode(is_streaming=True, has_trailer=True)

_NAMED = {
    UNSIGNED_PAYLOAD: UNSIGNED,
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD": STREAMING_SIGNED,
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER": STREAMING_SIGNED_TRAILER,
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER": STREAMING_UNSIGNED_TRAILER,
}

_SHA256 = re.compile(r"[0-9a-fA-F]{64}").fullmatch


def read_mode(value: str) -> PayloadMode:
    """Raises: InvalidArgument for what is neither a hash nor one of S3's names, NotImplemented for ECDSA's."""
    named = _NAMED.get(value)
    if named is not None:
        return named
    if _SHA256(value):
        return PayloadMode(value.lower())
    if value.startswith("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"):
        raise S3NotImplemented("AWS4-ECDSA-P256-SHA256 is not supported. Please use AWS4-HMAC-SHA256.", Header=HEADER)
    raise InvalidArgument(
        f"{HEADER} must be {', '.join(_NAMED)}, or a valid sha256 value.",
        ArgumentName=HEADER,
        ArgumentValue=value[:128],
    )
