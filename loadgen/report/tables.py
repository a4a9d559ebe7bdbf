"""What a run has found, for people (tables and sentences) and for programs (JSON and CSV)."""

from __future__ import annotations

import csv
import math
import os
import platform
import shlex
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import Any, Final

import orjson
from rich.console import Console
from rich.table import Table

from loadgen.load.outcome import Exit, Outcome
from loadgen.load.recorder import ENDPOINTS, Histogram
from loadgen.plan import Plan
from loadgen.truth.ledger import Mistake
from loadgen.truth.oracle import AVG_SPREADS, AVG_ULPS, VAR_RELATIVE

SCHEMA: Final = 1
"""Version of the JSON report: it grows when a key changes its meaning or goes, not when one is added."""

PLAN_FIELDS: Final = (
    *("symbols", "wire", "prices", "seed", "batches", "warmup", "processes", "connections"),
    *("overlap", "exactly_once", "verify", "append", "windows"),
)
"""Of the plan, those that the report has as they are."""

THOUSAND: Final = 1_000
"""From here on three digits would be written with an exponent."""

STARVED: Final = 0.1
"""Of their time: who waits for so much of it sends noticeably less."""

PERCENTILES: Final = (50.0, 90.0, 99.0, 99.9, 99.99)

WORDS: Final = {
    Exit.WELL: "all well",
    Exit.MISSED: "an objective was missed",
    Exit.WRONG: "an answer was wrong",
    Exit.FAILED: "requests failed",
    Exit.SATURATED: "the generator was saturated: do not trust the figures",
}


REFUSALS: Final = {
    401: "without a token that it knows (--token)",
    403: "to a token that may only read",
    409: "where there is no room for another symbol (--symbols, or its --max-symbols)",
    412: "to a batch that does not begin where its prices end, such as one that had arrived (--exactly-once)",
    413: "to a body that is longer than its --max-body (--batch-size)",
    422: "to what is no batch to it, such as one of more prices than its --max-batch (--batch-size)",
    503: "where it has too much to do, or too many connections (--connections)",
    507: "where it needs memory that the machine lacks",
}
"""What to do about them, in brackets."""


def latency(microseconds: float) -> str:
    """A latency for people, with three digits."""
    if math.isnan(microseconds):
        return "–"
    for unit, size in (("µs", 1.0), ("ms", 1e3), ("s", 1e6)):
        value = microseconds / size
        if value < THOUSAND or unit == "s":
            return f"{value:.3g} {unit}" if value < THOUSAND else f"{value:,.0f} {unit}"
    raise AssertionError


