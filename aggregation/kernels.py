"""The loops that touch every price or every piece: write, roll up, fold.

Numba functions over plain arrays, compiled when this module is imported (see ``compiled``). They are written
as the scalar loops that they are; LLVM makes them fast.

**Numerics.** A summary of a block holds ``min``, ``max``, ``mean_offset`` = Σ(x − min) / N and
``m2`` = Σ(x − mean)². Measuring the mean from the block's own minimum keeps its error relative to the *spread*
of the block, not to the size of its prices: for prices of similar size x − min is exact (Sterbenz 1974).
Pieces are combined with the update of Chan, Golub and LeVeque ("Algorithms for computing the sample variance",
1983) about a centre c close to the mean, with d the distance of a piece's mean from c and w its prices::

    avg = c + Σ w·d / N            m2 = Σ m2_i + Σ w·d² − (Σ w·d)² / N

The last term is their correction: it takes the rounding of c itself out again. Nothing is ever subtracted when
a price leaves a window; it is just no longer among the pieces.

**Order.** ``covered`` is read by other processes while a kernel writes. ``write`` never touches it; ``roll_up``
publishes a level in it after that level's summaries; ``fold``, ``fold_all`` and ``newest`` read it first and again at
the end. See ``series.py``.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from numba import float64, int64, types

from .atomics import fence_acquire, fence_release, load_acquire, store_release
from .compiled import compiled

# Columns of a summary, of a row of Geometry.plan, and of a run of pieces.
MIN: Final = 0
MAX: Final = 1
MEAN_OFFSET: Final = 2
M2: Final = 3

SIZE: Final = 0
FIRST_ROW: Final = 1
CAPACITY: Final = 2

LEVEL: Final = 0
BEGIN: Final = 1
END: Final = 2

RADIX_IN_SERVICE: Final = 10
"""The radix that the roll-up is compiled for as a constant, so that its inner loops unroll: a third less time."""

Words = npt.NDArray[np.int64]
Cells = npt.NDArray[np.float64]

_WORDS = int64[::1]
_PRICES = float64[::1]
_GIVEN_PRICES = types.Array(types.float64, 1, "C", readonly=True)
_SUMMARIES = float64[:, ::1]
_PLAN = types.Array(types.int64, 2, "C", readonly=True)
_STATISTICS = types.Tuple((int64, float64, float64, float64, float64, float64))

STRETCH: Final = 32
"""Pieces that one plain sum takes up before it is added, with compensation, to the total.

