"""The exact average and variance of any row of prices, and how far a float may be from them.

Every finite float is a whole number times a power of two. The whole numbers are split into three pieces of 18 bits and
summed for each power apart, so that no sum leaves the 53 bits that a float is exact in; Python's integers do the rest.
Nothing here is arithmetic of tenfold's. A hundred million prices take some seconds.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

UNIT_BITS: Final = 1126
"""Sums are counted in units of 2^−1126: 53 bits of even the smallest float are a whole number of them."""

PIECE_BITS: Final = 18
PART: Final = 2**12
"""Prices summed at once: products of pieces stay below 3·2^36, and so many of them below 2^53."""

LEAST: Final = Fraction(5e-324)
"""The smallest float above zero."""

LEAST_NORMAL: Final = Fraction(2) ** -1022
"""Results below are not asked for all of their bits: they have lost some themselves."""

UNDERFLOW: Final = 8 * LEAST
"""How far such a result may be off: half a unit a level."""

CANCELLATION: Final = Fraction(1, 10**28)
"""How far an average may be off in any case, relatively to the largest price: pairs of floats have some 31 digits."""


class Sums(NamedTuple):
    """How many prices, Σ x in units, and Σ x² in their squares, without any rounding."""

    size: int
    total: int
    squares: int

    def plus(self, other: Sums) -> Sums:
        """The sums of both rows of prices."""
        return Sums(self.size + other.size, self.total + other.total, self.squares + other.squares)

    @property
    def avg(self) -> Fraction:
        """The average."""
        return Fraction(self.total, self.size << UNIT_BITS)

    @property
    def var(self) -> Fraction:
        """The variance of the population."""
        return Fraction(self.size * self.squares - self.total**2, self.size**2 << 2 * UNIT_BITS)


def exact_sums(prices: npt.NDArray[np.float64]) -> Sums:
    """The sums of a row of finite prices; O(n)."""
    total = squares = 0
    for begin in range(0, len(prices), PART):
        fractions, exponents = np.frexp(prices[begin : begin + PART])
        whole = np.ldexp(fractions, 53).astype(np.int64)
        shifts = exponents + (UNIT_BITS - 53)
        lowest = 2**PIECE_BITS - 1
        a, b, c = whole >> 2 * PIECE_BITS, whole >> PIECE_BITS & lowest, whole & lowest
        first = [a, b, c]
        second = [a * a, 2 * a * b, 2 * a * c + b * b, 2 * b * c, c * c]
        present = np.flatnonzero(np.bincount(shifts)).tolist()
        total += _gathered(first, shifts, present, 1)
        squares += _gathered(second, shifts, present, 2)
    return Sums(len(prices), total, squares)


def _gathered(
    pieces: list[npt.NDArray[np.int64]], shifts: npt.NDArray[np.int32], present: list[int], power: int
) -> int:
    """The sum of numbers given in pieces, the highest first, each times 2^(power · its shift)."""
    sums = [np.bincount(shifts, piece).astype(np.int64) for piece in pieces]
    total = 0
    for shift in present:
        number = 0
        for row in sums:
            number = (number << PIECE_BITS) + int(row[shift])
        total += number << power * shift
    return total


def ulps(found: float, exact: Fraction) -> Fraction:
    """How far a float is from the exact value, in units in the last place of the correctly rounded value."""
    return abs(Fraction(found) - exact) / Fraction(math.ulp(float(exact)))


def extremes(prices: npt.NDArray[np.float64]) -> tuple[float, float]:
    """(min, max), with −0.0 smaller than 0.0."""
    low, high = float(prices.min()), float(prices.max())
    negative = np.signbit(prices[prices == 0])
    if low == 0:
        low = -0.0 if negative.any() else 0.0
    if high == 0:
        high = -0.0 if negative.all() else 0.0
    return low, high


def error(found: float, exact: Fraction, free: Fraction = Fraction(0)) -> float:
    """How far a result is off, where 1 is the most that it may be: in ulps, and 0.5 if it is correctly rounded.

    A result that is no normal number may be off by a few of the smallest floats, and 0 by nothing.

    Args:
        found: the result.
        exact: what it should be.
        free: what it may be off in any case.
    """
    if not math.isfinite(found):
        return math.inf
    off = abs(Fraction(found) - exact)
    if off <= free:
        return 0.0
    if exact == 0:
        return math.inf
    return float(off / UNDERFLOW if abs(exact) < LEAST_NORMAL else ulps(found, exact))


def avg_error(found: float, exact: Fraction, largest: float) -> float:
    """The error of an average of prices within ±``largest``, which may cancel."""
    return error(found, exact, CANCELLATION * Fraction(largest))
