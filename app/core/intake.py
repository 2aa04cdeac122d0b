"""Receiving a body: from the wire into a blob or into memory, verified against what the client said (I10).

Small bodies are hashed in place; larger ones are decoded, hashed and written in the disk pool while the hub receives
(I8). Nothing is left behind by a body that fails.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app import runtime
from app.core.store import Store
from app.domain.digests import DEFAULT_ALGORITHM, Digests
from app.domain.errors import EntityTooLarge
from app.domain.payload import Payload, verify
from app.domain.types import BlobRef, Checksum, Content
from app.storage.base import BlobWriter

PIECE_MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Intake:
    """A body that is safe: durable as a blob, or here as inline bytes. `declared` is the checksum the client sent."""

    size_bytes: int
    md5_hex: str
    content: Content
    checksum: Checksum
    declared: Checksum | None


def take_in(store: Store, payload: Payload, *, max_bytes: int, inline_max_bytes: int, algorithm: str | None) -> Intake:
    """Receive a whole body. The checksum kept is `algorithm`'s, else the client's, else CRC64NVME.

    Raises: EntityTooLarge, IncompleteBody, BadDigest, XAmzContentSHA256Mismatch and what the payload raises.
    """
    declared = payload.size_bytes
    if declared is not None and declared > max_bytes:
        raise too_large(declared, max_bytes)
    expected = payload.expected
    kept = algorithm or expected.checksum_algorithm or DEFAULT_ALGORITHM
    names = {kept, expected.checksum_algorithm} - {None}
    digests = Digests((name for name in names if name), sha256=expected.payload_sha256 is not None)

    pieces: list[bytes] = []
    may_be_small = inline_max_bytes > 0 and (declared is None or declared <= inline_max_bytes)
    if may_be_small and _receive_small(payload, digests, pieces, inline_max_bytes):
        sent = verify(expected, digests, payload.finish())
        return _intake(digests, Content(is_inline=True, inline=b"".join(pieces)), kept, sent)
    with runtime.offload(store.storage.create, declared) as writer:
        _receive_large(payload, digests, pieces, writer, max_bytes)
        sent = verify(expected, digests, payload.finish())
        blob = runtime.offload(writer.commit)
    return _intake(digests, Content(blob=blob), kept, sent)


def give_up(store: Store, blob: BlobRef | None) -> None:
    """Delete a blob whose publication was refused for certain. Not for an unknown outcome: the row may be there (I9)."""
    if blob is not None:
        runtime.offload(store.storage.delete, blob)


def too_large(size_bytes: int, max_bytes: int) -> EntityTooLarge:
    return EntityTooLarge(ProposedSize=str(size_bytes), MaxSizeAllowed=str(max_bytes))


def _receive_small(payload: Payload, digests: Digests, pieces: list[bytes], limit_bytes: int) -> bool:
    """Whether the body ended within the limit; what came is in `pieces`, hashed."""
    while digests.size_bytes <= limit_bytes:
        received = payload.receive(limit_bytes + 1)
        if not received:
            return True
        piece = payload.decode(received)
        digests.update(piece)
        pieces.append(piece)
    return False


def _receive_large(
    payload: Payload, digests: Digests, first: Sequence[bytes], writer: BlobWriter, max_bytes: int
) -> None:
    if first:
        runtime.offload(_write_all, writer, first)
    while received := payload.receive(PIECE_MAX_BYTES):
        runtime.offload(_decode_hash_write, payload, received, digests, writer)
        if digests.size_bytes > max_bytes:
            raise too_large(digests.size_bytes, max_bytes)


def _write_all(writer: BlobWriter, pieces: Iterable[bytes]) -> None:
    for piece in pieces:
        writer.write(piece)


def _decode_hash_write(payload: Payload, received: bytes, digests: Digests, writer: BlobWriter) -> None:
    piece = payload.decode(received)
    digests.update(piece)
    writer.write(piece)


def _intake(digests: Digests, content: Content, algorithm: str, sent: Checksum | None) -> Intake:
    return Intake(
        size_bytes=digests.size_bytes,
        md5_hex=digests.md5_hex(),
        content=content,
        checksum=Checksum(algorithm, digests.checksum(algorithm)),
        declared=sent,
    )
