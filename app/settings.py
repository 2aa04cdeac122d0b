"""How a setting is written: its kind, its text in a file, a variable or a flag, and the nearest known name of a wrong one.

`app.config` says which settings there are; this module knows nothing of them. A `Kind` takes what a YAML file holds as
well as the text of an environment variable or flag, and gives one typed value. Importing it imports no parser.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

Auto = Literal["auto"]
T = TypeVar("T")
Parsed_co = TypeVar("Parsed_co", covariant=True)

SECRET_FILE_MAX_BYTES = 4096

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
_UNITS = {"": 1, "b": 1}
_UNITS |= {f"{letter}ib": 1024**power for power, letter in enumerate("kmgt", 1)}
_UNITS |= {f"{letter}b": 1000**power for power, letter in enumerate("kmgt", 1)}


class ConfigError(Exception):
    """A configuration that cannot be used. The message names the place and what to write instead; it holds no secret."""


class Kind(Protocol[Parsed_co]):
    """One sort of value. `parse` raises ValueError with a text that goes behind the setting's place."""

    def parse(self, value: object) -> Parsed_co: ...


@dataclass(frozen=True, slots=True)
class Setting:
    """`path` is dotted: "server.tls.cert_file". A secret's value is never shown, not even in an error."""

    path: str
    kind: Kind[Any]
    default: object
    help: str
    is_secret: bool

    @property
    def variable(self) -> str:
        return "BLEEPSTORE_" + self.path.replace(".", "_").upper()

    @property
    def flag(self) -> str:
        return "--" + self.path


@dataclass(frozen=True, slots=True)
class Given:
    """A value as somebody wrote it. `rank` grows with precedence; `place` is for messages."""

    value: object
    place: str
    rank: int


def setting(default: T, kind: Kind[T], help: str, *, is_secret: bool = False) -> T:
    """Declare a field of a settings dataclass."""
    made: T = field(default=default, metadata={"kind": kind, "help": help, "is_secret": is_secret})
    return made


def walk(section: object, prefix: str = "") -> Iterator[Setting]:
    """Every setting below a section's instance, in the order of declaration. Defaults are that instance's values."""
    for each in dataclasses.fields(section):  # type: ignore[arg-type]  # an instance of a dataclass that we made
        value = getattr(section, each.name)
        if dataclasses.is_dataclass(value):
            yield from walk(value, f"{prefix}{each.name}.")
        else:
            facts = each.metadata
            yield Setting(prefix + each.name, facts["kind"], value, facts["help"], facts["is_secret"])


def fill(section: T, values: Mapping[str, object], prefix: str = "") -> T:
    """A copy of a section with the settings that `values` holds by path."""
    changes: dict[str, object] = {}
    for each in dataclasses.fields(section):  # type: ignore[arg-type]
        current = getattr(section, each.name)
        if dataclasses.is_dataclass(current):
            changes[each.name] = fill(current, values, f"{prefix}{each.name}.")
        elif prefix + each.name in values:
            changes[each.name] = values[prefix + each.name]
    return dataclasses.replace(section, **changes)  # type: ignore[type-var]


def unknown(place: str, name: str, known: Iterable[str]) -> ConfigError:
    """The refusal of a name, with the nearest one that exists, or all of them where none is near."""
    names = sorted(known)
    near = _nearest(name, names, 0.6) or _by_last_word(name, names)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
    return ConfigError(f"{place}: {name} is not a setting; {hint}")


