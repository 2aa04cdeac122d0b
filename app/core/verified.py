"""Bytes from a back end that is not ours to trust, compared with what their row says before the last of them is given."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

from app.domain import digests
from app.domain.errors import InternalError
from app.domain.types import BlobRef, Body, Checksum, FileSpan
from app.storage.base import CHUNK_MAX_BYTES, ObjectStorage

_MD5 = re.compile(r"[0-9a-f]{32}", re.ASCII)


def read_whole(storage: ObjectStorage, ref: BlobRef, length: int, etag: str, checksum: Checksum | None) -> Body:
    """All bytes of a blob, verified where the back end asks for it.

    What fits in one chunk is verified before this returns; a longer body ends early where it is wrong: the last piece is
    held back until all of them are right. Runs in a thread, and so does the body's iteration.
    Raises: as `storage.read`; InternalError for wrong bytes.
    """
    body = storage.read(ref, 0, length)
    expected = _comparable(etag, checksum) if storage.verifies_reads else None
    if expected is None or isinstance(body, FileSpan):
        return body
    verified = Verified(iter((body,)) if isinstance(body, bytes) else body, ref, expected)
    if length > CHUNK_MAX_BYTES:
        return verified
    try:
        return b"".join(verified)
    finally:
        verified.close()


class Verified:
    """An iterator's chunks, one behind. Raises: InternalError in place of the last one where the digest is another."""

    def __init__(self, body: Iterator[bytes], ref: BlobRef, expected: Checksum) -> None:
        self._body = body
        self._ref = ref
        self._expected = expected
        self._digests = digests.Digests((expected.algorithm,))
        self._held: bytes | None = None
        # The MD5 is the slower one by far, and only computed where it is what there is.
        self._update = self._digests.update_md5 if expected.algorithm == "MD5" else self._digests.update_others

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        for chunk in self._body:
            self._update(chunk)
            held, self._held = self._held, chunk
            if held is not None:
                return held
        held, self._held = self._held, None
        if held is None:
            raise StopIteration
        algorithm, value, _ = self._expected
        if self._digests.checksum(algorithm) != value:
            raise InternalError(f"The {algorithm} of blob {self._ref} is not the one that was stored.")
        return held

    def close(self) -> None:
        close_body = getattr(self._body, "close", None)
        if close_body is not None:
            close_body()


def _comparable(etag: str, checksum: Checksum | None) -> Checksum | None:
    """What the bytes of one piece can be compared with: the row's checksum, else its ETag where that is an MD5."""
    if checksum is not None and checksum.type == digests.FULL_OBJECT and digests.is_supported(checksum.algorithm):
        return checksum
    return Checksum("MD5", base64.b64encode(bytes.fromhex(etag)).decode()) if _MD5.fullmatch(etag) else None
