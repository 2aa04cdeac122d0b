"""A comparison as pictures (PNG) and as one HTML page that holds them and the table. Needs matplotlib."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from loadtests import report
from loadtests.results import Cell, Comparison, Memory

COLOURS = ("#0f766e", "#c2410c", "#4338ca", "#a16207", "#be185d", "#475569")
WIDTH_IN = 10.0
BAR_IN = 0.17
DPI = 130
BOUND_HATCH = "////"

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 82rem; padding: 0 1rem; color: #1c1917; }
table { border-collapse: collapse; font-size: 13px; }
th, td { padding: .15rem .6rem; text-align: right; white-space: nowrap; }
th { position: sticky; top: 0; background: #fff; border-bottom: 2px solid #1c1917; }
td:first-child, th:first-child, td:nth-child(2), th:nth-child(2), td:last-child, th:last-child, .facts td { text-align: left; }
.facts td { white-space: normal; }
tr.case td { border-top: 1px solid #d6d3d1; }
img { max-width: 100%; }
"""


def write(comparison: Comparison, stem: Path) -> list[Path]:
    """STEM-throughput.png and so on, and STEM.html; gives their paths."""
    pictures = {name: _png(draw(comparison)) for name, draw in _PICTURES.items()}
    paths = [stem.with_name(f"{stem.name}-{name}.png") for name in pictures]
    for path, content in zip(paths, pictures.values(), strict=True):
        path.write_bytes(content)
    page = stem.with_name(f"{stem.name}.html")
    page.write_text(_page(comparison, pictures))
    return [*paths, page]


# -- pictures ------------------------------------------------------------------------------------------------------


def _throughput(comparison: Comparison) -> Figure:
    """Bars from 1 to the median ratio to the base, whiskers from the least to the most."""
    names = [server.name for server in comparison.servers if server.name != comparison.base]

    def bar(cell: Cell) -> tuple[float, float, float] | None:
        spread = comparison.ratio(cell, "ops_per_s")
        return None if spread is None else (spread.median, spread.least, spread.most)

    title = f"Operations per second, × {comparison.base} (hatched: the client was the limit)"
    return _grouped(comparison, names, bar, title, one_is_marked=True)


def _cpu(comparison: Comparison) -> Figure:
    return _figure_of(comparison, "server_cpu_us", "Processor time of the server for one operation, µs: less is better")


def _latency(comparison: Comparison) -> Figure:
    return _figure_of(comparison, "p99_ms", "99th percentile of the time for an answer, ms: less is better")


def _figure_of(comparison: Comparison, figure: str, title: str) -> Figure:
    def bar(cell: Cell) -> tuple[float, float, float] | None:
        values = [value for value in (getattr(each, figure) for each in cell.rounds) if value]
        median = cell.median(figure)
        return (median, min(values), max(values)) if values and median else None

    return _grouped(comparison, [server.name for server in comparison.servers], bar, title)


def _grouped(
    comparison: Comparison,
    names: Sequence[str],
    bar: Callable[[Cell], tuple[float, float, float] | None],
    title: str,
    *,
    one_is_marked: bool = False,
) -> Figure:
    """A group of bars for each case, on a logarithmic axis. `bar` gives a bar's length and the ends of its whisker."""
    cases = comparison.cases()
    figure, axes = _empty(len(cases) * (len(names) + 1), title)
    for place, name in enumerate(names):
        for row, case in enumerate(cases):
            cell = comparison.cell(case, name)
            found = bar(cell) if cell else None
            if cell is None or found is None:
                continue
            length, least, most = found
            start = 1.0 if one_is_marked else 0.0
            axes.barh(
                row * (len(names) + 1) + place, length - start, left=start, height=0.9, color=_colour(comparison, name),
                xerr=[[length - least], [most - length]], error_kw={"elinewidth": 0.8, "ecolor": "#1c1917"},
                hatch=BOUND_HATCH if comparison.is_client_bound(cell) else None, edgecolor="white", linewidth=0,
                label=name if name not in axes.get_legend_handles_labels()[1] else None,
            )  # fmt: skip
            axes.annotate(
                report.number(length, 0 if length >= 100 else 2),
                (max(most, start), row * (len(names) + 1) + place),
                xytext=(4, 0), textcoords="offset points", va="center", fontsize=7,
            )  # fmt: skip
    middles = [row * (len(names) + 1) + (len(names) - 1) / 2 for row in range(len(cases))]
    axes.set_yticks(middles, cases, fontsize=8)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params(axis="x", labelsize=8)
    if one_is_marked:
        axes.axvline(1.0, color="#1c1917", linewidth=1)
    _finish(axes)
    return figure


