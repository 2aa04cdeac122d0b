"""Names of one's own on a server that others use too, and what boto3 raises."""

from __future__ import annotations

import secrets
from typing import Any

from botocore.exceptions import ClientError


def fresh_name(what: str = "test") -> str:
    return f"{what}-{secrets.token_hex(8)}"


def refusal(call: Any, **arguments: Any) -> tuple[int, str]:
    """(status, code) of a boto3 call that must fail."""
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
    raise AssertionError(f"{call.__name__} did not fail")
