"""Ordinary ways to compute an average and a variance, each of which loses digits on some prices.

Their defects are those that many libraries shared: cancellation in E[x²] − E[x]², running sums that keep the error of
what has left the window, the rounded mean of two passes, and summaries of blocks that keep their mean in one float.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from tests.aggregation.streams import Prices

Moments = tuple[float, float]
"""An average and a variance."""

WINDOW: Final = 10**6
"""Prices that they are asked for, the newest; they are given as many older ones too, which have left the window."""


def running_sums(prices: Prices) -> Moments:
    """Σ x and Σ x², to which is added what enters the window and from which is taken what leaves it."""
    avg, square = (
        float(np.cumsum([float(np.sum(x[:WINDOW])), *(x[WINDOW:] - x[:-WINDOW])])[-1]) / WINDOW
        for x in (prices, prices**2)
    )
    return avg, square - avg**2


def mean_of_squares(prices: Prices) -> Moments:
    """E[x²] − E[x]², with sums in pairs of halves as numpy makes them."""
    window = prices[-WINDOW:]
    avg = float(np.mean(window))
    return avg, float(np.mean(window**2)) - avg**2


def one_by_one(prices: Prices) -> Moments:
    """The mean by a plain loop, then the squares around it."""
    window = prices[-WINDOW:]
    avg = float(np.cumsum(window)[-1]) / WINDOW
    return avg, float(np.cumsum((window - avg) ** 2)[-1]) / WINDOW


def two_passes(prices: Prices) -> Moments:
    """numpy's: as one by one, with sums in pairs of halves."""
    window = prices[-WINDOW:]
    return float(np.mean(window)), float(np.var(window))


class Blocks(NamedTuple):
    """Blocks of one size: where the mean of each is measured from, the mean from there, and m2."""

    origins: Prices
    offsets: Prices
    m2: Prices
    size: int

    @property
    def moments(self) -> Moments:
        """Those of the first block."""
        return float(self.origins[0] + self.offsets[0]), float(self.m2[0]) / self.size


def tens(blocks: Blocks, from_minimum: bool) -> Blocks:
    """Combine each ten blocks as Chan, Golub and LeVeque do, with their correction."""
    origins, offsets, m2 = (part.reshape(-1, 10) for part in blocks[:3])
    near = origins[:, :1]
    centres = near + ((origins - near) + offsets).mean(axis=1, keepdims=True)
    apart = (origins - centres) + offsets
    residues = apart.mean(axis=1)
    squares = (apart**2).sum(axis=1) - 10 * residues**2
    lowest: Prices = origins.min(axis=1) if from_minimum else np.zeros(len(origins))
    return Blocks(lowest, (centres[:, 0] - lowest) + residues, m2.sum(axis=1) + blocks.size * squares, blocks.size * 10)


def one_block(prices: Prices, from_minimum: bool) -> Blocks:
    """One block of all prices, by tens of tens."""
    nothing = np.zeros(len(prices))
    blocks = Blocks(prices, nothing, nothing, 1)
    while len(blocks.m2) > 1:
        blocks = tens(blocks, from_minimum)
    return blocks


WAYS: Final[dict[str, Callable[[Prices], Moments]]] = {
    "running": running_sums,
    "squares": mean_of_squares,
    "loop": one_by_one,
    "numpy": two_passes,
    "float": lambda prices: one_block(prices[-WINDOW:], from_minimum=False).moments,
    "minimum": lambda prices: one_block(prices[-WINDOW:], from_minimum=True).moments,
}
