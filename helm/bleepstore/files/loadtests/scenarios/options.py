"""What a run can be told, beside Locust's own options: as flags, as LOCUST_… variables, or in the web UI."""

from __future__ import annotations

import argparse
import os
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

_UNITS = {"B": 0, "KiB": 10, "MiB": 20, "GiB": 30}


@dataclass(frozen=True)
class Settings:
    """Sizes in bytes. `endpoint` is scheme://host[:port]."""

    endpoint: str
    bucket: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str
    keys: int
    object_bytes: int
    medium_bytes: int
    large_bytes: int
    part_bytes: int
    seed: int
    keeps: bool
    prepares: bool


def add_options(parser: Any) -> None:
    """To Locust's parser, which takes each from an environment variable too, and shows it in the web UI."""
    environ = os.environ

    def add(flag: str, default: Any, help: str, **more: Any) -> None:
        name = "LOCUST_" + flag.removeprefix("--").replace("-", "_").upper()
        parser.add_argument(flag, env_var=name, default=default, help=f"{help} ({name})", **more)

    add("--bucket", "locust", "is created if it is not there")
    add("--access-key", environ.get("BLEEPSTORE_AUTH_ACCESS_KEY", "bleepstore"), "or BLEEPSTORE_AUTH_ACCESS_KEY")
    secret_key = environ.get("BLEEPSTORE_AUTH_SECRET_KEY", "bleepstore-secret")
    add("--secret-key", secret_key, "or BLEEPSTORE_AUTH_SECRET_KEY", include_in_web_ui=False)
    add("--region", environ.get("BLEEPSTORE_SERVER_REGION") or "us-east-1", "that signatures name")
    add("--keys", 1_000, "objects that are there before users start", type=int)
    add("--object-size", "1KiB", "of small objects")
    add("--medium-size", "1MiB", "of a backup's packs")
    add("--large-size", "16MiB", "of objects that are written in parts")
    add("--part-size", "5MiB", "of these parts")
    add("--seed", 1, "of keys' order and objects' content", type=int)
    add("--keep", False, "leave bucket and objects for the next run", action="store_true")
    add("--no-setup", False, "use bucket and objects as they are", action="store_true")


def settings_of(host: str | None, options: argparse.Namespace) -> Settings:
    """Raises: ValueError, which says what is wrong."""
    if not host or not host.startswith(("http://", "https://")):
        raise ValueError("--host must be http://host:port or https://host:port")
    settings = Settings(
        endpoint=host.rstrip("/"),
        bucket=options.bucket,
        access_key=options.access_key,
        secret_key=options.secret_key,
        region=options.region,
        keys=options.keys,
        object_bytes=size_bytes(options.object_size),
        medium_bytes=size_bytes(options.medium_size),
        large_bytes=size_bytes(options.large_size),
        part_bytes=size_bytes(options.part_size),
        seed=options.seed,
        keeps=options.keep or options.no_setup,
        prepares=not options.no_setup,
    )
    if settings.keys < 1 or settings.part_bytes < 1:
        raise ValueError("--keys and --part-size are at least 1")
    return settings


def size_bytes(text: str) -> int:
    """Of "1KiB", "16 MiB" or a plain number. Raises: ValueError."""
    match = re.fullmatch(r"(\d+)\s*(B|KiB|MiB|GiB)?", text.strip())
    if not match:
        raise ValueError(f"a size is a number and KiB, MiB or GiB, not {text!r}")
    return int(match[1]) << _UNITS[match[2] or "B"]


@lru_cache
def size_text(size: int) -> str:
    """As requests' names have it: "1 KiB"."""
    unit = next((unit for unit, bits in reversed(_UNITS.items()) if size >> bits and size % (1 << bits) == 0), "B")
    return f"{size >> _UNITS[unit]} {unit}"
