"""S-14: what no log may hold. Every server of the suite is looked at when it ends."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

PIECE_BYTES = 1 << 20
OVERLAP_BYTES = 512  # longer than anything that is looked for

# Signatures of both versions in URLs and headers, tokens, and credentials as headers have them.
_PATTERNS = re.compile(
    rb"[Ss]ignature=[0-9a-f]{64}|AWSAccessKeyId=[^ &]+&(?:[^ ]*&)?Signature=|Authorization: |(?i:bearer) [\w.~+/-]{8,}"
    rb"|X-Amz-Security-Token=[^ &]"
)
# A key is what a client named, and may be spelled like anything: fuzzers' are. Secrets are looked for in it all the same.
_KEYS = re.compile(rb'\bkey(?:="(?:[^"\\\n]|\\.)*"|=[^ \n]*|": "(?:[^"\\\n]|\\.)*")')


def secrets_in(environ: Mapping[str, str]) -> list[str]:
    """The secrets that a server was started with."""
    found = [value for name, value in environ.items() if name.endswith(("SECRET_KEY", "ROOT_PASSWORD", "_TOKEN"))]
    for name in ("BLEEPSTORE_AUTH_USERS",):
        users = json.loads(environ.get(name) or "[]")
        found += [user["secret_key"] for user in users if isinstance(user, dict) and "secret_key" in user]
    return [secret for secret in found if len(secret) >= 8]


def leaks(path: Path, secrets: Iterable[str], begin: int = 0) -> tuple[list[str], int]:
    """What of a log from byte `begin` on should not be there, and how long the log is."""
    secret_patterns = [re.compile(re.escape(secret.encode())) for secret in secrets]
    found: list[str] = []
    at = max(0, begin - OVERLAP_BYTES)
    with open(path, "rb") as log:
        log.seek(at)
        rest = b""
        while piece := log.read(PIECE_BYTES):
            text = rest + piece
            found += [_line(text, match) for pattern in secret_patterns if (match := pattern.search(text))]
            without_keys = _KEYS.sub(b"", text)
            if match := _PATTERNS.search(without_keys):
                found.append(_line(without_keys, match))
            rest = text[-OVERLAP_BYTES:]
            at += len(piece)
    return found, at


def _line(text: bytes, match: re.Match[bytes]) -> str:
    line = text[text.rfind(b"\n", 0, match.start()) + 1 :].split(b"\n", 1)[0]
    return line[:400].decode(errors="replace")
