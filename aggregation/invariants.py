"""What must hold of a symbol's memory between any two operations, checked the slow and obvious way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .kernels import FIRST_ROW, M2, MAX, MEAN_OFFSET, MIN, Cells, Words
from .levels import SUMMARY_FIELDS, Geometry

STRETCH = 100_000
"""Prices or blocks that are compared at once: bounds the memory that a check takes to some 100 MB."""


def check(geometry: Geometry, covered: Words, raw: Cells, summaries: Cells) -> None:
    """Assert every invariant; O(retention).

    * No level covers more than the one below it, and each covers whole blocks.
    * Every summary that a window can ask for is what its ten children say.

    Raises:
        AssertionError: names the level and the block that is wrong, with what was found there.
    """
    _Check(geometry, covered, raw, summaries).run()


@dataclass(frozen=True)
class _Check:
    geometry: Geometry
    covered: Words
    raw: Cells
    summaries: Cells

    def run(self) -> None:
        covered = self.covered.tolist()
        oldest = max(0, covered[0] - self.geometry.retention)
        assert covered[0] >= 0, covered
        for begin in range(oldest, covered[0], STRETCH):
            prices = self._prices(begin, min(covered[0], begin + STRETCH))
            assert np.isfinite(prices).all(), f"a price in {STRETCH} from position {begin} on is not finite"
        for level in range(1, self.geometry.levels):
            size = self.geometry.block_size(level)
            assert 0 <= covered[level] <= covered[level - 1], f"level {level} runs ahead: {covered}"
            assert covered[level] % size == 0, f"level {level} covers part of a block: {covered}"
            end = covered[level] // size
            for begin in range(-(-oldest // size), end, STRETCH):
                self._compare(level, begin, min(end, begin + STRETCH))

    def _prices(self, begin: int, end: int) -> npt.NDArray[np.float64]:
        """The raw prices at positions [begin, end), a copy."""
        prices: Cells = self.raw[np.arange(begin, end) % self.geometry.capacity(0)]
        return prices

    def _blocks(self, level: int, begin: int, end: int) -> npt.NDArray[np.float64]:
        """The summaries of blocks [begin, end) of a level, shape (blocks, 4), a copy."""
        slots = np.arange(begin, end) % self.geometry.capacity(level)
        blocks: Cells = self.summaries[self.geometry.plan[level, FIRST_ROW] + slots]
        return blocks

    def _compare(self, level: int, begin: int, end: int) -> None:
        """Compare the summaries of blocks [begin, end) with a plain recomputation from their children."""
        radix = self.geometry.radix
        if level == 1:
            means = lows = highs = self._prices(begin * radix, end * radix).reshape(-1, radix)
            within = np.zeros(len(means))
        else:
            children = self._blocks(level - 1, begin * radix, end * radix).reshape(-1, radix, SUMMARY_FIELDS)
            lows, highs = children[:, :, MIN], children[:, :, MAX]
            means = lows + children[:, :, MEAN_OFFSET]
            within = children[:, :, M2].sum(axis=1)
        low, high = lows.min(axis=1), highs.max(axis=1)
        spread = high - low
        offsets = means - low[:, None]
        offset = offsets.mean(axis=1)
        m2 = within + self.geometry.block_size(level - 1) * ((offsets - offset[:, None]) ** 2).sum(axis=1)

        # A recomputation rounds differently: by a few units of the largest number that it goes through, and never by
        # less than a few of the smallest numbers there are.
        size = self.geometry.block_size(level)
        rounding = 1e-14 * np.maximum(np.abs(low), np.abs(high)) + 1e-322
        found = self._blocks(level, begin, end)
        right = (
            (found[:, MIN] == low)
            & (found[:, MAX] == high)
            & (np.abs(found[:, MEAN_OFFSET] - offset) <= rounding + 1e-13 * spread)
            & (np.abs(found[:, M2] - m2) <= 1e-12 * m2 + size * (rounding * spread + 1e-322))
        )
        wrong = int(np.argmin(right))
        assert right.all(), f"level {level}, block {begin + wrong}: found {found[wrong].tolist()}"
