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

GENERATION_MAX = 1_536  # heads; there are two generations
SEEN_MAX = 8_192
BLOCK_MAX_BYTES = 2_048  # of a head that is kept; most have 500 and take 2 KiB of memory in all
ADMITTED_OF = 8  # where what is kept is seldom found: a walk over more heads than there are places must not cost


class Remembered(NamedTuple):
    """`routed`: where the request leads, and what it signed."""

    head: RequestHead
    routed: Routed


class RememberedHeads:
    """One worker's. A head is kept when it comes for the second time.

    In two generations: what is found in the old one moves to the young one, and when that is full it becomes the old one.
    So heads that come no more, for most signatures end after a quarter of an hour, make room for those that do.
    """

    def __init__(self) -> None:
        self._young: dict[bytes, Remembered] = {}
        self._old: dict[bytes, Remembered] = {}
        self._seen: set[int] = set()
        self._turned_away = 0
        self._were_found = True  # those of the old generation that were found again were many

    def find(self, block: bytes) -> Remembered | None:
        """`block` without the empty line behind it."""
        found = self._young.get(block)
        if found is None and self._old:
            found = self._old.pop(block, None)
            if found is not None:
                self._keep(block, found)
        return found

    def note(self, block: bytes, head: RequestHead, routed: Routed, prove: Prove) -> None:
        """A head without a body, which is not kept, has come for the short way."""
        mark, seen = hash(block), self._seen
        if mark not in seen:
            if len(seen) >= SEEN_MAX:
                seen.clear()
            seen.add(mark)
            return
        if len(block) > BLOCK_MAX_BYTES or not self._admits():
            return
        proved = prove(routed, head.fields)
        if proved is not None:
            self._keep(block, Remembered(head, proved))

    def _admits(self) -> bool:
        if self._were_found:
            return True
        self._turned_away += 1
        return self._turned_away % ADMITTED_OF == 0

    def _keep(self, block: bytes, remembered: Remembered) -> None:
        self._young[block] = remembered
        if len(self._young) >= GENERATION_MAX:
            # What is left of the old generation was not found while the young one grew.
            self._were_found = len(self._old) <= GENERATION_MAX // 2
            self._old, self._young = self._young, {}