def _memory(comparison: Comparison) -> Figure:
    kinds: dict[str, Callable[[Memory], float | None]] = {
        "idle": lambda memory: memory.idle_mb,
        "one worker, idle": lambda memory: memory.one_worker_idle_mb,
        "largest after a round": lambda memory: memory.largest_mb,
        "afterwards": lambda memory: memory.after_mb,
    }
    servers = comparison.servers
    figure, axes = _empty(len(kinds) * (len(servers) + 1), "Memory of all processes (PSS), MB: less is better")
    for place, server in enumerate(servers):
        rows = [row * (len(servers) + 1) + place for row in range(len(kinds))]
        lengths = [kind(server.memory) or 0.0 for kind in kinds.values()]
        bars = axes.barh(rows, lengths, height=0.9, color=_colour(comparison, server.name), label=server.name)
        axes.bar_label(bars, [report.number(length) if length else "" for length in lengths], padding=4, fontsize=7)
    middles = [row * (len(servers) + 1) + (len(servers) - 1) / 2 for row in range(len(kinds))]
    axes.set_yticks(middles, list(kinds), fontsize=8)
    _finish(axes)
    return figure


_PICTURES = {"throughput": _throughput, "cpu": _cpu, "latency": _latency, "memory": _memory}


def _empty(bars: int, title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH_IN, 1.2 + BAR_IN * max(bars, 6)), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=10, loc="left")
    axes.grid(axis="x", which="major", color="#d6d3d1", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _finish(axes: Axes) -> None:
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.12)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize=8, frameon=False, loc="best")


def _colour(comparison: Comparison, name: str) -> str:
    """The same in all pictures."""
    return COLOURS[[server.name for server in comparison.servers].index(name) % len(COLOURS)]


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()


# -- the page ------------------------------------------------------------------------------------------------------


def _page(comparison: Comparison, pictures: dict[str, bytes]) -> str:
    facts = [*comparison.conditions.items(), *((server.name, server.description) for server in comparison.servers)]
    images = "".join(
        f'<p><img alt="{name}" src="data:image/png;base64,{base64.b64encode(content).decode()}"></p>\n'
        for name, content in pictures.items()
    )
    names = " and ".join([", ".join(server.name for server in comparison.servers[:-1]), comparison.servers[-1].name])
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{html.escape(names)}</title><style>{_STYLE}</style></head><body>
<h1>{html.escape(names)}</h1>
<table class="facts">{"".join(_row(fact) for fact in facts)}</table>
{images}<table>{_row(_head(comparison), "th")}
{"".join(_rows(comparison))}</table>
<p>Medians over the rounds; a ratio is of two measurements of one round, with its least and its most. Of two ratios of
processor time the smaller is the better.</p>
<pre>{html.escape(report.memory(comparison))}</pre>
</body></html>
"""


def _head(comparison: Comparison) -> Sequence[str]:
    base = f"× {comparison.base}"
    return (
        "case", "server", "ops/s", "MB/s", f"{base} (min – max)", "p50 ms", "p95 ms", "p99 ms", "CPU µs",
        f"{base} (min – max)", "client µs", "errors", "notes",
    )  # fmt: skip


def _rows(comparison: Comparison) -> Iterable[str]:
    for case in comparison.cases():
        for place, cell in enumerate(each for each in comparison.cells if each.case == case):
            ratios = [comparison.ratio(cell, figure) for figure in ("ops_per_s", "server_cpu_us")]
            ops, cpu = ("" if cell.server == comparison.base else report.ratio_text(each) for each in ratios)
            values = (
                "" if place else case, cell.server, report.number(cell.median("ops_per_s"), 1),
                report.number(report.megabytes_per_s(cell), 1), ops, report.number(cell.median("p50_ms"), 2),
                report.number(cell.median("p95_ms"), 2), report.number(cell.median("p99_ms"), 2),
                report.number(cell.median("server_cpu_us")), cpu, report.number(cell.median("client_cpu_us")),
                str(cell.errors), report.notes(comparison, cell),
            )  # fmt: skip
            yield _row(values, of="" if place else ' class="case"')


def _row(values: Iterable[str], tag: str = "td", of: str = "") -> str:
    return f"<tr{of}>{''.join(f'<{tag}>{html.escape(value)}</{tag}>' for value in values)}</tr>\n"