def latency_table(outcome: Outcome) -> Table:
    """A row for each endpoint; in the open model one more, with latencies from the sending. 80 columns at most."""
    table = Table(title=None, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("endpoint", no_wrap=True)
    for heading in ("rate", *(f"p{percent:g}" for percent in PERCENTILES), "max"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, endpoint in outcome.endpoints.items():
        if not endpoint.statuses:
            continue
        table.add_row(name, f"{outcome.rate(name):,.0f}/s", *_cells(endpoint.response))
        if outcome.plan.open_model:
            table.add_row("  service", "", *_cells(endpoint.service))
    return table


def _cells(histogram: Histogram) -> list[str]:
    """Percentiles and the maximum."""
    quantiles = [latency(histogram.quantile(percent / 100)) for percent in PERCENTILES]
    return [*quantiles, latency(histogram.most if histogram.count else math.nan)]


def sentences(outcome: Outcome) -> list[str]:
    """All else, a line each."""
    lines = [
        f"prices     {outcome.prices:,} in {outcome.elapsed:.1f} s, {_per_second(outcome.prices, outcome):,.0f}/s",
        f"statuses   {statuses(outcome)}",
        *(f"refused    {line}" for line in refusals(outcome)),
        f"answers    {answers(outcome)}",
        *(f"generator  {line}" for line in generator(outcome)),
        *(f"note       {note}" for note in outcome.notes),
    ]
    for objective in outcome.objectives:
        found = f"{objective.found:,.0f}/s" if ".rate" in objective.text else latency(objective.found)
        lines.append(f"objective  {objective.text}: {'met' if objective.met else 'missed'}, {found}")
    if missed := outcome.missed():
        lines.append(f"missed     {missed}")
    if outcome.interrupted:
        lines.append("ended      by Ctrl-C")
    if outcome.lost:
        lines.append(f"ended      early: {outcome.lost}")
    ending = outcome.exit()
    lines.append(f"result     {WORDS[ending]} (exit code {ending.value})")
    return lines


def statuses(outcome: Outcome) -> str:
    """How many answers had which status, and what became of requests without one."""
    parts = []
    for name, endpoint in outcome.endpoints.items():
        counts = [f"{count:,} × {status or 'none'}" for status, count in sorted(endpoint.statuses.items())]
        if counts:
            parts.append(f"{name} {', '.join(counts)}")
    parts += [f"{count:,} × {reason!r}" for reason, count in outcome.failures.items()]
    return "; ".join(parts) or "no request was answered"


def refusals(outcome: Outcome) -> list[str]:
    """What the statuses mean that say what to do about them."""
    seen = {status for endpoint in outcome.endpoints.values() for status in endpoint.statuses}
    return [f"{status} is what it answers {when}" for status, when in REFUSALS.items() if status in seen]


def answers(outcome: Outcome) -> str:
    """What the oracle found."""
    if not outcome.plan.verify:
        return "not checked, by --no-verify"
    text = f"{outcome.right:,} right, {outcome.wrong:,} wrong, {outcome.unchecked:,} unchecked"
    if outcome.unchecked:
        text += (
            " (beyond the oracle's memory, with prices that this run did not send, or open since an answer was lost)"
        )
    return text


def generator(outcome: Outcome) -> list[str]:
    """How the generator itself has fared, in words."""
    lines = []
    for number, sender in enumerate(outcome.senders):
        clerk = outcome.clerks.get(number)
        seconds = max(sender.elapsed, 1e-9)
        text = f"sender {number}: {sender.cpu / seconds:.0%} of a core, waited for one {sender.waited / seconds:.0%}"
        if clerk and sender.requests:
            text += f"; its clerk: {clerk.cpu / seconds:.0%}; "
            text += f"{sender.cpu / sender.requests * 1e6:.1f} and {clerk.cpu / sender.requests * 1e6:.1f} µs a request"
        lines.append(text)
    if outcome.plan.open_model:
        lines.append(f"send lag p50 {latency(outcome.lag.quantile(0.5))}, p99 {latency(outcome.lag.quantile(0.99))}")
    saturated = outcome.saturation()
    if saturated:
        lines.append(f"saturated: {saturated}")
    elif outcome.plan.produces and outcome.starved > STARVED:
        lines.append(
            f"producers waited {outcome.starved:.0%} of their time for bodies to be made and answers to be judged: "
            "the service could take more batches; latencies are right"
        )
    else:
        lines.append("not saturated")
    return lines


def reproduction(plan: Plan, place: int, mistake: Mistake) -> str:
    """A wrong answer, and how to see it again with nothing but one symbol's batches."""
    lines = [
        f"WRONG ANSWER ({', '.join(mistake.wrong)})",
        f"  request   {mistake.request}",
        f"  state     {mistake.count:,} prices of {plan.symbols[place]}, from its first {mistake.batches} batches",
        f"  seed      {plan.seed}, symbol number {place}",
        f"  expected  {mistake.expected}",
        f"  got       {mistake.got}",
    ]
    if mistake.newest:
        lines.append(f"  newest    {', '.join(map(repr, mistake.newest))}")
    batches = mistake.batches if mistake.k else mistake.batches + 1
    lines.append(f"  again     {again(plan, place, batches, mistake.k or 1)}")
    return "\n".join(lines)


def again(plan: Plan, place: int, batches: int, k: int) -> str:
    """The command that sends the same batches to a fresh service and asks the same question; never with the token."""
    ca = f" --ca {shlex.quote(plan.target.ca)}" if plan.target.ca else ""
    return (
        f"python -m loadgen reproduce --url {plan.target.url}{ca} --seed {plan.seed} --prices {plan.prices} "
        f"--wire {plan.wire} --batch-size {plan.sizes} --place {place} --batches {batches} --k {k}"
    )


def document(outcome: Outcome) -> dict[str, Any]:
    """The report for programs; latencies in µs, times in seconds. See ``SCHEMA``."""
    plan = outcome.plan
    return {
        "schema": SCHEMA,
        "exit": outcome.exit().value,
        "result": WORDS[outcome.exit()],
        "plan": {
            "url": plan.target.url,
            "batch_size": str(plan.sizes),
            "rate": str(plan.rate),
            "poll_rate": str(plan.poll_rate),
            "duration": plan.seconds,
            **{name: getattr(plan, name) for name in PLAN_FIELDS},
        },
        "machine": {"cores": len(os.sched_getaffinity(0)), "system": platform.platform()},
        "elapsed": outcome.elapsed,
        "prices": outcome.prices,
        "endpoints": {name: _endpoint(outcome, name) for name in ENDPOINTS},
        "answers": {
            "right": outcome.right,
            "wrong": outcome.wrong,
            "unchecked": outcome.unchecked,
            "tolerance": {"avg_spreads": AVG_SPREADS, "avg_ulps": AVG_ULPS, "var_relative": VAR_RELATIVE},
        },
        "mistakes": [
            {"seed": plan.seed, "symbol": plan.symbols[place], "place": place, **asdict(mistake)}
            for place, mistake in outcome.mistakes
        ],
        "objectives": [objective._asdict() for objective in outcome.objectives],
        "generator": {
            "saturated": outcome.saturation(),
            "starved": outcome.starved,
            "send_lag": _quantiles(outcome.lag),
            "cpu": {
                "senders": [sender.cpu for sender in outcome.senders],
                "clerks": [clerk.cpu for clerk in outcome.clerks.values()],
            },
        },
        "seconds": [row._asdict() for row in outcome.rows],
    }


def write_json(outcome: Outcome, path: str) -> None:
    """Write the report for programs.

    Raises:
        OSError: it cannot be written.
    """
    Path(path).write_bytes(orjson.dumps(document(outcome), option=orjson.OPT_INDENT_2))


def write_csv(outcome: Outcome, path: str) -> None:
    """Write a line for each second and endpoint.

    Raises:
        OSError: it cannot be written.
    """
    text = StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["second", "endpoint", "answers", "p50_us", "p99_us", "max_us", "failed"])
    for row in outcome.rows:
        lines.writerow([row.second, row.endpoint, row.answers, *(f"{us:.1f}" for us in row[3:6]), row.failed])
    Path(path).write_text(text.getvalue(), encoding="utf-8")


def print_summary(outcome: Outcome, console: Console) -> None:
    """The whole report. Lines are broken between words on a terminal, and nowhere else."""
    console.print(latency_table(outcome))
    console.print()
    for line in sentences(outcome):
        console.print(line, soft_wrap=not console.is_terminal, markup=False)
    for place, mistake in outcome.mistakes[:3]:  # with commands to be copied
        console.print(f"\n{reproduction(outcome.plan, place, mistake)}", style="red", soft_wrap=True, markup=False)


def _per_second(count: int, outcome: Outcome) -> float:
    return count / outcome.elapsed if outcome.elapsed else 0.0


def _endpoint(outcome: Outcome, name: str) -> dict[str, Any]:
    endpoint = outcome.endpoints[name]
    return {
        "rate": outcome.rate(name),
        "statuses": {str(status): count for status, count in endpoint.statuses.items()},
        "failed": endpoint.failed(name),
        "response": _quantiles(endpoint.response),
        "service": _quantiles(endpoint.service),
    }


def _quantiles(histogram: Histogram) -> dict[str, float | int | None]:
    if not histogram.count:
        return {"count": 0}
    percentiles = {f"p{percent:g}": histogram.quantile(percent / 100) for percent in PERCENTILES}
    return {"count": histogram.count, **percentiles, "max": histogram.most}
