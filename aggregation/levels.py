"""Where everything of one symbol lies: what is kept of which prices, ring capacities, byte offsets.

A symbol keeps its newest prices raw: they are *hot*, and a hundred thousand of them stay in the processor's cache. All
prices are also cut into blocks of 1,000, aligned to position 0 of the stream, never to a window. What is made of a
block when it is complete is never revised:

* the block itself, compressed (see ``codec``), for the time when it is no longer hot, but *cold*;
* its summary; and of every ten summaries of a level one of the next: level j has one for each 10^j prices.

There are no levels 1 and 2. The 999 prices at most, from a window's start to the first whole block and from the last
one to its end, are summed up as they are: a third of a microsecond, and less than the summaries of tens and hundreds
would cost to write.

A *box* is the place of 1,000 neighbouring blocks. First in it is where each of them ends, then the blocks themselves,
one after another. It is as long as they can be at worst, but only the front that they take is ever touched. So nothing
is allocated and nothing can run out, and memory follows what prices compress to.

Everything is a ring. How large it must be follows from what is overwritten when, and from what readers still look at:

* Prices are written *before* the count is published. While n is the published count, a batch of m prices overwrites
  positions below n + m − capacity: hot prices from n − (capacity − largest batch) on are intact.
* Blocks and summaries are written *after* the count n that completes them is published. What they overwrite is one ring
  older, or lies in a box that ends one ring of boxes earlier, less one: all from n − kept on is intact.

Both rings reach back further than any window, by as much as ``max_tail`` and a box: a reader that is overtaken by that
much, and not by any single append, begins again.

The bytes of one slot, each part starting on a page of its own:

====================  ==========================================================================
page 0                int64: the count, then how many prices each level covers, level 3 first
                      (see ``series.py`` for who writes when), at most 8 of them; then
                      ``batches``: how many were ever appended; ``resident``: 1 if all pages of
                      the slot were touched at the start
then                  the hot prices, float64
then                  the rings of summaries, level 3 first: see ``summaries`` for their fields
then                  the boxes: int64 ends of blocks, in words from the start of the box; blocks
====================  ==========================================================================
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from .codec import BLOCK, MAX_WORDS, WORK
from .lanes import LANES
from .summaries import FIELDS

PAGE_BYTES: Final = mmap.PAGESIZE
"""Granularity of the parts of a slot: the machine's pages, 4 KiB on most, 16 or 64 on some."""

WORD_BYTES: Final = 8

TYPICAL_BYTES_A_PRICE: Final = 2
"""What cold prices take at most in their boxes if they are decimals of two to five digits: 0.5 to 1.6 were measured on
quotes, trades and minutes of currencies."""

RADIX: Final = 10
"""Summaries of a level that make one of the next."""

BLOCK_LEVEL: Final = 3
"""The lowest level: RADIX**BLOCK_LEVEL is BLOCK."""

# Words of page 0.
COUNT: Final = 0
COVERED: Final = 1
BATCHES: Final = 14
RESIDENT: Final = 15
MOST_LEVELS: Final = 8

MAX_K: Final = BLOCK_LEVEL + MOST_LEVELS
"""With larger windows squares could overflow (see ``summaries``)."""

# Words of Geometry.plan.
HOT: Final = 0
PRICES_AT: Final = 1
PRICES: Final = 2
HOT_KEPT: Final = 3
KEPT: Final = 4
BOXES_AT: Final = 5
BOXES: Final = 6
BOX_BLOCKS: Final = 7
BOX_WORDS: Final = 8
LEVELS: Final = 9
ASIDE_WORDS: Final = 10
FIRST_LEVEL: Final = 11  # from here on three words a level:
SIZE: Final = 0
AT: Final = 1
CAPACITY: Final = 2
# Behind the plan a kernel finds room to work in, which belongs to its process: numbers of words.
NOTES_AT: Final = FIRST_LEVEL + 3 * MOST_LEVELS  # four a level
TABLE_AT: Final = NOTES_AT + 4 * MOST_LEVELS  # the statistics of one window
CHILDREN_AT: Final = TABLE_AT + 5  # the summaries that one is made of
BLOCK_AT: Final = CHILDREN_AT + RADIX * FIELDS  # a block of prices
CODEC_AT: Final = BLOCK_AT + BLOCK + LANES  # what the codec needs
ASIDE_AT: Final = CODEC_AT + WORK  # summaries of what is not rolled up yet


