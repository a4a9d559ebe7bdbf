"""One symbol: append, roll up, statistics, check.

All that changes a symbol's memory is called from here, in this order and no other:

1. ``append`` writes the new prices behind the published count, over hot prices that no reader looks at any more; then
   it publishes the count. That single aligned store is the append. The number of batches follows it, for whoever
   watches; nothing is computed from it.
2. ``roll_up`` writes each block that the count completes into its box, compressed, and its summary; then it publishes
   how many prices level 3 covers. Level by level, what that completes is summarised and published in turn. Nothing
   reads a block or a summary beyond those numbers. Before a box is begun, what the one before it has left of a former
   one is given back.

So a process that is killed between any two instructions leaves the state before or the state after, never a mix:
prices that were not published are overwritten by the next append, blocks and summaries that were not published are
written again, with the same bytes, by the next roll-up of a block. ``statistics`` and ``windows`` take no lock; they
read a count, fold, and make sure that nothing they read has been overwritten meanwhile.

One writer at a time is the caller's business; any number of readers may be at work beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from . import fold, rollup
from .boxes import Boxes
from .codec import BLOCK
from .invariants import check
from .levels import BATCHES, COUNT, COVERED, RESIDENT, WORD_BYTES, Geometry

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_PRICE: Final = 1e100
"""The largest absolute price. Its square times any count stays below 1e308, so no statistic can overflow."""


class Statistics(NamedTuple):
    """What a window looks like; ``size`` is the prices in it, ``var`` the population variance (ddof = 0)."""

    size: int
    min: float
    max: float
    last: float
    avg: float
    var: float


class Windows(NamedTuple):
    """All windows at one moment.

    Args:
        appended: prices by then.
        sizes: prices in window k in ``sizes[k - 1]``.
        rows: its min, max, last, avg, var in ``rows[k - 1]``: many are written in each second and few looked at.
    """

    appended: int
    sizes: Sequence[int]
    rows: list[list[float]]

    @property
    def statistics(self) -> list[Statistics]:
        """The same as records."""
        return [Statistics(size, *row) for size, row in zip(self.sizes, self.rows, strict=True)]


class Stretch(NamedTuple):
    """Neighbouring prices at one moment.

    Args:
        begin: the position of the first of them.
        appended: prices by then.
        prices: float64, oldest first.
    """

    begin: int
    appended: int
    prices: npt.NDArray[np.float64]


class PriceError(ValueError):
    """A price that is not finite or beyond ±``MAX_PRICE``; ``index`` is its place in the batch."""

    def __init__(self, index: int, price: float) -> None:
        super().__init__(f"price {index} of the batch is {price!r}, not a finite number within ±{MAX_PRICE:g}")
        self.index = index


class NotHeldError(LookupError):
    """Prices that are no more, or not yet: those at positions ``oldest`` to ``count`` − 1 are held."""

    def __init__(self, begin: int, size: int, oldest: int, count: int) -> None:
        super().__init__(f"prices {begin} to {begin + size - 1} are not held: {oldest} to {count - 1} are")
        self.oldest, self.count = oldest, count


def _give_nothing_back(_begin: int, _size: int) -> None:
    """For memory that is not given back piece by piece."""


class Series:
    """The newest prices of one symbol, with a summary of every completed block, in memory that is given to it.

    Args:
        memory: a writable buffer of at least ``geometry.slot_bytes`` bytes. All zero it is an empty series; a buffer
            that another series filled, in this process or another, is that series.
        geometry: the shape of the memory.
        give_back: called with (begin, size) in bytes, whole pages of the memory that need not be kept: they may be zero
            afterwards.

    Raises:
        ValueError: the buffer is too small or read-only.
    """

    __slots__ = (
        "_boxes",
        "_give_back",
        "_ints",
        "_max_batch",
        "_max_tail",
        "_plan",
        "_rate",
        "_rated_at",
        "_words",
        "geometry",
    )

    def __init__(
        self,
        memory: WriteableBuffer,
        geometry: Geometry,
        give_back: Callable[[int, int], None] = _give_nothing_back,
    ) -> None:
        view = memoryview(memory).cast("B")
        if view.readonly or view.nbytes < geometry.slot_bytes:
            raise ValueError(f"a series needs {geometry.slot_bytes} writable bytes, not {view.nbytes}")
        self.geometry = geometry
        self._give_back = give_back
        self._words: npt.NDArray[np.int64] = np.frombuffer(view, np.int64, geometry.slot_bytes // WORD_BYTES)
        self._ints = view[: geometry.slot_bytes].cast("q")  # one of them is read in half of the time that numpy takes
        self._boxes = Boxes(self._ints, geometry) if geometry.boxes else None
        self._rate, self._rated_at = 0.0, -1
        self._plan = geometry.plan()
        self._max_batch, self._max_tail = geometry.max_batch, geometry.max_tail

    @property
    def count(self) -> int:
        """Prices ever appended. O(1)."""
        return self._ints[COUNT]

    @property
    def lag(self) -> int:
        """Prices that are not rolled up: less than a block at rest, and never negative. O(1)."""
        covered = self._ints[COVERED]  # read first: a roll-up in between then finds more prices, not fewer
        return self._ints[COUNT] - covered

    @property
    def batches(self) -> int:
        """Batches ever appended. O(1)."""
        return self._ints[BATCHES]

    @property
    def resident(self) -> bool:
        """Whether all of the memory was touched at the start, so that no append needs new pages."""
        return self._ints[RESIDENT] != 0

    @resident.setter
    def resident(self, resident: bool) -> None:
        self._ints[RESIDENT] = resident

    @property
    def held_bytes(self) -> int:
        """Bytes of memory that the prices and their summaries lie on. O(boxes), and the system is not asked.

        All of the slot where all was touched at the start.
        """
        if self.resident:
            return self.geometry.slot_bytes
        held = self.geometry.held_bytes(self.count, self._ints[COVERED])
        return held if self._boxes is None else held + self._boxes.held_bytes(self._ints[COVERED])

    def growth(self, size: int) -> int:
        """Bytes of memory, about, that appending ``size`` more prices touches for the first time. O(1).

        Until all rings have gone around, that is what they take raw, and compressed as the ones before did. From then
        on it is nothing, as long as they do not compress clearly worse than those that they replace.
        """
        ints = self._ints
        if ints[RESIDENT]:
            return 0
        if ints[COVERED] != self._rated_at and self._boxes is not None:
            self._rated_at = ints[COVERED]
            self._rate = self._boxes.growth(self._rated_at)
        growth = ceil(size * self._rate)
        fresh = self.geometry.hot_capacity - ints[COUNT]
        return growth if fresh <= 0 else growth + min(size, fresh) * WORD_BYTES

    def append(self, prices: npt.ArrayLike) -> int:
        """Append a batch, oldest first, and return the new count. O(len(prices)).

        Should compaction have fallen far behind, it is caught up with first, so that folds stay cheap.

        Args:
            prices: float64, shape (1 … geometry.max_batch,); something else is converted where numpy can.

        Raises:
            PriceError: a price is not finite or beyond ±``MAX_PRICE``; nothing was appended.
            ValueError: no price, too many, or not one-dimensional; nothing was appended.
        """
        batch = np.ascontiguousarray(prices, dtype=np.float64)
        if batch.ndim != 1 or not 1 <= batch.size <= self._max_batch:
            raise ValueError(f"a batch is a row of 1 to {self._max_batch} prices, not of shape {batch.shape}")
        if self.lag > self._max_tail:
            self.roll_up()
        count = rollup.append(self._words, self._plan, batch, MAX_PRICE)
        if count < 0:
            refused = -1 - count
            raise PriceError(refused, float(batch[refused]))
        return count

    def roll_up(self) -> None:
        """Compress and summarise the blocks that are complete by now.

        Amortised O(1) a price, a nanosecond and a half. Being killed does no harm: the next one goes on where it was.
        """
        while self.lag >= BLOCK:
            if self._boxes is not None and not self.resident:
                begin, size = self._boxes.rest(self._ints[COVERED])
                if size:
                    self._give_back(begin, size)
            rollup.roll_up(self._words, self._plan)

    def clear(self) -> None:
        """Be an empty series again, in memory that stays where it is. O(levels); a kill in between leaves a part."""
        self._words[:RESIDENT] = 0

    def newest(self) -> tuple[int, float] | None:
        """The count and the last price of one moment; None where there is no price. O(1)."""
        count, last = fold.newest(self._words, self._plan)
        return (count, last) if count else None

    def prices(self, begin: int, size: int) -> npt.NDArray[np.float64]:
        """The prices of ``stretch``. Raises as it does."""
        return self.stretch(begin, size).prices

    def stretch(self, begin: int, size: int) -> Stretch:
        """The prices at positions [begin, begin + size), bit for bit. O(size), and 1 µs a cold block.

        Raises:
            NotHeldError: not all of them are among the newest ``retention``.
        """
        prices = np.empty(size)
        count = fold.read(self._words, self._plan, begin, prices)
        oldest = max(0, count - self.geometry.retention)
        if not oldest <= begin <= begin + size <= count:
            raise NotHeldError(begin, size, oldest, count)
        return Stretch(begin, count, prices)

    def last(self, size: int) -> Stretch | None:
        """The newest ``size`` prices, or all that are held if fewer; None where there is none. O(size)."""
        while count := self.count:
            prices = np.empty(min(size, count, self.geometry.retention))
            begin = count - len(prices)
            now = fold.read(self._words, self._plan, begin, prices)
            if now - self.geometry.kept <= begin and count <= now:  # else nothing was read
                return Stretch(begin, count, prices)
        return None

    def statistics(self, k: int) -> Statistics | None:
        """Statistics over the newest ``10**k`` prices, or all there are if fewer; None where there is none.

        O(levels). Min, max and last are exact. Average and variance are rounded from some thirty digits, and the same
        to the bit however far the roll-up is: the true value, rounded, in all but a few of a million cases.

        Raises:
            ValueError: k is not in 1 … max_k.
        """
        if not 1 <= k <= self.geometry.max_k:
            raise ValueError(f"k must be from 1 to {self.geometry.max_k}, not {k}")
        statistics = Statistics._make(fold.fold(self._words, self._plan, k))
        return statistics if statistics.size else None

    def windows(self) -> Windows | None:
        """Statistics over every window k = 1 … max_k, all of one moment; None where there is no price.

        O(levels²). Every number is the one that ``statistics`` gives, to the bit.
        """
        table = np.empty((self.geometry.max_k, len(Statistics._fields) - 1))
        count = fold.fold_all(self._words, self._plan, self.geometry.max_k, table)
        if count == 0:
            return None
        sizes = self.geometry.windows
        if count < self.geometry.retention:
            sizes = [min(size, count) for size in sizes]
        return Windows(count, sizes, table.tolist())

    def check(self) -> None:
        """Assert every invariant of the structure; O(retention). For tests and for a suspicious operator.

        Raises:
            AssertionError: names the level and the block that is wrong, with what was found there.
        """
        check(self.geometry, self._words)
