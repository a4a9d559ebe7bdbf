"""Whether contenders answer alike, and how wrong they are where that is hard. Exact arithmetic decides.

Minimum, maximum and last must be equal to the bit. Average and variance may be off by ``TOLERANCE`` of the window's
spread (max − min) and of its square, plus a few roundings of the price itself.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Final

import numpy as np

from .feed import feed
from .rivals.rival import WINDOWS, Prices, Rival, Window

TOLERANCE: Final = 1e-9
ROUNDINGS: Final = 8
"""Units in the last place of the largest price that an average may be off in any case."""

SAMPLE: Final = 12_345
"""Prices of the comparison with exact arithmetic: some windows are full, some are not, and none ends on a block."""

SAMPLE_BATCHES: Final = (1, 9, 990, 10_000, 1_345)
"""How they come: ``SAMPLE`` in all."""

HARD: Final = ("small noise on 10^9, after prices of 1", "noise of a millionth around jumping levels")
"""Streams whose spread is much smaller than their level, or than the levels they have been at."""


class DisagreementError(Exception):
    """A contender's answer is not right: nothing that is timed would mean anything."""


def exact_windows(prices: Prices, retention: int) -> list[Window]:
    """All eight windows in rational arithmetic, rounded once at the end. O(len(prices)) slow operations."""
    sizes = [min(size, retention, len(prices)) for size in WINDOWS]
    known = {size: _exact_window(prices[-size:].tolist()) for size in set(sizes)}
    return [known[size] for size in sizes]


def _exact_window(prices: list[float]) -> Window:
    """Whole numbers over one denominator: every float64 is a whole number over a power of two."""
    ratios = [price.as_integer_ratio() for price in prices]
    unit = max(denominator for _, denominator in ratios)
    numerators = [numerator * (unit // denominator) for numerator, denominator in ratios]
    size, total, squares = len(prices), sum(numerators), sum(numerator * numerator for numerator in numerators)
    mean = Fraction(total, size * unit)
    var = Fraction(size * squares - total * total, (size * unit) ** 2)
    return size, min(prices), max(prices), prices[-1], float(mean), float(var)


def agree(name: str, windows: list[Window], expected: list[Window]) -> None:
    """Compare all eight windows.

    Raises:
        DisagreementError: says which window of which contender differs.
    """
    for window, right in zip(windows, expected, strict=True):
        spread = right[2] - right[1]
        avg_off = abs(window[4] - right[4])
        var_off = abs(window[5] - right[5])
        close = (
            avg_off <= TOLERANCE * spread + ROUNDINGS * math.ulp(max(abs(right[1]), abs(right[2])))
            and var_off <= TOLERANCE * spread * spread
        )
        if tuple(window[:4]) != tuple(right[:4]) or not close:
            raise DisagreementError(f"{name} answers {tuple(window)}, but it is {tuple(right)}")


def check(name: str, rival: Rival, retention: int) -> None:
    """Compare an empty contender with exact arithmetic, before and after it holds more than ``SAMPLE`` prices.

    Raises:
        DisagreementError: it is wrong.
    """
    prices = feed(2 * SAMPLE)
    end = sum(SAMPLE_BATCHES[:2])
    rival.load(prices[:end])
    for size in (*SAMPLE_BATCHES[2:], *SAMPLE_BATCHES):
        if end == SAMPLE:
            agree(name, rival.windows(), exact_windows(prices[:end], retention))
        rival.append(prices[end : end + size])
        end += size
    agree(name, rival.windows(), exact_windows(prices[:end], retention))


def hard_prices(kind: str) -> Prices:
    """A stream of ``SAMPLE`` prices of a kind of ``HARD``."""
    rng = np.random.default_rng(9)
    if kind == HARD[0]:
        prices: Prices = 1e9 + 1e-3 * rng.standard_normal(SAMPLE)
        prices[:100] = 1.0
        return prices
    levels = np.repeat(10.0 ** rng.uniform(-3, 9, 10), -(-SAMPLE // 10))[:SAMPLE]
    noisy: Prices = levels * (1 + 1e-6 * rng.standard_normal(SAMPLE))
    return noisy


def worst_variance(rival: Rival, kind: str) -> float:
    """The largest relative error of a variance over the windows of 10 … 1,000 hard prices; 1 means no digit is right.

    The stream is appended in batches of a thousand; the longer windows hold large and small levels at once, where
    variance is easy.
    """
    prices = hard_prices(kind)
    rival.load(prices[:1_000])
    for begin in range(1_000, len(prices), 1_000):
        rival.append(prices[begin : begin + 1_000])
    exact = exact_windows(prices, SAMPLE)[:3]
    return max(abs(window[5] - right[5]) / right[5] for window, right in zip(rival.windows(), exact, strict=False))
