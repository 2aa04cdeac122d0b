"""Where settings come from: the YAML file, the environment, the flags, and files that hold a secret."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from app import config_minio
from app.settings import ConfigError, Given, Setting, read_secret, unknown

DEFAULT, FILE, MINIO, ENVIRONMENT, FLAG = range(5)

# What --data-dir and BLEEPSTORE_DATA_DIR set, each unless it is given itself.
DATA_DIR = "data_dir"
_IN_DATA_DIR = {
    "metadata.sqlite.path": "metadata.db",
    "storage.local.root_dir": "objects",
    "storage.sqlite.path": "objects.db",
    "storage.memory.snapshot_path": "memory.snapshot",
}

# Settings that name a file for the setting without "_file".
SECRET_FILES = frozenset({"auth.access_key_file", "auth.secret_key_file", "observability.metrics_token_file"})

# Variables with our prefix that are no settings.
OTHER_VARIABLES = frozenset({"BLEEPSTORE_CONFIG", "BLEEPSTORE_DATA_DIR", "BLEEPSTORE_REQUIRE_COMPONENTS"})
TEST_VARIABLES = "BLEEPSTORE_TEST_"

# Kubernetes and container links describe a service called "bleepstore…" to its neighbours by such variables.
_SERVICE_VARIABLE = re.compile(
    r"BLEEPSTORE\w*_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_URL = re.compile(r"(tcp|udp|sctp)://")


def gather(
    settings: Mapping[str, Setting],
    overrides: Mapping[str, str],
    environ: Mapping[str, str],
    path: str | None,
    defaults: Mapping[str, str],
) -> dict[str, Given]:
    """What was given, by setting, the strongest source of each. `defaults` are a command's own. Raises: ConfigError."""
    file_path = path if path is not None else environ.get("BLEEPSTORE_CONFIG", "")
    given = {name: Given(value, "the command's default", DEFAULT) for name, value in defaults.items()}
    given |= _from_file(settings, file_path) if file_path else {}
    given |= {
        name: Given(value, variable, MINIO)
        for name, (value, variable) in config_minio.from_environment(environ).items()
    }
    given |= _from_environment(settings, environ)
    given |= _from_flags(settings, overrides)
    _apply_data_dir(given, overrides, environ)
    return given


def resolve(settings: Mapping[str, Setting], given: dict[str, Given]) -> dict[str, object]:
    """Typed values by setting; a secret that a file holds takes the place of its own setting. Raises: ConfigError."""
    values = {name: _parse(settings[name], entry) for name, entry in given.items()}
    for name in [name for name in values if name in SECRET_FILES]:
        target, entry = name.removesuffix("_file"), given[name]
        rival = given.get(target)
        if not values[name] or (rival and rival.rank > entry.rank):
            continue
        if rival and rival.rank == entry.rank:
            raise ConfigError(f"{entry.place}: {target} is given as well; leave one of them out")
        values[target] = _secret_from_file(settings[target], entry, str(values[name]))
        given[target] = Given(None, entry.place, entry.rank)
    return values


def _parse(setting: Setting, entry: Given) -> object:
    try:
        return setting.kind.parse(entry.value)
    except ValueError as error:
        raise ConfigError(f"{entry.place}: {error}") from None


def _secret_from_file(setting: Setting, entry: Given, path: str) -> object:
    try:
        return setting.kind.parse(read_secret(path))
    except ValueError as error:
        raise ConfigError(f"{entry.place}: {error}") from None


# -- The file ----------------------------------------------------------------------------------------------------


def _from_file(settings: Mapping[str, Setting], path: str) -> dict[str, Given]:
    document = _read_yaml(path)
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: expected sections such as server: and storage: at the top")
    sections = {"", *(".".join(parts[:end]) for parts in _split(settings) for end in range(1, len(parts)))}
    return {
        name: Given(value, f"{path}: {name}", FILE) for name, value in _leaves(path, document, "", settings, sections)
    }


def _leaves(
    path: str, node: dict[Any, Any], prefix: str, settings: Mapping[str, Setting], sections: set[str]
) -> Iterator[tuple[str, object]]:
    for key, value in node.items():
        name = f"{prefix}{key}"
        if name in settings:
            yield name, value
        elif name not in sections:
            raise unknown(path, name, [*settings, *sections - {""}] if not prefix else settings)
        elif isinstance(value, dict):
            yield from _leaves(path, value, name + ".", settings, sections)
        elif value is not None:
            raise ConfigError(f"{path}: {name} is a section; its settings go below it, indented")


def _split(settings: Mapping[str, Setting]) -> list[list[str]]:
    return [name.split(".") for name in settings]


def _read_yaml(path: str) -> object:
    """The file's document. PyYAML keeps the last of two equal keys; here that is an error."""
    import yaml

    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        try:
            # The parser in C takes a tenth of the time, and there may be thousands of users.
            return _load(path, text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        except yaml.YAMLError:
            return _load(path, text, yaml.SafeLoader)  # it reads some texts that the other refuses: "{port:}"
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError, TypeError) as error:
        raise ConfigError(f"{path}: is not valid YAML: {' '.join(str(error).split())}") from None


def _load(path: str, text: str, base: Any) -> object:
    """`base` is one of PyYAML's safe loaders."""
    import yaml

    class Loader(base):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            keys = [
                self.construct_object(key, deep=True) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"
            ]
            twice = next((key for key in keys if keys.count(key) > 1), None)
            if twice is not None:
                raise ConfigError(f"{path}: {twice} is given twice (line {node.start_mark.line + 1} and below)")
            made: dict[Any, Any] = super().construct_mapping(node, deep)
            return made

    return yaml.load(text, Loader)  # noqa: S506  # a SafeLoader


# -- The environment and the flags -------------------------------------------------------------------------------


def _from_environment(settings: Mapping[str, Setting], environ: Mapping[str, str]) -> dict[str, Given]:
    by_variable = {setting.variable: setting for setting in settings.values()}
    given = {}
    for variable, value in environ.items():
        if not variable.startswith("BLEEPSTORE_") or _is_not_ours(variable, value):
            continue
        if variable not in by_variable:
            raise unknown("environment", variable, [*by_variable, *OTHER_VARIABLES])
        given[by_variable[variable].path] = Given(value, variable, ENVIRONMENT)
    return given


def _is_not_ours(variable: str, value: str) -> bool:
    if variable in OTHER_VARIABLES or variable.startswith(TEST_VARIABLES):
        return True
    return bool(_SERVICE_VARIABLE.fullmatch(variable)) or (
        variable.endswith("_PORT") and bool(_SERVICE_URL.match(value))
    )


def _from_flags(settings: Mapping[str, Setting], overrides: Mapping[str, str]) -> dict[str, Given]:
    for name in overrides:
        if name not in settings and name != DATA_DIR:
            raise unknown("command line", name, settings)
    return {name: Given(value, settings[name].flag, FLAG) for name, value in overrides.items() if name != DATA_DIR}


def _apply_data_dir(given: dict[str, Given], overrides: Mapping[str, str], environ: Mapping[str, str]) -> None:
    by_flag = DATA_DIR in overrides
    data_dir = overrides[DATA_DIR] if by_flag else environ.get("BLEEPSTORE_DATA_DIR", "")
    if by_flag and not data_dir:
        raise ConfigError("--data-dir: expected a directory")
    if not data_dir:
        return
    place = "--data-dir" if by_flag else "BLEEPSTORE_DATA_DIR"
    for name, leaf in _IN_DATA_DIR.items():
        given.setdefault(name, Given(os.path.join(data_dir, leaf), place, FLAG if by_flag else ENVIRONMENT))
