"""BleepStore: an S3-compatible object store.

The only place where configuration, engines, core and blueprints meet. What each builder needs is imported inside it, so
that the command line loads no Flask and the server nothing of the command line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.config import Config
    from app.core.store import Store

__version__ = "0.1.0"

DEFAULT_REGION = "us-east-1"


def build_store(config: Config) -> Store:
    """The store of a configuration, its two engines not opened yet. Raises: ConfigError."""
    from app import registry, runtime
    from app.core.store import Limits, Store

    metadata = registry.metadata_store(config.metadata.engine, config)
    storage = registry.object_storage(config.storage.backend, config)
    grace_s = config.storage.garbage_grace_s
    limits = Limits(
        max_object_size_bytes=config.server.max_object_size_bytes,
        inline_max_bytes=min(config.storage.inline_max_bytes, metadata.inline_max_bytes),
        garbage_grace_s=storage.garbage_grace_s if grace_s == "auto" else grace_s,
        orphan_grace_s=config.storage.orphan_grace_s,
        upload_expiry_s=config.storage.upload_expiry_days * 86_400,
    )
    # With an empty region signatures may name any; buckets still need one to lie in.
    return Store(metadata, storage, runtime.now_ms, limits, config.server.region or DEFAULT_REGION)
