"""How a piece of garbage is condemned, a slice at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

from app.domain.multipart import PART_NUMBER_MAX
from app.domain.types import BlobRef, GarbageKind
from app.metadata.base import GARBAGE_SLICE_MAX
from app.metadata.sql import garbage
from app.metadata.sql.mutation import Mutation, Value

Read = Callable[[str, dict[str, Any]], Sequence[Any]]
Write = Callable[[Mutation, dict[str, Value]], Sequence[Sequence[Any]]]

# A slice may turn out to hold nothing but parts that others refer to; then the next one is looked at.
SLICES_MAX: Final = PART_NUMBER_MAX // GARBAGE_SLICE_MAX + 1


def condemn(read: Read, write: Write, garbage_id: int, now_ms: int) -> list[BlobRef]:
    """Blobs that may be deleted now; an empty answer: there are none, and the piece of garbage is gone.

    What is read here only chooses where to look. Whether it may be deleted is decided in the commit.
    """
    blobs: list[BlobRef] = []
    while not blobs:
        piece = read(garbage.READ_PIECE, {"id": garbage_id})
        if not piece:
            break
        kind, ref = piece[0]
        mutation, params = _slice(read, GarbageKind(kind), ref)
        rows = write(mutation, {**params, "id": garbage_id, "now_ms": now_ms})
        blobs = [BlobRef(row[0]) for row in rows]
    return blobs


def _slice(read: Read, kind: GarbageKind, ref: str) -> tuple[Mutation, dict[str, Value]]:
    if kind is GarbageKind.BLOB:
        return garbage.CONDEMN_BLOB, {}
    if kind is GarbageKind.MANIFEST:
        return garbage.CONDEMN_MANIFEST, {"upload_id": ref, "numbers": _numbers(read, ref)}
    if kind is GarbageKind.UNLISTED:
        return garbage.CONDEMN_UNLISTED, {"upload_id": ref, "numbers": _unlisted(read, ref)}
    pending = read(garbage.PENDING_UPLOAD, {"bucket_id": int(ref)})
    upload_id = pending[0][0] if pending else None
    return garbage.CONDEMN_PENDING, {
        "bucket_id": int(ref),
        "upload_id": upload_id,
        "numbers": "[]" if upload_id is None else _numbers(read, upload_id),
        "limit": GARBAGE_SLICE_MAX,
    }


def _numbers(read: Read, upload_id: str) -> str:
    rows = read(garbage.PART_NUMBERS, {"upload_id": upload_id, "limit": GARBAGE_SLICE_MAX})
    return json.dumps([row[0] for row in rows])


def _unlisted(read: Read, upload_id: str) -> str:
    """Numbers of parts that are in no run. A completed upload's part list and runs no longer change."""
    runs = read(garbage.UPLOAD_RUNS, {"upload_id": upload_id})
    listed: set[int] = set()
    for first, count, _ in json.loads(runs[0][0]) if runs else ():
        listed.update(range(first, first + count))
    rows = read(garbage.PART_NUMBERS, {"upload_id": upload_id, "limit": PART_NUMBER_MAX})
    return json.dumps([row[0] for row in rows if row[0] not in listed][:GARBAGE_SLICE_MAX])
