"""What people give to MinIO, understood: its variables, and the command line `server DIR --address …`.

Its variables count for less than ours of the same meaning, and more than the file. Those that mean nothing here are left
alone, for MinIO ignores what it does not know as well. Source: "Settings", MinIO documentation.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from app.config_buckets import DefaultBucket
from app.domain.errors import InvalidBucketName
from app.domain.names import check_bucket_name
from app.settings import ConfigError

if TYPE_CHECKING:
    from app.config import Config

# In the order in which MinIO prefers them.
VARIABLES = {
    "MINIO_ROOT_USER": "auth.access_key",
    "MINIO_ROOT_USER_FILE": "auth.access_key_file",
    "MINIO_ROOT_PASSWORD": "auth.secret_key",
    "MINIO_ROOT_PASSWORD_FILE": "auth.secret_key_file",
    "MINIO_ACCESS_KEY": "auth.access_key",
    "MINIO_ACCESS_KEY_FILE": "auth.access_key_file",
    "MINIO_SECRET_KEY": "auth.secret_key",
    "MINIO_SECRET_KEY_FILE": "auth.secret_key_file",
    "MINIO_DEFAULT_BUCKETS": "server.default_buckets",
    "MINIO_CONSOLE_ADDRESS": "server.console_bind",
    "MINIO_DOMAIN": "server.domain",
    "MINIO_SITE_REGION": "server.region",
    "MINIO_REGION": "server.region",
    "MINIO_REGION_NAME": "server.region",
}
SECRETS_DIR = "/run/secrets"  # where a file that is only named is looked for
DEFAULT_PORT = "9000"

_SEVERAL = re.compile(r"\{\d+\.\.\.\d+\}|^https?://")


def from_environment(environ: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """What MinIO's variables say: setting -> value and variable. Empty ones say nothing."""
    given: dict[str, tuple[str, str]] = {}
    for variable, path in VARIABLES.items():
        value = environ.get(variable, "")
        # A key and the file that holds it are two ways to say one thing: the first that was given is meant.
        is_said = path in given or f"{path}_file" in given or path.removesuffix("_file") in given
        if value and not is_said:
            given[path] = _secret_path(value) if path.endswith("_file") else value, variable
    return given


def overrides(
    directories: list[str], address: str | None, console_address: str | None, certs_dir: str | None
) -> dict[str, str]:
    """The flags that the command line `server DIRECTORY --address … --certs-dir …` stands for. Raises: ConfigError."""
    if len(directories) != 1 or _SEVERAL.search(directories[0]):
        raise ConfigError(
            "server: give one directory; BleepStore keeps its data in one, and has no drives to spread it over"
        )
    flags = {"data_dir": directories[0]}
    if address is not None:
        host, colon, port = address.rpartition(":")
        if not colon or not port.isdecimal():
            raise ConfigError(f"--address: expected HOST:PORT or :PORT, not {address!r}")
        flags |= {"server.host": host.strip("[]") or "0.0.0.0", "server.port": port}  # noqa: S104  # as it is meant
    if console_address is not None:
        flags["server.console_bind"] = console_address
    if certs_dir is not None:
        files = {"server.tls.cert_file": "public.crt", "server.tls.key_file": "private.key"}
        if all(os.path.exists(os.path.join(certs_dir, name)) for name in files.values()):
            flags |= {path: os.path.join(certs_dir, name) for path, name in files.items()}
    return flags


# What `server` means by default and `serve` does not: all addresses, signatures for any region and of both versions.
DEFAULTS = {"server.host": "0.0.0.0", "server.region": "", "auth.allow_v2": "true"}  # noqa: S104


def with_folders(config: Config) -> Config:
    """With a default bucket for each empty folder of the data directory.

    Compose files say `mkdir -p /data/photos && minio server /data`, and to MinIO that is a bucket.
    """
    directory = config.data_dir
    if directory is None or not os.path.isdir(directory):
        return config
    known = {bucket.name for bucket in config.server.default_buckets}
    objects = os.path.abspath(config.storage.local.root_dir)
    with os.scandir(directory) as entries:
        folders = sorted(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))
    found = tuple(
        DefaultBucket(os.path.basename(path))
        for path in folders
        if os.path.abspath(path) != objects and os.path.basename(path) not in known and _is_bucket(path)
    )
    return replace(config, server=replace(config.server, default_buckets=config.server.default_buckets + found))


def _is_bucket(path: str) -> bool:
    try:
        check_bucket_name(os.path.basename(path))
        return not os.listdir(path)
    except (InvalidBucketName, OSError):
        return False


def _secret_path(name: str) -> str:
    return name if os.path.isabs(name) or os.path.exists(name) else os.path.join(SECRETS_DIR, name)
