"""Heads that come again byte for byte: reads of one object by one presigned URL, or of public objects.

What such a request says is parsed once. What is decided about it, from the signature to the object's state, is decided
each time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from app.s3.pipeline import Incoming, Routed
from app.server.head import RequestHead

Remember = Callable[[Incoming], Routed | None]  # of a ShortWay

HEADS_MAX = 512
SEEN_MAX = 4_096
BLOCK_MAX_BYTES = 2_048  # of a head that is kept: memory stays below a few MiB


class Remembered(NamedTuple):
    """`routed`: where the request leads, and what it signed."""

    head: RequestHead
    routed: Routed


class RememberedHeads:
    """One worker's. A head is kept when it comes for the second time; the one kept for longest goes first."""

    def __init__(self) -> None:
        self._kept: dict[bytes, Remembered] = {}
        self._seen: set[int] = set()
        self.find = self._kept.get

    def note(self, block: bytes, head: RequestHead, incoming: Incoming, remember: Remember) -> None:
        """A head without a body, which is not kept, has come and was answered by the short way."""
        mark, seen = hash(block), self._seen
        if mark not in seen:
            if len(seen) >= SEEN_MAX:
                seen.clear()
            seen.add(mark)
            return
        routed = remember(incoming) if len(block) <= BLOCK_MAX_BYTES else None
        if routed is not None:
            if len(self._kept) >= HEADS_MAX:
                del self._kept[next(iter(self._kept))]
            self._kept[block] = Remembered(head, routed)
