"""What is shown while a run goes on: a live panel on a terminal, a line a second elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from loadgen.load.outcome import Outcome, Row
from loadgen.load.recorder import BATCH, ENDPOINTS, STATS

from .tables import latency

BAR: Final = 50
"""Characters of a bar that is full."""


class View:
    """Shows a run second by second; a context manager, since a live panel must be taken down.

    Args:
        console: where to. What is no terminal gets plain lines.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def second(self, outcome: Outcome) -> None:
        """Show the second that was added last."""
        if self._live is None:
            self._console.print(line(outcome), highlight=False, soft_wrap=True)
            return
        self._live.start()  # harmless when it has been; not earlier, so that no thread is about at the fork
        self._live.update(panel(outcome), refresh=True)


def newest(outcome: Outcome) -> dict[str, Row]:
    """Each endpoint's newest second; nothing during the warm-up."""
    return {row.endpoint: row for row in outcome.rows[-len(ENDPOINTS) :]}


def line(outcome: Outcome) -> str:
    """The newest second as one line."""
    rows = newest(outcome)
    if not rows:
        return "warming up"
    parts = [f"{rows[BATCH].second + 1:4d} s"]
    for name, what in ((BATCH, "batches"), (STATS, "polls")):
        row = rows[name]
        parts.append(f"{row.answers:6,d} {what}/s p50 {latency(row.p50)} p99 {latency(row.p99)}")
    parts.append(f"failed {outcome.failed:,}")
    parts.append(checked(outcome))
    return "  ".join(parts)


def checked(outcome: Outcome) -> str:
    """How far the oracle has come."""
    if not outcome.plan.verify:
        return "not checked"
    waiting = sum(clerk.backlog for clerk in outcome.clerks.values())
    return f"right {outcome.right:,} wrong {outcome.wrong:,} unchecked {outcome.unchecked:,} to check {waiting:,}"


def panel(outcome: Outcome) -> RenderableType:
    """The newest second, with how far the run has come, in 80 columns."""
    rows = newest(outcome)
    if not rows:
        return Text("warming up …")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("last second")
    for heading in ("rate", "p50", "p99", "max", "failed"):
        table.add_column(heading, justify="right")
    for name, row in rows.items():
        cells = (f"{row.answers:,}/s", latency(row.p50), latency(row.p99), latency(row.most), f"{row.failed:,}")
        table.add_row(name, *cells, style="red" if row.failed else None)
    prices = f"{outcome.prices / (rows[BATCH].second + 1):,.0f} prices/s so far"
    verdict = Text(checked(outcome), style="red bold" if outcome.wrong else "green")
    done = progress(outcome)
    bar = Text(f"{rows[BATCH].second + 1} s, {done:.0%}  ") + Text("━" * int(BAR * done), style="cyan")
    return Group(bar, table, Text(prices), verdict)


def progress(outcome: Outcome) -> float:
    """How far a run has come, from 0 to 1: by its time, or by its batches where those are fewer."""
    plan = outcome.plan
    shares = [(newest(outcome)[BATCH].second + 1) / plan.seconds]
    if plan.batches is not None:
        answered = sum(outcome.endpoints[BATCH].statuses.values())
        shares.append(answered / (plan.batches * len(plan.symbols)))
    return min(1.0, max(shares))
