"""Receiving a body: from the wire into a blob or into memory, verified against what the client said (I10).

Small bodies are hashed in place; larger ones are decoded, hashed and written in the disk pool while the hub receives
(I8). Nothing is left behind by a body that fails.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from app.core.helpers import Helper, Helpers
from app.core.store import Store
from app.domain.digests import DEFAULT_ALGORITHM, Digests
from app.domain.errors import EntityTooLarge
from app.domain.payload import Payload, verify
from app.domain.types import BlobRef, Checksum, Content
from app.storage.base import BlobWriter, ObjectStorage

HELPED_MIN_BYTES = 8 << 20  # of a body whose MD5 is worth a thread of its own
TURN_BYTES = 8 << 20  # taken from one client before the thread goes to another


class Intake(NamedTuple):
    """A body that is safe: durable as a blob, or here as inline bytes. `declared` is the checksum the client sent."""

    size_bytes: int
    md5_hex: str
    content: Content
    checksum: Checksum
    declared: Checksum | None


def take_in(
    store: Store,
    storage: ObjectStorage,
    payload: Payload,
    *,
    max_bytes: int,
    inline_max_bytes: int,
    algorithm: str | None,
) -> Intake:
    """Receive a whole body; it goes to `storage` where it is too large to be inline.

    The checksum kept is `algorithm`'s, else the client's, else CRC64NVME.

    Raises: EntityTooLarge, IncompleteBody, BadDigest, XAmzContentSHA256Mismatch and what the payload raises.
    """
    declared = payload.size_bytes
    if declared is not None and declared > max_bytes:
        raise too_large(declared, max_bytes)
    expected = payload.expected
    kept = algorithm or expected.checksum_algorithm or DEFAULT_ALGORITHM
    sent = expected.checksum_algorithm
    digests = Digests((kept,) if sent is None else (kept, sent), sha256=expected.payload_sha256 is not None)

    pieces: list[bytes] = []
    may_be_small = inline_max_bytes > 0 and (declared is None or declared <= inline_max_bytes)
    if may_be_small and _receive_small(payload, digests, pieces, inline_max_bytes):
        checked = verify(expected, digests, payload.finish())
        inline = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return _intake(digests, Content(None, None, True, inline), kept, checked)
    reception = _Reception(store.helpers, storage, payload, digests, pieces, max_bytes)
    blob, checked = reception.run()
    return _intake(digests, Content(blob=blob), kept, checked)


def give_up(store: Store, blob: BlobRef | None) -> None:
    """Delete a blob whose publication was refused for certain. Not for an unknown outcome: the row may be there (I9)."""
    if blob is not None:
        storage = store.storage.holder(blob)
        storage.threads.offload(storage.delete, blob)


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
        if payload.is_whole:
            return digests.size_bytes <= limit_bytes
    return False


class _Reception:
    """One large body on its way into a blob. The hub waits for the client, a thread does all the rest."""

    def __init__(
        self,
        helpers: Helpers,
        storage: ObjectStorage,
        payload: Payload,
        digests: Digests,
        first: Sequence[bytes],
        max_bytes: int,
    ) -> None:
        self._helpers = helpers
        self._storage = storage
        self._offload = storage.threads.offload
        self._payload = payload
        self._digests = digests
        self._first = first  # hashed already
        self._max_bytes = max_bytes
        self._writer: BlobWriter | None = None
        self._is_busy = False
        self._is_given_up = False

    def run(self) -> tuple[BlobRef, Checksum | None]:
        """The blob, durable, and the checksum that the client sent. Raises: as `take_in`; then nothing is left."""
        try:
            if self._payload.is_held_back:
                self._offload(self._begin)  # a client that asks first is refused first
            while True:
                is_last = not self._payload.wait()
                done = self._offload(self._go_on, is_last)
                if done is not None:
                    return done
        except BaseException:
            self._is_given_up = True
            if not self._is_busy:
                self._offload(self._discard)
            raise

    def _go_on(self, is_last: bool) -> tuple[BlobRef, Checksum | None] | None:
        """Take what has come; None where more is to come. In a thread."""
        self._is_busy = True
        try:
            # Given up before a thread was free: the socket may be another client's by now.
            return None if self._is_given_up else self._take(is_last)
        finally:
            self._is_busy = False
            if self._is_given_up:  # whoever waited for this is gone
                self._discard()

    def _take(self, is_last: bool) -> tuple[BlobRef, Checksum | None] | None:
        payload, writer = self._payload, self._writer or self._begin()
        self._pump(writer)
        if not (is_last or payload.is_ended):
            writer.pause()
            return None
        sent = verify(payload.expected, self._digests, payload.finish())
        return writer.commit(), sent

    def _begin(self) -> BlobWriter:
        writer = self._writer = self._storage.create(self._payload.size_bytes)
        for piece in self._first:
            writer.write(piece)
        return writer

    def _pump(self, writer: BlobWriter) -> None:
        """From the wire to the file until the client pauses, the body ends or others have waited long enough."""
        helper = self._helpers.borrow() if (self._payload.size_bytes or 0) >= HELPED_MIN_BYTES else None
        if helper is None:
            self._take_turn(writer, self._digests.update)
            return
        try:
            self._take_turn(writer, self._digests.update_others, helper)
        finally:
            helper.join()
            self._helpers.give_back(helper)

    def _take_turn(
        self, writer: BlobWriter, update: Callable[[memoryview], None], helper: Helper | None = None
    ) -> None:
        payload, digests = self._payload, self._digests
        until_bytes = digests.size_bytes + TURN_BYTES
        while digests.size_bytes < until_bytes:
            room = writer.room()
            count = payload.read_into(room)
            if count is None:
                return
            piece = room[:count]
            if helper is not None:
                helper.begin(digests.update_md5, piece)
            update(piece)
            if digests.size_bytes > self._max_bytes:
                raise too_large(digests.size_bytes, self._max_bytes)
            writer.wrote(count)
            if helper is not None and count == len(room):
                helper.join()  # the next room may be the same memory

    def _discard(self) -> None:
        if self._writer is not None:
            self._writer.discard()


def _intake(digests: Digests, content: Content, algorithm: str, sent: Checksum | None) -> Intake:
    checksum = Checksum(algorithm, digests.checksum(algorithm))
    return Intake(digests.size_bytes, digests.md5_hex(), content, checksum, sent)
