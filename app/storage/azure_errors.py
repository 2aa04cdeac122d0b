"""What the failures of Azure's service and client mean."""

from __future__ import annotations

import re
from typing import Any

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

from app.storage.http_pool import transport_trouble
from app.storage.remote_calls import Kind, Trouble, describe, kind_of_status

NO_BLOB = "BlobNotFound"
# What a blob, or a list of blocks, is answered where the request had its effect before.
THERE_ALREADY = frozenset({"BlobAlreadyExists", "ConditionNotMet", "InvalidBlockList", "UnauthorizedBlobOverwrite"})

_BUSY = frozenset({"ServerBusy", "TooManyRequests"})
_WRONG = frozenset({"Md5Mismatch", "Crc64Mismatch"})
_LOOK = "look at the account, the container and what the credentials may do there"
_WORD = re.compile(r"\w{1,64}", re.ASCII)
_CODE = re.compile(r"<Code>(\w{1,64})</Code>", re.ASCII)


def classify(error: Exception) -> Trouble | None:
    """None for what is not the vendor's, nor of the transport below."""
    if isinstance(error, HttpResponseError):
        return _of_answer(error)
    if type(error) is AzureError:  # of the client itself, which has compared an answer's MD5
        return Trouble(Kind.WRONG, "Md5Mismatch")
    if isinstance(error, AzureError):
        return Trouble(Kind.AWAY, describe(error))
    if isinstance(error.__context__, HttpResponseError):
        return _of_answer(error.__context__)  # the client stumbles over errors of others than the service, of a proxy's
    return transport_trouble(error)


def code_of(error: HttpResponseError) -> str:
    """The service's word for it; empty where it has none. The message is left alone: it may hold a signed URL."""
    answer: Any = error.response
    if answer is None:
        return ""
    code = answer.headers.get("x-ms-error-code", "")
    found = _CODE.search(answer.text()) if not code else None
    return found[1] if found else code if _WORD.fullmatch(code) else ""


def _of_answer(error: HttpResponseError) -> Trouble:
    status, word = error.status_code or 0, code_of(error)
    code = f"{status} {word}".rstrip()
    if error.response is None:
        return _without_answer(error)
    kind = Kind.THROTTLED if word in _BUSY else kind_of_status(status)
    if kind is None and word == NO_BLOB:
        kind = Kind.MISSING
    if kind is None and word in _WRONG:
        kind = Kind.WRONG
    return Trouble(Kind.REFUSED, code, _LOOK) if kind is None else Trouble(kind, code)


def _without_answer(error: HttpResponseError) -> Trouble:
    """An identity that cannot be had is a matter for the operator; anything else is a connection that broke."""
    if isinstance(error, ClientAuthenticationError):
        return Trouble(Kind.REFUSED, describe(error), _LOOK)
    return Trouble(Kind.AWAY, describe(error))
