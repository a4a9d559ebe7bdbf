"""What prices come to: the sums of a stretch of prices, and the summaries of blocks that are made of them.

A summary of a block of N prices holds ``min``, ``max`` (−0.0 is smaller than 0.0), ``sum`` = Σ x and
``m2`` = Σ (x − mean)², the last two as pairs (see ``pairs``). Sums are taken of distances from a centre c near the
data::

    d = Σ (x − c)        q = Σ (x − c)²        sum = N·c + d        m2 = q − d² / N

and of summaries of n prices each, by the update of Chan, Golub and LeVeque ("Algorithms for computing the sample
variance", 1983)::

    d = Σ (sumᵢ − n·c)        q = Σ m2ᵢ + Σ (sumᵢ − n·c)² / n

The last term of m2 takes the centre out again. If c is a price of the stretch or the mean of one of its N / n blocks,
then (c − mean)² ≤ m2: what cancels is 27 of 106 bits at most, in 10^8 prices.

Prices of like size lie on a common grid, and a pair holds the sum of 10^8 of them without any error: so ``sum`` is
exact, and the average that is made of it is rounded once. Only where prices differ in size by more than a pair has
digits, is their sum rounded at all.

``q`` and ``m2`` are kept times 2^280: distances are multiplied by 2^140 before they are squared. So neither squares nor
what rounding took from them overflow or vanish, for prices within ±1e100 and any variance that is a normal number.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .compiled import compiled
from .lanes import LANES, broadcast, first_lane, first_lanes, load, rotate, select
from .pairs import add_pairs, divide_pair, greatest, least, square_pair, two_product, two_sum

Cells = npt.NDArray[np.float64]
Sums = tuple[float, float, float, float, float, float]
"""``min, max, d, d_low, q, q_low`` about a centre."""

# Fields of a summary.
FIELDS: Final = 6
MIN: Final = 0
MAX: Final = 1
SUM: Final = 2
SUM_LOW: Final = 3
M2: Final = 4
M2_LOW: Final = 5

SCALE: Final = 2.0**140
"""What a distance is multiplied with before it is squared."""

SCALE_OF_M2: Final = SCALE * SCALE

LEAST: Final = 1e-130
"""Where prices differ by as much, nothing vanishes that counts, scale or not."""

RUN: Final = 16
"""Prices of a lane that are near each other are summed up plainly, so many on end."""

NOTHING: Final = (np.inf, -np.inf, 0.0, 0.0, 0.0, 0.0)
"""The sums of no price."""


@compiled(forceinline=True)
def _lesser(a: Any, b: Any) -> Any:
    return select(b < a, b, a)


@compiled(forceinline=True)
def _greater(a: Any, b: Any) -> Any:
    return select(a < b, b, a)


@compiled(forceinline=True)
def _across(high: Any, low: Any) -> tuple[float, float]:
    """The sum of all lanes of pairs."""
    high, lost = two_sum(high, rotate(high, 4))
    low = low + rotate(low, 4) + lost
    high, lost = two_sum(high, rotate(high, 2))
    low = low + rotate(low, 2) + lost
    high, lost = two_sum(high, rotate(high, 1))
    low = low + rotate(low, 1) + lost
    return first_lane(high), first_lane(low)


@compiled(forceinline=True)
def _load_some(prices: Cells, begin: int, end: int, other: float) -> Any:
    """Eight prices from ``begin`` on, with ``other`` in place of those from ``end`` on."""
    return select(first_lanes(end - begin), load(prices, begin), broadcast(other))


@compiled()
def _extremes(prices: Cells, begin: int, end: int) -> tuple[float, float]:
    """(min, max) of prices[begin : end], one at least."""
    whole = end - (end - begin) % LANES
    low = high = other_low = other_high = _load_some(prices, whole, end, prices[begin])
    for i in range(begin, whole - LANES, 2 * LANES):  # two chains: each waits for its last result half of the time
        x, other = load(prices, i), load(prices, i + LANES)
        low, other_low = _lesser(low, x), _lesser(other_low, other)
        high, other_high = _greater(high, x), _greater(other_high, other)
    if (whole - begin) % (2 * LANES):
        x = load(prices, whole - LANES)
        low, high = _lesser(low, x), _greater(high, x)
    low, high = _lesser(low, other_low), _greater(high, other_high)
    low = _lesser(low, rotate(low, 4))
    low = _lesser(low, rotate(low, 2))
    low = _lesser(low, rotate(low, 1))
    high = _greater(high, rotate(high, 4))
    high = _greater(high, rotate(high, 2))
    high = _greater(high, rotate(high, 1))
    if first_lane(low) == 0.0 or first_lane(high) == 0.0:  # of 0.0 and −0.0 the lanes take any
        return _signed_extremes(prices, begin, end)
    return first_lane(low), first_lane(high)


@compiled()
def _signed_extremes(prices: Cells, begin: int, end: int) -> tuple[float, float]:
    """The same one by one."""
    low = high = prices[begin]
    for i in range(begin, end):
        low = least(low, prices[i])
        high = greatest(high, prices[i])
    return low, high


@compiled(forceinline=True)
def _add_near(x: Any, centre: float, d: Any, q: Any, q_low: Any) -> tuple[Any, Any, Any]:
    near = x - centre
    square, lost = two_product(near, near)
    q, lost_of_sum = two_sum(q, square)
    return d + near, q, q_low + (lost + lost_of_sum)


@compiled(forceinline=True)
def _add_far(x: Any, centre: float, d: Any, d_low: Any, q: Any, q_low: Any) -> tuple[Any, Any, Any, Any]:
    far, low = two_sum(x, broadcast(-centre))
    square, lost = square_pair(far * SCALE, low * SCALE)
    d, lost_of_d = two_sum(d, far)
    q, lost_of_q = two_sum(q, square)
    return d, d_low + (low + lost_of_d), q, q_low + (lost + lost_of_q)


@compiled()
def sums_of_prices(prices: Cells, begin: int, end: int, centre: float) -> Sums:
    """The sums of prices[begin : end], one at least, about a centre. O(end − begin).

    Seven cells behind may be read. Lanes are counted from ``begin``, so the same prices have the same bits anywhere.
    """
    low, high = _extremes(prices, begin, end)
    lowest, highest = min(low, centre), max(high, centre)
    spread = highest - lowest
    whole = end - (end - begin) % LANES
    rest = _load_some(prices, whole, end, centre)
    zero = broadcast(0.0)
    d, d_low, q, q_low = zero, zero, zero, zero
    if spread * RUN <= min(abs(lowest), abs(highest)) and (spread >= LEAST or spread == 0):
        # All lie on the grid of the smallest one's last bit: no distance is rounded (Sterbenz 1974), nor is any sum of
        # RUN of them, which has less than 54 bits on that grid. Squares need no scale yet.
        run, q, q_low = _add_near(rest, centre, zero, q, q_low)
        for first in range(begin, whole, RUN * LANES):
            d, lost = two_sum(d, run)
            d_low = d_low + lost
            run = zero
            for i in range(first, min(whole, first + RUN * LANES), LANES):
                run, q, q_low = _add_near(load(prices, i), centre, run, q, q_low)
        d, lost = two_sum(d, run)
        d_low = d_low + lost
        q, q_low = q * SCALE_OF_M2, q_low * SCALE_OF_M2
    else:
        for i in range(begin, whole, LANES):
            d, d_low, q, q_low = _add_far(load(prices, i), centre, d, d_low, q, q_low)
        d, d_low, q, q_low = _add_far(rest, centre, d, d_low, q, q_low)
    sum_d, sum_d_low = _across(d, d_low)
    sum_q, sum_q_low = _across(q, q_low)
    return low, high, sum_d, sum_d_low, sum_q, sum_q_low


@compiled(forceinline=True)
def add_sums(a: Sums, b: Sums) -> Sums:
    """The sums of both, about the same centre."""
    d, lost_of_d = two_sum(a[2], b[2])
    q, lost_of_q = two_sum(a[4], b[4])
    return least(a[0], b[0]), greatest(a[1], b[1]), d, a[3] + b[3] + lost_of_d, q, a[5] + b[5] + lost_of_q


@compiled(forceinline=True)
def add_summaries(
    sums: Sums, between: float, between_low: float, cells: Cells, begin: int, end: int, size: float, centre: float
) -> tuple[Sums, float, float]:
    """Add the summaries that lie in cells[begin : end], of ``size`` prices each, to sums about a centre.

    Returns the sums, and as a pair Σ (sumᵢ − size·c)²: divided by ``size`` it is still to be added to q.
    """
    low, high, d, d_low, q, q_low = sums
    base, base_low = two_product(size, centre)
    for row in range(begin, end, FIELDS):
        low = least(low, cells[row + MIN])
        high = greatest(high, cells[row + MAX])
        far, lost = two_sum(cells[row + SUM], -base)
        far, lost = two_sum(far, lost + (cells[row + SUM_LOW] - base_low))
        d, lost_of_sum = two_sum(d, far)
        d_low += lost + lost_of_sum
        square, lost = square_pair(far * SCALE, lost * SCALE)
        between, lost_of_sum = two_sum(between, square)
        between_low += lost + lost_of_sum
        q, lost_of_sum = two_sum(q, cells[row + M2])
        q_low += cells[row + M2_LOW] + lost_of_sum
    return (low, high, d, d_low, q, q_low), between, between_low


@compiled(forceinline=True)
def add_between(sums: Sums, between: float, between_low: float, size: float) -> Sums:
    """Add to q what ``add_summaries`` left over."""
    part, part_low = divide_pair(between, between_low, size)
    q, lost = two_sum(sums[4], part)
    return sums[0], sums[1], sums[2], sums[3], q, sums[5] + part_low + lost


@compiled(forceinline=True)
def settle(sums: Sums, size: float, centre: float) -> tuple[float, float, float, float]:
    """(sum, its low part, m2, its low part) of ``size`` prices, from their sums about a centre."""
    d, d_low = two_sum(sums[2], sums[3])
    base, base_low = two_product(size, centre)
    total, total_low = add_pairs(base, base_low, d, d_low)
    square, square_low = square_pair(d * SCALE, d_low * SCALE)
    square, square_low = divide_pair(square, square_low, size)
    m2, m2_low = add_pairs(sums[4], sums[5], -square, -square_low)
    return total, total_low, m2, m2_low


@compiled(forceinline=True)
def _write(cells: Cells, row: int, sums: Sums, size: float, centre: float) -> None:
    cells[row + MIN], cells[row + MAX] = sums[0], sums[1]
    cells[row + SUM], cells[row + SUM_LOW], cells[row + M2], cells[row + M2_LOW] = settle(sums, size, centre)


@compiled()
def summarise_prices(prices: Cells, begin: int, end: int, cells: Cells, row: int) -> None:
    """Write the summary of prices[begin : end] to cells[row] and after."""
    centre = prices[begin]
    _write(cells, row, sums_of_prices(prices, begin, end, centre), float(end - begin), centre)


@compiled()
def summarise_summaries(children: Cells, begin: int, end: int, size: float, cells: Cells, row: int) -> None:
    """Write the summary of what the summaries in children[begin : end] stand for, ``size`` prices each."""
    centre = children[begin + SUM] / size  # of equal prices it must be the price, to the bit
    centre = min(max(centre, children[begin + MIN]), children[begin + MAX])
    sums, between, between_low = add_summaries(NOTHING, 0.0, 0.0, children, begin, end, size, centre)
    sums = add_between(sums, between, between_low, size)
    _write(cells, row, sums, size * ((end - begin) // FIELDS), centre)
