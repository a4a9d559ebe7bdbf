"""What is shown on a terminal of 80 columns, and of 120: nothing is cut, glued together or wrapped."""

from __future__ import annotations

import re
from array import array
from io import StringIO

import pytest
from rich.console import Console

from loadgen.load.outcome import Outcome
from loadgen.load.recorder import Latencies, Second, sparse
from loadgen.plan import MAX, Plan, Rate, Target
from loadgen.report import tables as report
from loadgen.report.live import View

WIDTHS = (80, 120)


def outcome(rate: Rate) -> Outcome:
    """With latencies and rates that are as long as they get when they are written."""
    plan = Plan(Target("127.0.0.1", 8000), ("A",), rate=rate, poll_rate=rate, seconds=30)
    made = Outcome(plan)
    taken = sparse(array("q", [123_000, 12_345_678, 1_234_000_000] * 100_000))
    both = {name: Latencies(taken, taken) for name in ("add_batch", "stats")}
    made.add_second([Second(0, both, {"add_batch": {200: 300_000}, "stats": {200: 300_000, 503: 1_000_000}}, 10**9)])
    return made


def on_terminal(width: int) -> tuple[Console, StringIO]:
    text = StringIO()
    return Console(file=text, force_terminal=True, width=width, height=40, color_system=None, highlight=False), text


@pytest.mark.parametrize("width", WIDTHS)
def test_the_live_view_fits(width: int) -> None:
    """Progress has a line of its own; every column has its heading, whole, and every cell its figure."""
    console, text = on_terminal(width)
    with View(console) as view:
        view.second(outcome(MAX))
    lines = {line.rstrip() for line in re.sub(r"\x1b\[\?25.", "", text.getvalue()).splitlines() if "\x1b" not in line}
    (heading,) = [line for line in lines if "p99" in line]
    assert heading.split() == ["last", "second", "rate", "p50", "p99", "max", "failed"]
    (row,) = [line for line in lines if line.startswith("stats")]
    assert row.split() == ["stats", "300,000/s", "12.3", "ms", "1.23", "s", "1.23", "s", "1,000,000"]
    assert any(line.startswith("1 s, 3%") for line in lines), lines
    assert not any("p99" in line and "━" in line for line in lines)
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("rate", [MAX, Rate(20.0)])
def test_the_final_table_fits(width: int, rate: Rate) -> None:
    """A row for each endpoint, nothing cut or folded; service time below it where it is another figure."""
    console, text = on_terminal(width)
    console.print(report.latency_table(outcome(rate)))
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    assert lines[0].split() == ["endpoint", "rate", "p50", "p90", "p99", "p99.9", "p99.99", "max"]
    named = [line.split()[0] for line in lines[1:]]
    assert named == (["add_batch", "stats"] if rate.closed else ["add_batch", "service", "stats", "service"])
    assert max(map(len, lines)) <= width
    assert "…" not in text.getvalue()
