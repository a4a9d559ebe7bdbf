"""Plans of load under two conditions in turn: ``python -m loadgen.bench.plans workers``, or ``abuse``.

``workers`` compares a service with one worker and one with two, by the CPU time that they spend on a request: where
client and workers share two cores, that alone can be compared. ``abuse`` compares the latency of normal clients in
quiet with that beside a crowd that misbehaves, in a process of its own. Every answer is checked, as in any run.
"""

from __future__ import annotations

import math
import multiprocessing as mp
import time
from contextlib import ExitStack
from functools import partial
from random import Random
from statistics import median
from typing import Final, NamedTuple

import click

from loadgen.bench.beside.pairs import LEAST_ROUNDS, median_ratio, take_turns
from loadgen.launch import Launched, launched
from loadgen.load.outcome import Exit
from loadgen.load.recorder import STATS
from loadgen.load.run import execute
from loadgen.plan import Plan, Rate, Sizes, Target
from loadgen.soak.crowd import KINDS, Crowd

from .table import Row, Section, render

FORK: Final = mp.get_context("fork")
SETTLE_SECONDS: Final = 1.0
"""For a crowd to connect, and for the service to notice that one has gone."""

SYMBOLS: Final = tuple(f"PLAN-{number}" for number in range(10))
RATE: Final = Rate(25.0)
"""Of polls, a symbol: a quarter of a core with no crowd about, so there is no queue."""

CROWDS: Final = (
    ("2,000 sockets, connected and silent", "connected and silent", 2_000),
    ("1,000 headers that never end", "headers that never end", 1_000),
    ("200 bodies that never end", "bodies that never end", 200),
    ("1,000 bodies that never end", "bodies that never end", 1_000),
    ("100 that never read their answers", "answers never read", 100),
    ("3,000 sockets: a third more than are served", "connected and silent", 3_000),
)


class Taken(NamedTuple):
    """What one run took: CPU time of the workers for a request, in µs, answers a second, p50 and p99 in ms."""

    cpu_us: float
    per_second: float
    p50: float
    p99: float
    failed: int


def take(service: Launched, plan: Plan) -> Taken:
    """Run a plan against a service.

    Raises:
        RuntimeError: an answer was wrong.
    """
    before = service.cpu_seconds()
    outcome = execute(plan)
    spent = service.cpu_seconds() - before
    if outcome.exit() is Exit.WRONG:
        raise RuntimeError(f"{outcome.wrong} answers were wrong")
    requests = sum(sender.requests for sender in outcome.senders)
    p50, p99 = (outcome.endpoints[STATS].response.quantile(share) / 1e3 for share in (0.5, 0.99))
    return Taken(spent / requests * 1e6, requests / outcome.elapsed, p50, p99, outcome.failed)


def workers(seconds: float) -> list[Section]:
    """One worker beside two, under the same plans."""
    sections = []
    with ExitStack() as stack:
        services = [
            stack.enter_context(launched("service", ("--port", "0", "--workers", str(count), "--max-k", "6")))
            for count in (1, 2)
        ]
        for what, sizes in (("batches of 100, and polls", Sizes(100, 100)), ("of 10,000", Sizes(10_000, 10_000))):
            plans = [Plan(service.target, SYMBOLS, sizes=sizes, seconds=seconds) for service in services]
            one, two = take_turns([partial(take, *both) for both in zip(services, plans, strict=True)], LEAST_ROUNDS)
            ratio = median_ratio([taken.cpu_us for taken in two], [taken.cpu_us for taken in one])
            rows = [
                Row(f"{name}, CPU time a request", median(taken.cpu_us for taken in found), "µs", note=_rate(found))
                for name, found in (("one worker", one), ("two workers", two))
            ]
            sections.append(Section(what, "In turns.", [*rows, Row("two / one, median of pairs", ratio, "×")]))
    return sections


def _rate(found: list[Taken]) -> str:
    return f"{median(taken.per_second for taken in found):,.0f} requests/s"


def abuse(seconds: float) -> list[Section]:
    """A quiet phase and an abused one, for each crowd."""
    with launched("service", ("--port", "0", "--workers", "2", "--max-k", "5")) as service:
        plan = Plan(service.target, SYMBOLS, sizes=Sizes(1_000, 1_000), rate=RATE, poll_rate=RATE, seconds=seconds)
        sections = []
        for what, kind, count in CROWDS:
            takers = [partial(take, service, plan), partial(_beside, service, plan, kind, count)]
            quiet, abused = take_turns(takers, LEAST_ROUNDS)
            ratio = median_ratio([taken.p99 for taken in abused], [taken.p99 for taken in quiet])
            rows = [
                Row(f"{name}, {phase}", median(getattr(taken, name) for taken in found), "ms")
                for name in ("p50", "p99")
                for phase, found in (("quiet", quiet), ("abused", abused))
            ]
            failed = sum(taken.failed for taken in abused)
            rows.append(Row("p99, abused / quiet, median of pairs", ratio, "×", note=f"{failed} failed"))
            sections.append(Section(what, "Quiet and abused in turns.", rows))
    return sections


def _beside(service: Launched, plan: Plan, kind: str, count: int) -> Taken:
    """The same run while a crowd is there."""
    crowd = FORK.Process(target=_misbehave, args=(service.target, kind, count), daemon=True)
    crowd.start()
    time.sleep(SETTLE_SECONDS)
    try:
        return take(service, plan)
    finally:
        crowd.kill()
        crowd.join()
        time.sleep(SETTLE_SECONDS)


def _misbehave(target: Target, kind: str, count: int) -> None:
    (one,) = (one for one in KINDS if one.name == kind)
    with Crowd(target, Random(1)) as crowd:
        crowd.join(one, count)
        crowd.play(math.inf)


@click.command()
@click.argument("plan", type=click.Choice(["workers", "abuse"]))
@click.option("--seconds", default=2.0, show_default=True, help="How long each turn takes.")
def main(plan: str, seconds: float) -> None:
    """Compare one worker with two, or quiet with abuse."""
    print(render({"workers": workers, "abuse": abuse}[plan](seconds)))


if __name__ == "__main__":
    main()
