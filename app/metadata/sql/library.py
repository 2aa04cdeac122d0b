"""Which SQLite we run on, and whether several processes may write with it.

SQLite 3.7.0 to 3.51.2 can corrupt a database when one process restarts the WAL file while another commits: exactly what
several workers do all day. Source: the release notes of SQLite 3.51.3.
"""

from __future__ import annotations

from app.settings import ConfigError

SAFE_VERSION = (3, 51, 3)
OLDEST_VERSION = (3, 39, 0)  # IS DISTINCT FROM, RETURNING, UPDATE … FROM


def is_safe_for_several(version: str) -> bool:
    """Whether a library of this version, "3.51.3", may be used by several writing processes."""
    return _parts(version) >= SAFE_VERSION


def check_library(version: str, workers: int) -> None:
    """Raises: ConfigError, for an old library, and for several workers on a vulnerable one."""
    if _parts(version) < OLDEST_VERSION:
        raise ConfigError(f"metadata.engine: SQLite {version} is too old; {_text(OLDEST_VERSION)} or newer is needed")
    if workers > 1 and not is_safe_for_several(version):
        raise ConfigError(
            f"server.workers: {workers} workers need SQLite {_text(SAFE_VERSION)} or newer, and this is {version}, which "
            "can corrupt a database that several processes write. Upgrade the package apsw, or set server.workers to 1."
        )


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3])


def _text(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)
