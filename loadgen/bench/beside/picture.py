"""One picture of a run: growth in process and over HTTP, what a price costs to take in, what it takes to hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from .drive import CONNECTIONS
from .in_process import Steps, median_step
from .over_http import BARE, BINARY, BINARY_SINK, FASTAPI, FASTAPI_JSON, JSON, PARSE, SINK, TENFOLD, OverHttp, find
from .tables import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OURS: Final = "#c2410c"
FLOOR: Final = "#9ca3af"
COLOURS: Final = {
    "tenfold": OURS,
    JSON: OURS,
    BINARY: "#7c2d12",
    "numpy": "#2563eb",
    "polars": "#0891b2",
    "pandas": "#7c3aed",
    "DuckDB": "#ca8a04",
    "pure Python": "#16a34a",
    "segment tree": "#4b5563",
    FASTAPI: "#4b5563",
    FASTAPI_JSON: "#4b5563",
    BARE: FLOOR,
    SINK: FLOOR,
    BINARY_SINK: FLOOR,
    PARSE: "#6b7280",
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
    _draw_growth(growth, report.in_process)
    _draw_served(served, report.over_http)
    _draw_ingest(ingest, report.over_http)
    _draw_memory(memory, report.in_process)
    machine = report.machine
    figure.suptitle(
        f"{machine.cpu}, one core each; Python {machine.python}; medians of {report.effort.rounds} interleaved rounds",
        fontsize="medium",
        color="#4b5563",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def _draw_growth(axes: Axes, steps: Steps) -> None:
    largest = max((pair.batch for pair in steps.pairs), default=0)
    pairs = [pair for pair in steps.pairs if pair.batch == largest and pair.theirs]
    lines: dict[str, list[tuple[float, float]]] = {}
    for pair in pairs:
        lines.setdefault(pair.rival, []).append((pair.held, median_step(pair.theirs).windows_us))
    ours = {pair.held: median_step(pair.ours).windows_us for pair in pairs}
    if ours:
        lines["tenfold"] = sorted(ours.items())
    _draw_lines(axes, lines, log_y=True)
    axes.set_title("Eight windows after a batch of 10,000, in process", loc="left", fontweight="bold")
    axes.set(xlabel="prices held", ylabel="CPU time")


def _draw_served(axes: Axes, http: OverHttp) -> None:
    longest = max((cell.k for cell in http.growth), default=0)
    lines: dict[str, list[tuple[float, float]]] = {}
    for cell in http.growth:
        if cell.costs and cell.held and cell.k == longest:
            lines.setdefault(cell.contender, []).append((cell.held, cell.cpu_us))
    bare = find(http.growth, BARE)
    if bare and TENFOLD in lines:
        held = [place for place, _ in lines[TENFOLD]]
        lines[BARE] = [(held[0], bare.cpu_us), (held[-1], bare.cpu_us)]
    _draw_lines(axes, lines, log_y=False)
    axes.set_title(f"One window of up to $\\mathbf{{10^{longest}}}$ prices, over HTTP", loc="left", fontweight="bold")
    axes.set(xlabel="prices held", ylabel="CPU time of a request")


def _draw_ingest(axes: Axes, http: OverHttp) -> None:
    lines: dict[str, list[tuple[float, float]]] = {}
    for cell in http.batches:
        if cell.costs and cell.connections == CONNECTIONS:
            lines.setdefault(cell.contender, []).append((cell.batch, cell.cpu_us / cell.batch))
    _draw_lines(axes, lines, log_y=True)
    axes.set_title("Taking prices in, over HTTP", loc="left", fontweight="bold")
    axes.set(xlabel="prices in a batch", ylabel="CPU time a price")


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


def _draw_lines(axes: Axes, lines: dict[str, list[tuple[float, float]]], *, log_y: bool) -> None:
    """Each line in its colour, its name at its end."""
    axes.set(xscale="log", yscale="log" if log_y else "linear")
    for name, points in lines.items():
        ours = COLOURS[name] == OURS or name.startswith("tenfold")
        places, values = zip(*points, strict=True)
        floor = COLOURS[name] == FLOOR
        axes.plot(
            places,
            values,
            "--" if floor else "-",
            marker="" if floor else "o",
            markersize=5 if ours else 4,
            linewidth=2.6 if ours else 1.4,
            color=COLOURS[name],
            zorder=3 if ours else 2,
        )
    if not log_y:
        axes.set_ylim(0, None)
    axes.yaxis.set_major_formatter(lambda value, _: _time(value))
    axes.xaxis.set_major_formatter(lambda value, _: _power(value))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    _label_ends(axes, lines)


def _label_ends(axes: Axes, lines: dict[str, list[tuple[float, float]]]) -> None:
    """Write each name right of its line's end, moved up where two would overlap."""
    axes.get_ylim()  # has the limits computed, which the transformation depends on
    to_share = axes.transAxes.inverted()
    ends = sorted(
        (float(to_share.transform(axes.transData.transform(points[-1]))[1]), name) for name, points in lines.items()
    )
    below = -1.0
    for height, name in ends:
        below = max(height, below + LEAST_APART)
        axes.text(
            1.02,
            below,
            name,
            transform=axes.transAxes,
            color=COLOURS[name],
            va="center",
            fontsize="small",
            fontweight="bold" if name.startswith("tenfold") else "normal",
        )


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
