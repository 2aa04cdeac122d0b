"""Heads that come again byte for byte: reads of one object by one presigned URL, or of public objects.

What such a request says is parsed once. What is decided about it, from the signature to the object's state, is decided
each time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from app.s3.pipeline import Routed
from app.s3.request import Headers
from app.server.head import RequestHead

Prove = Callable[[Routed, Headers], Routed | None]  # of a ShortWay

HEADS_MAX = 2_048
SEEN_MAX = 8_192
BLOCK_MAX_BYTES = 2_048  # of a head that is kept; most have 500 and take 2 KiB of memory in all
REPLACED_OF = 8  # when all places are taken, one of so many gets one: a walk over more heads than that must not cost


class Remembered(NamedTuple):
    """`routed`: where the request leads, and what it signed."""

    head: RequestHead
    routed: Routed


class RememberedHeads:
    """One worker's. A head is kept when it comes for the second time; the one kept for longest goes first."""

    def __init__(self) -> None:
        self._kept: dict[bytes, Remembered] = {}
        self._seen: set[int] = set()
        self._turned_away = 0
        self.find = self._kept.get

    def note(self, block: bytes, head: RequestHead, routed: Routed, prove: Prove) -> None:
        """A head without a body, which is not kept, has come and was answered by the short way."""
        mark, seen = hash(block), self._seen
        if mark not in seen:
            if len(seen) >= SEEN_MAX:
                seen.clear()
            seen.add(mark)
            return
        kept = self._kept
        if len(kept) >= HEADS_MAX:
            self._turned_away += 1
            if self._turned_away % REPLACED_OF:
                return
            del kept[next(iter(kept))]
        proved = prove(routed, head.fields) if len(block) <= BLOCK_MAX_BYTES else None
        if proved is not None:
            kept[block] = Remembered(head, proved)
