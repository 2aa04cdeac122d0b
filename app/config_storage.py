"""The settings of each storage back end: where its bytes lie and with what it proves who it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from app.settings import Flag, Integer, Size, Text, setting

MEMORY_MAX_BYTES = 1 << 50
SNAPSHOT_EVERY_MAX_S = 86_400

_PREFIX = re.compile(r"[A-Za-z0-9!_.*'()/-]{0,512}", re.ASCII)


def endpoint(text: str) -> str | None:
    """A complaint about what is neither empty nor the URL of a service."""
    parts = urlsplit(text)
    if not text or (parts.scheme in ("http", "https") and parts.hostname and not parts.query and not parts.fragment):
        return None
    return f"expected a URL such as https://storage.example.com:9000, not {text!r}"


def prefix(text: str) -> str | None:
    """A complaint about what some service would not take at the front of a name."""
    if _PREFIX.fullmatch(text) and not text.startswith("/") and "//" not in text and "../" not in text:
        return None
    return "expected letters, digits and any of !_.*'()-/, without a slash at the front or two in a row"


@dataclass(frozen=True, slots=True)
class Local:
    root_dir: str = setting("./data/objects", Text(), "directory of the objects' bytes")
    direct_writes: bool = setting(
        True, Flag(), "write past the page cache; false where objects are read soon after and the disk is slow"
    )


@dataclass(frozen=True, slots=True)
class Memory:
    max_size_bytes: int = setting(1 << 30, Size(1, MEMORY_MAX_BYTES), "room for all objects' bytes together")
    persistence: bool = setting(False, Flag(), "write a snapshot file now and then, and read it at the start")
    snapshot_path: str = setting("./data/memory.snapshot", Text(), "the snapshot file")
    snapshot_interval_s: int = setting(
        60, Integer(1, SNAPSHOT_EVERY_MAX_S), "so often a snapshot is written, where something changed"
    )


@dataclass(frozen=True, slots=True)
class SqliteObjects:
    path: str = setting(
        "./data/objects.db", Text(), "database file of the objects' bytes; never on a network file system"
    )


@dataclass(frozen=True, slots=True)
class Aws:
    """Without keys, boto3's own chain finds them: environment, profile, web identity, instance role."""

    bucket: str = setting("", Text(), "bucket that holds the objects' bytes")
    prefix: str = setting("", Text(prefix), "what the names of our objects begin with")
    region: str = setting("", Text(), "region of the bucket; empty: what boto3 finds")
    endpoint_url: str = setting("", Text(endpoint), "another service that speaks S3; empty: AWS")
    use_path_style: bool = setting(False, Flag(), "address the bucket in the path and not in the host name")
    access_key_id: str = setting("", Text(), "access key; empty: boto3's credential chain")
    secret_access_key: str = setting("", Text(is_secret=True), "its secret", is_secret=True)


@dataclass(frozen=True, slots=True)
class Gcp:
    bucket: str = setting("", Text(), "bucket that holds the objects' bytes")
    prefix: str = setting("", Text(prefix), "what the names of our objects begin with")
    project: str = setting("", Text(), "project of the bucket; empty: that of the credentials")
    endpoint_url: str = setting("", Text(endpoint), "another service that speaks this API; empty: Google's")
    credentials_file: str = setting("", Text(), "service account's JSON file; empty: the default credentials")


@dataclass(frozen=True, slots=True)
class Azure:
    container: str = setting("", Text(), "container that holds the objects' bytes")
    prefix: str = setting("", Text(prefix), "what the names of our objects begin with")
    account: str = setting("", Text(), "storage account; a connection string names it itself")
    endpoint_url: str = setting("", Text(endpoint), "another address of the account; empty: Azure's")
    connection_string: str = setting(
        "", Text(is_secret=True), "connection string with the account's key", is_secret=True
    )
    use_managed_identity: bool = setting(False, Flag(), "the identity of the machine or pod instead of a key")
