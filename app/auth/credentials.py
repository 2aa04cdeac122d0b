"""A user's key pair, the scope of a signature, and the moment it was made."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from app.auth.canonical import SERVICE, TERMINAL
from app.domain.types import Principal

CREDENTIAL_MAX_CHARS = 256


@dataclass(frozen=True, slots=True)
class Credential:
    """`generation` changes with the secret, so that a signing key derived from an old one is never used again."""

    access_key: str
    secret_key: str = field(repr=False)
    principal: Principal
    generation: int = 0


class Scope(NamedTuple):
    """What a credential parameter says: "access key/date/region/service/aws4_request". Nothing in it is checked."""

    access_key: str
    date: str
    region: str
    service: str
    terminal: str

    @property
    def text(self) -> str:
        """As the string to sign has it."""
        return f"{self.date}/{self.region}/{self.service}/{self.terminal}"


def read_scope(text: str) -> Scope | None:
    """None for what has not five parts, or is no plain ASCII text of bearable length. An access key may hold slashes."""
    if len(text) > CREDENTIAL_MAX_CHARS or not text.isascii() or not text.isprintable():
        return None
    parts = text.rsplit("/", 4)
    if len(parts) != 5 or not all(parts):
        return None
    return Scope(*parts)


def scope_of(credential: Credential, timestamp: str, region: str) -> Scope:
    return Scope(credential.access_key, timestamp[:8], region, SERVICE, TERMINAL)


def read_timestamp(text: str) -> int | None:
    """Seconds since the epoch of "YYYYMMDDTHHMMSSZ"; None for anything else."""
    return _read_timestamp(text) if len(text) == 16 else None


def write_timestamp(moment_s: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(moment_s))


# The requests of one second share a timestamp, and those of one presigned URL too.
@lru_cache(maxsize=256)
def _read_timestamp(text: str) -> int | None:
    digits = text[:8] + text[9:15]
    if text[8] != "T" or text[15] != "Z" or not (digits.isascii() and digits.isdigit()):
        return None
    month, day, hour, minute, second = (int(digits[at : at + 2]) for at in range(4, 14, 2))
    try:
        return int(datetime(int(digits[:4]), month, day, hour, minute, second, tzinfo=UTC).timestamp())
    except ValueError:
        return None
