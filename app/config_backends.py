"""`storage.backends`: further back ends by name, each with settings of its own, and which buckets' bytes they get.

backends:
  cold:
    backend: aws
    buckets: ["archive-*"]
    aws: {bucket: our-archive}
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from app.settings import ConfigError, Flag, Setting, Text, TextList, fill, shown, unknown, walk

if TYPE_CHECKING:
    from app.config import Config, Storage

BACKENDS_MAX: Final = 100
PATTERNS_MAX: Final = 100  # of one back end
LOCATION_CHARS_MAX: Final = 63
RESERVED: Final = "main"  # the back end of storage.backend

_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}", re.ASCII)
_LOCATION = re.compile(rf"[A-Za-z0-9_-]{{1,{LOCATION_CHARS_MAX}}}", re.ASCII)
_OWN_KEYS: Final = ("backend", "buckets", "location", "default")
_COMMON: Final = ("garbage_grace_s", "reserve_bytes")  # of storage's own settings
# What has a default below ./data, where the main back end's data are.
_PATHS: Final = {"local": "local.root_dir", "sqlite": "sqlite.path", "memory": "memory.snapshot_path"}


@dataclass(frozen=True, slots=True)
class Backend:
    """One entry. `values` are settings by path ("storage.aws.bucket"), as it gives them: they may be secrets."""

    name: str
    kind: str
    buckets: tuple[str, ...] = ()
    location: str = ""
    is_default: bool = False
    values: tuple[tuple[str, object], ...] = ()

    def __repr__(self) -> str:
        """Without what may be secret: this may end up in a log."""
        return f"Backend(name={self.name!r}, kind={self.kind!r}, buckets={self.buckets!r}, location={self.location!r})"


@dataclass(frozen=True, slots=True)
class Backends:
    """A YAML mapping of mappings, or the same as JSON text. No complaint shows a value: it might be a secret."""

    def parse(self, value: object) -> tuple[Backend, ...]:
        entries = _from_json(value) if isinstance(value, str) else value
        if not isinstance(entries, dict):
            if entries in (None, [], ()):
                return ()
            raise ValueError("expected back ends by name")
        if len(entries) > BACKENDS_MAX:
            raise ValueError(f"expected at most {BACKENDS_MAX} back ends")
        return tuple(_backend(str(name), entry) for name, entry in entries.items())


def config_of(config: Config, backend: Backend) -> Config:
    """The configuration that a named back end is made from: its entry takes the place of `storage`.

    What the entry does not say is as nobody had said it, and not as the main back end has it: two back ends in one place
    would take each other's blobs for orphans.
    """
    from app.config import Storage

    common = replace(config.storage, backend=backend.kind, backends=(), garbage_grace_s="auto")
    blank = Storage()
    sections = {name: getattr(blank, name) for name in _sections()}
    return replace(config, storage=fill(replace(common, **sections), dict(backend.values), "storage."))


def known_settings() -> dict[str, Setting]:
    """What an entry may set of `storage`, by path below it."""
    from app.config import Storage

    sections = _sections()
    return {
        each.path: each
        for each in walk(Storage())
        if each.path in _COMMON or (each.path.partition(".")[0] in sections and "." in each.path)
    }


def check(config: Config, place: str) -> None:
    """Raises: ConfigError."""
    backends = config.storage.backends
    defaults = [each.name for each in backends if each.is_default]
    if len(defaults) > 1:
        raise ConfigError(f"{place}: {' and '.join(defaults)} are both the default; there can be one")
    _check_locations(config, place)
    for backend in backends:
        _check_paths(backend, place)
    _check_places(config, place)


def _sections() -> tuple[str, ...]:
    from app.config import Storage

    return tuple(dict.fromkeys(each.path.partition(".")[0] for each in walk(Storage()) if "." in each.path))


# -- One entry ---------------------------------------------------------------------------------------------------


def _from_json(text: str) -> object:
    try:
        return json.loads(text) if text.strip() else {}
    except ValueError:
        raise ValueError('expected JSON such as {"cold": {"backend": "local", "local": {"root_dir": "…"}}}') from None


def _backend(name: str, entry: object) -> Backend:
    if not _NAME.fullmatch(name) or name == RESERVED:
        raise ValueError(
            f"{name!r} is no name for a back end: a lower-case letter, then up to 31 lower-case letters, digits and "
            f"hyphens, and not {RESERVED}"
        )
    if not isinstance(entry, dict) or not entry.get("backend"):
        raise ValueError(f"{name}: expected backend: and its settings")
    settings = known_settings()
    values: dict[str, object] = {}
    for path, value in _leaves(name, entry, "", settings):
        if path not in _OWN_KEYS:
            values[f"storage.{path}"] = _parsed(name, settings[path], value)
    kind = _text(name, "backend", entry["backend"])
    _check_sections(name, kind, values)
    buckets = _list(name, entry.get("buckets", ()))
    location = _text(name, "location", entry.get("location", name))
    if not _LOCATION.fullmatch(location):
        raise ValueError(f"{name}.location: expected up to {LOCATION_CHARS_MAX} letters, digits, _ and -")
    try:
        is_default = Flag().parse(entry.get("default", False))
    except ValueError as error:
        raise ValueError(f"{name}.default: {error}") from None
    return Backend(name, kind, buckets, location, is_default, tuple(values.items()))


def _leaves(
    name: str, node: Mapping[object, object], prefix: str, settings: Mapping[str, Setting]
) -> Iterator[tuple[str, object]]:
    sections = {path.partition(".")[0] for path in settings if "." in path}
    for key, value in node.items():
        path = f"{prefix}{key}"
        if path in settings or (not prefix and path in _OWN_KEYS):
            yield path, value
        elif prefix or path not in sections:
            known = [*settings, *_OWN_KEYS] if not prefix else [each for each in settings if each.startswith(prefix)]
            raise ValueError(str(unknown(name, path, known)))
        elif isinstance(value, dict):
            yield from _leaves(name, value, f"{path}.", settings)
        elif value is not None:
            raise ValueError(f"{name}.{path} is a section; its settings go below it, indented")


def _parsed(name: str, setting: Setting, value: object) -> object:
    try:
        return setting.kind.parse(value)
    except ValueError as error:
        raise ValueError(f"{name}.{setting.path}: {error}") from None


def _text(name: str, key: str, value: object) -> str:
    try:
        return Text().parse(value)
    except ValueError as error:
        raise ValueError(f"{name}.{key}: {error}") from None


def _list(name: str, value: object) -> tuple[str, ...]:
    try:
        patterns = TextList().parse(value)
    except ValueError as error:
        raise ValueError(f"{name}.buckets: {error}") from None
    if len(patterns) > PATTERNS_MAX:
        raise ValueError(f"{name}.buckets: expected at most {PATTERNS_MAX} patterns{shown(len(patterns))}")
    return patterns


def _check_sections(name: str, kind: str, values: Mapping[str, object]) -> None:
    sections = _sections()
    given = {path.split(".")[1] for path in values if path.count(".") > 1}
    wrong = sorted(given - {kind})
    if kind in sections and wrong:
        raise ValueError(f"{name}.{wrong[0]}: its backend is {kind}, which has settings of its own")


# -- All of them together ----------------------------------------------------------------------------------------


def _check_locations(config: Config, place: str) -> None:
    seen: dict[str, str] = {}
    for backend in config.storage.backends:
        other = seen.setdefault(backend.location, backend.name)
        if other != backend.name:
            raise ConfigError(f"{place}: {other} and {backend.name} have the location {backend.location}")
        if backend.location == config.server.region:
            raise ConfigError(
                f"{place}: {backend.name} has the location {backend.location}, which is server.region: clients name it "
                "for every bucket that they create. Give it another location"
            )


def _check_paths(backend: Backend, place: str) -> None:
    """A back end on this machine says where: what it has by default is the main one's."""
    path, values = _PATHS.get(backend.kind), dict(backend.values)
    if backend.kind == "memory" and not values.get("storage.memory.persistence"):
        return
    if path is not None and not values.get(f"storage.{path}"):
        raise ConfigError(f"{place}: {backend.name}.{path} is missing")


