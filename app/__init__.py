"""BleepStore: an S3-compatible object store.

The only place where configuration, engines, core and blueprints meet. What each builder needs is imported inside it, so
that the command line loads no Flask and the server nothing of the command line.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from app.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.auth.credentials import Credential
    from app.config import Config
    from app.core.store import Store
    from app.domain.types import Principal
    from app.observe.health import HealthChecks
    from app.observe.logging import RequestLog
    from app.observe.metrics import Metrics, NoMetrics
    from app.observe.traces import Traces
    from app.s3.adapter import S3Flask
    from app.s3.front import Front
    from app.s3.outcome import Outcome, Recorder
    from app.s3.pipeline import Pipeline
    from app.s3.short_way import ShortWay

DEFAULT_REGION = "us-east-1"


def build_store(config: Config, counters: Metrics | NoMetrics | None = None) -> Store:
    """The store of a configuration, its two engines not opened yet; `counters` count the back ends' requests.

    Raises: ConfigError.
    """
    from app import registry, runtime
    from app.core.placement import Placement, Rule
    from app.core.store import KnownUsers, Limits, Store
    from app.settings import chosen

    metadata = registry.metadata_store(config.metadata.engine, config)
    count_writes = getattr(counters, "sqlite", None)
    if count_writes is not None and hasattr(metadata, "watch"):
        metadata.watch = count_writes()
    storage = registry.object_storages(config, getattr(counters, "backend", None))
    rules = [Rule(each.name, each.buckets, each.location, each.is_default) for each in config.storage.backends]
    limits = Limits(
        max_object_size_bytes=config.server.max_object_size_bytes,
        inline_max_bytes=min(config.storage.inline_max_bytes, metadata.inline_max_bytes),
        garbage_grace_s=chosen(config.storage.garbage_grace_s, storage.garbage_grace_s),
        orphan_grace_s=config.storage.orphan_grace_s,
        upload_expiry_s=config.storage.upload_expiry_days * 86_400,
    )
    directory = KnownUsers({known.principal.id: known.principal.name for known in credentials(config).values()})
    is_encrypted = config.storage.encrypted_at_rest
    return Store(
        metadata,
        storage,
        runtime.now_ms,
        limits,
        config.server.region,
        directory,
        is_encrypted,
        placement=Placement(storage, rules) if rules else None,
    )


class Lifecycle:
    """What a process opens after it was forked, and what a start has to put right before. The application's `lifecycle`."""

    def __init__(
        self,
        store: Store,
        short_way: ShortWay | None = None,
        prepare: Callable[[], object] | None = None,
        counters: Metrics | None = None,
        traces: Traces | None = None,
    ) -> None:
        """`prepare` is called when the engines are open and before anything is served. `counters`: where somebody counts."""
        self.store = store
        self.counters = counters
        self._traces = traces
        self._prepare = prepare
        self.short_way = short_way  # for a server that can answer hot requests without WSGI

    def open(self) -> None:
        """Open both engines and let this process take its turn at the sweep. In a worker, after fork."""
        import os
        import socket

        from app import runtime
        from app.core.orphans import remember_names
        from app.core.sweep import Sweeper

        # By a thread of the pool: what SQLite allocates then fills a heap of its own, and not the gaps of pages that are
        # shared with the master.
        runtime.offload(self.store.metadata.open)
        self.store.storage.open()
        remember_names(self.store)
        if self._prepare is not None:
            self._prepare()
        counters, watch = self.counters, None
        if counters is not None:
            counters.open()
            watch = counters.background("sweep")
            depth = getattr(self.store.metadata, "queue_depth", int)
            runtime.spawn(counters.vitals(depth, runtime.sleep).run_forever)
        runtime.spawn(Sweeper(self.store, f"{socket.gethostname()}:{os.getpid()}", watch=watch).run_forever)

    def leave(self) -> None:
        """Before an end in good order: send what waits to be sent, for seconds at most. Nothing depends on it."""
        if self._traces is not None:
            from app import runtime

            runtime.offload_scan(self._traces.close)

    def close(self) -> None:
        self.store.storage.close()
        self.store.metadata.close()


def create_app(config: Config) -> Front:
    """The whole server as a WSGI application. It imports and connects; nothing is opened before `Lifecycle.open`."""
    from app.observe import metrics
    from app.s3.front import Front
    from app.s3.service_paths import METRICS_PATHS
    from app.s3.short_way import ShortWay

    counters = metrics.for_config(config)
    store = build_store(config, counters)
    domains = tuple(name.strip(". ").lower() for name in config.server.domain.split(",") if name.strip(". "))
    traces = _traces(config)
    pipeline = _pipeline(config, store, counters, domains, traces)
    probes = _health_checks(store) if config.observability.health_check else None
    # Where metadata outlive a process, recovery has done it once for all workers.
    prepare = None if store.metadata.shared else partial(ensure_default_buckets, config, store)
    counting = counters if isinstance(counters, metrics.Metrics) else None
    lifecycle = Lifecycle(store, ShortWay(pipeline) if config.server.short_way else None, prepare, counting, traces)

    if counting is not None:
        _register_scraped(config, store, counting)

    def make_flask() -> S3Flask:
        from app.observe.endpoints import service_blueprint
        from app.observe.guard import guard
        from app.s3.adapter import S3Flask
        from app.s3.views import BLUEPRINTS

        application = S3Flask(pipeline, domains, BLUEPRINTS)
        may_read = guard(config.observability.metrics_token)
        address = f"{config.server.host}:{config.server.port}"
        application.register_blueprint(service_blueprint(probes, counters, may_read, address))
        return application

    elsewhere = METRICS_PATHS if config.observability.metrics_bind else ()
    count = None if counting is None else counting.requests.service
    return Front(make_flask, lifecycle, probes, domains, elsewhere, count)


