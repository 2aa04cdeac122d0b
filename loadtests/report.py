"""A comparison as text."""

from __future__ import annotations

from collections.abc import Iterator

from loadtests.results import OTHERS_SHARE_MAX, Cell, Comparison, Spread

NAME_WIDTH = 14


def text(comparison: Comparison) -> str:
    """Everything, for a terminal of 150 columns."""
    parts = [_conditions(comparison), *map("\n".join, _blocks(comparison)), memory(comparison), _legend(comparison)]
    return "\n\n".join(parts)


def ratio_text(spread: Spread | None) -> str:
    """ "3.97 (3.80 – 4.11)"."""
    return "–" if spread is None else f"{_ratio(spread.median)} ({_ratio(spread.least)} – {_ratio(spread.most)})"


def notes(comparison: Comparison, cell: Cell) -> str:
    """What a reader of the figures must know."""
    others = cell.median("others_share")
    told = []
    if not cell.rounds or cell.errors:
        told.append(f"FAILED: {cell.first_error or 'not measured'}"[:160])
    if comparison.is_client_bound(cell):
        told.append("client-bound: CPU decides")
    if others is not None and others > OTHERS_SHARE_MAX:
        told.append(f"others took {others:.0%}")
    if any(each.ran_out for each in cell.rounds):
        told.append("all requests sent early")
    return "; ".join(told)


def number(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def megabytes_per_s(cell: Cell) -> float | None:
    """Of the rounds' median."""
    rates = sorted(each.bytes / each.elapsed_s / 1e6 for each in cell.rounds if each.bytes and each.elapsed_s)
    return rates[len(rates) // 2] if rates else None


def _conditions(comparison: Comparison) -> str:
    width = max(map(len, comparison.conditions), default=0)
    lines = [f"{name:{width}}  {value}" for name, value in comparison.conditions.items()]
    for server in comparison.servers:
        processes = "" if server.processes is None else f", {server.processes} processes"
        lines.append(f"{server.name:{width}}  {server.description}{processes}")
    return "\n".join(lines)


def _blocks(comparison: Comparison) -> Iterator[list[str]]:
    """The table's head, then the lines of each case."""
    base = f"× {comparison.base}"
    yield [
        f"{'':{NAME_WIDTH}}{'ops/s':>9}{'MB/s':>9}  {f'{base} (min – max)':24}{'p50':>8}{'p95':>8}{'p99 ms':>9}"
        f"{'CPU µs':>9}  {f'{base} (min – max)':24}{'client µs':>10}{'errors':>8}  notes"
    ]
    for case in comparison.cases():
        cells = [each for each in comparison.cells if each.case == case]
        yield [f"{case}, by {'wrk' if cells[0].client == 'wrk' else 'our own client'}", *_lines(comparison, cells)]


def _lines(comparison: Comparison, cells: list[Cell]) -> Iterator[str]:
    for cell in cells:
        is_base = cell.server == comparison.base
        ops, cpu = ("", "") if is_base else (_of(comparison, cell, "ops_per_s"), _of(comparison, cell, "server_cpu_us"))
        ops_per_s = cell.median("ops_per_s")
        yield (
            f"  {cell.server:{NAME_WIDTH - 2}}{number(ops_per_s, 1 if (ops_per_s or 0) < 100 else 0):>9}"
            f"{number(megabytes_per_s(cell), 1):>9}  {ops:24}"
            f"{_time(cell, 'p50_ms'):>8}{_time(cell, 'p95_ms'):>8}{_time(cell, 'p99_ms'):>9}"
            f"{number(cell.median('server_cpu_us')):>9}  {cpu:24}{number(cell.median('client_cpu_us')):>10}"
            f"{cell.errors:>8}  {notes(comparison, cell)}"
        ).rstrip()


def _of(comparison: Comparison, cell: Cell, figure: str) -> str:
    return ratio_text(comparison.ratio(cell, figure))


def memory(comparison: Comparison) -> str:
    lines = [f"{'PSS, MB':{NAME_WIDTH}}{'idle':>8}{'largest':>9}{'afterwards':>12}   one worker, started, used"]
    for server in comparison.servers:
        memory = server.memory
        lines.append(
            f"  {server.name:{NAME_WIDTH - 2}}{number(memory.idle_mb, 1):>8}{number(memory.largest_mb, 1):>9}"
            f"{number(memory.after_mb, 1):>12}   {number(memory.one_worker_idle_mb, 1)}, {number(memory.one_worker_used_mb, 1)}"
        )
    return "\n".join(lines)


def _legend(comparison: Comparison) -> str:
    rounds = max((len(each.rounds) for each in comparison.cells), default=0)
    return (
        f"Medians of {rounds} round{'s' if rounds != 1 else ''}. A ratio is of two measurements of one round; its median, "
        f"least and most are given.\nCPU is of the server's processes, for one operation; of two ratios of CPU the smaller is the better."
    )


def _time(cell: Cell, figure: str) -> str:
    value = cell.median(figure)
    return number(value, 2 if (value or 0.0) < 1_000 else 0)


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"
