"""Which pieces tile a window: each stands for a number of its own, so the sum says which ones were added."""

from __future__ import annotations

import numpy as np
import pytest

from aggregation import Geometry, Series
from aggregation.codec import BLOCK
from aggregation.summaries import M2, M2_LOW, MAX, MIN, SUM, SUM_LOW
from tests.aggregation.lagging import covered, let_lag, most_behind, summaries
from tests.aggregation.oracle import answer

PATTERN = np.random.default_rng(0).integers(-(2**20), 2**20, 10_007)
"""Prices, over and over."""


class Marked:
    """A series whose summaries are replaced by random numbers, and the slow way to add them up."""

    def __init__(self, geometry: Geometry) -> None:
        self.series = Series(bytearray(geometry.slot_bytes), geometry)
        self.geometry = geometry
        self._sums = np.concatenate([[0], np.cumsum(PATTERN)])
        random = np.random.default_rng(1)
        self._marks = {j: random.integers(-(2**30), 2**30, geometry.capacity(j)).tolist() for j in geometry.levels}

    def grow(self, count: int, behind: list[int]) -> None:
        """Append up to a count, let levels lag, and mark what they cover."""
        while self.series.count < count:
            size = min(count - self.series.count, self.geometry.max_batch)
            self.series.append(PATTERN[np.arange(self.series.count, self.series.count + size) % len(PATTERN)])
            self.series.roll_up()
        for level in self.geometry.levels:
            rows = summaries(self.series, level)
            rows[:, MIN], rows[:, MAX], rows[:, SUM] = -1e9, 1e9, self._marks[level]
            rows[:, [SUM_LOW, M2, M2_LOW]] = 0.0
        let_lag(self.series, behind)

    def prices(self, begin: int, end: int) -> int:
        """The sum of prices."""
        rounds = (end // len(PATTERN) - begin // len(PATTERN)) * int(self._sums[-1])
        return rounds + int(self._sums[end % len(PATTERN)] - self._sums[begin % len(PATTERN)])

    def block(self, level: int, number: int) -> int:
        """What a block stands for: its mark if it is rolled up, else its parts."""
        size = self.geometry.block_size(level)
        if (number + 1) * size <= covered(self.series)[level - self.geometry.levels[0]]:
            return int(self._marks[level][number % self.geometry.capacity(level)])
        if level == self.geometry.levels[0]:
            return self.prices(number * size, (number + 1) * size)
        return sum(self.block(level - 1, child) for child in range(10 * number, 10 * number + 10))

    def window(self, start: int, count: int) -> int:
        """The greedy tiling: from the left, always the largest block that begins there and is complete."""
        total, at = 0, start
        while at < count:
            for level in reversed(self.geometry.levels):
                size = self.geometry.block_size(level)
                if at % size == 0 and at + size <= count:
                    total += self.block(level, at // size)
                    break
            else:
                size = min(-at % BLOCK or BLOCK, count - at)
                total += self.prices(at, at + size)
            at += size
        return total


@pytest.mark.parametrize(
    ("geometry", "counts", "step"),
    [
        (Geometry(max_k=5, least_hot=3_000, box_blocks=7), 250_000, 100),
        (Geometry(max_k=5), 250_000, 100),
        (Geometry(max_k=4, max_batch=3_000, least_hot=1, box_blocks=1), 60_000, 100),
        (Geometry(max_k=3, max_batch=700), 12_000, 30),
        (Geometry(max_k=2, max_batch=50), 4_000, 10),
        (Geometry(max_k=7), 12_000_000, 20_000),
    ],
    ids=repr,
)
def test_a_tiling_is_the_greedy_one(geometry: Geometry, counts: int, step: int) -> None:
    """However far each level is behind, a window of any count is the sum of what a greedy tiling takes."""
    marked = Marked(geometry)
    random = np.random.default_rng(counts)
    count = 0
    while count < counts:
        # Half of the counts are about an edge: there a piece of a level above begins to fit, or no longer does.
        count += int(random.integers(1, 2 * step))
        if random.random() < 0.5:
            count = -(-count // BLOCK) * BLOCK + int(random.integers(0, 3))
        most = most_behind(marked.series)
        behind = [int(random.integers(0, most + 1)), *random.integers(0, 4, len(geometry.levels) - 1).tolist()]
        marked.grow(count, behind if random.random() < 0.7 else [0] * len(behind))
        for k in range(1, geometry.max_k + 1):
            size = min(10**k, count)
            assert answer(marked.series, k).avg == marked.window(count - size, count) / size, (count, k)