A fold of some 144 pieces would not need it. A tail of tens of thousands that is not rolled up yet does: equal terms
round in the same direction each time, and 10^5 of them lose three digits in a plain sum.
"""


@compiled(types.void(_WORDS, int64, int64))
def publish(words: Words, index: int, value: int) -> None:
    """Set words[index] so that whoever sees it sees all that was written before."""
    store_release(words, index, value)


@compiled(int64(_WORDS, int64))
def observe(words: Words, index: int) -> int:
    """Read words[index]; what is read afterwards is at least as new."""
    fence_acquire()
    value: int = load_acquire(words, index)
    return value


@compiled(int64(_PRICES, int64, _GIVEN_PRICES, float64))
def write(raw: Cells, count: int, prices: Cells, limit: float) -> int:
    """Copy ``prices`` into the ring from position ``count`` on; O(len(prices)).

    Returns −1, or the index of the first price that is not finite or beyond ±``limit``; then nothing was written.
    """
    refused = 0
    for i in range(prices.shape[0]):
        refused += 0 if abs(prices[i]) <= limit else 1
    if refused > 0:
        for i in range(prices.shape[0]):
            if not abs(prices[i]) <= limit:
                return i
    fence_release()  # the published count is seen before any price that it puts out of reach is overwritten
    capacity = raw.shape[0]
    start = count % capacity
    before_wrap = min(prices.shape[0], capacity - start)
    raw[start : start + before_wrap] = prices[:before_wrap]
    raw[: prices.shape[0] - before_wrap] = prices[before_wrap:]
    fence_release()  # the prices are seen before the count that the caller publishes
    return -1


@compiled(int64(_WORDS, _PRICES, _GIVEN_PRICES, float64))
def append(covered: Words, raw: Cells, prices: Cells, limit: float) -> int:
    """Write ``prices`` behind the count, and publish the new one; O(len(prices)).

    Returns the new count, or −1 − the index of a price that is refused; then nothing was written.
    """
    refused = write(raw, covered[0], prices, limit)
    if refused >= 0:
        return -1 - refused
    count: int = covered[0] + prices.shape[0]
    store_release(covered, 0, count)
    return count


@compiled(inline="always")
def _summarise_prices(raw: Cells, begin: int, radix: int, summaries: Cells, row: int) -> None:
    """Lift the ``radix`` prices from raw[begin] on to one summary."""
    low = high = raw[begin]
    for i in range(begin + 1, begin + radix):
        x = raw[i]
        low = min(low, x)
        high = max(high, x)
    total = 0.0
    for i in range(begin, begin + radix):
        total += raw[i] - low
    offset = total / radix
    squares = 0.0
    for i in range(begin, begin + radix):
        d = (raw[i] - low) - offset
        squares += d * d
    summaries[row, MIN] = low
    summaries[row, MAX] = high
    summaries[row, MEAN_OFFSET] = offset
    summaries[row, M2] = squares


@compiled(inline="always")
def _summarise_blocks(summaries: Cells, begin: int, radix: int, weight: float, row: int) -> None:
    """Combine the ``radix`` blocks from summaries[begin] on, ``weight`` prices each, into one summary."""
    low = summaries[begin, MIN]
    high = summaries[begin, MAX]
    near = low
    total = 0.0
    for i in range(begin, begin + radix):
        block_low = summaries[i, MIN]
        block_high = summaries[i, MAX]
        low = min(low, block_low)
        high = max(high, block_high)
        total += (block_low - near) + summaries[i, MEAN_OFFSET]
    centre = near + total / radix
    squares = 0.0
    within = 0.0
    residue = 0.0
    for i in range(begin, begin + radix):
        d = (summaries[i, MIN] - centre) + summaries[i, MEAN_OFFSET]
        squares += d * d
        residue += d
        within += summaries[i, M2]
    summaries[row, MIN] = low
    summaries[row, MAX] = high
    summaries[row, MEAN_OFFSET] = (centre - low) + residue / radix
    summaries[row, M2] = within + weight * max(0.0, squares - residue * residue / radix)


@compiled(inline="always")
def _summarise_stretch(
    raw: Cells, summaries: Cells, level: int, child: int, radix: int, weight: float, row: int, blocks: int
) -> None:
    """Summarise ``blocks`` neighbouring blocks whose children and whose own rows do not wrap."""
    if level == 1:
        for i in range(blocks):
            _summarise_prices(raw, child + i * radix, radix, summaries, row + i)
    else:
        for i in range(blocks):
            _summarise_blocks(summaries, child + i * radix, radix, weight, row + i)


@compiled(types.void(_WORDS, _PRICES, _SUMMARIES, _PLAN, int64))
def roll_up(covered: Words, raw: Cells, summaries: Cells, plan: Words, through: int) -> None:
    """Summarise every newly completed block of levels 1 … ``through``, publishing level by level.

    O(prices since the last roll-up), amortised O(1) a price: 10 prices make a summary, 10 summaries the next.
    Blocks that start before the oldest retained price are left out: no window will ask for them, and their
    children may be overwritten already.
    """
    fence_release()  # as in write: the count first, then what it allows to overwrite
    radix = plan[1, SIZE]
    oldest = max(0, covered[0] - plan[plan.shape[0] - 1, SIZE])
    for level in range(1, through + 1):
        size = plan[level, SIZE]
        if covered[level - 1] - covered[level] < size:
            continue
        capacity = plan[level, CAPACITY]
        child_capacity = plan[level - 1, CAPACITY]
        end = covered[level - 1] // size
        block = max(covered[level] // size, (oldest + size - 1) // size)
        while block < end:
            slot = block % capacity
            child = (block * radix) % child_capacity
            blocks = min(end - block, capacity - slot, (child_capacity - child) // radix)
            row = plan[level, FIRST_ROW] + slot
            child += plan[level - 1, FIRST_ROW]
            weight = float(plan[level - 1, SIZE])
            if radix == RADIX_IN_SERVICE:
                _summarise_stretch(raw, summaries, level, child, RADIX_IN_SERVICE, weight, row, blocks)
            else:
                _summarise_stretch(raw, summaries, level, child, radix, weight, row, blocks)
            block += blocks
        store_release(covered, level, end * size)


@compiled()
def _add_run(runs: Words, used: int, plan: Words, level: int, begin: int, end: int) -> int:
    """Note that blocks begin … end − 1 of a level are pieces: as one run of the ring, or two at its end."""
    capacity = plan[level, CAPACITY]
    offset = plan[level, FIRST_ROW]
    first = begin % capacity
    blocks = end - begin
    before_wrap = min(blocks, capacity - first)
    runs[used, LEVEL] = level
    runs[used, BEGIN] = offset + first
    runs[used, END] = offset + first + before_wrap
    used += 1
    if blocks > before_wrap:
        runs[used, LEVEL] = level
        runs[used, BEGIN] = offset
        runs[used, END] = offset + blocks - before_wrap
        used += 1
    return used


@compiled()
def _note_reach(reach: Words, covered: Words, plan: Words, count: int) -> None:
    """How many blocks of each level can tile the first ``count`` prices; by now it may cover more, that came since."""
    reach[0] = count  # it may be 0 by now, if the symbol is being deleted
    for level in range(1, reach.shape[0]):
        reach[level] = min(load_acquire(covered, level), count) // plan[level, SIZE]


@compiled()
def _tile(runs: Words, reach: Words, plan: Words, start: int) -> int:
    """Tile the prices from ``start`` on greedily with what the levels reach; returns the number of runs.

    Upwards from the left edge: stay on a level until the next one's grid is met, and go there if it has a block to
    offer. Then downwards: from where a level's reach ends, the level below takes over, and raw prices finish.
    """
    top = reach.shape[0] - 1
    radix = plan[1, SIZE]
    used = 0
    level = 0
    block = start
    while level < top:
        above = (block + radix - 1) // radix
        if above >= reach[level + 1]:
            break
        if above * radix > block:
            used = _add_run(runs, used, plan, level, block, above * radix)
        block = above
        level += 1
    while True:
        if reach[level] > block:
            used = _add_run(runs, used, plan, level, block, reach[level])
            block = reach[level]
        if level == 0:
            return used
        level -= 1
        block *= radix


@compiled(inline="always")
def _add(total: float, lost: float, part: float) -> tuple[float, float]:
    """Kahan's compensated sum ("Further remarks on reducing truncation errors", 1965): (new total, what it lost)."""
    part -= lost
    grown = total + part
    return grown, (grown - total) - part


