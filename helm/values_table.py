"""The table of values in the chart's README, from values.yaml: what stands behind a value or above it describes it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_LINE = re.compile(r"(?P<indent> *)(?P<key>[A-Za-z]+):(?P<rest>( .*)?)$")


@dataclass(frozen=True, slots=True)
class Row:
    """`default` is None for a section."""

    path: str
    default: str | None
    text: str


def values_table(text: str) -> str:
    """Markdown. A section has a row of its own where something is said about it."""
    lines = ["| Value | Default | |", "|---|---|---|"]
    for row in rows(text):
        if row.default is not None or row.text:
            default = "" if row.default is None else f"`{row.default}`"
            lines.append(f"| `{row.path}` | {_escaped(default)} | {_escaped(row.text)} |")
    return "\n".join(lines) + "\n"


def rows(text: str) -> Iterator[Row]:
    """One for every key of the file, in order; flow mappings are values."""
    above: list[str] = []
    path: list[tuple[int, str]] = []
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is None:
            above = [*above, line.strip("# ")] if line.lstrip().startswith("#") else []
            continue
        depth = len(match["indent"])
        path = [*((at, name) for at, name in path if at < depth), (depth, match["key"])]
        value, _, behind = match["rest"].partition(" # ")  # no value of ours holds that
        said = " ".join(part for part in (" ".join(above), behind.strip()) if part)
        yield Row(".".join(name for _, name in path), value.strip() or None, said)
        above = []


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