def _register_scraped(config: Config, store: Store, counters: Metrics) -> None:
    """Have a scrape read what nobody counts: what the store holds, and the workers themselves."""
    from app.observe.scrape import Sources, StoreCollector, disks_of
    from app.observe.scrape_processes import ProcessCollector

    metadata, labels_max = store.metadata, config.observability.bucket_labels_max
    counters.register(StoreCollector(Sources(metadata.usage, metadata.file_bytes, disks_of(config), labels_max)))
    counters.register(ProcessCollector())


def ensure_default_buckets(config: Config, store: Store) -> None:
    """Make those of `server.default_buckets` that are missing. The store's metadata are open. Raises: S3Error."""
    buckets = config.server.default_buckets
    if buckets:
        from app.core import default_buckets

        default_buckets.ensure(store, buckets, root(config).id)


def _health_checks(store: Store) -> HealthChecks:
    """A named back end that fails takes its own buckets with it and not the server, unless it is the default."""
    from app.observe.health import HealthChecks
    from app.storage.base import MAIN

    needed = MAIN if store.placement is None else store.placement.default
    members = store.storage.members()
    names = {name: "storage" if name == MAIN else f"storage.{name}" for name in members}
    checks = {"metadata": store.metadata.check, **{names[name]: each.check for name, each in members.items()}}
    return HealthChecks(checks, optional=[names[name] for name in members if name != needed])


def _traces(config: Config) -> Traces | None:
    """Raises: ConfigError, where the packages are missing."""
    observability = config.observability
    if not observability.traces_endpoint_url:
        return None
    from app.observe.traces import Traces

    return Traces(observability.traces_endpoint_url, observability.traces_sample_percent / 100)


def _pipeline(
    config: Config,
    store: Store,
    counters: Metrics | NoMetrics,
    domains: tuple[str, ...],
    traces: Traces | None,
) -> Pipeline:
    from app.auth.sigv4 import Authenticator
    from app.auth.unchecked import Unchecked
    from app.observe import logging
    from app.s3.pipeline import Pipeline, Settings
    from app.s3.routing import Router
    from app.s3.views import BLUEPRINTS

    server, proxies = config.server, None
    if server.trusted_proxies:
        from app.s3.proxies import TrustedProxies

        proxies = TrustedProxies(server.trusted_proxies)
    record = _recorder(logging.request_log(config.server.log_level, config.server.log_format))
    if config.observability.audit_file:
        record = _audited(record, config.observability.audit_file)
    if traces is not None:
        record = _traced(record, traces)
    known = (credentials(config).get, server.region, server.signing_hosts, time.time)
    authenticator = Authenticator(*known)
    if config.auth.allow_v2:
        from app.auth.sigv2 import EitherVersion
        from app.s3.subresources import BUCKET_SUBRESOURCES

        authenticator = EitherVersion(*known, domains, BUCKET_SUBRESOURCES)
    tell_stage = getattr(counters, "auth_stage", None)
    if tell_stage is not None:
        from app.observe.families import AUTH_SAMPLED_OF

        authenticator.tell_stages(tell_stage, AUTH_SAMPLED_OF)
    return Pipeline(
        Router(rule for blueprint in BLUEPRINTS for rule in blueprint.rules),
        authenticator if config.auth.enabled else Unchecked(root(config)),
        store,
        Settings(domains, enforces_access=config.auth.enabled, proxies=proxies, traces=traces is not None),
        record,
        getattr(counters, "requests", None),
    )


def root(config: Config) -> Principal:
    """The user of `auth.access_key`. Its id does not change with the key."""
    from app.domain.names import canonical_id
    from app.domain.types import Principal

    return Principal(canonical_id("root"), "root", config.auth.access_key, is_root=True)


def credentials(config: Config) -> dict[str, Credential]:
    """Everybody who can sign, by access key."""
    from app.auth.credentials import Credential
    from app.domain.types import Principal

    known = {config.auth.access_key: Credential(config.auth.access_key, config.auth.secret_key, root(config))}
    for user in config.auth.users:
        principal = Principal(user.id, user.name, user.access_key)
        known[user.access_key] = Credential(user.access_key, user.secret_key, principal)
    return known


def _recorder(log_request: RequestLog) -> Recorder:
    def record(outcome: Outcome, seconds: float) -> None:
        log_request(
            request_id=outcome.request_id,
            operation=outcome.operation,
            bucket=outcome.bucket,
            key=outcome.key,
            status=outcome.status,
            code=outcome.code,
            bytes_in=outcome.bytes_in,
            bytes_out=outcome.bytes_out,
            seconds=seconds,
            principal=outcome.principal.name,
            remote_address=outcome.remote_address,
        )

    return record


def _audited(record: Recorder, path: str) -> Recorder:
    """The same, and a line of the audit log."""
    from app.observe.audit import audit_log

    audit = audit_log(path)

    def record_both(outcome: Outcome, seconds: float) -> None:
        record(outcome, seconds)
        audit(
            request_id=outcome.request_id,
            remote_address=outcome.remote_address,
            principal=outcome.principal.name,
            access_key=outcome.principal.access_key,
            method=outcome.method,
            operation=outcome.operation,
            bucket=outcome.bucket,
            key=outcome.key,
            status=outcome.status,
            code=outcome.code,
            bytes_in=outcome.bytes_in,
            bytes_out=outcome.bytes_out,
            seconds=seconds,
        )

    return record_both


def _traced(record: Recorder, traces: Traces) -> Recorder:
    """The same, and a span."""

    def record_both(outcome: Outcome, seconds: float) -> None:
        record(outcome, seconds)
        traces.record(outcome, seconds)

    return record_both


__all__ = ["Lifecycle", "__version__", "build_store", "create_app"]