def read_secret(path: str) -> str:
    """A secret's file without the line end behind it. Raises ValueError."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(SECRET_FILE_MAX_BYTES + 1)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise ValueError(f"cannot read {path}: {reason}") from None
    secret = text.rstrip("\r\n")
    if not secret or len(text) > SECRET_FILE_MAX_BYTES:
        raise ValueError(f"{path} is empty" if not secret else f"{path} is over {SECRET_FILE_MAX_BYTES} bytes")
    return secret


# -- Kinds -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Text:
    """A text without control characters. With `check`, only what it accepts: it gives a complaint or None."""

    check: Callable[[str], str | None] | None = None
    is_secret: bool = False

    def parse(self, value: object) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ValueError(f"expected text{'' if self.is_secret else shown(value)}")
        text = str(value)
        if any(ord(char) < 32 or ord(char) == 127 for char in text):
            raise ValueError("expected text without control characters")
        complaint = self.check(text) if self.check else None
        if complaint:
            raise ValueError(complaint)
        return text


@dataclass(frozen=True, slots=True)
class Choice:
    names: tuple[str, ...]

    def parse(self, value: object) -> str:
        text = value.lower() if isinstance(value, str) else value
        if text not in self.names:
            raise ValueError(f"expected one of {', '.join(self.names)}{shown(value)}")
        return str(text)


@dataclass(frozen=True, slots=True)
class Flag:
    def parse(self, value: object) -> bool:
        if isinstance(value, bool):
            return value
        word = str(value).lower()
        if word not in _TRUE | _FALSE:
            raise ValueError(f"expected true or false{shown(value)}")
        return word in _TRUE


@dataclass(frozen=True, slots=True)
class Integer:
    minimum: int
    maximum: int

    def parse(self, value: object) -> int:
        number = _whole(value)
        if number is None or not self.minimum <= number <= self.maximum:
            raise ValueError(f"expected a whole number from {self.minimum} to {self.maximum}{shown(value)}")
        return number


@dataclass(frozen=True, slots=True)
class Size:
    """A number of bytes: 65536, "64KiB", "5 GB". Fractions are refused, for they hide rounding."""

    minimum: int
    maximum: int

    def parse(self, value: object) -> int:
        number = _whole(value)
        if number is None and isinstance(value, str):
            digits = value.strip().rstrip("BbIiKkMmGgTt ")
            unit = value.strip()[len(digits) :].strip().lower()
            count = _whole(digits)
            number = None if count is None or unit not in _UNITS else count * _UNITS[unit]
        if number is None or not self.minimum <= number <= self.maximum:
            raise ValueError(
                f'expected bytes from {self.minimum} to {self.maximum}, as a whole number or like "10GiB"{shown(value)}'
            )
        return number


@dataclass(frozen=True, slots=True)
class AutoOr:
    """The word "auto", or a value of another kind."""

    kind: Kind[int]

    def parse(self, value: object) -> int | Auto:
        if isinstance(value, str) and value.lower() == "auto":
            return "auto"
        try:
            return self.kind.parse(value)
        except ValueError as error:
            raise ValueError(str(error).replace("expected", "expected auto, or", 1)) from None


def host_and_port(text: str) -> tuple[str, int]:
    """Of "host:port", "[::1]:port" and ":port", whose host is empty. Raises: ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or not 0 < int(port[:6]) <= 65_535:
        raise ValueError(f"expected HOST:PORT or :PORT, not {text!r}")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError(f"expected brackets around an IPv6 address, [::1]:PORT, not {text!r}")
    return host.removeprefix("[").removesuffix("]"), int(port)


def chosen(value: int | Auto, automatic: T) -> int | T:
    """What a setting of the kind AutoOr says, or `automatic` where that is left to us."""
    return automatic if value == "auto" else value


@dataclass(frozen=True, slots=True)
class TextList:
    """A YAML list, or texts separated by commas. Blanks around each and empty ones are dropped."""

    item: Text = Text()

    def parse(self, value: object) -> tuple[str, ...]:
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, list | tuple):
            raise ValueError(f"expected a list, or texts separated by commas{shown(value)}")
        texts = (self.item.parse(part.strip() if isinstance(part, str) else part) for part in parts if part != "")
        return tuple(text for text in texts if text)


def shown(value: object) -> str:
    """The end of a complaint: what was written instead, cut where it is long."""
    text = "nothing" if value is None else repr(value)
    return f", not {text if len(text) <= 60 else text[:57] + '...'}"


def _whole(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    text = value.strip().replace("_", "") if isinstance(value, str) else ""
    is_number = text.isascii() and text.removeprefix("-").isdigit() and len(text) <= 20
    return int(text) if is_number else None


def _by_last_word(name: str, names: list[str]) -> list[str]:
    """A setting written in the wrong section is found by its own name."""
    last = name.rpartition(".")[2]
    by_last = {known.rpartition(".")[2]: known for known in names}
    return [by_last[near] for near in _nearest(last, by_last, 0.75)]


def _nearest(name: str, known: Iterable[str], cutoff: float) -> list[str]:
    """At most one. Imported here: most servers are configured without mistakes."""
    import difflib

    return difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
