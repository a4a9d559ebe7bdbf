"""What was measured, as tables for the terminal and as JSON with every sample."""

from __future__ import annotations

import json
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from loadgen.bench.table import Row

from . import truth
from .contender import Step
from .effort import Effort
from .in_process import Pair, Steps, median_step
from .machine import Machine
from .over_http import BARE, FASTAPI, TENFOLD, Cell, OverHttp
from .rivals.rival import TENFOLD as LIBRARY

WIDTH: Final = 80
"""Of a table, however wide the terminal is."""


@dataclass(frozen=True)
class Report:
    """One run."""

    machine: Machine
    effort: Effort
    seconds: float
    over_http: OverHttp
    in_process: Steps
    must_reach: list[Row]


def write_json(report: Report, path: Path) -> None:
    """All of it, every sample included; verdicts with their bounds in words.

    Raises:
        OSError: it cannot be written.
    """
    document = _plain(report)
    for row, written in zip(report.must_reach, document["must_reach"], strict=True):
        written.update(target=row.target, verdict=row.verdict)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a report is made of
    """Dataclasses and named tuples as objects of JSON."""
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


def print_report(report: Report, console: Console) -> None:
    """Every table, what must be reached first."""
    http, steps, rounds = report.over_http, report.in_process, report.effort.rounds
    console.print(report.machine.text, highlight=False)
    console.print(f"medians of {rounds} rounds, ratios within rounds; {report.seconds:.0f} s in all\n", highlight=False)
    tables = [
        *([_must_reach(report)] if report.effort.judged else []),
        _queries(http),
        _growth(http),
        _latencies(http),
        _batches(http),
        _steps(steps),
        _batch_sizes(steps),
        _contenders(steps),
    ]
    for table in tables:
        console.print(table)
        console.print()


def _table(title: str, caption: str, *columns: str) -> Table:
    """A table whose first column is text and whose others are numbers."""
    table = Table(title=title, caption=caption, title_justify="left", caption_justify="left", width=WIDTH, box=None)
    table.pad_edge, table.padding = False, (0, 1, 0, 0)
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left", no_wrap=place > 0)
    return table


def _queries(http: OverHttp) -> Table:
    table = _table(
        "GET over HTTP, one worker",
        _driven(http.queries),
        "",
        "clients",
        "prices held",
        "CPU time",
        "requests/s",
    )
    for cell in http.queries:
        table.add_row(cell.contender, f"{cell.connections:,}", _held(cell.held), *_cost(cell))
    return table


def _growth(http: OverHttp) -> Table:
    table = _table(
        "Does it matter how many prices are held? GET /stats, longest window",
        "CPU time a request. tenfold's symbols and the bare handler in the same rounds; the other service on its own.",
        "prices held",
        TENFOLD,
        "of a bare handler's",
        FASTAPI,
    )
    longest = max((cell.k for cell in http.growth), default=0)
    bare = http.grown(BARE, 0, longest)
    for held in sorted({cell.held for cell in http.growth} - {0}):
        ours, theirs = (http.grown(name, held, longest) for name in (TENFOLD, FASTAPI))
        ratio = f"{ours.cpu_ratio(bare):.2f} ×" if ours and bare else ""
        table.add_row(f"{held:,}", _cost(ours)[0] if ours else "", ratio, _cost(theirs)[0] if theirs else "")
    return table


def _latencies(http: OverHttp) -> Table:
    table = _table(
        "Latency of GET /stats, open model, from the moment intended",
        "Random arrivals at half of the bare handler's highest rate, the same for both; medians over rounds.",
        "",
        "requests/s",
        "p50",
        "p99",
    )
    for latency in http.latencies:
        table.add_row(
            latency.contender,
            f"{latency.rate:,.0f}",
            f"{median(latency.p50):,.0f} µs",
            f"{median(latency.p99):,.0f} µs",
        )
    return table


def _batches(http: OverHttp) -> Table:
    table = _table(
        "POST over HTTP, one worker",
        f"{_driven(http.batches)} Prices have two decimals. tenfold's ring has gone around.",
        "",
        "clients",
        "prices",
        "CPU time",
        "requests/s",
        "prices/s",
    )
    for cell in http.batches:
        rate = f"{cell.per_second * cell.batch:,.0f}" if cell.costs else ""
        table.add_row(cell.contender, f"{cell.connections:,}", f"{cell.batch:,}", *_cost(cell), rate)
    return table