@compiled()
def _sum_and_bounds(raw: Cells, summaries: Cells, plan: Words, runs: Words, near: float) -> tuple[float, float, float]:
    """First pass over the pieces: (min, max, Σ (x − near)) over all prices that they stand for."""
    first = runs[0, BEGIN]
    low = raw[first] if runs[0, LEVEL] == 0 else summaries[first, MIN]
    high = raw[first] if runs[0, LEVEL] == 0 else summaries[first, MAX]
    total = lost = 0.0
    for run in range(runs.shape[0]):
        level, end = runs[run, LEVEL], runs[run, END]
        weight = float(plan[level, SIZE])
        for begin in range(runs[run, BEGIN], end, STRETCH):
            part = 0.0
            if level == 0:
                for i in range(begin, min(end, begin + STRETCH)):
                    x = raw[i]
                    low = x if x < low else low
                    high = x if x > high else high
                    part += x - near
            else:
                for i in range(begin, min(end, begin + STRETCH)):
                    block_low = summaries[i, MIN]
                    block_high = summaries[i, MAX]
                    low = block_low if block_low < low else low
                    high = block_high if block_high > high else high
                    part += (block_low - near) + summaries[i, MEAN_OFFSET]
            total, lost = _add(total, lost, weight * part)
    return low, high, total


@compiled()
def _residue_and_squares(raw: Cells, summaries: Cells, plan: Words, runs: Words, centre: float) -> tuple[float, float]:
    """Second pass: (Σ w·d, Σ m2 + Σ w·d²) over the pieces, d being the distance of a piece's mean from ``centre``."""
    residue = residue_lost = 0.0
    total = total_lost = 0.0
    for run in range(runs.shape[0]):
        level, end = runs[run, LEVEL], runs[run, END]
        weight = float(plan[level, SIZE])
        for begin in range(runs[run, BEGIN], end, STRETCH):
            part = 0.0
            squares = 0.0
            within = 0.0
            if level == 0:
                for i in range(begin, min(end, begin + STRETCH)):
                    d = raw[i] - centre
                    part += d
                    squares += d * d
            else:
                for i in range(begin, min(end, begin + STRETCH)):
                    d = (summaries[i, MIN] - centre) + summaries[i, MEAN_OFFSET]
                    part += d
                    squares += d * d
                    within += summaries[i, M2]
            residue, residue_lost = _add(residue, residue_lost, weight * part)
            total, total_lost = _add(total, total_lost, within + weight * squares)
    return residue, total


