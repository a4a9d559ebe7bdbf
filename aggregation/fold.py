"""Kernels that read: fold the pieces that tile a window into its statistics.

**Tiling.** A window is cut where blocks begin: raw prices on either side, whole blocks of 1,000 between them, and where
ten of these are a block of the next level, that one instead, and so on: at most 18 blocks a level. Nothing is ever
subtracted when a price leaves a window; it is just no longer among the pieces. The prices before the first whole block
are cold if the window is long: then their block is decoded.

**The same digits at any time.** Which pieces tile a window is said by the count alone, not by how far the roll-up is.
Blocks that it has not come to yet are summarised here, on the side, as it will do it. Pieces are added in one order, from
right to left: the right-hand ones are the same for all windows that have them, and are added once for all.

All sums are of distances from the last price, which is in every window (see ``summaries``).

**Order.** No lock is taken. A reader notes a count, folds, and looks at the count again: writers overwrite only what lies
far enough before it (see ``levels``). If it read something that may have been overwritten, it begins again.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import float64, int64, types

from .atomics import fence_acquire, load_acquire
from .codec import BLOCK, WORK, decode
from .compiled import compiled
from .lanes import LANES
from .levels import (
    AT,
    BOX_BLOCKS,
    BOX_WORDS,
    BOXES,
    BOXES_AT,
    CAPACITY,
    COUNT,
    COVERED,
    FIRST_LEVEL,
    HOT,
    HOT_KEPT,
    KEPT,
    LEVELS,
    PRICES,
    PRICES_AT,
    RADIX,
    SIZE,
)
from .pairs import divide_pair
from .summaries import (
    FIELDS,
    NOTHING,
    SCALE_OF_M2,
    Sums,
    add_between,
    add_summaries,
    add_sums,
    settle,
    sums_of_prices,
    summarise_prices,
    summarise_summaries,
)

Words = npt.NDArray[np.int64]
Cells = npt.NDArray[np.float64]

_WORDS = int64[::1]
_PLAN = types.Array(types.int64, 1, "C", readonly=True)
_TABLE = float64[:, ::1]


@compiled(forceinline=True)
def _price_at(plan: Words, position: int) -> int:
    """The cell of a hot price."""
    at: int = plan[PRICES_AT] + position % plan[PRICES]
    return at


@compiled(forceinline=True)
def _size(plan: Words, i: int) -> int:
    """Prices in a block of the i-th level."""
    size: int = plan[FIRST_LEVEL + 3 * i + SIZE]
    return size


@compiled(forceinline=True)
def _row(plan: Words, i: int, block: int) -> int:
    """The cell at which the summary of a block of the i-th level begins."""
    level = FIRST_LEVEL + 3 * i
    row: int = plan[level + AT] + block % plan[level + CAPACITY] * FIELDS
    return row


@compiled(forceinline=True)
def _tile(plan: Words, start: int, ends: Words, firsts: Words) -> int:
    """Note the first whole block on each level that tiles the prices from ``start`` on; returns the highest of them.

    ``ends`` says how many blocks there are. The level above the highest has none behind ``start``.
    """
    i = 0
    firsts[0] = (start + BLOCK - 1) // BLOCK
    while i + 1 < ends.shape[0]:
        above = (firsts[i] + RADIX - 1) // RADIX
        if above >= ends[i + 1]:
            break
        i += 1
        firsts[i] = above
    return i


@compiled()
def _roll_up_aside(words: Words, plan: Words, start: int, ends: Words, reach: Words, aside_at: Words) -> Cells:
    """Note up to which block each level is rolled up, and summarise from there on, but not what begins before ``start``.

    The summary of block b of the i-th level is put at aside[aside_at[i] + b·FIELDS] and after.
    """
    cells = words.view(np.float64)
    size = 0
    for i in range(ends.shape[0]):
        reach[i] = ends[i]
        covered = load_acquire(words, COVERED + i)
        if covered < ends[i] * _size(plan, i):
            reach[i] = min(max(covered, start + _size(plan, i) - 1) // _size(plan, i), ends[i])
        aside_at[i] = size - reach[i] * FIELDS
        size += (ends[i] - reach[i]) * FIELDS
    if size == 0:
        return cells  # any will do
    aside = np.empty(size)
    for block in range(reach[0], ends[0]):
        begin = _price_at(plan, block * BLOCK)
        summarise_prices(cells, begin, begin + BLOCK, aside, aside_at[0] + block * FIELDS)
    children = np.empty(RADIX * FIELDS)
    for i in range(1, ends.shape[0]):
        for block in range(reach[i], ends[i]):
            for child in range(RADIX):
                below = block * RADIX + child
                if below < reach[i - 1]:
                    row = _row(plan, i - 1, below)
                    children[child * FIELDS : (child + 1) * FIELDS] = cells[row : row + FIELDS]
                else:
                    row = aside_at[i - 1] + below * FIELDS
                    children[child * FIELDS : (child + 1) * FIELDS] = aside[row : row + FIELDS]
            below_size = float(_size(plan, i - 1))
            summarise_summaries(children, 0, RADIX * FIELDS, below_size, aside, aside_at[i] + block * FIELDS)
    return aside


@compiled()
def _add_blocks(
    sums: Sums,
    cells: Cells,
    plan: Words,
    aside: Cells,
    aside_at: int,
    reach: int,
    i: int,
    begin: int,
    end: int,
    centre: float,
) -> Sums:
    """Add blocks [begin, end) of the i-th level: from its ring up to ``reach``, the others from aside."""
    if begin >= end:
        return sums
    size = float(_size(plan, i))
    between = between_low = 0.0
    block, rolled_up = begin, min(end, reach)
    while block < rolled_up:
        level = FIRST_LEVEL + 3 * i
        slot = block % plan[level + CAPACITY]
        blocks = min(rolled_up - block, plan[level + CAPACITY] - slot)
        row = plan[level + AT] + slot * FIELDS
        sums, between, between_low = add_summaries(
            sums, between, between_low, cells, row, row + blocks * FIELDS, size, centre
        )
        block += blocks
    if block < end:
        row, end_row = aside_at + block * FIELDS, aside_at + end * FIELDS
        sums, between, between_low = add_summaries(sums, between, between_low, aside, row, end_row, size, centre)
    return add_between(sums, between, between_low, size)


@compiled(forceinline=True)
def _add_tail(cells: Cells, plan: Words, count: int, centre: float) -> Sums:
    """The prices behind the last whole block."""
    tail = count % BLOCK
    if tail == 0:
        return NOTHING
    begin = _price_at(plan, count - tail)
    return sums_of_prices(cells, begin, begin + tail, centre)


@compiled()
def _add_head(sums: Sums, words: Words, plan: Words, start: int, is_hot: bool, centre: float) -> Sums:
    """Add the prices before the first whole block."""
    first = start % BLOCK
    if first == 0:
        return sums
    if is_hot:
        begin = _price_at(plan, start)
        return add_sums(sums, sums_of_prices(words.view(np.float64), begin, begin + BLOCK - first, centre))
    block = start // BLOCK
    box = plan[BOXES_AT] + block // plan[BOX_BLOCKS] % plan[BOXES] * plan[BOX_WORDS]
    i = block % plan[BOX_BLOCKS]
    begin = plan[BOX_BLOCKS] if i == 0 else words[box + i - 1]
    work = np.empty(WORK + BLOCK + LANES, dtype=np.int64)
    prices = work[WORK:].view(np.float64)
    begin = min(max(begin, 0), plan[BOX_WORDS])  # it may be overwritten right now
    decode(words[box + begin : box + plan[BOX_WORDS]], prices[:BLOCK], work[:WORK])
    return add_sums(sums, sums_of_prices(prices, first, BLOCK, centre))


@compiled(forceinline=True)
def _statistics(sums: Sums, size: int, last: float) -> tuple[float, float, float, float]:
    """(min, max, avg, var): a zero has no sign."""
    total, total_low, m2, m2_low = settle(sums, float(size), last)
    avg, _ = divide_pair(total, total_low, float(size))
    var, _ = divide_pair(m2, m2_low, float(size))
    low, high = sums[0] + 0.0, sums[1] + 0.0
    return low, high, min(max(avg, low), high) + 0.0, max(var / SCALE_OF_M2, 0.0)


@compiled(forceinline=True)
def _is_intact(words: Words, plan: Words, start: int, oldest_hot: int) -> bool:
    """Whether nothing that was read from ``start`` on, and raw from ``oldest_hot`` on, can have been overwritten before."""
    fence_acquire()
    count = load_acquire(words, COUNT)
    intact: bool = start >= count - plan[KEPT] and oldest_hot >= count - plan[HOT_KEPT]
    return intact


@compiled()
def _fold(words: Words, plan: Words, first_k: int, last_k: int, table: Cells) -> int:
    """Fold windows ``first_k`` to ``last_k`` of one count, a row of ``table`` each; returns the count.

    O(levels) for each window: at most 18 blocks a level, of which half are shared, and 999 prices on either side.
    """
    cells = words.view(np.float64)
    levels = plan[LEVELS]
    notes = np.empty(4 * levels, dtype=np.int64)  # for each level:
    ends = notes[:levels]  # how many blocks are complete
    reach = notes[levels : 2 * levels]  # how many of them are rolled up
    aside_at = notes[2 * levels : 3 * levels]  # where the others are
    firsts = notes[3 * levels :]  # with which one a window begins
    while True:
        count: int = load_acquire(words, COUNT)
        if count == 0:
            return 0
        end = count // BLOCK
        for i in range(levels):
            ends[i] = end
            end //= RADIX
        aside = _roll_up_aside(words, plan, count - min(RADIX**last_k, count), ends, reach, aside_at)
        oldest_hot = min(reach[0] * BLOCK, count - 1)
        last = cells[_price_at(plan, count - 1)]
        right, level = NOTHING, -1
        start = count
        for k in range(first_k, last_k + 1):
            row, size = k - first_k, min(RADIX**k, count)
            if size == count - start:
                table[row] = table[row - 1]
                continue
            start = count - size
            is_hot = start >= count - plan[HOT]
            if is_hot:
                oldest_hot = min(oldest_hot, start)
            if start // BLOCK == ends[0]:
                begin = _price_at(plan, start)
                sums = sums_of_prices(cells, begin, begin + size, last)
            else:
                if level < 0:
                    right, level = _add_tail(cells, plan, count, last), 0
                top = _tile(plan, start, ends, firsts)
                while level < top:
                    begin, end = ends[level + 1] * RADIX, ends[level]
                    right = _add_blocks(
                        right, cells, plan, aside, aside_at[level], reach[level], level, begin, end, last
                    )
                    level += 1
                sums, end = right, ends[top]
                for i in range(top, -1, -1):
                    sums = _add_blocks(sums, cells, plan, aside, aside_at[i], reach[i], i, firsts[i], end, last)
                    end = firsts[i] * RADIX
                sums = _add_head(sums, words, plan, start, is_hot, last)
            low, high, avg, var = _statistics(sums, size, last)
            table[row, 0], table[row, 1], table[row, 2], table[row, 3], table[row, 4] = low, high, last, avg, var
        if _is_intact(words, plan, start, oldest_hot):
            return count


@compiled(types.Tuple((int64, float64, float64, float64, float64, float64))(_WORDS, _PLAN, int64))
def fold(words: Words, plan: Words, k: int) -> tuple[int, float, float, float, float, float]:
    """(prices, min, max, last, avg, var) of window ``k``; the first is 0 where there is no price.

    O(levels). avg and var are rounded from some thirty digits. The variance is the population's.
    """
    table = np.empty((1, 5))
    count = _fold(words, plan, k, k, table)
    if count == 0:
        return 0, 0.0, 0.0, 0.0, 0.0, 0.0
    return min(RADIX**k, count), table[0, 0], table[0, 1], table[0, 2], table[0, 3], table[0, 4]


@compiled(int64(_WORDS, _PLAN, int64, _TABLE))
def fold_all(words: Words, plan: Words, max_k: int, table: Cells) -> int:
    """Write min, max, last, avg and var of window k to row k − 1 of ``table``, for k = 1 … ``max_k``; returns the count.

    O(levels²), all of one moment; every digit is that of ``fold``.
    """
    return _fold(words, plan, 1, max_k, table)


@compiled(types.Tuple((int64, float64))(_WORDS, _PLAN))
def newest(words: Words, plan: Words) -> tuple[int, float]:
    """The count and the last price of one moment; (0, 0) where there is none. O(1), no lock."""
    cells = words.view(np.float64)
    while True:
        count = load_acquire(words, COUNT)
        if count == 0:
            return 0, 0.0
        last = cells[_price_at(plan, count - 1)]
        if _is_intact(words, plan, count - 1, count - 1):
            return count, last
