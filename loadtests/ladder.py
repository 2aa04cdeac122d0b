"""What a report on growth found: one measurement for each step of an axis and each question, and what a server of that size is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from loadtests.measure import Result, median_of

# What is counted on each axis, for readers.
AXES = {
    "keys": "keys in one bucket",
    "buckets": "buckets of one owner",
    "users": "users, each with a bucket",
    "clients": "clients at once",
}
WORSE_FROM = 1.5  # so many times the cost of the cheapest smaller step, and a reader is told


@dataclass(frozen=True)
class Measured:
    """One question at one step of an axis."""

    axis: str
    at: int
    question: str
    rounds: list[Result]

    @property
    def median(self) -> Result:
        return median_of(self.rounds)

    @property
    def cpu_us(self) -> float:
        """The least of the rounds: what else the machine does only adds to it."""
        return min((each.server_cpu_us or 0.0 for each in self.rounds if each.requests), default=0.0)


@dataclass(frozen=True)
class Size:
    """The server at one step, before and after the questions."""

    axis: str
    at: int
    fill_s: float
    start_s: float  # until it answers, after an ordinary stop
    start_cpu_s: float
    crash_start_s: float  # the same after SIGKILL, with what the questions wrote in the log
    idle_mb: float  # PSS of the tree
    used_mb: float  # after the questions
    database_mb: float


@dataclass
class Growth:
    """`conditions` are for readers: "kernel" -> "6.1.0"."""

    conditions: dict[str, str]
    measured: list[Measured] = field(default_factory=list)
    sizes: list[Size] = field(default_factory=list)

    def axes(self) -> list[str]:
        """Those that were measured."""
        there = {each.axis for each in self.measured}
        return [axis for axis in AXES if axis in there]

    def questions(self, axis: str) -> list[str]:
        return list(dict.fromkeys(each.question for each in self.measured if each.axis == axis))

    def curve(self, axis: str, question: str) -> list[Measured]:
        """By step, ascending."""
        found = [each for each in self.measured if (each.axis, each.question) == (axis, question)]
        return sorted(found, key=lambda each: each.at)

    def sizes_of(self, axis: str) -> list[Size]:
        return sorted((each for each in self.sizes if each.axis == axis), key=lambda each: each.at)

    def failed(self) -> list[Measured]:
        return [each for each in self.measured if each.median.errors or not each.median.requests]

    def take(self, other: Growth) -> None:
        """The axes that the other has instead of ours."""
        theirs = other.axes()
        self.measured = [each for each in self.measured if each.axis not in theirs] + other.measured
        self.sizes = [each for each in self.sizes if each.axis not in theirs] + other.sizes


def growth_of(curve: Sequence[Measured]) -> float | None:
    """Processor time at the last step, × the least of the steps before it; None where there is nothing to compare."""
    costs = [each.cpu_us for each in curve]
    least = min(costs[:-1], default=0.0)
    return costs[-1] / least if least and costs[-1] else None


def text(growth: Growth) -> str:
    """Tables in Markdown: for a terminal and for a document."""
    parts = ["\n".join(f"* {name}: {value}" for name, value in growth.conditions.items())]
    for axis in growth.axes():
        parts += [_costs(growth, axis), _times(growth, axis)]
        if growth.sizes_of(axis):
            parts.append(_sizes(growth, axis))
    return "\n\n".join(parts)


def _costs(growth: Growth, axis: str) -> str:
    """A row for each question, a column for each step."""
    steps = sorted({each.at for each in growth.measured if each.axis == axis})
    lines = [
        f"**CPU µs for one operation, by {AXES[axis]}**",
        "",
        _row("", *(f"{at:,}" for at in steps), "last ÷ least"),
    ]
    lines.append("|---|" + "---:|" * (len(steps) + 1))
    for question in growth.questions(axis):
        curve = growth.curve(axis, question)
        by_step = {each.at: each.cpu_us for each in curve}
        cells = [f"{by_step[at]:,.0f}" if by_step.get(at) else "–" for at in steps]
        factor = growth_of(curve)
        told = "–" if factor is None else f"**{factor:.2f}**" if factor >= WORSE_FROM else f"{factor:.2f}"
        lines.append(_row(question, *cells, told))
    return "\n".join(lines)


def _times(growth: Growth, axis: str) -> str:
    steps = sorted({each.at for each in growth.measured if each.axis == axis})
    title = f"**ops/s · p50 · p99 ms, by {AXES[axis]}** (medians of the rounds)"
    lines = [title, "", _row("", *(f"{at:,}" for at in steps)), "|---|" + "---:|" * len(steps)]
    for question in growth.questions(axis):
        by_step = {each.at: each.median for each in growth.curve(axis, question)}
        lines.append(_row(question, *(_brief(by_step[at]) if at in by_step else "–" for at in steps)))
    return "\n".join(lines)


def _sizes(growth: Growth, axis: str) -> str:
    sizes = growth.sizes_of(axis)
    rows = {
        "start, s": [f"{each.start_s:.2f}" for each in sizes],
        "… its CPU, s": [f"{each.start_cpu_s:.2f}" for each in sizes],
        "start after SIGKILL, s": [f"{each.crash_start_s:.2f}" for each in sizes],
        "memory idle, MB": [f"{each.idle_mb:.0f}" for each in sizes],
        "memory after the questions, MB": [f"{each.used_mb:.0f}" for each in sizes],
        "database, MB": [f"{each.database_mb:,.1f}" for each in sizes],
    }
    lines = [f"**The server, by {AXES[axis]}**", "", _row("", *(f"{each.at:,}" for each in sizes))]
    lines.append("|---|" + "---:|" * len(sizes))
    return "\n".join([*lines, *(_row(name, *cells) for name, cells in rows.items())])


def _brief(result: Result) -> str:
    return f"{result.ops_per_s:,.0f} · {result.p50_ms:.1f} · {result.p99_ms:.1f}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def write(growth: Growth, path: Path) -> None:
    path.write_text(json.dumps(asdict(growth), indent=1) + "\n")


def read(path: Path) -> Growth:
    """Raises: ValueError for what `write` has not written."""
    try:
        document = json.loads(path.read_text())
        measured = [
            Measured(each["axis"], each["at"], each["question"], [Result(**entry) for entry in each["rounds"]])
            for each in document["measured"]
        ]
        return Growth(document["conditions"], measured, [Size(**each) for each in document["sizes"]])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} holds no report on growth: {error!r}") from error
