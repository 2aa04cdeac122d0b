"""The file in which `storage.backend: memory` may keep its blobs from one start to the next.

    magic, then for each blob: reference, time, size, CRC-32 of these and of the bytes; the bytes
    then a reference of zeros with the number of blobs

Written beside the old one, synced and moved into its place: a kill at any moment leaves one whole file, the old or the new.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import struct
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from logging import getLogger
from typing import BinaryIO, Final

from app.domain.errors import S3Error, ServiceUnavailable
from app.domain.types import BlobRef
from app.storage.local_files import DIRECTORY_MODE, answering, create, sync_directory

MAGIC: Final = b"bleepstore memory 1\n"
READ_BYTES: Final = 1 << 20

Chunks = Sequence[bytes]
Blob = tuple[BlobRef, Chunks, int]  # its reference, bytes, and the time it was written, in ms

_HEAD = struct.Struct(">16sQQ")
_CRC = struct.Struct(">I")
_END = bytes(16)
_log = getLogger("bleepstore.storage")


def write(path: str, blobs: Iterable[Blob]) -> None:
    """Raises: SlowDown when the disk is full, ServiceUnavailable when it fails."""
    directory = os.path.dirname(os.path.abspath(path))
    temporary = f"{path}.{secrets.token_hex(8)}.tmp"
    with answering():
        os.makedirs(directory, mode=DIRECTORY_MODE, exist_ok=True)
        try:
            with open(create(temporary), "wb") as file:
                _write(file, blobs)
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        sync_directory(directory)


def read(path: str) -> Iterator[Blob]:
    """Every blob of the file, none where there is no file. Chunks are of READ_BYTES, the last one of less.

    Raises: ServiceUnavailable for one that is damaged: to start empty would lose what is whole in it.
    """
    if not os.path.exists(path):
        return
    with answering(), _answering_damage(path), open(path, "rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise ValueError
        yield from _blobs(file)


def remove_temporary(path: str) -> None:
    """What a killed writer left beside the file."""
    directory, name = os.path.split(os.path.abspath(path))
    pattern = re.compile(re.escape(name) + r"\.[0-9a-f]{16}\.tmp", re.ASCII)
    with answering(), contextlib.suppress(FileNotFoundError):
        for each in os.listdir(directory):
            if pattern.fullmatch(each):
                os.unlink(os.path.join(directory, each))


class Clockwork:
    """Calls `save` every `interval_s` in a thread of its own, until it is stopped. A failure is logged, and tried again."""

    def __init__(self, save: Callable[[], object], interval_s: float) -> None:
        self._save = save
        self._interval_s = interval_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="snapshot", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._interval_s):
            try:
                self._save()
            except S3Error as error:
                _log.warning("storage.snapshot_failed", extra={"error": error.message})


def _write(file: BinaryIO, blobs: Iterable[Blob]) -> None:
    count = 0
    file.write(MAGIC)
    for ref, chunks, modified_ms in blobs:
        head = _HEAD.pack(bytes.fromhex(ref), modified_ms, sum(map(len, chunks)))
        file.writelines((head, _CRC.pack(_crc(head, chunks)), *chunks))
        count += 1
    file.write(_HEAD.pack(_END, 0, count))


def _blobs(file: BinaryIO) -> Iterator[Blob]:
    """Raises: ValueError, struct.error."""
    count = 0
    while True:
        head = file.read(_HEAD.size)
        ref, modified_ms, size_bytes = _HEAD.unpack(head)
        if ref == _END:
            if size_bytes != count or file.read(1):
                raise ValueError
            return
        (crc,) = _CRC.unpack(file.read(_CRC.size))
        if size_bytes > os.fstat(file.fileno()).st_size:
            raise ValueError
        chunks = [file.read(min(READ_BYTES, size_bytes - at)) for at in range(0, size_bytes, READ_BYTES)]
        if sum(map(len, chunks)) != size_bytes or _crc(head, chunks) != crc:
            raise ValueError
        yield BlobRef(ref.hex()), chunks, modified_ms
        count += 1


def _crc(head: bytes, chunks: Chunks) -> int:
    value = zlib.crc32(head)
    for chunk in chunks:
        value = zlib.crc32(chunk, value)
    return value


@contextlib.contextmanager
def _answering_damage(path: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, struct.error) as error:
        raise ServiceUnavailable(
            f"{path} is no whole snapshot of objects; move it away to start without what is in it"
        ) from error
