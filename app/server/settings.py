"""Gunicorn's settings from our configuration: the one source for `gunicorn -c gunicorn.conf.py` and `bleepstore serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app import registry
from app.server.limits import WireLimits, wire_limits
from app.server.listeners import listeners
from app.server.master import MasterHooks
from app.server.processes import CGROUP_ROOT, heartbeat_dir, resolve_workers, usable_cpus

if TYPE_CHECKING:
    from app.config import Config

HEARTBEAT_TIMEOUT_S = 60  # a worker whose hub stands still for so long is killed
BACKLOG = 2_048


def gunicorn_settings(
    config: Config, *, limits: WireLimits | None = None, shared: bool | None = None
) -> dict[str, Any]:
    """Every setting that differs from gunicorn's default, and those whose default must not be changed from outside.

    `limits` and `shared` follow from the configuration; a test may give its own. Raises: ConfigError.
    """
    server = config.server
    limits = limits or wire_limits(config)
    shared = engines_are_shared(config) if shared is None else shared
    hooks = MasterHooks(config, limits, shared)
    return {
        "bind": [each.bind for each in listeners(config)],
        "backlog": BACKLOG,
        "workers": resolve_workers(server.workers, usable_cpus(), CGROUP_ROOT, shared=shared),
        "worker_class": "app.server.worker.BleepWorker",
        "worker_connections": limits.connections_max,
        "worker_tmp_dir": heartbeat_dir(),
        "preload_app": True,
        "timeout": HEARTBEAT_TIMEOUT_S,
        "graceful_timeout": server.shutdown_timeout_s,
        "proc_name": "bleepstore",
        "loglevel": server.log_level,
        "logger_class": "app.server.log.GunicornLog",
        "accesslog": None,  # every request is logged by the application, once
        "certfile": server.tls.cert_file or None,
        "keyfile": server.tls.key_file or None,
        # Off: it would make the master threaded, and a threaded process must not fork.
        "control_socket_disable": True,
        "http_protocols": "h1",
        "http2_cleartext": "off",
        "proxy_protocol": "off",
        # The worker reads requests itself and never believes who they say they come from. These say the same to
        # whatever of gunicorn's own code might ask.
        "forwarded_allow_ips": "",
        "secure_scheme_headers": {},
        "forwarder_headers": "",
        "header_map": "drop",
        "limit_request_line": limits.request_line_max_bytes,
        "limit_request_fields": limits.headers_max,
        "limit_request_field_size": limits.header_field_max_bytes,
        "on_starting": hooks.on_starting,
        "when_ready": hooks.when_ready,
        "on_reload": hooks.on_reload,
        "pre_fork": hooks.pre_fork,
        "post_fork": hooks.post_fork,
        "child_exit": hooks.child_exit,
    }


def engines_are_shared(config: Config) -> bool:
    """Whether several processes may use the chosen engines at once. Builds them without opening them."""
    metadata = registry.metadata_store(config.metadata.engine, config)
    storage = registry.object_storages(config)
    return metadata.shared and storage.shared