def _check_places(config: Config, place: str) -> None:
    seen: dict[tuple[object, ...], str] = {}
    storages = {RESERVED: config.storage}
    storages |= {backend.name: config_of(config, backend).storage for backend in config.storage.backends}
    for name, storage in storages.items():
        where = _place_of(storage)
        other = seen.setdefault(where, name) if where else name
        if other != name:
            main = " (that of storage.backend)" if other == RESERVED else ""
            raise ConfigError(
                f"{place}: {name} keeps its bytes where {other}{main} does; each needs a place of its own"
            )


def _place_of(storage: Storage) -> tuple[object, ...] | None:
    """What two back ends must not have in common; None where that is not known here."""
    kind = storage.backend
    if kind == "local":
        return kind, os.path.realpath(storage.local.root_dir)
    if kind == "sqlite":
        return kind, os.path.realpath(storage.sqlite.path)
    if kind == "memory" and storage.memory.persistence:
        return kind, os.path.realpath(storage.memory.snapshot_path)
    if kind == "aws":
        return kind, storage.aws.endpoint_url.rstrip("/"), storage.aws.bucket, storage.aws.prefix
    if kind == "gcp":
        return kind, storage.gcp.endpoint_url.rstrip("/"), storage.gcp.bucket, storage.gcp.prefix
    if kind == "azure":
        azure = storage.azure
        return kind, azure.account, azure.connection_string, azure.endpoint_url, azure.container, azure.prefix
    return None


__all__ = ["RESERVED", "Backend", "Backends", "check", "config_of", "known_settings"]
