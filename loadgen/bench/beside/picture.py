"""One picture of a run: growth in process and over HTTP, what a price costs to take in, what it takes to hold."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .drive import CONNECTIONS
from .in_process import Steps, median_step
from .over_http import BARE, BINARY, BINARY_SINK, FASTAPI, FASTAPI_JSON, JSON, PARSE, SINK, TENFOLD, OverHttp, find
from .tables import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Lines = dict[str, list[tuple[float, float]]]

OURS: Final = "#c2410c"
FLOOR: Final = "#9ca3af"
COLOURS: Final = {
    **dict.fromkeys((TENFOLD, JSON), OURS),
    **dict.fromkeys((BARE, SINK, BINARY_SINK), FLOOR),
    **dict.fromkeys(("segment tree", FASTAPI, FASTAPI_JSON), "#4b5563"),
    BINARY: "#7c2d12",
    PARSE: "#6b7280",
    "numpy": "#2563eb",
    "polars": "#0891b2",
    "pandas": "#7c3aed",
    "DuckDB": "#ca8a04",
    "pure Python": "#16a34a",
}

LEAST_APART: Final = 0.055
"""Of the height of a plot, between the labels of two lines."""


def draw(report: Report, path: Path) -> None:
    """Write the picture as PNG, or whatever the path's ending says.

    Raises:
        OSError: it cannot be written.
        ValueError: there is no such kind of picture.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - takes a second, which no run need wait for at its start
    from matplotlib.layout_engine import ConstrainedLayoutEngine  # noqa: PLC0415 - likewise

    figure = Figure(figsize=(13, 9), dpi=100, layout=ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.12))
    (growth, served), (ingest, memory) = figure.subplots(2, 2)
    http, steps, machine = report.over_http, report.in_process, report.machine
    title = "Eight windows after a batch of 10,000, in process"
    _draw_lines(growth, _growth(steps), title, "prices held", log_y=True)
    _draw_lines(served, _served(http), "A request for the longest window, over HTTP", "prices held")
    title = "Taking a price in, over HTTP"
    _draw_lines(ingest, _ingest(http), title, "prices in a batch", log_y=True)
    _draw_memory(memory, steps)
    figure.suptitle(
        f"{machine.cpu}, one core each; Python {machine.python}; medians of {report.effort.rounds} interleaved rounds",
        fontsize="medium",
        color="#4b5563",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def _gathered(points: Iterable[tuple[str, float, float]]) -> Lines:
    lines: Lines = {}
    for name, place, value in points:
        lines.setdefault(name, []).append((place, value))
    return lines


def _growth(steps: Steps) -> Lines:
    largest = max((pair.batch for pair in steps.pairs), default=0)
    pairs = [pair for pair in steps.pairs if pair.batch == largest and pair.theirs]
    ours = {pair.held: median_step(pair.ours).windows_us for pair in pairs}
    theirs = [(pair.rival, float(pair.held), median_step(pair.theirs).windows_us) for pair in pairs]
    return _gathered([*theirs, *((TENFOLD, float(held), value) for held, value in sorted(ours.items()))])


def _served(http: OverHttp) -> Lines:
    measured = [cell for cell in http.growth if cell.costs and cell.held]
    lines = _gathered((cell.contender, float(cell.held), cell.cpu_us) for cell in measured)
    bare = find(http.growth, BARE)
    if bare and measured:
        held = [float(cell.held) for cell in measured]
        lines[BARE] = [(min(held), bare.cpu_us), (max(held), bare.cpu_us)]
    return lines


def _ingest(http: OverHttp) -> Lines:
    measured = (cell for cell in http.batches if cell.costs and cell.connections == CONNECTIONS)
    return _gathered((cell.contender, float(cell.batch), cell.cpu_us / cell.batch) for cell in measured)


def _draw_memory(axes: Axes, steps: Steps) -> None:
    names = sorted(steps.bytes_a_price, key=lambda name: -steps.bytes_a_price[name])
    values = [steps.bytes_a_price[name] for name in names]
    bars = axes.barh(names, values, color=[COLOURS[name] for name in names], height=0.6)
    labels = [
        f"{value:.1f} B, {_power(steps.memory_held[name])} held" for name, value in zip(names, values, strict=True)
    ]
    axes.bar_label(bars, labels, padding=4, fontsize="small")
    axes.set_title("Memory a price", loc="left", fontweight="bold")
    axes.set(xlabel="bytes", xlim=(0, max([1.0, *values]) * 1.35))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", alpha=0.25)
    axes.set_axisbelow(True)


def _draw_lines(axes: Axes, lines: Lines, title: str, x: str, *, log_y: bool = False) -> None:
    """Each line in its colour, its name at its end."""
    axes.set(xscale="log", yscale="log" if log_y else "linear", xlabel=x, ylabel="CPU time")
    axes.set_title(title, loc="left", fontweight="bold")
    for name, points in lines.items():
        width, style = 2.6 if name.startswith(TENFOLD) else 1.4, "--" if COLOURS[name] == FLOOR else "o-"
        axes.plot(*zip(*points, strict=True), style, markersize=4, linewidth=width, color=COLOURS[name])
    if not log_y:
        axes.set_ylim(0, None)
    axes.yaxis.set_major_formatter(lambda value, _: _time(value))
    axes.xaxis.set_major_formatter(lambda value, _: _power(value))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.get_ylim()  # has the limits computed, which the transformation depends on
    to_share = axes.transAxes.inverted()
    heights = {name: float(to_share.transform(axes.transData.transform(end[-1]))[1]) for name, end in lines.items()}
    below = -1.0
    for name in sorted(heights, key=lambda name: heights[name]):
        below = max(heights[name], below + LEAST_APART)  # moved up where two would overlap
        weight = "bold" if name.startswith(TENFOLD) else "normal"
        place, colour = axes.transAxes, COLOURS[name]
        axes.text(1.02, below, name, transform=place, color=colour, va="center", fontsize="small", fontweight=weight)


def _time(microseconds: float) -> str:
    for unit, size in (("s", 1e6), ("ms", 1e3), ("µs", 1.0)):
        if microseconds >= size:
            return f"{microseconds / size:g} {unit}"
    return f"{microseconds * 1e3:g} ns" if microseconds else "0"


def _power(value: float) -> str:
    """A power of ten as such, another number plainly."""
    digits = f"{value:.0f}"
    zeros = len(digits) - 1
    return f"$10^{zeros}$" if digits == "1" + "0" * zeros and zeros > 1 else f"{value:,.0f}"
