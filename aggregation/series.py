"""One symbol: append, roll up, statistics, check.

All that changes a symbol's memory is called from here, in this order and no other:

1. ``append`` writes the new prices into the raw ring, past the published count, over prices that no window can
   ask for any more; then it publishes the count, ``covered[0]``. That single aligned store is the append. The number
   of batches follows it, for whoever watches; nothing is computed from it.
2. ``roll_up`` writes the summaries of the blocks that the count completes, level by level; after each level it
   publishes how many prices that level now covers, ``covered[j]``. Nothing reads a summary beyond that number.

So a process that is killed between any two instructions leaves the state before or the state after, never a mix:
prices that were not published are overwritten by the next append, summaries that were not published are written
again, with the same bytes, by the next roll-up. ``statistics`` and ``windows`` take no lock; they read a count, fold,
and make sure that nothing they read has been overwritten meanwhile.

One writer at a time is the caller's business; any number of readers may be at work beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from . import kernels
from .invariants import check
from .levels import BYTES_A_PRICE, SUMMARY_FIELDS, WORD_BYTES, Geometry

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


class PriceError(ValueError):
    """A price that is not finite or beyond ±``MAX_PRICE``; ``index`` is its place in the batch."""

    def __init__(self, index: int, price: float) -> None:
        super().__init__(f"price {index} of the batch is {price!r}, not a finite number within ±{MAX_PRICE:g}")
        self.index = index


class Series:
    """The newest prices of one symbol, with a summary of every completed block, in memory that is given to it.

    Args:
        memory: a writable buffer of at least ``geometry.slot_bytes`` bytes. All zero it is an empty series; a buffer
            that another series filled, in this process or another, is that series.
        geometry: the shape of the memory.

    Raises:
        ValueError: the buffer is too small or read-only.
    """

    __slots__ = ("_max_batch", "_max_tail", "_plan", "_published", "_raw", "_summaries", "covered", "geometry")

    def __init__(self, memory: WriteableBuffer, geometry: Geometry) -> None:
        view = memoryview(memory).cast("B")
        if view.readonly or view.nbytes < geometry.slot_bytes:
            raise ValueError(f"a series needs {geometry.slot_bytes} writable bytes, not {view.nbytes}")
        self.geometry = geometry
        self.covered: npt.NDArray[np.int64] = np.frombuffer(view, np.int64, geometry.levels)
        self._published = view[: (geometry.levels + 2) * WORD_BYTES].cast("q")
        self._raw: npt.NDArray[np.float64] = np.frombuffer(view, np.float64, geometry.capacity(0), geometry.raw_offset)
        cells = np.frombuffer(view, np.float64, geometry.summaries * SUMMARY_FIELDS, geometry.summaries_offset)
        self._summaries: npt.NDArray[np.float64] = cells.reshape(-1, SUMMARY_FIELDS)
        self._plan = geometry.plan
        self._max_batch, self._max_tail = geometry.max_batch, geometry.max_tail

    @property
    def count(self) -> int:
        """Prices ever appended. O(1)."""
        return self._published[0]

    @property
    def tail(self) -> int:
        """The newest prices that no summary covers yet. O(1)."""
        if self.geometry.levels == 1:
            return self.count
        return self._published[0] - self._published[1]

    @property
    def lag(self) -> int:
        """Prices that compaction has yet to come to: less than a block of level 1 at rest, and never negative. O(1)."""
        if self.geometry.levels == 1:
            return 0
        covered = self._published[1]  # read first: a roll-up in between then finds more prices, not fewer
        return self._published[0] - covered

    @property
    def batches(self) -> int:
        """Batches ever appended. O(1)."""
        return self._published[self.geometry.levels + 1]

    @property
    def resident(self) -> bool:
        """Whether all of the memory was touched at the start, so that no append needs new pages."""
        return self._published[self.geometry.levels] != 0

    @resident.setter
    def resident(self, resident: bool) -> None:
        self._published[self.geometry.levels] = resident

    @property
    def held_bytes(self) -> int:
        """Bytes of memory that the prices and their summaries lie on. O(levels), and the system is not asked.

        They are counted as if all were rolled up; all of the slot where all was touched at the start.
        """
        return self.geometry.slot_bytes if self.resident else self.geometry.held_bytes(self.count)

    def growth(self, size: int) -> int:
        """Bytes of memory, about, that appending ``size`` more prices touches for the first time. O(1).

        Zero once the ring has gone around, or where all was touched at the start.
        """
        fresh = len(self._raw) - self._published[0]
        return 0 if fresh <= 0 or self.resident else min(size, fresh) * BYTES_A_PRICE

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
        if self.tail > self._max_tail:
            self.roll_up()
        count = kernels.append(self.covered, self._raw, batch, MAX_PRICE)
        if count < 0:
            refused = -1 - count
            raise PriceError(refused, float(batch[refused]))
        self._published[self.geometry.levels + 1] += 1
        return count

    def roll_up(self, through: int | None = None) -> None:
        """Summarise the blocks that are complete by now, on levels 1 … ``through`` (default: all of them).

        Amortised O(1) a price; of ten thousand new prices about as long as copying them took. Stopping early, or being
        killed, is harmless: the next roll-up goes on where each level stands.
        """
        top = self.geometry.levels - 1
        kernels.roll_up(
            self.covered, self._raw, self._summaries, self._plan, top if through is None else min(through, top)
        )

    def clear(self) -> None:
        """Be an empty series again, in memory that stays where it is. O(levels); a kill in between leaves a part."""
        self.covered[:] = 0
        self._published[self.geometry.levels + 1] = 0

    def newest(self) -> tuple[int, float] | None:
        """The count and the last price of one moment; None where there is no price. O(1)."""
        count, last = kernels.newest(self.covered, self._raw, self._plan)
        return (count, last) if count else None

    def statistics(self, k: int) -> Statistics | None:
        """Statistics over the newest ``radix**k`` prices, or all there are if fewer; None where there is none.

        O(levels), plus O(tail). Min, max and last are exact. Average and variance are computed from differences within
        the data, so their error is a few units in the last place of the *spread*, however large the prices are.

        Raises:
            ValueError: k is not in 1 … max_k.
        """
        if not 1 <= k <= self.geometry.max_k:
            raise ValueError(f"k must be from 1 to {self.geometry.max_k}, not {k}")
        statistics = Statistics._make(kernels.fold(self.covered, self._raw, self._summaries, self._plan, k))
        return statistics if statistics.size else None

    def windows(self) -> Windows | None:
        """Statistics over every window k = 1 … max_k, all of one moment; None where there is no price.

        O(levels²), plus O(tail) for each window that is longer. Every number is the one that ``statistics`` gives.
        """
        table = np.empty((self.geometry.max_k, len(Statistics._fields) - 1))
        count = kernels.fold_all(self.covered, self._raw, self._summaries, self._plan, table)
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
        check(self.geometry, self.covered, self._raw, self._summaries)
