"""Rounds in which contenders take turns, and what is computed from the samples that they leave.

On a shared machine the clock of the next second is not the clock of this one. So a ratio is never one of two medians:
it is the median of the ratios within a round, whose samples were taken right after one another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Final, TypeVar

import numpy as np

LEAST_ROUNDS: Final = 9
"""A median of fewer pairs says little where one sample in five is disturbed."""

Sample = TypeVar("Sample")


def take_turns(takers: Sequence[Callable[[], Sample]], rounds: int) -> list[list[Sample]]:
    """One sample of each in every round, in an order that differs from round to round; the samples by taker.

    So nobody always comes after the one who sweeps the caches.
    """
    orders = np.random.default_rng(len(takers))
    samples: list[list[Sample]] = [[] for _ in takers]
    for _ in range(rounds):
        for turn in orders.permutation(len(takers)):
            samples[turn].append(takers[turn]())
    return samples


def median_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """The median over rounds of numerator / denominator.

    Raises:
        ValueError: there are not as many of the one as of the other, or none.
    """
    if len(numerators) != len(denominators) or not numerators:
        raise ValueError("a ratio needs pairs")
    return median(above / below for above, below in zip(numerators, denominators, strict=True))
