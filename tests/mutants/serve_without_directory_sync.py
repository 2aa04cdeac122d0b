"""A server that forgets to sync a blob's directory after the rename: what I2 forbids. Its command line is that of `app`."""

from __future__ import annotations

import sys

from app.cli import main
from app.storage.local import LocalStorage


def sync_directory(self: LocalStorage, directory: str) -> None:
    """Forgotten."""


if __name__ == "__main__":
    setattr(LocalStorage, "_sync_directory", sync_directory)  # noqa: B010  # an assignment is no business of the type checker
    sys.exit(main())
