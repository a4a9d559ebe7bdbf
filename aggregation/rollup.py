"""Kernels that write: append prices; roll up the blocks that they complete.

**Order.** Other processes read while these write. ``append`` writes prices where nobody looks any more, and then
publishes the count. ``roll_up`` writes a block and its summary, and then publishes that level 3 covers it; then level
by level what that completes. Whoever sees a published number sees all that was written before it. See ``series``.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from numba import float64, int64, types

from .atomics import fence_release, store_release, unowned
from .codec import BLOCK, encode
from .compiled import compiled
from .lanes import LANES, as_ints, broadcast, load, or_lanes, store
from .levels import (
    AT,
    BATCHES,
    BOX_BLOCKS,
    BOX_WORDS,
    BOXES,
    BOXES_AT,
    CAPACITY,
    CODEC_AT,
    COUNT,
    COVERED,
    FIRST_LEVEL,
    LEVELS,
    PRICES,
    PRICES_AT,
    RADIX,
    SIZE,
)
from .summaries import FIELDS, summarise_prices, summarise_summaries

Words = npt.NDArray[np.int64]
Cells = npt.NDArray[np.float64]

_WORDS = int64[::1]
_GIVEN_PRICES = types.Array(types.float64, 1, "C", readonly=True)

_SIZE_BITS: Final = (1 << 63) - 1  # all but the sign


@compiled()
def _copy(prices: Cells, begin: int, end: int, cells: Cells, at: int, limit: int) -> int:
    """Copy prices[begin : end] to cells[at] and after; negative if one of them has bits above ``limit``, sign apart."""
    whole = end - (end - begin) % LANES
    left = broadcast(0)
    for i in range(begin, whole, LANES):
        eight = load(prices, i)
        store(cells, at + i - begin, eight)
        left = left | (broadcast(limit) - (as_ints(eight) & _SIZE_BITS))
    least: int = or_lanes(left)
    bits = prices.view(np.int64)
    for i in range(whole, end):
        cells[at + i - begin] = prices[i]
        least |= limit - (bits[i] & _SIZE_BITS)
    return least


@compiled(int64(_WORDS, _WORDS, _GIVEN_PRICES, float64))
def append(words: Words, plan: Words, prices: Cells, limit: float) -> int:
    """Write ``prices`` behind the count, and publish the new one; O(len(prices)).

    Returns the new count, or −1 − the index of the first price that is not finite or beyond ±``limit``; then nothing
    was appended. The bits of doubles are in the order of their sizes, with infinity and all that is no number above.
    """
    words, plan, prices = unowned(words), unowned(plan), unowned(prices)
    count: int = words[COUNT]
    size = prices.shape[0]
    cells = words.view(np.float64)
    limit_bits = int(np.float64(limit).view(np.int64))
    fence_release()  # the published count is seen before any price that it puts out of reach is overwritten
    start = count % plan[PRICES]
    before_wrap = min(size, plan[PRICES] - start)
    refused = _copy(prices, 0, before_wrap, cells, plan[PRICES_AT] + start, limit_bits)
    refused |= _copy(prices, before_wrap, size, cells, plan[PRICES_AT], limit_bits)
    if refused < 0:
        for i in range(size):
            if not abs(prices[i]) <= limit:
                return -1 - i
    count += size
    store_release(words, COUNT, count)
    words[BATCHES] += 1
    return count


@compiled()
def _keep(words: Words, plan: Words, block: int, prices: Cells) -> None:
    """Write a block, compressed, behind the one before it in its box, and where it ends."""
    box = plan[BOXES_AT] + block // plan[BOX_BLOCKS] % plan[BOXES] * plan[BOX_WORDS]
    i = block % plan[BOX_BLOCKS]
    begin = plan[BOX_BLOCKS] if i == 0 else words[box + i - 1]
    words[box + i] = begin + encode(prices, words[box + begin :], plan[CODEC_AT:])


@compiled()
def _roll_up_levels(words: Words, plan: Words, cells: Cells) -> None:
    """Summarise what is complete of each level above the lowest, from ten summaries of the one below."""
    for i in range(1, plan[LEVELS]):
        below, level = FIRST_LEVEL + 3 * (i - 1), FIRST_LEVEL + 3 * i
        block, end = words[COVERED + i] // plan[level + SIZE], words[COVERED + i - 1] // plan[level + SIZE]
        while block < end:
            child = plan[below + AT] + block * RADIX % plan[below + CAPACITY] * FIELDS
            row = plan[level + AT] + block % plan[level + CAPACITY] * FIELDS
            summarise_summaries(cells, child, child + RADIX * FIELDS, float(plan[below + SIZE]), cells, row)
            block += 1
            store_release(words, COVERED + i, block * plan[level + SIZE])


@compiled(types.void(_WORDS, _WORDS))
def roll_up(words: Words, plan: Words) -> None:
    """Compress and summarise completed blocks, to the end of a box at most, and what they complete on all levels.

    O(prices since the last roll-up), amortised O(1) a price. What a process that was killed has left undone on upper
    levels comes first, so they are never further behind than one roll-up goes: readers have room for no more.
    """
    fence_release()  # as in append: the count first, then what it allows to overwrite
    words, plan = unowned(words), unowned(plan)
    cells = words.view(np.float64)
    _roll_up_levels(words, plan, cells)
    block, end = words[COVERED] // BLOCK, words[COUNT] // BLOCK
    if plan[BOXES] > 0:
        end = min(end, (block // plan[BOX_BLOCKS] + 1) * plan[BOX_BLOCKS])
    while block < end:
        begin = plan[PRICES_AT] + block * BLOCK % plan[PRICES]
        row = plan[FIRST_LEVEL + AT] + block % plan[FIRST_LEVEL + CAPACITY] * FIELDS
        summarise_prices(cells, begin, begin + BLOCK, cells, row)
        if plan[BOXES] > 0:
            _keep(words, plan, block, cells[begin : begin + BLOCK])
        block += 1
        store_release(words, COVERED, block * BLOCK)
    _roll_up_levels(words, plan, cells)
