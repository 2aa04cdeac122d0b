"""Engines and back ends by name. A name leads to "module:Class", imported when it is chosen and not before.

Third parties add theirs by entry points in the groups "bleepstore.metadata" and "bleepstore.storage"; each class has
`from_config(config)`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from app.settings import ConfigError

if TYPE_CHECKING:
    from app.config import Config
    from app.config_backends import Backend
    from app.metadata.base import MetadataStore
    from app.storage.base import ObjectStorage
    from app.storage.remote_calls import Watch

    WatchFor = Callable[[str], Watch]

MAIN = "main"  # the name of `storage.backend` beside named ones (app/storage/base.py)

METADATA_GROUP = "bleepstore.metadata"
STORAGE_GROUP = "bleepstore.storage"


@dataclass(frozen=True, slots=True)
class Entry:
    """`extra` is what to install where the module needs more than the package itself: bleepstore[extra]."""

    target: str
    extra: str | None = None


METADATA_STORES = {
    "sqlite": Entry("app.metadata.sql.sqlite:SqliteStore"),
    "memory": Entry("app.metadata.kv.memory:MemoryStore"),
}

OBJECT_STORAGES = {
    "local": Entry("app.storage.local:LocalStorage"),
    "memory": Entry("app.storage.memory:MemoryStorage"),
    "sqlite": Entry("app.storage.sqlite:SqliteStorage"),
    "aws": Entry("app.storage.aws:AwsStorage", extra="aws"),
    "gcp": Entry("app.storage.gcp:GcpStorage", extra="gcp"),
    "azure": Entry("app.storage.azure:AzureStorage", extra="azure"),
}


def metadata_store(name: str, config: Config) -> MetadataStore:
    """The engine, not opened. Raises: ConfigError."""
    made = _load("metadata.engine", METADATA_GROUP, METADATA_STORES, name)
    return cast("MetadataStore", made.from_config(config))  # type: ignore[attr-defined]  # checked by _load


def object_storage(name: str, config: Config) -> ObjectStorage:
    """The back end, not opened. Raises: ConfigError."""
    made = _load("storage.backend", STORAGE_GROUP, OBJECT_STORAGES, name)
    return cast("ObjectStorage", made.from_config(config))  # type: ignore[attr-defined]  # checked by _load


def object_storages(config: Config, watch_for: WatchFor | None = None) -> ObjectStorage:
    """The back end of `storage.backend`, with those of `storage.backends` beside it; not opened.

    `watch_for` gives who counts the requests of the one of a name. Raises: ConfigError.
    """
    main = _watched(object_storage(config.storage.backend, config), MAIN, watch_for)
    if not config.storage.backends:
        return main
    from app.storage.places import Places

    named = {each.name: _watched(_named(each, config), each.name, watch_for) for each in config.storage.backends}
    return Places(main, named)


def _named(backend: Backend, config: Config) -> ObjectStorage:
    from app.config_backends import config_of

    setting = f"storage.backends: {backend.name}"
    made = _load(setting, STORAGE_GROUP, OBJECT_STORAGES, backend.kind)
    try:
        return cast("ObjectStorage", made.from_config(config_of(config, backend)))  # type: ignore[attr-defined]  # checked by _load
    except ConfigError as error:
        raise ConfigError(f"{setting}: {error}") from None


def _watched(storage: ObjectStorage, name: str, watch_for: WatchFor | None) -> ObjectStorage:
    """A back end that has a `watch` counts its requests itself."""
    if watch_for is None:
        return storage
    if hasattr(storage, "watch"):
        storage.watch = watch_for(name)
        return storage
    from app.storage.measured import Measured

    return Measured(storage, watch_for(name))


def names(group: str) -> list[str]:
    """Every name that exists in METADATA_GROUP or STORAGE_GROUP, third parties' included."""
    own = METADATA_STORES if group == METADATA_GROUP else OBJECT_STORAGES
    return sorted({*own, *_third_party(group)})


def _load(setting: str, group: str, entries: dict[str, Entry], name: str) -> type:
    """`from_config`-bearing class behind a name."""
    entry = entries.get(name) or _third_party(group).get(name)
    if entry is None:
        raise ConfigError(f"{setting}: {name} does not exist; there are {', '.join(names(group))}")
    module_name, _, class_name = entry.target.partition(":")
    try:
        made = getattr(importlib.import_module(module_name), class_name)
    except ImportError as error:
        raise ConfigError(_missing(setting, name, entry, error)) from error
    if not hasattr(made, "from_config"):
        raise ConfigError(f"{setting}: {entry.target} has no from_config(config)")
    return cast("type", made)


def _missing(setting: str, name: str, entry: Entry, error: ImportError) -> str:
    if entry.extra is None:
        return f"{setting}: {name} cannot be loaded: {error}"
    return f"{setting}: {name} needs packages that are not installed ({error.name}): pip install 'bleepstore[{entry.extra}]'"


def _third_party(group: str) -> dict[str, Entry]:
    """Looked up only for names that we do not know: reading every installed package's metadata takes a while."""
    from importlib.metadata import entry_points

    return {point.name: Entry(point.value) for point in entry_points(group=group)}
