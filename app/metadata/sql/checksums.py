"""A checksum on every page of the file, so that a flipped bit is an error and never an answer (R-15).

SQLite has none of its own in the database file. Its extension cksumvfs keeps one in eight bytes at the end of each page
and compares it whenever a page is read, from the file or from the WAL. It comes with apsw's wheels. A file is made with
checksums where the extension is there, and is then opened only where it is: pages written without it would seem damaged.
Source: "The Checksum VFS Shim", sqlite.org.
"""

from __future__ import annotations

import os
from typing import Final

import apsw

from app.domain.errors import ServiceUnavailable

VFS: Final = "cksmvfs"
RESERVED_BYTES: Final = 8  # of each page; the shim takes exactly this number for its sign


def load() -> bool:
    """Have the extension in this process; whether it is there. It becomes SQLite's default file layer."""
    if VFS in apsw.vfs_names():
        return True
    folder = os.path.join(os.path.dirname(apsw.__file__), "sqlite_extra_binaries")
    for path in _extensions(folder):
        connection = apsw.Connection(":memory:")
        try:
            connection.enable_load_extension(True)
            connection.load_extension(path)
        except apsw.Error:
            return False
        finally:
            connection.close()
    return VFS in apsw.vfs_names()


def _extensions(folder: str) -> list[str]:
    """What may be the extension; its ending is the platform's."""
    if not os.path.isdir(folder):
        return []
    return [os.path.join(folder, name) for name in os.listdir(folder) if name.startswith("cksumvfs.")]


def require(path: str, connection: apsw.Connection) -> None:
    """Raises: ServiceUnavailable, for a file with checksums on a connection that does not keep them."""
    if has_checksums(connection) and VFS not in apsw.vfs_names():
        raise ServiceUnavailable(
            f"{path} has a checksum on every page, and this build of apsw cannot keep them: install apsw's wheel from PyPI."
        )


def has_checksums(connection: apsw.Connection) -> bool:
    return connection.reserve_bytes() == RESERVED_BYTES


def is_mismatch(error: Exception) -> bool:
    """Whether a page did not have its checksum."""
    return getattr(error, "extendedresult", None) == apsw.SQLITE_IOERR_DATA
