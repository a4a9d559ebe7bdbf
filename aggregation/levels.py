"""Where everything of one symbol lies: block sizes, ring capacities, byte offsets.

A symbol keeps a ring of its newest raw prices (level 0) and, for every level j = 1 … max_k − 1, a ring of
summaries, one for each completed block of ``radix**j`` prices. Blocks are aligned to position 0 of the
stream, never to a window, so a summary that was written once is never revised.

How large the rings must be follows from what is overwritten when:

* Prices are written *before* the count is published. While n is the published count, a batch of m prices
  overwrites positions below n + m − capacity, and none of those may belong to a window of n:
  the raw ring holds the retention plus one largest batch.
* Summaries are written *after* the count n that completes them is published. The block that makes room ends
  at least one ring earlier, at or before n − retention, outside every window of n:
  a ring of exactly ``retention / radix**j`` summaries is enough.

Every capacity is a multiple of the radix, so the ``radix`` children of a block lie side by side and never
straddle the end of their ring.

The bytes of one slot, each part starting on a page of its own:

====================  ==========================================================================
page 0                int64 ``covered[0 … max_k − 1]``: how many prices of the stream each level
                      covers; ``covered[0]`` is the count (see ``series.py`` for who writes when);
                      then ``resident``: 1 if all pages of the slot were touched at the start;
                      then ``batches``: how many batches were ever appended
then                  the raw ring, float64
then                  the summary rings, level 1 first: rows of ``min, max, mean_offset, m2``, float64
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

PAGE_BYTES: Final = mmap.PAGESIZE
"""Granularity of the parts of a slot: the machine's pages, 4 KiB on most, 16 or 64 on some."""

WORD_BYTES: Final = 8

SUMMARY_FIELDS: Final = 4
"""``min, max, mean_offset, m2``: 32 bytes, so two summaries share a cache line and none straddles one."""


BYTES_A_PRICE: Final = 12
"""What a retained price takes, rounded up: 8 raw, 32 in ten of level 1, 32 in a hundred of level 2, …: 11.56."""


def _whole_pages(size: int) -> int:
    return -(-size // PAGE_BYTES) * PAGE_BYTES


@dataclass(frozen=True)
class Geometry:
    """The shape of one symbol's memory: pure arithmetic, no memory of its own.

    Args:
        max_k: the longest window is the last ``radix**max_k`` prices, which is also the retention.
        radix: children in a block. Ten in the service; a small radix makes every corner cheap to test.
        max_batch: the most prices that one append may bring.

    Raises:
        ValueError: where a bound is not met (max_k ≥ 1, radix ≥ 2, max_batch ≥ 1).
    """

    max_k: int = 8
    radix: int = 10
    max_batch: int = 10_000

    def __post_init__(self) -> None:
        for name, least in (("max_k", 1), ("radix", 2), ("max_batch", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}")

    @cached_property
    def retention(self) -> int:
        """How many of the newest prices stay answerable."""
        return self.block_size(self.max_k)

    @cached_property
    def windows(self) -> Sequence[int]:
        """Prices in the windows k = 1 … max_k, where there are as many."""
        return [self.block_size(k) for k in range(1, self.max_k + 1)]

    @property
    def levels(self) -> int:
        """Levels that hold something: the raw prices and max_k − 1 rings of summaries."""
        return self.max_k

    @property
    def max_tail(self) -> int:
        """The longest tail that an append leaves standing.

        It is no matter of correctness (a fold is exact over any tail that is retained) but bounds what a fold
        may cost when compaction falls behind: four largest batches take some 100 µs to fold.
        """
        return 4 * self.max_batch

    def block_size(self, level: int) -> int:
        """Prices in one block of ``level``; also the length of window k = ``level``."""
        return int(self.radix**level)

    def capacity(self, level: int) -> int:
        """Entries in the ring of ``level``: prices for level 0, summaries above."""
        if level == 0:
            needed = self.retention + self.max_batch
            return -(-needed // self.radix) * self.radix
        return self.retention // self.block_size(level)

    @property
    def summaries(self) -> int:
        """Summaries in all rings together."""
        return sum(self.capacity(level) for level in range(1, self.levels))

    @cached_property
    def plan(self) -> npt.NDArray[np.int64]:
        """What the kernels need to know: int64, shape (max_k + 1, 3), a row a level.

        Row j is (block size, first row of the ring in the table of summaries, capacity). The last row exists
        for its block size alone, which is the retention.
        """
        plan = np.zeros((self.max_k + 1, 3), dtype=np.int64)
        first_row = 0
        for level in range(self.levels):
            plan[level] = self.block_size(level), first_row, self.capacity(level)
            if level > 0:
                first_row += self.capacity(level)
        plan[self.max_k, 0] = self.retention
        plan.flags.writeable = False
        return plan

    @property
    def raw_offset(self) -> int:
        """Byte at which the raw ring starts."""
        return _whole_pages((self.levels + 2) * WORD_BYTES)

    @property
    def summaries_offset(self) -> int:
        """Byte at which the table of summaries starts."""
        return self.raw_offset + _whole_pages(self.capacity(0) * WORD_BYTES)

    @property
    def slot_bytes(self) -> int:
        """Bytes that one symbol occupies at full retention."""
        return self.summaries_offset + _whole_pages(self.summaries * SUMMARY_FIELDS * WORD_BYTES)

    def held_bytes(self, count: int) -> int:
        """Bytes of the pages that are touched by the time ``count`` prices were appended and rolled up. O(levels)."""
        (_, _, raw_capacity), *rings = self.plan[: self.levels].tolist()
        rows_a_page = PAGE_BYTES // (SUMMARY_FIELDS * WORD_BYTES)
        pages = end = 0
        for size, first_row, capacity in rings:
            if count < size:
                break
            begin = max(end, first_row // rows_a_page)  # the ring before may end on the page that this one begins on
            end = -(-(first_row + min(count // size, capacity)) // rows_a_page)
            pages += end - begin
        return self.raw_offset + _whole_pages(min(count, raw_capacity) * WORD_BYTES) + pages * PAGE_BYTES


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
        return _whole_pages(self.max_symbols * ENTRY_BYTES)

    def slot_offset(self, slot: int) -> int:
        """Byte at which a slot starts."""
        return self.directory_bytes + slot * self.geometry.slot_bytes

    @property
    def total_bytes(self) -> int:
        """Bytes of the whole mapping, all slots at full retention."""
        return self.slot_offset(self.max_symbols)