def _steps(steps: Steps) -> Table:
    sizes = sorted({pair.held for pair in steps.pairs})
    table = _table(
        "In process: a batch of 10,000 in, then eight windows out; CPU time in ms",
        "In brackets how many times tenfold's, the median over rounds. Prices held across.",
        "",
        *(f"{held:,}" for held in sizes),
    )
    largest = [pair for pair in steps.pairs if pair.batch == max(pair.batch for pair in steps.pairs)]
    names = list(dict.fromkeys(pair.rival for pair in largest))
    ours = [[pair for pair in largest if pair.held == held and pair.ours] for held in sizes]
    for whole in (True, False):
        if not whole:
            table.add_row("\nwindows only")
        own = [[_part(median_step(pair.ours), whole=whole) for pair in pairs] for pairs in ours]
        table.add_row(LIBRARY, *(_ms(median(values)) if values else "" for values in own))
        for name in names:
            table.add_row(name, *(_beside(pair, whole=whole) for pair in largest if pair.rival == name))
    return table


def _part(step: Step, *, whole: bool) -> float:
    return step.total_us if whole else step.windows_us


def _beside(pair: Pair, *, whole: bool) -> str:
    if not pair.theirs:
        return pair.limit
    ratio = pair.step_ratio if whole else pair.windows_ratio
    return f"{_ms(_part(median_step(pair.theirs), whole=whole))} ({_times(ratio)})"


def _batch_sizes(steps: Steps) -> Table:
    sizes = sorted({pair.batch for pair in steps.pairs})
    held = max((pair.held for pair in steps.pairs if pair.batch == sizes[0]), default=0)
    table = _table(
        f"In process: prices a second with eight windows after every batch, {held:,} held",
        "In brackets tenfold's as a multiple of it. Prices a batch across.",
        "",
        *(f"{size:,}" for size in sizes),
    )
    chosen = [pair for pair in steps.pairs if pair.held == held]
    by_size = [[pair for pair in chosen if pair.batch == size and pair.ours] for size in sizes]
    table.add_row(
        LIBRARY,
        *(
            f"{size / median(median_step(pair.ours).total_us for pair in pairs) * 1e6:,.0f}" if pairs else ""
            for size, pairs in zip(sizes, by_size, strict=True)
        ),
    )
    for name in dict.fromkeys(pair.rival for pair in chosen):
        pairs = sorted((pair for pair in chosen if pair.rival == name), key=lambda pair: pair.batch)
        table.add_row(name, *(_prices_a_second(pair) for pair in pairs))
    return table


def _prices_a_second(pair: Pair) -> str:
    if not pair.theirs:
        return pair.limit
    return f"{pair.batch / median_step(pair.theirs).total_us * 1e6:,.0f} ({_times(pair.step_ratio)})"


def _contenders(steps: Steps) -> Table:
    table = _table(
        "In process: memory, and what hard prices do to the variance",
        "Largest relative error over windows of 10 to 1,000 against exact arithmetic; from 1 on no digit is right.",
        "",
        "bytes a price",
        "prices held",
        *truth.HARD,
    )
    for column in table.columns:
        column.no_wrap = False
    for name, errors in steps.worst_variance.items():
        held = steps.memory_held.get(name)
        memory = (f"{steps.bytes_a_price[name]:.1f}", f"{held:,}") if held else ("", "")
        table.add_row(name, *memory, *(f"{error:.0e}" if error else "0" for error in errors))
    return table


def _must_reach(report: Report) -> Table:
    by_rate = all(cell.by_rate for cell in report.over_http.queries)
    measure = (
        "requests a second with wrk, or in the same CPU time where wrk was the limit"
        if by_rate
        else "requests in the same CPU time, for want of wrk"
    )
    table = _table("Must reach", f"Beside whoever is named; over HTTP, {measure}.", "", "measured", "target", "")
    for row in report.must_reach:
        colour = {"reached": "green", "missed": "red"}.get(row.verdict, "")
        verdict = f"[{colour}]{row.verdict}[/]" if colour else row.verdict
        what = f"{row.what}\n  {row.note}" if row.note else row.what
        table.add_row(what, f"{row.value:,.2f} {row.unit}", row.target, verdict)
    return table


def _cost(cell: Cell) -> tuple[str, str]:
    if not cell.costs:
        return cell.limit, ""
    return f"{cell.cpu_us:,.1f} µs", f"{cell.per_second:,.0f}"


def _driven(cells: list[Cell]) -> str:
    """By whom, and how much of its core that needed, at most; by cell, the median over rounds."""
    client = "wrk" if all(cell.by_rate for cell in cells) else "our own client in Python"
    shares = [median(cost.client_share for cost in cell.costs) for cell in cells if cell.costs]
    return f"CPU time is a server's for a request. Asked by {client}, busy {max(shares, default=0):.0%} or less."


def _held(held: int) -> str:
    return f"{held:,}" if held else "–"


def _ms(microseconds: float) -> str:
    return f"{microseconds / 1e3:,.3g}" if microseconds < 1e6 else f"{microseconds / 1e3:,.0f}"  # noqa: PLR2004 - a second


def _times(ratio: float) -> str:
    return f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.1f}"  # noqa: PLR2004 - two digits are enough
