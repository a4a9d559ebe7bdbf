"""One picture of a run: how latencies are distributed, and how they and the throughput went over time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from loadgen.load.outcome import Outcome
from loadgen.load.recorder import ENDPOINTS, Histogram, middle

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS: Final = {"add_batch": "#d95f02", "stats": "#1b9e77"}
_NINES: Final = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)


def write_plot(outcome: Outcome, path: str) -> None:
    """Draw the picture as PNG, or whatever the path's ending says.

    Raises:
        OSError: it cannot be written.
        ValueError: there is no such kind of picture.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - takes a second; who wants no picture need not wait for it

    figure = Figure(figsize=(10, 9), dpi=80, layout="constrained")
    distribution, time, rate = figure.subplots(3, 1, height_ratios=[1.4, 1, 1])
    names = [name for name in ENDPOINTS if outcome.endpoints[name].response.count]
    plan = outcome.plan
    figure.suptitle(
        f"{len(plan.symbols)} symbols, batches of {plan.sizes} at {plan.rate}, polls at {plan.poll_rate}: "
        f"{outcome.right:,} answers right, {outcome.wrong:,} wrong, {outcome.unchecked:,} unchecked",
        fontsize="medium",
    )
    for name in names:
        endpoint = outcome.endpoints[name]
        _draw_distribution(distribution, endpoint.response, "-", name, f"{name}, response time")
        _draw_distribution(distribution, endpoint.service, ":", name, f"{name}, service time")
        _draw_seconds(time, rate, outcome, name)
    distribution.set(yscale="log", ylabel="latency", xlabel="share of answers at most so slow")
    distribution.set_xticks([_nines(share) for share in _NINES], [f"{share * 100:g} %" for share in _NINES])
    time.set(yscale="log", ylabel="response time", xlabel="second of the run")
    rate.set(ylabel="answers / s", xlabel="second of the run", ylim=(0, None))
    for axes in (distribution, time):
        axes.yaxis.set_major_formatter(lambda value, _: _axis(value))
        axes.yaxis.set_minor_formatter(lambda value, _: _axis(value) if f"{value:e}"[0] in "25" else "")
    for axes in (distribution, time, rate):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        if names:
            axes.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(path)


def _draw_distribution(axes: Axes, histogram: Histogram, style: str, name: str, label: str) -> None:
    places = np.flatnonzero(histogram.counts)
    below = np.cumsum(histogram.counts[places]) / histogram.count
    below = np.concatenate([[0.0], below[:-1]])
    axes.plot([_nines(share) for share in below], [middle(int(place)) for place in places], style, color=COLOURS[name])
    axes.lines[-1].set_label(label)


def _draw_seconds(time: Axes, rate: Axes, outcome: Outcome, name: str) -> None:
    rows = [row for row in outcome.rows if row.endpoint == name and row.second < int(outcome.elapsed)]
    seconds = [row.second for row in rows]
    time.plot(seconds, [row.p50 for row in rows], "-", color=COLOURS[name], label=f"{name}, p50")
    time.plot(seconds, [row.p99 for row in rows], "--", color=COLOURS[name], label=f"{name}, p99")
    rate.plot(seconds, [row.answers for row in rows], "-", color=COLOURS[name], label=name)


def _nines(share: float) -> float:
    """Where a share stands on an axis that gives each further nine the same room."""
    return -math.log10(1 - share)


def _axis(microseconds: float) -> str:
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if microseconds >= size:
            return f"{microseconds / size:g} {unit}"
    return f"{microseconds:g} µs"
