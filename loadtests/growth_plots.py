"""Growth as pictures (PNG): one for each axis, one for what a server of that size is. Needs matplotlib."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from loadtests.ladder import AXES, Growth
from loadtests.plots import COLOURS

WIDTH_IN, HEIGHT_IN = 8.0, 4.2
DPI = 90
LAST_COLOUR = "#65a30d"


def write(growth: Growth, stem: Path) -> list[Path]:
    """STEM-keys.png and so on; gives their paths."""
    pictures = {axis: _costs(growth, axis) for axis in growth.axes()}
    if growth.sizes_of("keys"):
        pictures["size"] = _sizes(growth)
    paths = []
    for name, figure in pictures.items():
        path = stem.with_name(f"{stem.name}-{name}.png")
        path.write_bytes(_png(figure))
        paths.append(path)
    return paths


def _costs(growth: Growth, axis: str) -> Figure:
    figure, axes = _empty(f"Processor time of the server for one operation, µs, by {AXES[axis]}")
    for colour, question in zip((*COLOURS, LAST_COLOUR), growth.questions(axis), strict=False):
        curve = [each for each in growth.curve(axis, question) if each.cpu_us]
        axes.plot([each.at for each in curve], [each.cpu_us for each in curve], "o-", color=colour, label=question)
    _finish(axes)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    return figure


def _sizes(growth: Growth) -> Figure:
    """Start and memory, each against its first step: a line that stays at 1 does not grow."""
    figure, axes = _empty("Start and memory, × the smallest step, by number of keys or users")
    for colour, axis, name, attribute in (
        (COLOURS[0], "keys", "start", "start_s"),
        (COLOURS[1], "keys", "start after SIGKILL", "crash_start_s"),
        (COLOURS[2], "keys", "memory after the questions", "used_mb"),
        (COLOURS[3], "users", "start", "start_s"),
        (COLOURS[4], "users", "memory after the questions", "used_mb"),
    ):
        sizes = growth.sizes_of(axis)
        if sizes:
            values = [getattr(each, attribute) for each in sizes]
            axes.plot(
                [each.at for each in sizes],
                [value / values[0] for value in values],
                "o-",
                color=colour,
                label=f"{axis}: {name}",
            )
    _finish(axes)
    axes.set_ylim(bottom=0)
    return figure


def _empty(title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=10, loc="left")
    axes.grid(which="major", color="#d6d3d1", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _finish(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.legend(fontsize=8, frameon=False, loc="best")


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()