@compiled()
def _fold_window(
    raw: Cells, summaries: Cells, plan: Words, reach: Words, runs: Words, k: int
) -> tuple[int, float, float, float, float, float]:
    """Combine the pieces that tile window ``k`` of the prices that are reached; ``runs`` is room for them."""
    count = reach[0]
    size = min(plan[k, SIZE], count)
    tiled = runs[: _tile(runs, reach, plan, count - size)]
    last = raw[(count - 1) % raw.shape[0]]
    low, high, total = _sum_and_bounds(raw, summaries, plan, tiled, last)
    centre = last + total / size
    residue, squares = _residue_and_squares(raw, summaries, plan, tiled, centre)
    var = max(0.0, squares - residue * residue / size) / size
    avg = min(max(centre + residue / size, low), high)  # rounding must not carry it past the extremes
    return size, low, high, last, avg, var


@compiled()
def _is_intact(covered: Words, plan: Words, start: int) -> bool:
    """Whether nothing that was read of positions from ``start`` on can have been overwritten before it was read.

    Writers overwrite only what lies before their count's retention.
    """
    fence_acquire()
    intact: bool = start >= load_acquire(covered, 0) - plan[plan.shape[0] - 1, SIZE]
    return intact


@compiled(_STATISTICS(_WORDS, _PRICES, _SUMMARIES, _PLAN, int64))
def fold(
    covered: Words, raw: Cells, summaries: Cells, plan: Words, k: int
) -> tuple[int, float, float, float, float, float]:
    """Combine the pieces that tile window ``k``: (prices in the window, min, max, last, avg, var).

    O(levels): at most 9 pieces a level on either side, whatever k is, plus the tail that is not rolled up yet.
    A symbol without a price gives (0, 0, 0, 0, 0, 0). Of equal values (0.0 and −0.0) min and max are the oldest,
    whatever the tiling. The variance is the population's.

    No lock is taken. If the window's start has been passed by the time the fold ends, it is done again with the new
    count; so it is of one moment.
    """
    runs = np.empty((4 * plan.shape[0], 3), dtype=np.int64)
    reach = np.empty(plan.shape[0] - 1, dtype=np.int64)
    while True:
        count = load_acquire(covered, 0)
        if count == 0:
            return 0, 0.0, 0.0, 0.0, 0.0, 0.0
        _note_reach(reach, covered, plan, count)
        size, low, high, last, avg, var = _fold_window(raw, summaries, plan, reach, runs, k)
        if _is_intact(covered, plan, count - size):
            return size, low, high, last, avg, var


@compiled(types.Tuple((int64, float64))(_WORDS, _PRICES, _PLAN))
def newest(covered: Words, raw: Cells, plan: Words) -> tuple[int, float]:
    """The count and the last price of one moment; (0, 0) where there is none. O(1), no lock."""
    while True:
        count = load_acquire(covered, 0)
        if count == 0:
            return 0, 0.0
        last = raw[(count - 1) % raw.shape[0]]
        if _is_intact(covered, plan, count - 1):
            return count, last


@compiled(int64(_WORDS, _PRICES, _SUMMARIES, _PLAN, _SUMMARIES))
def fold_all(covered: Words, raw: Cells, summaries: Cells, plan: Words, table: Cells) -> int:
    """Fold every window k of one count into row k − 1 of ``table``, as ``fold`` gives it without its size.

    Returns the count.

    O(levels²), plus the tail for every window that is longer. What windows share is read again for each of them: it
    comes from the cache, and each window keeps a centre of its own, so every digit is that of ``fold``.

    The longest window goes first and is validated at once. Each shorter one starts later, where writers come later, so
    all of them together are hardly passed more often than a single longest one.
    """
    runs = np.empty((4 * plan.shape[0], 3), dtype=np.int64)
    reach = np.empty(plan.shape[0] - 1, dtype=np.int64)
    while True:
        count: int = load_acquire(covered, 0)
        _note_reach(reach, covered, plan, count)
        k = plan.shape[0] - 1 if count > 0 else 0
        while k > 0:
            size, low, high, last, avg, var = _fold_window(raw, summaries, plan, reach, runs, k)
            if not _is_intact(covered, plan, count - size):
                break
            k -= 1
            table[k, 0], table[k, 1], table[k, 2], table[k, 3], table[k, 4] = low, high, last, avg, var
        if k == 0:
            return count