def _round_up(number: int, step: int) -> int:
    return -(-number // step) * step


def whole_pages(size: int) -> int:
    """Bytes, rounded up to whole pages."""
    return _round_up(size, PAGE_BYTES)


@dataclass(frozen=True)
class Geometry:
    """The shape of one symbol's memory: pure arithmetic, no memory of its own.

    Args:
        max_k: the longest window is the last ``10**max_k`` prices, which is also the retention.
        max_batch: the most prices that one append may bring.
        least_hot: the newest prices that are kept raw, or more if batches are large.
        box_blocks: blocks in a box.

    Raises:
        ValueError: where a bound is not met (all are at least 1, max_k at most MAX_K).
    """

    max_k: int = 8
    max_batch: int = 10_000
    least_hot: int = 100_000
    box_blocks: int = 1_000

    def __post_init__(self) -> None:
        for name in ("max_k", "max_batch", "least_hot", "box_blocks"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        if self.max_k > MAX_K:
            raise ValueError(f"max_k must be at most {MAX_K}")

    @cached_property
    def retention(self) -> int:
        """How many of the newest prices stay answerable."""
        return self.block_size(self.max_k)

    @cached_property
    def windows(self) -> Sequence[int]:
        """Prices in the windows k = 1 … max_k, where there are as many."""
        return [self.block_size(k) for k in range(1, self.max_k + 1)]

    @cached_property
    def levels(self) -> range:
        """The levels that there are, from blocks of 1,000 prices on."""
        return range(BLOCK_LEVEL, max(self.max_k, BLOCK_LEVEL + 1))

    @property
    def max_tail(self) -> int:
        """The most prices behind the last block that is rolled up which an append leaves standing.

        It is no matter of correctness (a fold is exact over any tail that is hot) but bounds what a fold may cost when
        compaction falls behind: three largest batches take some 15 µs.
        """
        return 2 * self.max_batch + BLOCK

    @cached_property
    def hot(self) -> int:
        """The newest prices that are read as they are. Older ones are cold: their block is rolled up by then."""
        least = max(self.least_hot, self.max_tail + self.max_batch + BLOCK)
        return min(self.retention, _round_up(least, BLOCK))

    @cached_property
    def hot_capacity(self) -> int:
        """Prices in the ring of hot ones: whole blocks, so that none straddles its end."""
        return _round_up(self.hot + self.max_tail + self.max_batch, BLOCK)

    @cached_property
    def boxes(self) -> int:
        """Boxes in their ring: beside the retention one that is written, and one of slack. 0: all is hot."""
        return 0 if self.hot == self.retention else -(-self.retention // (self.box_blocks * BLOCK)) + 2

    @property
    def box_words(self) -> int:
        """Words from box to box, whole pages."""
        return whole_pages((self.box_blocks + self.box_blocks * MAX_WORDS) * WORD_BYTES) // WORD_BYTES

    @property
    def kept(self) -> int:
        """Prices, the newest, whose blocks and summaries are intact at any time."""
        return (self.boxes - 1) * self.box_blocks * BLOCK if self.boxes else self.hot_capacity - self.max_batch

    def block_size(self, level: int) -> int:
        """Prices in one block of ``level``; also the length of window k = ``level``."""
        return int(RADIX**level)

    def capacity(self, level: int) -> int:
        """Summaries in the ring of ``level``: ten of them that make one of the next never straddle its end."""
        return _round_up(-(-self.kept // self.block_size(level)), RADIX)

    def plan(self) -> npt.NDArray[np.int64]:
        """What the kernels need to know, by the names above, and room to work in. A new one.

        Places are in words from the start of the slot.
        """
        aside = sum(self.hot_capacity // self.block_size(level) + 1 for level in self.levels) * FIELDS
        plan = np.zeros(ASIDE_AT + aside, dtype=np.int64)
        plan[HOT], plan[PRICES], plan[HOT_KEPT] = self.hot, self.hot_capacity, self.hot_capacity - self.max_batch
        plan[PRICES_AT] = PAGE_BYTES // WORD_BYTES
        plan[KEPT], plan[LEVELS], plan[ASIDE_WORDS] = self.kept, len(self.levels), aside
        plan[BOXES], plan[BOX_BLOCKS], plan[BOX_WORDS] = self.boxes, self.box_blocks, self.box_words
        plan[BOXES_AT] = self.boxes_offset // WORD_BYTES
        at = self.summaries_offset // WORD_BYTES
        for i, level in enumerate(self.levels):
            plan[FIRST_LEVEL + 3 * i :][:3] = self.block_size(level), at, self.capacity(level)
            at += self.capacity(level) * FIELDS
        return plan

    @property
    def summaries_offset(self) -> int:
        """Byte at which the rings of summaries start."""
        return PAGE_BYTES + whole_pages(self.hot_capacity * WORD_BYTES)

    @property
    def boxes_offset(self) -> int:
        """Byte at which the boxes start."""
        summaries = sum(self.capacity(level) for level in self.levels)
        return self.summaries_offset + whole_pages(summaries * FIELDS * WORD_BYTES)

    @cached_property
    def slot_bytes(self) -> int:
        """Bytes that one symbol takes at full retention if its prices do not compress at all; that much is reserved."""
        return self.boxes_offset + self.boxes * self.box_words * WORD_BYTES

    def held_bytes(self, count: int, covered: int) -> int:
        """Bytes of pages before the boxes that ``count`` prices touch, ``covered`` of them rolled up. O(levels)."""
        held = PAGE_BYTES + whole_pages(min(count, self.hot_capacity) * WORD_BYTES)
        begin = end = self.summaries_offset
        for level in self.levels:
            blocks = min(covered // self.block_size(level), self.capacity(level))
            first, last = begin // PAGE_BYTES, -(-(begin + blocks * FIELDS * WORD_BYTES) // PAGE_BYTES)
            if blocks:  # the ring before may end on the page that this one begins on
                held += (last - max(first, end // PAGE_BYTES)) * PAGE_BYTES
                end = last * PAGE_BYTES
            begin += self.capacity(level) * FIELDS * WORD_BYTES
        return held


ENTRY_BYTES: Final = 128
"""Whole cache lines, so that two symbols never share one."""
NAME_BYTES: Final = 64
"""Room for any ticker, ISIN or composite key, in UTF-8."""

# Words (8 bytes each) of a slot's entry in the directory.
SERIAL_WORD: Final = 0
LAST_SERIAL_WORD: Final = 1
USED_WORD: Final = 2
NAME_LENGTH_WORD: Final = 3
NAME_WORD: Final = 4


@dataclass(frozen=True)
class Layout:
    """Where the directory of symbols and each slot lie in one mapping.

    ==================  ====================================================================================
    first, a slot each  entry of 128 bytes: serial number (0 where the slot is free), the last one that was given
                        out, how many bytes of the slot may be in use (0 where it is clean), length of the name, name
    page-aligned        the slots, ``geometry.slot_bytes`` each
    ==================  ====================================================================================

    A slot never has the same serial number twice, so it names one occupant for ever: whoever remembers a symbol's slot
    with its serial number sees at a glance whether it is still the same one.
    """

    geometry: Geometry = Geometry()
    max_symbols: int = 10

    def __post_init__(self) -> None:
        if self.max_symbols < 1:
            raise ValueError("max_symbols must be at least 1")

    def entry_word(self, slot: int) -> int:
        """Index of the first word of a slot's entry."""
        return slot * ENTRY_BYTES // WORD_BYTES

    @property
    def directory_bytes(self) -> int:
        """Bytes from the start to the first slot."""
        return whole_pages(self.max_symbols * ENTRY_BYTES)

    def slot_offset(self, slot: int) -> int:
        """Byte at which a slot starts."""
        return self.directory_bytes + slot * self.geometry.slot_bytes

    @property
    def total_bytes(self) -> int:
        """Bytes of the whole mapping: all slots at full retention, with prices that do not compress at all."""
        return self.slot_offset(self.max_symbols)

    @property
    def typical_bytes(self) -> int:
        """Bytes that are in use at full retention, at most, with prices of few digits."""
        of_slot = self.geometry.boxes_offset + TYPICAL_BYTES_A_PRICE * self.geometry.retention
        return self.directory_bytes + self.max_symbols * min(of_slot, self.geometry.slot_bytes)
