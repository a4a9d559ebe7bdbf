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
    PARSE,
    SINK,
    TENFOLD,
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

MIDDLE_BATCH: Final = 100


def verdicts(http: OverHttp, steps: Steps, effort: Effort) -> list[Row]:
    """Every target; one whose measurement is missing is left out."""
    return [*_queries(http, effort), *_batches(http), *_beside_rivals(http, steps), *_steadiness(http, effort)]


def _queries(http: OverHttp, effort: Effort) -> list[Row]:
    rows = []
    for k in (1, effort.max_k):
        ours, bare, constant = http.query(TENFOLD, k), http.query(BARE, 0), http.query(CONSTANT, 0)
        if ours and bare and constant:
            rows.append(
                Row(
                    f"GET /stats, k = {k}, {effort.most_held:,} held: requests/s of the bare handler's",
                    ours.rate_ratio(bare),
                    "×",
                    at_least=0.90,
                    note=f"{ours.rate_ratio(constant):.2f} × of one that reads no argument",
                )
            )
    return rows


def _batches(http: OverHttp) -> list[Row]:
    wanted = (
        (JSON, PARSE, LARGEST_BATCH, 0.85, "JSON: requests/s of the parsing sink's"),
        (JSON, SINK, MIDDLE_BATCH, 0.85, "JSON: requests/s of the bare sink's"),
        (BINARY, BINARY_SINK, LARGEST_BATCH, 0.80, "binary: requests/s of the bare sink's"),
        (BINARY, JSON, LARGEST_BATCH, 2.0, "binary: prices/s of JSON's"),
    )
    rows = []
    for contender, beside, batch, least, what in wanted:
        one, other = http.posted(contender, batch), http.posted(beside, batch)
        if one and other:
            note = f"CPU time a request {one.cpu_ratio(other):.2f} ×"
            rows.append(Row(f"POST {batch:,} prices, {what}", one.rate_ratio(other), "×", at_least=least, note=note))
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
        rows.append(
            Row("p99 of GET /stats at half the highest rate: the bare handler's", ratio, "×", at_most=2, note=note)
        )
    most, fewest = (_grown(http, held, effort.max_k) for held in (effort.most_held, effort.held[0]))
    if most and fewest and most is not fewest:
        what = f"GET /stats, {effort.most_held:,} held: CPU time of that with {effort.held[0]:,} held"
        rows.append(Row(what, most.cpu_ratio(fewest), "×", at_most=1.1, note=f"both k = {effort.max_k}"))
    return rows


def _grown(http: OverHttp, held: int, k: int) -> Cell | None:
    return http.grown(TENFOLD, held, k)
