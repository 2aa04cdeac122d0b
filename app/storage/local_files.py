"""The file system calls under local storage: locks, space, and walking directories that change meanwhile."""

from __future__ import annotations

import errno
import fcntl
import functools
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.domain.errors import ServiceUnavailable, SlowDown

GIB = 1 << 30
MIB = 1 << 20
SPACE_EVERY_S = 1.0
LOCK = "lock"
O_DIRECT = getattr(os, "O_DIRECT", 0)  # not every system has it
FILE_MODE = 0o660  # less the umask; a container's user may change while its group stays
DIRECTORY_MODE = 0o770
_TRIES_MAX = 10
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_SHORT_OF = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
NOT_DIRECT = frozenset({errno.EINVAL, errno.EOPNOTSUPP})
_NOT_ALLOCATING = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})


@contextmanager
def answering() -> Iterator[None]:
    """Turn the system's errors into answers. They hold no path: a client may read them."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else "unknown"
        if error.errno in _FULL:
            raise SlowDown("The storage is full. Please free space, or try again later.") from error
        if error.errno in _SHORT_OF:
            raise SlowDown(f"The server is short of resources: {reason}.") from error
        raise ServiceUnavailable(f"The storage is not available: {reason}.") from error


class OwnDirectory:
    """A directory for the temporary files of this process, and the lock that says that it lives.

    Made after fork. The lock's descriptor is closed on exec, so nothing this process starts keeps it.
    """

    def __init__(self, parent: str) -> None:
        for _ in range(_TRIES_MAX):
            path = os.path.join(parent, f"{os.getpid()}-{secrets.token_hex(8)}")
            os.mkdir(path, DIRECTORY_MODE)
            # None: somebody who cleans up was here between the two calls, and is about to remove the directory.
            lock_fd = _take_lock(path)
            if lock_fd is not None:
                self.path, self._lock_fd = path, lock_fd
                return
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    def close(self) -> None:
        """Remove the directory with all that is in it, then give up the lock."""
        try:
            _empty(self.path)
        finally:
            os.close(self._lock_fd)


def remove_if_dead(directory: str) -> int:
    """Remove a process's temporary directory if that process is gone; how many files it had left."""
    lock_fd = _take_lock(directory)
    if lock_fd is None:
        return 0
    try:
        return _empty(directory)
    finally:
        os.close(lock_fd)


def _take_lock(directory: str) -> int | None:
    """The descriptor of a directory's lock, or None when somebody holds it or the directory is gone.

    Opened for writing, which NFS wants of an exclusive lock.
    """
    try:
        fd = os.open(os.path.join(directory, LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(fd).st_nlink:
            return fd
    except BlockingIOError:
        pass
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None


def _empty(directory: str) -> int:
    """Remove what is in a directory whose lock we hold: the lock last, for it is what others wait for."""
    left = [name for name, _, _ in files(directory) if name != LOCK]
    for name in left:
        _unlink(os.path.join(directory, name))
    _unlink(os.path.join(directory, LOCK))
    try:
        os.rmdir(directory)
    except OSError as error:
        # A process that has just made this directory puts its lock in again, finds it unlinked, and takes another.
        if error.errno not in (errno.ENOTEMPTY, errno.ENOENT):
            raise
    return len(left)


def names(directory: str) -> list[str]:
    """The entries of a directory; none when it is gone, or is none."""
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []


def files(directory: str) -> Iterator[tuple[str, int, int]]:
    """(name, size in bytes, modification time in ms) of the regular files of a directory, read as they are asked for."""
    try:
        entries = os.scandir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return
    with entries:
        for entry in entries:
            try:
                if entry.is_file(follow_symlinks=False):
                    status = entry.stat(follow_symlinks=False)
                    yield entry.name, status.st_size, status.st_mtime_ns // 1_000_000
            except FileNotFoundError:
                continue  # deleted since the directory was read


def create(path: str) -> int:
    """A descriptor to write a file that must not exist yet."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)


def set_direct(fd: int, *, is_direct: bool) -> None:
    """Whether what is written goes past the page cache. Raises: OSError where the file system cannot do that.

    Not O_DIRECT at opening: where that is refused, the file is there nevertheless.
    """
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    fcntl.fcntl(fd, fcntl.F_SETFL, flags | O_DIRECT if is_direct else flags & ~O_DIRECT)


def sync_directory(directory: str) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def try_write(path: str) -> None:
    """Write a byte through to the disk and take it away again."""
    fd = create(path)
    try:
        try:
            os.write(fd, b".")
            os.fsync(fd)
        finally:
            os.close(fd)
    finally:
        os.unlink(path)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


class Space:
    """How much room a file system has, asked at most once in SPACE_EVERY_S."""

    def __init__(self, path: str, reserve_bytes: int | None, monotonic: Callable[[], float]) -> None:
        self._path = path
        self._reserve_bytes = reserve_bytes
        self._monotonic = monotonic
        self._asked_at: float | None = None
        self._free_bytes = 0
        self._least_bytes = 0

    def require(self, size_bytes: int) -> None:
        """Raises: SlowDown when `size_bytes` more would leave less than the reserve."""
        now_s = self._monotonic()
        if self._asked_at is None or now_s - self._asked_at >= SPACE_EVERY_S:
            self._ask()
            self._asked_at = now_s
        if self._free_bytes - size_bytes < self._least_bytes:
            raise SlowDown(
                f"The storage is nearly full: {self._free_bytes} bytes are free, {self._least_bytes} are kept in reserve."
            )

    def _ask(self) -> None:
        status = os.statvfs(self._path)
        self._free_bytes = status.f_bavail * status.f_frsize
        if self._reserve_bytes is None:
            self._least_bytes = default_reserve_bytes(status.f_blocks * status.f_frsize)
        else:
            self._least_bytes = self._reserve_bytes


def default_reserve_bytes(total_bytes: int) -> int:
    """5 % of the file system, at most 1 GiB; at least 128 MiB, for the metadata's log, but never over a quarter."""
    return min(GIB, max(total_bytes // 20, min(128 * MIB, total_bytes // 4)))


def allocate(fd: int, size_bytes: int) -> int:
    """Ask for the space a file will need; gives how much was set aside, 0 where the file system cannot.

    The file's length stays as it is. Not posix_fallocate: where that is not supported it writes every block.
    """
    function = _fallocate()
    if function is None:
        return 0
    error = function(fd, size_bytes)
    if error in _NOT_ALLOCATING:
        return 0
    if error:
        raise OSError(error, os.strerror(error))
    return size_bytes


@functools.cache
def _fallocate() -> Callable[[int, int], int] | None:
    """fallocate(2) with FALLOC_FL_KEEP_SIZE, giving errno; None where the C library has none."""
    import ctypes  # half a megabyte that a server without large objects never needs

    library = ctypes.CDLL(None, use_errno=True)
    call = getattr(library, "fallocate64", None) or getattr(library, "fallocate", None)
    if call is None:
        return None
    call.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    keep_size = 1

    def run(fd: int, size_bytes: int) -> int:
        while call(fd, keep_size, 0, size_bytes):
            error = ctypes.get_errno()
            if error != errno.EINTR:
                return error
        return 0

    return run
