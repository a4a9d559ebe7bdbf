"""What must hold of a symbol's memory between any two operations, checked the slow and obvious way."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import fsum, isfinite
from typing import Final

import numpy as np
import numpy.typing as npt

from .codec import BLOCK, MAX_WORDS, WORK, decode, encode
from .levels import (
    AT,
    BOXES_AT,
    COUNT,
    COVERED,
    FIRST_LEVEL,
    PRICES_AT,
    RADIX,
    Geometry,
)
from .summaries import FIELDS, M2, M2_LOW, MAX, MIN, SCALE, SUM, SUM_LOW

Words = npt.NDArray[np.int64]
Cells = npt.NDArray[np.float64]

STRETCH: Final = 100
"""Blocks that are looked at together."""

CLOSE: Final = 1e-13
"""How far a recomputation may be off: it has 64 bits on most processors."""

LOST: Final = 1e-27
"""How much of a sum a pair may lose: nothing where prices are of like size."""

VANISHED: Final = 1e-290
"""How far m2 may be off in any case: its squares vanish below. Of a variance that is a normal number it is 1e-224."""


def check(geometry: Geometry, words: Words) -> None:
    """Assert every invariant; O(retention), some seconds for 10^8 prices.

    * No level covers more than the one below it, and each covers whole blocks.
    * Every block that a window can ask for has the words that its prices come to, which are the hot ones if it is hot.
    * Every summary that a window can ask for is what its prices or its ten children say, relative to their spread.

    Raises:
        AssertionError: names the level and the block that is wrong, with what was found there.
    """
    _Check(geometry, geometry.plan(), words, words.view(np.float64)).run()


@dataclass(frozen=True)
class _Check:
    geometry: Geometry
    plan: Words
    words: Words
    cells: Cells

    def run(self) -> None:
        geometry, plan = self.geometry, self.plan
        count, *covered = self.words[COUNT : COVERED + len(geometry.levels)].tolist()
        oldest = max(0, count - geometry.retention)
        assert count >= 0, count
        hot = self._hot_prices(max(0, count - geometry.hot), count)
        assert np.isfinite(hot).all(), "a hot price is not finite"
        for level, most, covers in zip(geometry.levels, [count, *covered], covered, strict=False):
            size = geometry.block_size(level)
            assert 0 <= covers <= most, f"level {level} runs ahead: {count}, {covered}"
            assert covers % size == 0, f"level {level} covers part of a block: {covered}"
        end = covered[0] // BLOCK
        first = oldest // BLOCK if geometry.boxes else -(-oldest // BLOCK)
        for begin in range(first, end, STRETCH):
            blocks = range(begin, min(end, begin + STRETCH))
            self._check_summaries(blocks, np.stack([self._prices(block, count) for block in blocks]))
        for i, level in enumerate(geometry.levels[1:], start=1):
            size = geometry.block_size(level)
            for block in range(-(-oldest // size), covered[i] // size):
                self._check_summary(level, block, plan[FIRST_LEVEL + 3 * i + AT], plan[FIRST_LEVEL + 3 * i - 3 + AT])

    def _hot_prices(self, begin: int, end: int) -> npt.NDArray[np.float64]:
        """The hot prices at positions [begin, end), a copy."""
        first = self.plan[PRICES_AT]
        prices: Cells = self.cells[first + np.arange(begin, end) % self.geometry.hot_capacity]
        return prices

    def _prices(self, block: int, count: int) -> npt.NDArray[np.float64]:
        """The prices of a block; if it has a box, out of there."""
        geometry = self.geometry
        begin = block * BLOCK
        if geometry.boxes == 0:  # then the ring reaches back further than the retention by more than a block
            return self._hot_prices(begin, begin + BLOCK)
        number, i = divmod(block, geometry.box_blocks)
        box = self.words[self.plan[BOXES_AT] + number % geometry.boxes * geometry.box_words :]
        place, end = (int(box[i - 1]) if i else geometry.box_blocks), int(box[i])
        assert geometry.box_blocks <= place < end <= geometry.box_words, f"block {block} lies at {place} to {end}"
        prices = np.empty(BLOCK)
        work, again = np.empty(WORK, dtype=np.int64), np.empty(MAX_WORDS, dtype=np.int64)
        taken = decode(box[place:end], prices, work)
        assert taken == end - place, f"block {block} has {end - place} words, and needs {taken}"
        taken = encode(prices, again, work)
        assert again[:taken].tobytes() == box[place:end].tobytes(), f"block {block} is not what its prices come to"
        if begin >= count - geometry.hot:
            hot = self._hot_prices(begin, begin + BLOCK)
            assert prices.tobytes() == hot.tobytes(), f"block {block} is not the hot prices"
        return prices

    def _check_summaries(self, blocks: range, prices: npt.NDArray[np.float64]) -> None:
        """Compare the summaries of blocks of level 3 with a plain recomputation about their first prices."""
        first = self.plan[FIRST_LEVEL + AT]
        rows = [first + block % self.geometry.capacity(self.geometry.levels[0]) * FIELDS for block in blocks]
        found = np.stack([self.cells[row : row + FIELDS] for row in rows])
        assert np.isfinite(prices).all(), f"a price of blocks {blocks} is not finite"
        centre = prices[:, 0].astype(np.longdouble)
        distances = prices.astype(np.longdouble) - centre[:, None]
        d = distances.sum(axis=1)
        m2 = np.ldexp((distances**2).sum(axis=1) - d * d / BLOCK, 280)
        lost = [fsum([*row, -one[SUM], -one[SUM_LOW]]) for row, one in zip(prices.tolist(), found, strict=True)]
        found_m2 = found[:, M2].astype(np.longdouble) + found[:, M2_LOW]
        right = (
            (found[:, MIN] == prices.min(axis=1))
            & (found[:, MAX] == prices.max(axis=1))
            & (np.abs(lost) <= LOST * np.abs(prices).sum(axis=1))
            & (np.abs(found_m2 - m2) <= CLOSE * m2 + VANISHED)
        )
        wrong = int(np.argmin(right))
        assert right.all(), f"level {self.geometry.levels[0]}, block {blocks[wrong]}: found {found[wrong].tolist()}"

    def _check_summary(self, level: int, block: int, at: int, below: int) -> None:
        """Compare a summary with what its ten children say exactly."""
        geometry = self.geometry
        row = at + block % geometry.capacity(level) * FIELDS
        found = self.cells[row : row + FIELDS].tolist()
        assert all(map(isfinite, found)), f"level {level}, block {block}: found {found}"
        child = below + block * RADIX % geometry.capacity(level - 1) * FIELDS
        children = self.cells[child : child + RADIX * FIELDS].reshape(RADIX, FIELDS).tolist()
        size = geometry.block_size(level - 1)
        sums = [Fraction(one[SUM]) + Fraction(one[SUM_LOW]) for one in children]
        total = sum(sums, Fraction())
        between = sum((one * one for one in sums), Fraction()) / size - total * total / (size * RADIX)
        m2 = sum((Fraction(one[M2]) + Fraction(one[M2_LOW]) for one in children), between * Fraction(SCALE) ** 2)
        spread = Fraction(found[MAX]) - Fraction(found[MIN])
        right = (
            found[MIN] == min(one[MIN] for one in children)
            and found[MAX] == max(one[MAX] for one in children)
            and abs(Fraction(found[SUM]) + Fraction(found[SUM_LOW]) - total) <= Fraction(CLOSE) * spread
            and abs(Fraction(found[M2]) + Fraction(found[M2_LOW]) - m2) <= Fraction(CLOSE) * m2 + Fraction(VANISHED)
        )
        assert right, f"level {level}, block {block}: found {found}"
