"""`bleepstore config show`: the configuration as a file would have it, with the place of each value and no secret."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from app.config import Backend, Config, User
from app.config_backends import known_settings
from app.settings import walk

MASK = "********"
_COLUMN = 48  # where comments begin


def rendered(config: Config, places: Mapping[str, str]) -> str:
    """YAML. Secrets are masked, so it is for people: users and keys have to be put back before it is used as a file."""
    return "".join(f"{line}\n" for line in _lines(config, places))


def _lines(config: Config, places: Mapping[str, str]) -> Iterator[str]:
    shown: list[str] = []
    for setting in walk(config):
        *sections, name = setting.path.split(".")
        for depth, section in enumerate(sections):
            if sections[: depth + 1] != shown[: depth + 1]:
                yield f"{'  ' * depth}{section}:"
        shown = sections
        line = f"{'  ' * len(sections)}{name}: {_value(setting.default, is_secret=setting.is_secret)}"
        place = places.get(setting.path)
        yield f"{line:<{_COLUMN}} # {place}" if place else line


def _value(value: object, *, is_secret: bool) -> str:
    """JSON is YAML too. `walk` gives the configuration's own values as the defaults."""
    if isinstance(value, tuple):
        backends = {item.name: _backend(item) for item in value if isinstance(item, Backend)}
        return json.dumps(backends or [_user(item) if isinstance(item, User) else item for item in value])
    return json.dumps(MASK if is_secret and value else value)


def _user(user: User) -> dict[str, str]:
    return {"name": user.name, "id": user.id, "access_key": user.access_key, "secret_key": MASK}


def _backend(backend: Backend) -> dict[str, object]:
    described: dict[str, object] = {"backend": backend.kind, "buckets": list(backend.buckets)}
    described |= {"location": backend.location, "default": backend.is_default}
    settings = known_settings()
    for path, value in backend.values:
        _, *sections, name = path.split(".")
        inner = described
        for section in sections:
            inner = inner.setdefault(section, {})  # type: ignore[assignment]  # a section is a mapping, made here
        inner[name] = MASK if settings[".".join((*sections, name))].is_secret and value else value
    return described
