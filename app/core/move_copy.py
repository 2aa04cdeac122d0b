"""One blob copied to another back end, compared on its way with what its row says of it. Runs in a thread."""

from __future__ import annotations

from collections.abc import Sequence

from app.core import content, fsck_bytes
from app.core.fsck_bytes import Claim, Problem
from app.domain.errors import BlobMissing, InternalError
from app.domain.types import BlobRef
from app.storage.base import ObjectStorage


class WrongBytes(Exception):
    """The bytes of a blob are not what its row says. What is away or busy is no such thing."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems)
        self.problems = problems


def copy_blob(source: ObjectStorage, blob: BlobRef, claim: Claim, target: ObjectStorage) -> BlobRef:
    """The copy, durable; nothing is left where it fails. Raises: WrongBytes, and what the back ends raise."""
    computed = fsck_bytes.digests_for(claim)
    pieces = _open(source, blob)
    try:
        with target.create(claim.size_bytes) as writer:
            while piece := _next(pieces, blob):
                computed.update(piece)
                writer.write(piece)
            problems = fsck_bytes.differences(computed, claim)
            if problems:
                raise WrongBytes(problems)
            return writer.commit()
    finally:
        pieces.close()


def _open(storage: ObjectStorage, blob: BlobRef) -> content.Chunks:
    try:
        return content.chunks(storage.read(blob))
    except BlobMissing:
        raise WrongBytes([Problem("missing", f"blob {blob} is not there")]) from None


def _next(pieces: content.Chunks, blob: BlobRef) -> bytes:
    try:
        return next(pieces, b"")
    except InternalError as error:
        raise WrongBytes([Problem("unreadable", f"blob {blob}: {error}")]) from None


__all__ = ["WrongBytes", "copy_blob"]
