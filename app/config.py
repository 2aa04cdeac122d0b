"""The configuration: defaults < YAML file < environment < flags, checked as a whole before anything starts.

Every setting below can be given in the file (`server: {port: 9000}`), by a variable (`BLEEPSTORE_SERVER_PORT`) and by a
flag (`--server.port`). Names that do not exist are refused. Nothing is imported here that the server does not need.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from app.config_backends import Backend, Backends
from app.config_buckets import DefaultBucket, DefaultBuckets
from app.config_checks import User, Users, bind, check, domains, hostname, network, printable, signing_host, token
from app.config_sources import gather, resolve
from app.config_storage import Aws, Azure, Gcp, Local, Memory, SqliteObjects, endpoint
from app.settings import (
    Auto,
    AutoOr,
    Choice,
    ConfigError,
    Flag,
    Integer,
    Setting,
    Size,
    Text,
    TextList,
    fill,
    setting,
    walk,
)

DEFAULT_SECRET_KEY = "bleepstore-secret"
WORKERS_MAX = 64
OBJECT_SIZE_MAX_BYTES = 53_687_091_200_000  # 10,000 parts of 5 GiB
INLINE_MAX_BYTES = 131_072  # above this a file is cheaper than a row
SECONDS_MAX = 3_600
GRACE_MAX_S = 30 * 86_400
SIZE_MAX_BYTES = 1 << 50


@dataclass(frozen=True, slots=True)
class Tls:
    cert_file: str = setting("", Text(), "PEM file of the certificate chain; with key_file the server speaks TLS")
    key_file: str = setting("", Text(), "PEM file of the certificate's private key")


@dataclass(frozen=True, slots=True)
class ServerLimits:
    header_timeout_s: int = setting(20, Integer(1, SECONDS_MAX), "a request's head must be complete by then")
    body_stall_timeout_s: int = setting(30, Integer(1, SECONDS_MAX), "a body may send nothing for so long")
    body_min_bytes_per_s: int = setting(
        1024, Integer(0, 1 << 30), "a body slower than this for body_stall_timeout_s is cut off; 0: no such limit"
    )
    keepalive_s: int = setting(65, Integer(1, SECONDS_MAX), "an idle connection is closed after so long")
    worker_connections: int = setting(1000, Integer(1, 20_000), "connections that one worker serves at a time")


@dataclass(frozen=True, slots=True)
class Server:
    host: str = setting("127.0.0.1", Text(hostname), "address to listen on")
    port: int = setting(9000, Integer(1, 65_535), "port to listen on")
    region: str = setting("us-east-1", Text(printable), "region that signatures must name; empty: any")
    domain: str = setting(
        "",
        Text(domains),
        "base domain of virtual-hosted requests, bucket.DOMAIN; several with commas; empty: path style only",
    )
    signing_hosts: tuple[str, ...] = setting(
        (), TextList(Text(signing_host)), "further host[:port] for which a signature is accepted, whatever Host says"
    )
    trusted_proxies: tuple[str, ...] = setting(
        (), TextList(Text(network)), "addresses or networks of proxies that are believed about X-Forwarded-For"
    )
    workers: int | Auto = setting(
        "auto", AutoOr(Integer(1, WORKERS_MAX)), "worker processes; auto: one per usable core, up to 8"
    )
    log_level: str = setting("info", Choice(("debug", "info", "warning", "error")), "least level that is written")
    log_format: str = setting("text", Choice(("text", "json")), "how log lines look")
    shutdown_timeout_s: int = setting(30, Integer(3, SECONDS_MAX), "requests in flight may take so long after SIGTERM")
    max_object_size_bytes: int = setting(
        OBJECT_SIZE_MAX_BYTES, Size(1, OBJECT_SIZE_MAX_BYTES), "largest object that is accepted"
    )
    default_buckets: tuple[DefaultBucket, ...] = setting(
        (), DefaultBuckets(), "buckets that a start makes where they are not there, with commas; NAME:versioned"
    )
    console_bind: str = setting(
        "",
        Text(bind),
        "HOST:PORT or :PORT where people look: the API's description and the health; empty: nowhere else",
    )
    short_way: bool = setting(True, Flag(), "answer GET, HEAD, PUT and DELETE of objects without Flask; false: slower")
    tls: Tls = Tls()
    limits: ServerLimits = ServerLimits()


@dataclass(frozen=True, slots=True)
class Auth:
    """After loading, `access_key` and `secret_key` are what the files held, where files were named."""

    enabled: bool = setting(True, Flag(), "check signatures; false: everybody may do everything")
    allow_v2: bool = setting(
        False, Flag(), "take Signature Version 2 as well, which old clients and some SDKs' URLs have"
    )
    access_key: str = setting("bleepstore", Text(printable), "the root user's access key")
    access_key_file: str = setting("", Text(), "file that holds it instead")
    secret_key: str = setting(
        DEFAULT_SECRET_KEY, Text(printable, is_secret=True), "the root user's secret key", is_secret=True
    )
    secret_key_file: str = setting("", Text(), "file that holds it instead")
    users: tuple[User, ...] = setting(
        (), Users(), "further users: name, access_key, secret_key or secret_key_file, and optionally id", is_secret=True
    )


@dataclass(frozen=True, slots=True)
class Sqlite:
    path: str = setting("./data/metadata.db", Text(), "database file; never on a network file system")
    synchronous: str = setting(
        "full",
        Choice(("full", "normal")),
        "full: durable when acknowledged; normal: may lose the last commits on power loss",
    )


@dataclass(frozen=True, slots=True)
class Metadata:
    engine: str = setting("sqlite", Text(), "metadata engine: sqlite, memory")
    sqlite: Sqlite = Sqlite()


@dataclass(frozen=True, slots=True)
class Storage:
    backend: str = setting("local", Text(), "storage back end: local, memory, sqlite, aws, gcp, azure")
    inline_max_bytes: int = setting(
        65_536, Size(0, INLINE_MAX_BYTES), "objects up to this size live in the metadata; 0: none"
    )
    cache_max_bytes: int = setting(
        16 << 20, Size(0, SIZE_MAX_BYTES), "memory of each worker for small objects that are read often; 0: none"
    )
    garbage_grace_s: int | Auto = setting(
        "auto",
        AutoOr(Integer(0, GRACE_MAX_S)),
        "deleted bytes stay for so long; auto: what the back end needs (local: 60)",
    )
    orphan_grace_s: int = setting(
        SECONDS_MAX, Integer(1, GRACE_MAX_S), "bytes to which no object refers stay for so long"
    )
    encrypted_at_rest: bool = setting(
        False, Flag(), "the disk or service below encrypts; x-amz-server-side-encryption: AES256 is accepted and echoed"
    )
    upload_expiry_days: int = setting(7, Integer(1, 3_650), "multipart uploads not completed by then are aborted")
    reserve_bytes: int | Auto = setting(
        "auto", AutoOr(Size(0, SIZE_MAX_BYTES)), "uploads are refused below this much free space; auto: min(1 GiB, 5 %)"
    )
    backends: tuple[Backend, ...] = setting(
        (),
        Backends(),
        "further back ends by name: backend, buckets, location, default, and that back end's settings",
        is_secret=True,
    )
    local: Local = Local()
    memory: Memory = Memory()
    sqlite: SqliteObjects = SqliteObjects()
    aws: Aws = Aws()
    gcp: Gcp = Gcp()
    azure: Azure = Azure()


@dataclass(frozen=True, slots=True)
class Observability:
    metrics: bool = setting(True, Flag(), "count requests and answer /metrics")
    metrics_bind: str = setting(
        "", Text(bind), "HOST:PORT or :PORT where the metrics are answered, and the health; empty: on the port of S3"
    )
    metrics_token: str = setting(
        "",
        Text(token, is_secret=True),
        "who asks for metrics must send it: Authorization: Bearer …",
        is_secret=True,
    )
    metrics_token_file: str = setting("", Text(), "file that holds it instead")
    bucket_labels_max: int = setting(
        100, Integer(0, 10_000), "buckets that metrics name, the first that get requests; the rest are __other__"
    )
    health_check: bool = setting(True, Flag(), "answer /health, /healthz and /readyz")
    traces_endpoint_url: str = setting(
        "", Text(endpoint), "URL of a collector that takes OpenTelemetry's traces by HTTP; empty: no traces"
    )
    traces_sample_percent: int = setting(
        100, Integer(0, 100), "share of requests that are traced, where their caller does not say"
    )
    audit_file: str = setting("", Text(), "file that gets a JSON line for every request; empty: none")


@dataclass(frozen=True, slots=True)
class Config:
    server: Server = Server()
    auth: Auth = Auth()
    metadata: Metadata = Metadata()
    storage: Storage = Storage()
    observability: Observability = Observability()

    @property
    def data_dir(self) -> str | None:
        """The directory whose lock says who serves these data: the metadata file's, else the objects'; None without one."""
        storage = self.storage
        files = {"local": storage.local.root_dir.rstrip("/"), "sqlite": storage.sqlite.path}
        if storage.memory.persistence:
            files["memory"] = storage.memory.snapshot_path
        path = self.metadata.sqlite.path if self.metadata.engine == "sqlite" else files.get(storage.backend)
        return None if path is None else os.path.dirname(path) or "."


def load_config(
    overrides: Mapping[str, str] | None = None, environ: Mapping[str, str] | None = None, path: str | None = None
) -> Config:
    """The checked configuration.

    `overrides` are flags by setting ("server.port"), and "data_dir". `environ` is os.environ unless given; its
    BLEEPSTORE_CONFIG names the file where `path` is None. Raises: ConfigError.
    """
    return load_with_places(overrides, environ, path)[0]


def load_with_places(
    overrides: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    path: str | None = None,
    defaults: Mapping[str, str] | None = None,
) -> tuple[Config, dict[str, str]]:
    """As `load_config`, with the place every setting that is no default came from, by path.

    `defaults` take the place of ours, for a command that means something else by them.
    """
    environ = os.environ if environ is None else environ
    given = gather(all_settings(), overrides or {}, environ, path, defaults or {})
    config = fill(Config(), resolve(all_settings(), given))
    check(config, given, DEFAULT_SECRET_KEY)
    return config, {name: entry.place for name, entry in given.items()}


def all_settings() -> dict[str, Setting]:
    """Every setting by path, in the order of the file."""
    return {each.path: each for each in walk(Config())}


__all__ = [
    "Backend",
    "Config",
    "ConfigError",
    "User",
    "all_settings",
    "load_config",
    "load_with_places",
]
