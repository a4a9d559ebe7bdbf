"""Tenfold beside the others, in words and as ratios; where the README claims one, whether it was reached.

Printed, never asserted, since it depends on the machine. A quick run judges nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from loadgen.bench.table import Row

from .effort import Effort
from .in_process import Pair, Steps
from .over_http import (
    BARE,
    BINARY,
    BINARY_SINK,
    CONSTANT,
    FASTAPI,
    FASTAPI_JSON,
    JSON,
    PARSE,
    SINK,
    TENFOLD,
    TENFOLD_ALL,
    TENFOLD_NEW,
    TENFOLD_SHUT,
    TENFOLD_TWO,
    Cell,
    OverHttp,
    find,
)

KEEP_STATE = ("pure Python", "segment tree")
"""Rivals that pay for their answers when a price comes, as tenfold does; all others read the window when asked."""

GET_TIMES, POST_TIMES, PARSE_TIMES, BINARY_TIMES, GROWTH, READING = 5.0, 2.5, 1.15, 1.15, 1.1, 100.0
"""What the README claims."""


def ratios(http: OverHttp, steps: Steps, effort: Effort) -> list[Row]:
    """Every ratio; one whose measurement is missing is left out."""
    rows = [*_growth(http, effort), *_in_process(steps), *_queries(http, effort), *_batches(http, effort)]
    return rows if effort.judged else [replace(row, at_least=None, at_most=None) for row in rows]


def _growth(http: OverHttp, effort: Effort) -> Iterator[Row]:
    """The work does not grow with the window: O(log n)."""
    few, many = effort.held[0], effort.held[-1]
    for name, claimed in ((TENFOLD, GROWTH), (FASTAPI, None)):
        most, least = find(http.growth, name, held=many), find(http.growth, name, held=few)
        if most and least and most is not least:
            what = f"O(log n), {name}: CPU time over {many:,} prices, of that over {few:,}"
            yield Row(what, most.cpu_ratio(least), "×", at_most=claimed)


def _in_process(steps: Steps) -> Iterator[Row]:
    timed = [pair for pair in steps.pairs if pair.theirs]
    held = max((pair.held for pair in timed), default=0)
    most = [pair for pair in timed if pair.held == held]
    reading = [pair for pair in most if pair.rival not in KEEP_STATE]
    yield from _closest(
        f"beside O(n): eight windows after a batch, {held:,} held; time of the quickest that reads them",
        reading,
        lambda pair: pair.windows_ratio,
        READING,
    )
    keeping = [pair for pair in most if pair.rival in KEEP_STATE]
    what = f"beside others that keep sums or a tree, {held:,} held: a batch in and eight windows out, the quickest"
    yield from _closest(what, keeping, lambda pair: pair.step_ratio)
    ones = [pair for pair in timed if pair.batch == 1]
    what = "prices one at a time, eight windows after each: the quickest of all"
    yield from _closest(what, ones, lambda pair: pair.step_ratio)


def _closest(
    what: str, pairs: list[Pair], ratio: Callable[[Pair], float], claimed: float | None = None
) -> Iterator[Row]:
    if pairs:
        closest = min(pairs, key=ratio)
        yield Row(what, ratio(closest), "×", at_least=claimed, note=f"{closest.rival}, batches of {closest.batch:,}")


def _queries(http: OverHttp, effort: Effort) -> Iterator[Row]:
    k, queries = effort.middle_k, http.queries
    for number in effort.connections:
        ours, at = find(queries, TENFOLD, k=k, connections=number), f"GET /stats, {number:,} connections"
        yield from _beside(
            f"{at}: requests for one of {BARE}", ours, find(queries, BARE, connections=number), GET_TIMES
        )
        yield from _beside(f"{at}: for one of {CONSTANT}", ours, find(queries, CONSTANT, connections=number))
    ours = find(queries, TENFOLD, k=k)
    yield from _beside(f"GET /stats: for one of {FASTAPI}", ours, find(queries, FASTAPI))
    yield from _beside(f"GET /stats/all: for one of {BARE}", find(queries, TENFOLD_ALL), find(queries, BARE))
    new, shut = find(queries, TENFOLD_NEW), find(queries, TENFOLD_SHUT)
    if new and shut:
        yield Row("CPU time of a new head: of --no-door's", new.cpu_ratio(shut), "×")
    most = effort.connections[-1]
    one, two = find(queries, TENFOLD, k=k, connections=most), find(queries, TENFOLD_TWO)
    if one and two:
        yield Row(f"CPU time with two workers, {most:,} connections: of one's", two.cpu_ratio(one), "×")


def _batches(http: OverHttp, effort: Effort) -> Iterator[Row]:
    batches, (middle, *_, largest) = http.batches, effort.batches
    for number in effort.connections:
        ours, sink = (find(batches, name, batch=middle, connections=number) for name in (JSON, SINK))
        yield from _beside(f"POST {middle:,} in JSON, {number:,} connections: of {SINK}", ours, sink, POST_TIMES)
    ours, parse = find(batches, JSON, batch=largest), find(batches, PARSE, batch=largest)
    yield from _beside(f"POST {largest:,} in JSON: of {PARSE}", ours, parse, PARSE_TIMES)
    yield from _beside(f"POST {largest:,} in JSON: of {FASTAPI_JSON}", ours, find(batches, FASTAPI_JSON, batch=largest))
    binary, sink = find(batches, BINARY, batch=largest), find(batches, BINARY_SINK, batch=largest)
    yield from _beside(f"POST {largest:,} in binary: of {BINARY_SINK}", binary, sink, BINARY_TIMES)


def _beside(what: str, ours: Cell | None, theirs: Cell | None, claimed: float | None = None) -> Iterator[Row]:
    if ours and theirs:
        yield Row(what, ours.times(theirs), "×", at_least=claimed)
