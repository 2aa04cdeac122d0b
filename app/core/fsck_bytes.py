"""What one blob's bytes are, against what its row claims. Runs in a thread; reports instead of raising."""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.core import content
from app.domain import digests
from app.domain.errors import BlobMissing, S3Error
from app.domain.types import BlobRef, Body, Checksum, FileSpan
from app.storage.base import ObjectStorage

_MD5 = re.compile(r"[0-9a-f]{32}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a row says of bytes in one piece. An `etag` that is no MD5 is not compared."""

    size_bytes: int
    etag: str
    checksum: Checksum | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    kind: str
    detail: str = ""


def examine(storage: ObjectStorage, ref: BlobRef, claim: Claim, verify_bytes: bool) -> tuple[list[Problem], int]:
    """The problems of one blob, and how many of its bytes were read."""
    storage = storage.holder(ref)
    try:
        body = storage.read(ref)
        if verify_bytes:
            computed = _digest(body, claim)
            return differences(computed, claim), computed.size_bytes
        return _length(storage, ref, body, claim), 0
    except BlobMissing:
        return [Problem("missing", f"blob {ref} is not there")], 0
    except (S3Error, OSError) as error:
        return [Problem("unreadable", f"blob {ref}: {error}")], 0


def compare(data: bytes, claim: Claim) -> list[Problem]:
    """As `examine`, of bytes that are here."""
    return differences(_digest(data, claim), claim)


def digests_for(claim: Claim) -> digests.Digests:
    """What has to be computed of bytes to compare them with a claim."""
    checksum = claim.checksum
    return digests.Digests([checksum.algorithm] if checksum is not None and _is_comparable(checksum) else ())


def _digest(body: Body, claim: Claim) -> digests.Digests:
    computed = digests_for(claim)
    pieces = content.chunks(body)
    try:
        for piece in pieces:
            computed.update(piece)
    finally:
        pieces.close()
    return computed


def differences(computed: digests.Digests, claim: Claim) -> list[Problem]:
    """What `digests_for`, fed with the bytes, differs in from the claim."""
    if computed.size_bytes != claim.size_bytes:
        return [Problem("length", f"{computed.size_bytes} bytes, not {claim.size_bytes}")]
    problems = []
    if _MD5.fullmatch(claim.etag) and computed.md5_hex() != claim.etag:
        problems.append(Problem("digest", f"the MD5 is {computed.md5_hex()}, not {claim.etag}"))
    checksum = claim.checksum
    if checksum is not None and _is_comparable(checksum) and computed.checksum(checksum.algorithm) != checksum.value:
        problems.append(Problem("checksum", f"{checksum.algorithm} is not {checksum.value}"))
    return problems


def _is_comparable(checksum: Checksum) -> bool:
    return checksum.type == digests.FULL_OBJECT and digests.is_supported(checksum.algorithm)


def _length(storage: ObjectStorage, ref: BlobRef, body: Body, claim: Claim) -> list[Problem]:
    """Without reading: exactly where the body says its length, else only that it is not shorter."""
    if isinstance(body, bytes | FileSpan):
        size_bytes = len(body) if isinstance(body, bytes) else body.length
        content.close(body)
        return (
            [] if size_bytes == claim.size_bytes else [Problem("length", f"{size_bytes} bytes, not {claim.size_bytes}")]
        )
    content.close(body)
    content.close(storage.read(ref, 0, claim.size_bytes))
    return []


__all__ = ["Claim", "Problem", "compare", "differences", "digests_for", "examine"]
