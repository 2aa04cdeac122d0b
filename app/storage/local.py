"""Blobs as files under one directory, for one node or for a volume that several nodes mount.

    root_dir/
      blobs/4/f/4f0c…     a blob; its name is the reference, 32 hexadecimal digits; 16 x 16 directories
      tmp/812-9b1f…/      of one living process
        lock              held by flock as long as that process lives
        4f0c…             a blob that is being written

A blob is written and fsynced under tmp/, renamed into blobs/, and its directory is fsynced; only then is the reference
given out (I1, I2). So whatever a crash leaves is either under tmp/, in a directory whose lock is free, or a whole blob
to which no row refers. No path is made of anything but a reference of this form.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Self

from app.domain.errors import InternalError, ServiceUnavailable, SlowDown
from app.domain.types import BlobRef, Body, FileSpan, Health
from app.settings import chosen
from app.storage import local_files
from app.storage.base import BlobInfo, BlobMissing, ObjectStorage
from app.storage.buffers import Buffers
from app.storage.local_files import answering
from app.storage.local_open import open_cached
from app.storage.local_writer import LocalWriter

if TYPE_CHECKING:
    from app.config import Config

GARBAGE_GRACE_S = 60  # a reader opens the later parts of an object this long after it looked the version up
PROBE_EVERY_S = 2.0
PROBE_SLOW_S = 1.0

_REFERENCE = re.compile(r"[0-9a-f]{32}", re.ASCII)


class LocalStorage(ObjectStorage):
    """`reserve_bytes`: writes are refused below this much free space; None chooses by the size of the file system.

    `writes_directly`: past the page cache, where the file system can do that.
    """

    name = "local"
    shared = True

    def __init__(
        self,
        root_dir: str,
        *,
        reserve_bytes: int | None = None,
        garbage_grace_s: int = GARBAGE_GRACE_S,
        writes_directly: bool = True,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.garbage_grace_s = garbage_grace_s
        self._root = os.path.abspath(root_dir)
        self._blobs = os.path.join(self._root, "blobs")
        self._tmp = os.path.join(self._root, "tmp")
        self._own: list[local_files.OwnDirectory] = []  # the first is used
        self._space = local_files.Space(self._root, reserve_bytes, monotonic)
        self._monotonic = monotonic
        self.buffers = Buffers()
        self.writes_directly = writes_directly  # false once the file system has refused it
        # Directories whose entries this process has made durable; another process may have died before it did.
        self._settled: set[str] = set()
        self._health = Health(ok=True)
        self._probed_at: float | None = None
        self._probe_began: float | None = None

    @classmethod
    def from_config(cls, config: Config) -> Self:
        storage = config.storage
        return cls(
            storage.local.root_dir,
            reserve_bytes=chosen(storage.reserve_bytes, None),
            garbage_grace_s=chosen(storage.garbage_grace_s, GARBAGE_GRACE_S),
            writes_directly=storage.local.direct_writes,
        )

    def open(self) -> None:
        """Where nothing can be written now but blobs are there, they can be read; writing is tried again when asked for.

        Raises: ServiceUnavailable when there is no such directory and none can be made.
        """
        try:
            with answering():
                self._own_directory()
        except (SlowDown, ServiceUnavailable) as refusal:
            if not os.path.isdir(self._blobs):
                raise ServiceUnavailable(f"{self._root}: {refusal.message}") from refusal

    def close(self) -> None:
        while self._own:
            self._own.pop().close()

    def check(self) -> Health:
        """Tries a real write every PROBE_EVERY_S. While a try hangs, everybody else is told so at once."""
        now_s = self._monotonic()
        if self._probe_began is not None:
            hung_s = now_s - self._probe_began
            return Health(ok=False, detail=f"no answer for {hung_s:.0f} s") if hung_s > PROBE_SLOW_S else self._health
        if self._probed_at is not None and now_s - self._probed_at < PROBE_EVERY_S:
            return self._health
        self._probe_began = now_s
        try:
            self._health = self._probe()
        finally:
            self._probe_began, self._probed_at = None, self._monotonic()
        return self._health

    def _probe(self) -> Health:
        try:
            with answering():
                self._space.require(0)
                local_files.try_write(self._temporary(new_reference()))
        except (SlowDown, ServiceUnavailable) as refusal:
            return Health(ok=False, detail=refusal.message)
        return Health(ok=True)

    def create(self, size_hint: int | None = None) -> LocalWriter:
        with answering():
            self.require_space(size_hint or 0)
            ref = new_reference()
            return LocalWriter(self, ref, self._temporary(ref), size_hint or 0)

    def read(self, ref: BlobRef, start: int = 0, length: int | None = None) -> Body:
        path = self._path(ref)
        with answering():
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError as error:
                raise BlobMissing(f"blob {ref} is missing") from error
            return _span(fd, ref, start, length)

    def read_at_once(self, ref: BlobRef, start: int = 0, length: int | None = None) -> Body | None:
        fd = open_cached(self._path(ref))
        if fd is None:
            return None
        with answering():
            return _span(fd, ref, start, length)

    def delete(self, ref: BlobRef) -> None:
        # The directory is not fsynced: a blob that a power cut brings back is an orphan, and the sweep finds it.
        path = self._path(ref)
        with answering():
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass

    def scan(self, before_ms: int) -> Iterator[BlobInfo]:
        with answering():
            for first in local_files.names(self._blobs):
                for second in local_files.names(os.path.join(self._blobs, first)):
                    directory = os.path.join(self._blobs, first, second)
                    for name, size_bytes, modified_ms in local_files.files(directory):
                        if modified_ms < before_ms and name[:2] == first + second and _REFERENCE.fullmatch(name):
                            yield BlobInfo(BlobRef(name), size_bytes, modified_ms)

    def clean_up(self) -> int:
        with answering():
            return sum(
                local_files.remove_if_dead(os.path.join(self._tmp, each)) for each in local_files.names(self._tmp)
            )

    # -- for the writer ------------------------------------------------------------------------------------------

    def require_space(self, size_bytes: int) -> None:
        """Raises: SlowDown when that much more would leave less than the reserve."""
        self._space.require(size_bytes)

    def move_in(self, temporary: str, ref: BlobRef) -> None:
        """Give a written and fsynced file its place, and make that durable (I2)."""
        path = self._path(ref)
        directory = os.path.dirname(path)
        self._settle(os.path.dirname(directory))
        self._settle(directory)
        os.rename(temporary, path)
        self._sync_directory(directory)

    def _settle(self, directory: str) -> None:
        """See that a directory exists and will exist after a power cut."""
        if directory in self._settled:
            return
        parent = os.path.dirname(directory)
        if not os.path.isdir(parent):
            self._settle(parent)
        os.makedirs(directory, mode=local_files.DIRECTORY_MODE, exist_ok=True)
        try:
            self._sync_directory(parent)
        except PermissionError:
            if directory != self._root:
                raise
            # What is above the root may be the operator's, and closed to us.
        self._settled.add(directory)

    def _sync_directory(self, directory: str) -> None:
        local_files.sync_directory(directory)

    def _own_directory(self) -> str:
        """Made once; a second one that a race between threads makes stays unused until `close`."""
        if not self._own:
            for directory in (self._root, self._blobs, self._tmp):
                self._settle(directory)
            self._own.append(local_files.OwnDirectory(self._tmp))
        return self._own[0].path

    def _temporary(self, ref: BlobRef) -> str:
        return os.path.join(self._own_directory(), ref)

    def _path(self, ref: BlobRef) -> str:
        if not _REFERENCE.fullmatch(ref):
            raise BlobMissing("not a reference of this back end")
        return os.path.join(self._blobs, ref[0], ref[1], ref)


def new_reference() -> BlobRef:
    """128 random bits: nobody ever needs to look whether a reference is taken (I1)."""
    return BlobRef(secrets.token_hex(16))


def _span(fd: int, ref: BlobRef, start: int, length: int | None) -> Body:
    """Some of an open blob; the descriptor is the span's from now on."""
    try:
        size_bytes = os.fstat(fd).st_size
        end = size_bytes if length is None else start + length
        if not 0 <= start <= end <= size_bytes:
            raise InternalError(f"blob {ref} has {size_bytes} bytes, asked for [{start}, {end})")
    except BaseException:
        os.close(fd)
        raise
    if start < end:
        return FileSpan(fd, start, end - start)
    os.close(fd)  # nothing to send: not every sendfile takes a count of 0 for nothing
    return b""
