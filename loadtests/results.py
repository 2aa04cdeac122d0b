"""What a comparison found, and the arithmetic over it. Round n of one server is set against round n of the other."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from loadtests.measure import Result

CLIENT_SHARE_MAX = 0.45  # of all cores; more than this of client leaves no server to measure
OTHERS_SHARE_MAX = 0.05  # more than this for others, and a figure is marked


@dataclass(frozen=True)
class Round(Result):
    """One measurement of a cell. `bytes` are of objects, over the wire."""

    elapsed_s: float
    bytes: int
    ran_out: bool  # every prepared request was sent before the time was over; the rate is taken over the shorter time


@dataclass(frozen=True)
class Cell:
    """One case at one server."""

    case: str
    server: str
    client: str  # "wrk" or "own"
    rounds: list[Round]

    def median(self, figure: str) -> float | None:
        """Of the rounds in which it is known."""
        values = [value for value in (getattr(each, figure) for each in self.rounds) if value is not None]
        return statistics.median(values) if values else None

    @property
    def errors(self) -> int:
        return sum(each.errors for each in self.rounds)

    @property
    def first_error(self) -> str:
        return next((each.first_error for each in self.rounds if each.first_error), "")


@dataclass
class Memory:
    """Proportional set size of the whole tree, MB; None where it is not known."""

    idle_mb: float | None = None
    one_worker_idle_mb: float | None = None  # just started
    one_worker_used_mb: float | None = None  # after a few requests
    largest_mb: float | None = None  # after any round
    after_mb: float | None = None  # when all was over


@dataclass
class ServerFacts:
    name: str
    description: str
    processes: int | None
    memory: Memory = field(default_factory=Memory)


@dataclass(frozen=True)
class Spread:
    """Of one ratio per round."""

    least: float
    median: float
    most: float


@dataclass
class Comparison:
    """`conditions` are for readers: "kernel" -> "6.1.0"."""

    base: str
    cores: int
    conditions: dict[str, str]
    servers: list[ServerFacts]
    cells: list[Cell] = field(default_factory=list)

    def cell(self, case: str, server: str) -> Cell | None:
        return next((each for each in self.cells if (each.case, each.server) == (case, server)), None)

    def cases(self) -> list[str]:
        """In the order in which they were measured."""
        return list(dict.fromkeys(each.case for each in self.cells))

    def ratio(self, cell: Cell, figure: str) -> Spread | None:
        """To the base's, of "ops_per_s" and the like."""
        base = self.cell(cell.case, self.base)
        return None if base is None else ratios(cell.rounds, base.rounds, figure)

    def is_client_bound(self, cell: Cell) -> bool:
        return client_is_the_limit(
            cell.median("ops_per_s") or 0.0,
            cell.median("client_cpu_us") or 0.0,
            cell.median("server_cpu_us"),
            self.cores,
        )

    def failed(self) -> list[Cell]:
        return [each for each in self.cells if each.errors or not each.rounds]


def ratios(rounds: Sequence[Result], base: Sequence[Result], figure: str) -> Spread | None:
    """Of the rounds in which both have a figure; None where there is none."""
    pairs = [(getattr(ours, figure), getattr(theirs, figure)) for ours, theirs in zip(rounds, base, strict=False)]
    values = [ours / theirs for ours, theirs in pairs if ours and theirs]
    return Spread(min(values), statistics.median(values), max(values)) if values else None


def client_is_the_limit(ops_per_s: float, client_cpu_us: float, server_cpu_us: float | None, cores: int) -> bool:
    """Whether the client used so much of the machine, or more than the server, that operations per second say little."""
    if ops_per_s * client_cpu_us / 1e6 > CLIENT_SHARE_MAX * cores:
        return True
    return server_cpu_us is not None and client_cpu_us > server_cpu_us


def write(comparison: Comparison, path: Path) -> None:
    path.write_text(json.dumps(asdict(comparison), indent=1) + "\n")


def read(path: Path) -> Comparison:
    """Raises: ValueError for what `write` has not written."""
    try:
        return _comparison(json.loads(path.read_text()))
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} holds no comparison: {error!r}") from error


def _comparison(document: Mapping[str, Any]) -> Comparison:
    servers = [
        ServerFacts(each["name"], each["description"], each["processes"], Memory(**each["memory"]))
        for each in document["servers"]
    ]
    cells = [
        Cell(each["case"], each["server"], each["client"], [Round(**entry) for entry in each["rounds"]])
        for each in document["cells"]
    ]
    return Comparison(document["base"], document["cores"], document["conditions"], servers, cells)
