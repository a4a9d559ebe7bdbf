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
from .effort import Effort
from .in_process import Pair, Steps, median_step
from .machine import Machine
from .over_http import Cell, OverHttp
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
    ratios: list[Row]


def write_json(report: Report, path: Path) -> None:
    """All of it, every sample included; ratios with what is claimed of them in words.

    Raises:
        OSError: it cannot be written.
    """
    document = _plain(report)
    for row, written in zip(report.ratios, document["ratios"], strict=True):
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
    """Every table, the ratios first, then absolute figures with the machine."""
    http, steps, rounds = report.over_http, report.in_process, report.effort.rounds
    tables = [_ratios(report), _cells("GET over HTTP, one worker", [*http.growth, *http.queries])]
    tables += [_cells("POST over HTTP, one worker", http.batches)]
    largest = max((pair.batch for pair in steps.pairs), default=0)
    tables += [_steps([pair for pair in steps.pairs if (pair.batch < largest) is less]) for less in (False, True)]
    tables.append(_contenders(steps))
    console.print(f"medians of {rounds} rounds, ratios within rounds; {report.seconds:.0f} s in all", highlight=False)
    if not report.effort.judged:
        console.print("A quick run: too few prices and too little time to judge anything by, or to draw.")
    for number, table in enumerate(tables):
        console.print()
        if number == 1:
            console.print(f"{report.machine.text}\n", highlight=False)
        console.print(table)


def _table(title: str, caption: str, *columns: str) -> Table:
    """A table whose first column is text and whose others are numbers."""
    table = Table(title=title, caption=caption, title_justify="left", caption_justify="left", width=WIDTH, box=None)
    table.pad_edge, table.padding = False, (0, 1, 0, 0)
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left", no_wrap=place > 0)
    return table


def _ratios(report: Report) -> Table:
    caption = "Requests a second, or in the same CPU time where wrk was the limit. Judged is what the README claims."
    judged = report.effort.judged
    table = _table("tenfold beside others", caption, "", "measured", *(("claimed", "") if judged else ()))
    for row in report.ratios:
        what = f"{row.what}\n  {row.note}" if row.note else row.what
        colour = {"reached": "[green]", "missed": "[red]"}.get(row.verdict, "")
        verdict = (row.target, f"{colour}{row.verdict}") if judged else ()
        table.add_row(what, f"{row.value:,.2f} {row.unit}", *verdict)
    return table


def _cells(title: str, cells: list[Cell]) -> Table:
    shares = [median(cost.client_share for cost in cell.costs) for cell in cells if cell.costs]
    caption = f"CPU time is a server's for a request. Asked by wrk, busy {max(shares, default=0):.0%} or less."
    table = _table(title, caption, "", "clients", "held", "k", "batch", "CPU time", "requests/s")
    for cell in cells:
        cost = (f"{cell.cpu_us:,.1f} µs", f"{cell.per_second:,.0f}") if cell.costs else (cell.limit, "")
        numbers = (f"{number:,}" if number else "–" for number in (cell.connections, cell.held, cell.k, cell.batch))
        table.add_row(cell.contender, *numbers, *cost)
    return table


def _steps(pairs: list[Pair]) -> Table:
    """A batch in and eight windows out, by the size of the batch and the number of prices held."""
    kinds = sorted({(pair.batch, pair.held) for pair in pairs})
    table = _table(
        "In process: a batch in, then eight windows out; CPU time in ms",
        "In brackets how many times tenfold's, the median over rounds. Prices in a batch, of those held.",
        "",
        *(f"{batch:,} of\n{held:,}" for batch, held in kinds),
    )
    by_kind = [[pair for pair in pairs if (pair.batch, pair.held) == kind] for kind in kinds]
    own = [[_us(pair.ours) for pair in some if pair.ours] for some in by_kind]
    table.add_row(LIBRARY, *(_ms(median(times)) if times else "" for times in own))
    for name in dict.fromkeys(pair.rival for pair in pairs):
        table.add_row(name, *(_beside(pair) for some in by_kind for pair in some if pair.rival == name))
    return table


def _us(steps: list[Any]) -> float:
    return median_step(steps).total_us


def _beside(pair: Pair) -> str:
    return f"{_ms(_us(pair.theirs))} ({_times(pair.step_ratio)})" if pair.theirs else pair.limit


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


def _ms(microseconds: float) -> str:
    return f"{microseconds / 1e3:,.3g}" if microseconds < 1e6 else f"{microseconds / 1e3:,.0f}"  # noqa: PLR2004 - a second


def _times(ratio: float) -> str:
    return f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.1f}"  # noqa: PLR2004 - two digits are enough
