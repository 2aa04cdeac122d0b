"""Servers with a main and a named back end, both directories on this machine, and what lies in each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MIB = 1 << 20


def flags(root: Path, *, inline_max_bytes: int = 0, **entry: Any) -> list[str]:
    """Named "cold", in root/cold unless `entry` says what it is. What else it says comes on top."""
    local = {} if "backend" in entry else {"backend": "local", "local": {"root_dir": str(root / "cold")}}
    cold = {**local, **entry}
    return [
        "--storage.backends", json.dumps({"cold": cold}),
        "--storage.inline_max_bytes", str(inline_max_bytes),
    ]  # fmt: skip


def blobs(directory: Path) -> list[int]:
    """The sizes of the blobs below a local back end's directory, ascending."""
    return sorted(path.stat().st_size for path in (directory / "blobs").glob("*/*/*"))


def body(seed: int, size: int = 100_000) -> bytes:
    line = bytes((seed + index) % 251 for index in range(1_000))
    return (line * (size // 1_000 + 1))[:size]
