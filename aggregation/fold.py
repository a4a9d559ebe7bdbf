"""Kernels that read: fold the pieces that tile a window into its statistics.

**Tiling.** A window is cut where blocks begin: raw prices on either side, whole blocks of 1,000 between them, and where
ten of these are a block of the next level, that one instead, and so on: at most ten blocks a level, left and right
together. Nothing is ever subtracted when a price leaves a window; it is just no longer among the pieces. The prices
before the first whole block are cold if the window is long: then their block is decoded.

**The same digits at any time.** Which pieces tile a window is said by the count alone, not by how far the roll-up is.
Blocks that it has not come to yet are summarised here, on the side, as it will do it. Pieces are added in one order,
from right to left: the right-hand ones are the same for all windows that have them, and are added once for all.

All sums are of distances from the last price, which is in every window (see ``summaries``).

**Order.** No lock is taken. A reader notes a count, folds, and looks at the count again: writers overwrite only what
lies far enough before it (see ``levels``). If it read something that may have been overwritten, it begins again.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from numba import float64, int64, types

from .atomics import fence_acquire, load_acquire, unowned
from .codec import BLOCK, decode
from .compiled import compiled
from .levels import (
    ASIDE_AT,
    ASIDE_WORDS,
    AT,
    BLOCK_AT,
    BOX_BLOCKS,
    BOX_WORDS,
    BOXES,
    BOXES_AT,
    CAPACITY,
    CHILDREN_AT,
    CODEC_AT,
    COUNT,
    COVERED,
    FIRST_LEVEL,
    HOT,
    HOT_KEPT,
    KEPT,
    LEVELS,
    NOTES_AT,
    PRICES,
    PRICES_AT,
    RADIX,
    SIZE,
    TABLE_AT,
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
    summarise_prices,
    summarise_summaries,
    sums_of_prices,
)

Words = npt.NDArray[np.int64]
Cells = npt.NDArray[np.float64]

_WORDS = int64[::1]
_TABLE = float64[:, ::1]

# What a fold notes of each level, a row each.
ENDS: Final = 0  # blocks that are complete
REACH: Final = 1  # those of them that are rolled up
ASIDE: Final = 2  # where the summary of block 0 would be aside: that of block b is b·FIELDS cells behind it
FIRSTS: Final = 3  # the first block in a window


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
def _note_ends(words: Words, plan: Words, start: int, count: int, notes: Words) -> int:
    """Note how many blocks of each level are complete, and how many of them rolled up; returns cells for the others.

    Those that begin before ``start`` count as rolled up: nobody asks for them.
    """
    needed = 0
    end = count // BLOCK
    for i in range(plan[LEVELS]):
        size = _size(plan, i)
        covered = load_acquire(words, COVERED + i)
        notes[ENDS, i] = notes[REACH, i] = end
        if covered < end * size:
            notes[REACH, i] = min(max(covered, start + size - 1) // size, end)
        notes[ASIDE, i] = needed - notes[REACH, i] * FIELDS
        needed += (end - notes[REACH, i]) * FIELDS
        end //= RADIX
    return needed


@compiled()
def _roll_up_aside(cells: Cells, plan: Words, notes: Words, aside: Cells) -> None:
    """Summarise the blocks that are not rolled up yet, from prices and from the summaries in the rings and aside."""
    for block in range(notes[REACH, 0], notes[ENDS, 0]):
        begin = _price_at(plan, block * BLOCK)
        summarise_prices(cells, begin, begin + BLOCK, aside, notes[ASIDE, 0] + block * FIELDS)
    children = plan[CHILDREN_AT:].view(np.float64)
    for i in range(1, plan[LEVELS]):
        for block in range(notes[REACH, i], notes[ENDS, i]):
            for child in range(RADIX):
                below = block * RADIX + child
                of_child = children[child * FIELDS : (child + 1) * FIELDS]
                if below < notes[REACH, i - 1]:
                    row = _row(plan, i - 1, below)
                    of_child[:] = cells[row : row + FIELDS]
                else:
                    row = notes[ASIDE, i - 1] + below * FIELDS
                    of_child[:] = aside[row : row + FIELDS]
            row = notes[ASIDE, i] + block * FIELDS
            summarise_summaries(children, 0, RADIX * FIELDS, float(_size(plan, i - 1)), aside, row)


@compiled(forceinline=True)
def _tile(start: int, notes: Words) -> int:
    """Note the first block of each level that tiles the prices from ``start`` on; returns the highest such level.

    The level above it has no complete block behind ``start``.
    """
    i = 0
    first = (start + BLOCK - 1) // BLOCK
    while True:
        notes[FIRSTS, i] = first
        first = (first + RADIX - 1) // RADIX
        if i + 1 == notes.shape[1] or first >= notes[ENDS, i + 1]:
            return i
        i += 1


@compiled(forceinline=True)
def _add_blocks(
    sums: Sums, cells: Cells, plan: Words, aside: Cells, notes: Words, i: int, begin: int, end: int, centre: float
) -> Sums:
    """Add blocks [begin, end) of the i-th level: from its ring as far as it is rolled up, the others from aside."""
    if begin >= end:
        return sums
    level = FIRST_LEVEL + 3 * i
    size = float(_size(plan, i))
    between = between_low = 0.0
    block, rolled_up = begin, min(end, notes[REACH, i])
    while block < rolled_up:
        row = _row(plan, i, block)
        blocks = min(rolled_up - block, plan[level + CAPACITY] - (row - plan[level + AT]) // FIELDS)
        end_row = row + blocks * FIELDS
        sums, between, between_low = add_summaries(sums, between, between_low, cells, row, end_row, size, centre)
        block += blocks
    if block < end:
        row, end_row = notes[ASIDE, i] + block * FIELDS, notes[ASIDE, i] + end * FIELDS
        sums, between, between_low = add_summaries(sums, between, between_low, aside, row, end_row, size, centre)
    return add_between(sums, between, between_low, size)


@compiled(forceinline=True)
def _tail(cells: Cells, plan: Words, count: int, longest: int, centre: float) -> Sums:
    """The prices behind the last whole block, if there are any, and a window is that long."""
    tail = count % BLOCK
    if tail == 0 or tail >= longest:
        return NOTHING
    begin = _price_at(plan, count - tail)
    return sums_of_prices(cells, begin, begin + tail, centre)


@compiled()
def _decode(words: Words, plan: Words, block: int) -> Cells:
    """The prices of a block, out of its box; any, if it is being overwritten."""
    box = plan[BOXES_AT] + block // plan[BOX_BLOCKS] % plan[BOXES] * plan[BOX_WORDS]
    i = block % plan[BOX_BLOCKS]
    begin = plan[BOX_BLOCKS] if i == 0 else min(max(words[box + i - 1], 0), plan[BOX_WORDS])
    prices: Cells = plan[BLOCK_AT : BLOCK_AT + BLOCK].view(np.float64)
    decode(words[box + begin : box + plan[BOX_WORDS]], prices, plan[CODEC_AT:])
    return prices


@compiled(forceinline=True)
def _add_head(sums: Sums, words: Words, plan: Words, start: int, is_hot: bool, centre: float) -> Sums:
    """Add the prices before the first whole block."""
    first = start % BLOCK
    if first == 0:
        return sums
    if is_hot:
        begin = _price_at(plan, start)
        return add_sums(sums, sums_of_prices(words.view(np.float64), begin, begin + BLOCK - first, centre))
    prices = _decode(words, plan, start // BLOCK)
    return add_sums(sums, sums_of_prices(prices, first, BLOCK, centre))


@compiled(forceinline=True)
def _add_right(
    sums: Sums, cells: Cells, plan: Words, aside: Cells, notes: Words, level: int, top: int, centre: float
) -> Sums:
    """Add what lies right of the last whole block of the next level, for levels from ``level`` to below ``top``."""
    for i in range(level, top):
        begin, end = notes[ENDS, i + 1] * RADIX, notes[ENDS, i]
        sums = _add_blocks(sums, cells, plan, aside, notes, i, begin, end, centre)
    return sums


@compiled(forceinline=True)
def _add_left(sums: Sums, cells: Cells, plan: Words, aside: Cells, notes: Words, top: int, centre: float) -> Sums:
    """Add the blocks of the level ``top``, and of those below it what lies left of them."""
    end = notes[ENDS, top]
    for i in range(top, -1, -1):
        sums = _add_blocks(sums, cells, plan, aside, notes, i, notes[FIRSTS, i], end, centre)
        end = notes[FIRSTS, i] * RADIX
    return sums


@compiled(forceinline=True)
def _statistics(sums: Sums, size: int, last: float) -> tuple[float, float, float, float]:
    """(min, max, avg, var)."""
    total, total_low, m2, m2_low = settle(sums, float(size), last)
    avg, _ = divide_pair(total, total_low, float(size))
    var, _ = divide_pair(m2, m2_low, float(size))
    avg = min(max(avg, sums[0]), sums[1]) + 0.0  # which has no sign if it is zero
    return sums[0], sums[1], avg, max(var / SCALE_OF_M2, 0.0)


@compiled(forceinline=True)
def _is_intact(words: Words, plan: Words, start: int, oldest_hot: int) -> bool:
    """Whether what was read from ``start`` on, and raw from ``oldest_hot`` on, was not overwritten before."""
    fence_acquire()
    count = load_acquire(words, COUNT)
    intact: bool = start >= count - plan[KEPT] and oldest_hot >= count - plan[HOT_KEPT]
    return intact


@compiled()
def _fold(words: Words, plan: Words, first_k: int, last_k: int, table: Cells) -> int:
    """Fold windows ``first_k`` to ``last_k`` of one count, a row of ``table`` each; returns the count.

    O(levels) for each window: at most ten blocks a level, and 1,000 prices at its two edges.
    """
    words, plan, table = unowned(words), unowned(plan), unowned(table)
    cells = words.view(np.float64)
    notes = plan[NOTES_AT : NOTES_AT + 4 * plan[LEVELS]].reshape(4, plan[LEVELS])
    aside = plan[ASIDE_AT:].view(np.float64)
    low = high = avg = var = 0.0
    while True:
        count: int = load_acquire(words, COUNT)
        if count == 0:
            return 0
        longest = min(RADIX**last_k, count)
        needed = _note_ends(words, plan, count - longest, count, notes)
        if needed > plan[ASIDE_WORDS]:
            continue  # a symbol that is being deleted: its count is zero now
        if needed > 0:
            _roll_up_aside(cells, plan, notes, aside)
        oldest_hot = min(notes[REACH, 0] * BLOCK, count - 1)
        last = cells[_price_at(plan, count - 1)]
        right, level = _tail(cells, plan, count, longest, last), 0
        start = count
        for k in range(first_k, last_k + 1):
            size = min(RADIX**k, count)
            if size > count - start:  # if not, it is the window before: there are no more prices
                start = count - size
                is_hot = start >= count - plan[HOT]
                oldest_hot = min(oldest_hot, start) if is_hot else oldest_hot
                if start // BLOCK == notes[ENDS, 0]:
                    begin = _price_at(plan, start)
                    sums = sums_of_prices(cells, begin, begin + size, last)
                else:
                    top = _tile(start, notes)
                    right = _add_right(right, cells, plan, aside, notes, level, top, last)
                    level = max(level, top)
                    sums = _add_left(right, cells, plan, aside, notes, top, last)
                    sums = _add_head(sums, words, plan, start, is_hot, last)
                low, high, avg, var = _statistics(sums, size, last)
            row = k - first_k
            table[row, 0], table[row, 1], table[row, 2], table[row, 3], table[row, 4] = low, high, last, avg, var
        if _is_intact(words, plan, start, oldest_hot):
            return count


@compiled(types.Tuple((int64, float64, float64, float64, float64, float64))(_WORDS, _WORDS, int64))
def fold(words: Words, plan: Words, k: int) -> tuple[int, float, float, float, float, float]:
    """(prices, min, max, last, avg, var) of window ``k``; the first is 0 where there is no price.

    O(levels). avg and var are rounded from some thirty digits. The variance is the population's.
    """
    table = plan[TABLE_AT : TABLE_AT + 5].view(np.float64).reshape(1, 5)
    count = _fold(words, plan, k, k, table)
    if count == 0:
        return 0, 0.0, 0.0, 0.0, 0.0, 0.0
    return min(RADIX**k, count), table[0, 0], table[0, 1], table[0, 2], table[0, 3], table[0, 4]


@compiled(int64(_WORDS, _WORDS, int64, _TABLE))
def fold_all(words: Words, plan: Words, max_k: int, table: Cells) -> int:
    """Write min, max, last, avg and var of window k = 1 … ``max_k`` to row k − 1 of ``table``; returns the count.

    O(levels²), all of one moment; every digit is that of ``fold``.
    """
    return _fold(words, plan, 1, max_k, table)


@compiled(int64(_WORDS, _WORDS, int64, float64[::1]))
def read(words: Words, plan: Words, begin: int, prices: Cells) -> int:
    """Copy the prices from position ``begin`` on to all of ``prices``; returns the count.

    O(len(prices)), and a block at least where they are cold. Not all of them are copied if they do not lie between what
    is kept and that count.
    """
    words, plan, prices = unowned(words), unowned(plan), unowned(prices)
    cells = words.view(np.float64)
    while True:
        count: int = load_acquire(words, COUNT)
        end = begin + prices.shape[0]
        if begin < max(0, count - plan[KEPT]) or end > count:
            return count
        position, oldest_hot = begin, count
        while position < end:
            first = position % BLOCK
            size = min(BLOCK - first, end - position)
            part = prices[position - begin : position - begin + size]
            if position < count - plan[HOT] and plan[BOXES] > 0:  # without boxes nothing is ever cold
                part[:] = _decode(words, plan, position // BLOCK)[first : first + size]
            else:
                oldest_hot = min(oldest_hot, position)
                at = _price_at(plan, position)
                part[:] = cells[at : at + size]
            position += size
        if _is_intact(words, plan, begin, oldest_hot):
            return count


@compiled(types.Tuple((int64, float64))(_WORDS, _WORDS))
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
