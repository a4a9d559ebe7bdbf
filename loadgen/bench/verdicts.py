"""What tenfold must reach, what it reaches, and whether that is enough. Printed, never asserted."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Final

from .effort import Effort
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
    Cell,
    OverHttp,
)
from .pairs import median_ratio
from .steps import Pair, Steps
from .table import Row

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
        at = f"GET /stats k = {k}, {number:,} connections"
        rows += _beside(at, "bare handler's", ours, http.query(BARE, 0, number), 5.0 * least)
        rows += _beside(at, "constant's", ours, http.query(CONSTANT, 0, number), 0.55 * least)
    rows += _beside("GET /stats/all", "bare handler's", http.query(TENFOLD_ALL), http.query(BARE), 3.0)
    new, shut = http.query(TENFOLD_NEW), http.query(TENFOLD_SHUT)
    if new and shut:
        what = "a head seen for the first time: CPU time of that with --no-door"
        rows.append(Row(what, new.cpu_ratio(shut), "×", at_most=1.1))
    return rows


def _beside(what: str, whose: str, ours: Cell | None, floor: Cell | None, least: float) -> list[Row]:
    if ours is None or floor is None:
        return []
    note = f"CPU time a request {ours.cpu_us:.1f} and {floor.cpu_us:.1f} µs"
    return [Row(f"{what}: requests/s of the {whose}", ours.rate_ratio(floor), "×", at_least=least, note=note)]


def _batches(http: OverHttp, effort: Effort) -> list[Row]:
    rows = []
    for number in effort.connections:
        ours, sink = (http.posted(name, MIDDLE_BATCH, number) for name in (JSON, SINK))
        least = 2.6 * (1.0 if number == effort.connections[0] else STEADY)
        rows += _beside(f"POST 100 prices, JSON, {number:,} connections", "reading sink's", ours, sink, least)
    json, parse, binary, sink = (http.posted(name, LARGEST_BATCH) for name in (JSON, PARSE, BINARY, BINARY_SINK))
    rows += _beside("POST 10,000 prices, JSON", "parsing sink's", json, parse, 1.15)
    rows += _beside("POST 10,000 prices, binary", "reading sink's", binary, sink, 1.2)
    return rows


def _beside_rivals(http: OverHttp, steps: Steps) -> list[Row]:
    rows = []
    over_http = [
        (one, one.rate_ratio(other))
        for one in http.batches
        if one.contender == JSON and (other := http.posted(FASTAPI_JSON, one.batch)) and other.costs
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
        what = "p99 of GET /stats at half of the bare handler's highest rate: of its own"
        rows.append(Row(what, ratio, "×", at_most=1, note=note))
    most, fewest = (_grown(http, held, effort.max_k) for held in (effort.most_held, effort.held[0]))
    if most and fewest and most is not fewest:
        what = f"GET /stats, {effort.most_held:,} held: CPU time of that with {effort.held[0]:,} held"
        rows.append(Row(what, most.cpu_ratio(fewest), "×", at_most=1.1, note=f"both k = {effort.max_k}"))
    return rows


def _grown(http: OverHttp, held: int, k: int) -> Cell | None:
    return http.grown(TENFOLD, held, k)
