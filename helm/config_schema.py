"""The part of values.schema.json that describes `config`: the server's own settings, as it knows them itself."""

from __future__ import annotations

from typing import Any

from app.config import all_settings
from app.config_backends import Backends
from app.config_buckets import DefaultBuckets
from app.config_checks import Users
from app.settings import AutoOr, Choice, Flag, Integer, Kind, Size, TextList

# What other values of the chart decide, and what would lead the server away from what the pod has. A trailing dot: all
# below it.
DECIDED = (
    "server.host", "server.port", "server.console_bind", "server.domain", "server.default_buckets", "server.shutdown_timeout_s", "server.tls.",
    "auth.access_key", "auth.access_key_file", "auth.secret_key", "auth.secret_key_file", "auth.users",
    "metadata.engine", "metadata.sqlite.path",
    "storage.backend", "storage.local.root_dir", "storage.memory.snapshot_path", "storage.sqlite.",
    "storage.aws.", "storage.gcp.", "storage.azure.",
    "observability.health_check", "observability.metrics", "observability.metrics_bind", "observability.metrics_token",
    "observability.metrics_token_file",
)  # fmt: skip

_NUMBER_IN_TEXT = {"type": ["integer", "string"]}


def config_schema() -> dict[str, Any]:
    """Sections in the order of the server's file. Names that it does not know are refused, and those in DECIDED."""
    root = _section()
    for setting in all_settings().values():
        if not is_decided(setting.path):
            *sections, name = setting.path.split(".")
            place = root
            for section in sections:
                place = place["properties"].setdefault(section, _section())
            place["properties"][name] = {**schema_of(setting.kind), "description": setting.help}
    return root | {"description": "The server's own settings; those that other values decide are not among them."}


def is_decided(path: str) -> bool:
    return any(path.startswith(name) if name.endswith(".") else path == name for name in DECIDED)


def schema_of(kind: Kind[Any]) -> dict[str, Any]:
    """What the kind takes from a file, a little wider where a schema would be long: the server looks again."""
    match kind:
        case Flag():
            return {"type": "boolean"}
        case Integer():
            return {"type": "integer", "minimum": kind.minimum, "maximum": kind.maximum}
        case Size():
            return dict(_NUMBER_IN_TEXT)
        case AutoOr():
            return dict(_NUMBER_IN_TEXT)
        case Choice():
            return {"enum": list(kind.names)}
        case TextList() | DefaultBuckets() | Users():
            return {"type": ["array", "string"]}
        case Backends():
            return {"type": ["object", "string"]}
    return {"type": ["string", "integer"]}


def _section() -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": {}}
