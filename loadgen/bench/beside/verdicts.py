"""What tenfold must reach, what it reaches, and whether that is enough. Printed, never asserted."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Final

from loadgen.bench.table import Row

from .effort import Effort
from .in_process import Pair, Steps
from .over_http import (
    BARE,
    BINARY,
    BINARY_SINK,
    CONSTANT,
    FASTAPI_JSON,
    JSON,
    LARGEST_BATCH,
    MIDDLE_BATCH,
    PARSE,
    SINK,
    TENFOLD,
    TENFOLD_ALL,
    TENFOLD_NEW,
    TENFOLD_SHUT,
    TENFOLD_TWO,
    Cell,
    OverHttp,
)
from .pairs import median_ratio

KEEP_STATE: Final = ("pure Python", "segment tree")
"""Rivals that pay for their answers when a price comes, as tenfold does; all others read the window when asked."""

MANY: Final = 1_000_000
"""From so many prices on, answers must be a hundred times quicker than reading the window."""

STEADY: Final = 0.85
"""With other numbers of connections a row holds within 15 %."""


def verdicts(http: OverHttp, steps: Steps, effort: Effort) -> list[Row]:
    """Every target; one whose measurement is missing is left out, and all are where the run was too quick to judge."""
    if not effort.judged:
        return []
    return [*_queries(http, effort), *_batches(http, effort), *_beside_rivals(http, steps), *_steadiness(http, effort)]


def _queries(http: OverHttp, effort: Effort) -> list[Row]:
    k, usual = effort.middle_k, effort.connections[0]
    rows = []
    for number in effort.connections:
        ours, least = http.query(TENFOLD, k, number), 1.0 if number == usual else STEADY
        at = f"GET /stats, k = {k}, {number:,} connections"
        rows += _beside(f"{at}: a bare handler's", ours, http.query(BARE, 0, number), 5.0 * least)
        rows += _beside(f"{at}: a uvloop constant's", ours, http.query(CONSTANT, 0, number), 0.55 * least)
    rows += _beside("GET /stats/all: a bare handler's", http.query(TENFOLD_ALL), http.query(BARE), 3.0)
    new, shut = http.query(TENFOLD_NEW), http.query(TENFOLD_SHUT)
    if new and shut:
        note = f"{new.cpu_us:.1f} and {shut.cpu_us:.1f} µs"
        rows.append(Row("CPU time, a new head: --no-door's", new.cpu_ratio(shut), "×", at_most=1.1, note=note))
    most = effort.connections[-1]
    one, two = http.query(TENFOLD, k, most), http.query(TENFOLD_TWO, k, most)
    if one and two:
        rows.append(Row(f"CPU time, two workers, {most:,} connections: one's", two.cpu_ratio(one), "×"))
    return rows


def _beside(what: str, ours: Cell | None, floor: Cell | None, least: float) -> list[Row]:
    if ours is None or floor is None:
        return []
    return [Row(what, ours.times(floor), "×", at_least=least)]


def _batches(http: OverHttp, effort: Effort) -> list[Row]:
    rows = []
    for number in effort.connections:
        ours, sink = (http.posted(name, MIDDLE_BATCH, number) for name in (JSON, SINK))
        least = 2.6 * (1.0 if number == effort.connections[0] else STEADY)
        rows += _beside(f"POST 100 JSON, {number:,} connections: a body read", ours, sink, least)
    json, parse, binary, sink = (http.posted(name, LARGEST_BATCH) for name in (JSON, PARSE, BINARY, BINARY_SINK))
    rows += _beside("POST 10,000 JSON: a body read and parsed", json, parse, 1.15)
    rows += _beside("POST 10,000 binary: a body read", binary, sink, 1.2)
    return rows


def _beside_rivals(http: OverHttp, steps: Steps) -> list[Row]:
    rows = []
    over_http = [
        (one, one.times(other))
        for other in http.batches
        if other.contender == FASTAPI_JSON and other.costs and (one := http.posted(JSON, other.batch))
    ]
    if over_http:
        note = ", ".join(f"{cell.batch:,}: {ratio:.1f} ×" for cell, ratio in over_http)
        least = min(ratio for _, ratio in over_http)
        rows.append(
            Row("POST: prices/s of FastAPI with a segment tree", least, "×", at_least=10, note=f"least of {note}")
        )
    timed = [pair for pair in steps.pairs if pair.theirs]
    for batch in sorted({pair.batch for pair in timed}):
        what = f"in process, eight windows after each batch of {batch:,}: prices/s of the quickest rival"
        rows += _least(what, [pair for pair in timed if pair.batch == batch], lambda pair: pair.step_ratio, 10)
    many = [pair for pair in timed if pair.held >= MANY]
    what = f"eight windows after a batch, {MANY:,} held or more: speed of the quickest that "
    rows += _least(
        what + "reads the window", [p for p in many if p.rival not in KEEP_STATE], lambda pair: pair.windows_ratio, 100
    )
    rows += _least(
        what + "keeps state a price", [p for p in many if p.rival in KEEP_STATE], lambda pair: pair.windows_ratio, 100
    )
    return rows


def _least(what: str, pairs: list[Pair], ratio: Callable[[Pair], float], target: float) -> list[Row]:
    if not pairs:
        return []
    closest = min(pairs, key=ratio)
    note = f"{closest.rival}, {closest.held:,} held, batches of {closest.batch:,}"
    return [Row(what, ratio(closest), "×", at_least=target, note=note)]


def _steadiness(http: OverHttp, effort: Effort) -> list[Row]:
    rows = []
    by_name = {latency.contender: latency for latency in http.latencies}
    if len(by_name) > 1:
        ours, bare = by_name[TENFOLD], by_name[BARE]
        note = f"{median(ours.p99):,.0f} and {median(bare.p99):,.0f} µs at {ours.rate:,.0f}/s"
        ratio = median_ratio(ours.p99, bare.p99)
        what = "p99, GET /stats: a bare handler's"
        rows.append(Row(what, ratio, "×", at_most=1, note=note))
    most, fewest = (http.grown(TENFOLD, held, effort.max_k) for held in (effort.most_held, effort.held[0]))
    if most and fewest and most is not fewest:
        what = f"CPU time, {effort.most_held:,} held: that of {effort.held[0]:,}"
        rows.append(Row(what, most.cpu_ratio(fewest), "×", at_most=1.1))
    return rows
