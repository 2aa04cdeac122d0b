"""What the failures of Google's service and client mean."""

from __future__ import annotations

import re
from typing import Any

from google.api_core.exceptions import GoogleAPICallError
from google.auth.exceptions import GoogleAuthError, TransportError

from app.storage.http_pool import transport_trouble
from app.storage.remote_calls import Kind, Trouble, describe, kind_of_status

MISSING = 404
BUSY = 429
_BUSY_REASONS = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "dailyLimitExceeded"})
_FULL_REASONS = frozenset({"quotaExceeded", "storageQuotaExceeded"})
_CHECKSUM = re.compile(r"crc32c|md5|hash", re.IGNORECASE)
_WORD = re.compile(r"\w{1,64}", re.ASCII)


def classify(error: Exception) -> Trouble | None:
    """None for what is not the vendor's, nor of the transport below."""
    if isinstance(error, GoogleAPICallError):
        return _of_answer(error)
    if isinstance(error, TransportError) or (isinstance(error, GoogleAuthError) and error.retryable):
        return Trouble(Kind.AWAY, describe(error), "where the credentials come from does not answer")
    if isinstance(error, GoogleAuthError):
        return Trouble(Kind.REFUSED, describe(error), "look at the credentials (storage.gcp.credentials_file)")
    return transport_trouble(error)


def _of_answer(error: GoogleAPICallError) -> Trouble:
    status, reason = int(error.code or 0), _reason(error)
    code = f"{status} {reason}".rstrip()
    if status == BUSY or reason in _BUSY_REASONS:
        return Trouble(Kind.THROTTLED, code)
    if reason in _FULL_REASONS:
        return Trouble(Kind.FULL, code)
    kind = Kind.MISSING if status == MISSING else kind_of_status(status)
    if kind is not None:
        return Trouble(kind, code)
    if status == 400 and _CHECKSUM.search(_told(error.response)):
        return Trouble(Kind.WRONG, f"{code} checksum")
    return Trouble(Kind.REFUSED, code, "look at the bucket and at what the credentials may do with its objects")


def _reason(error: GoogleAPICallError) -> str:
    """The service's word for it. Its exception's message is left alone: it begins with the request's URL."""
    errors = error.errors or _about(error.response).get("errors")
    for each in errors if isinstance(errors, list) else ():
        reason = each.get("reason") if isinstance(each, dict) else None
        if isinstance(reason, str) and _WORD.fullmatch(reason):
            return reason
    return ""


def _told(answer: Any) -> str:
    return str(_about(answer).get("message", ""))


def _about(answer: Any) -> dict[str, Any]:
    """What a JSON answer says of an error; empty for any other answer."""
    try:
        about = answer.json()["error"]
    except (AttributeError, LookupError, TypeError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}
