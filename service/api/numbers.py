"""Bytes to float64: the numbers of a JSON array, read straight into the row that is appended.

Numbers are most of a batch, and most of what it costs. A reader of numbers alone is quicker than one of all JSON, and
it may stop at whatever is not plainly a number, because its caller has another reader for that.

A number is a whole mantissa times a power of ten. Where both are small the double is one rounding of exact factors
(Clinger, "How to read floating point numbers accurately", 1990). Else the mantissa is multiplied by the leading 128
bits of the power, and that leaves no doubt which double is nearest (Lemire, "Number parsing at a gigabyte per second",
2021; Mushtak and Lemire, "Fast number parsing without fallback", 2023).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from numba import float64, int64, types, uint64
from numba.cpython.unsafe.numbers import leading_zeros

from aggregation.compiled import compiled

Text = npt.NDArray[np.uint8]
Prices = npt.NDArray[np.float64]

MOST_DIGITS: Final = 19
"""Of a mantissa that fits a word. The shortest form of a double has 17 at most."""

MOST_POWER: Final = 150
"""Of ten, either way: more than a price needs, and every such double is a normal one."""

EXACT_POWER: Final = 22
EXACT_MANTISSA: Final = np.uint64(2**53)
"""Up to these a double is the power of ten, or the mantissa, to the bit."""

# Counted without a sign: numba then knows that no index is meant from the end.
_ONE: Final = np.uint64(1)
_RADIX: Final = np.uint64(10)
_ZERO: Final = np.uint64(ord("0"))

ROUNDED_UP: Final = range(-27, 0)
"""Powers of five whose leading bits are rounded up, not cut off: the proof wants them so."""

EVEN_FROM: Final = -4
EVEN_TO: Final = 23
"""Only with these powers of ten can a mantissa of a word be exactly half way between two doubles."""

_MINUS, _PLUS, _POINT, _COMMA, _OPENING, _CLOSING, _SMALL_E, _LARGE_E = b"-+.,[]eE"
_SPACE, _TAB, _LINE_FEED, _RETURN = b" \t\n\r"


def _leading_bits(power: int) -> int:
    """The leading 128 bits of 5**power."""
    five: int = 5 ** abs(power)
    size = five.bit_length()
    return five << 128 >> size if power >= 0 else (1 << size + 127) // five + (power in ROUNDED_UP)


_TENS: Final = np.array([10.0**power for power in range(EXACT_POWER + 1)])
_FIVES: Final = np.array(
    [divmod(_leading_bits(power), 1 << 64) for power in range(-MOST_POWER, MOST_POWER + 1)], dtype=np.uint64
)


@compiled()
def _multiply(a: np.uint64, b: np.uint64) -> tuple[np.uint64, np.uint64]:
    """The high and the low word of the product of two words, by halves."""
    half, low = np.uint64(32), np.uint64(0xFFFFFFFF)
    middle = (a >> half) * (b & low) + ((a & low) * (b & low) >> half)
    other = (a & low) * (b >> half) + (middle & low)
    return (a >> half) * (b >> half) + (middle >> half) + (other >> half), a * b


@compiled()
def _nearest(mantissa: np.uint64, power: int) -> float:
    """The double nearest to ``mantissa`` · 10**``power``; of two that are equally near, the even one."""
    shift = uint64(leading_zeros(mantissa))
    mantissa <<= shift
    high, low = _multiply(mantissa, _FIVES[uint64(power + MOST_POWER), 0])
    unsure = np.uint64(0x1FF)
    if high & unsure == unsure:  # a carry from further right could change which double it is
        more, _ = _multiply(mantissa, _FIVES[uint64(power + MOST_POWER), 1])
        low += more
        high += _ONE if low < more else np.uint64(0)
    top = high >> np.uint64(63)
    below = top + np.uint64(9)
    bits = high >> below  # 54 of them: one more than a double has
    ends_in_01 = bits & (_ONE | _ONE << _ONE) == _ONE
    if low <= _ONE and EVEN_FROM <= power <= EVEN_TO and ends_in_01 and bits << below == high:
        bits -= _ONE  # exactly half way, and the even one is below
    bits = (bits + (bits & _ONE)) >> _ONE
    binary = (217706 * power >> 16) + 63 + int64(top) - int64(shift)  # ⌊log2(10**power)⌋ and where the bits stand
    return np.uint64((uint64(binary + 1022) << np.uint64(52)) + bits).view(np.float64)


@compiled()
def _skip_space(text: Text, at: np.uint64) -> np.uint64:
    """Where the white space ends that may begin here."""
    while text[at] == _SPACE or text[at] == _LINE_FEED or text[at] == _RETURN or text[at] == _TAB:
        at += _ONE
    return at


@compiled()
def _skip_zeros(text: Text, at: np.uint64) -> np.uint64:
    """Where the zeros end that may begin here."""
    while text[at] == _ZERO:
        at += _ONE
    return at


@compiled()
def _read_digits(text: Text, at: np.uint64, mantissa: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Take digits into the mantissa: where they end, and the mantissa."""
    digit = uint64(text[at]) - _ZERO
    while digit < _RADIX:
        mantissa = mantissa * _RADIX + digit
        at += _ONE
        digit = uint64(text[at]) - _ZERO
    return at, mantissa


@compiled()
def _read_exponent(text: Text, at: np.uint64) -> tuple[np.uint64, int]:
    """What follows an E: where it ends, and the power of ten; one beyond all that are read if it is none."""
    negative = text[at] == _MINUS
    if negative or text[at] == _PLUS:
        at += _ONE
    end, power = _read_digits(text, at, np.uint64(0))
    if not 1 <= end - at <= MOST_DIGITS or power > MOST_POWER:
        return end, 2 * MOST_POWER
    return end, -int64(power) if negative else int64(power)


@compiled()
def _find_array(text: Text) -> int:
    """Where the first array begins, behind its bracket; 0 if no bracket closes after it, where every loop stops."""
    last = text.shape[0] - 1
    while last > 0 and text[last] != _CLOSING:
        last -= 1
    for at in range(last):
        if text[at] == _OPENING:
            return at + 1
    return 0


@compiled(types.UniTuple(int64, 3)(types.Array(types.uint8, 1, "C", readonly=True), float64[::1]))
def read_numbers(text: Text, prices: Prices) -> tuple[int, int, int]:
    """Read the numbers of the first array of a JSON document into ``prices``; O(len(text)).

    Args:
        text: the document.
        prices: room for them.

    Returns:
        How many there are, where the first of them stands, and where the bracket that closes the array. All are 0 where
        something is not plainly a number, or there are none or too many. Plain are those of up to 19 digits and from
        10^−131 to 10^150.
    """
    begin = _find_array(text)
    if begin == 0:
        return 0, 0, 0
    at = uint64(begin)
    for count in range(prices.shape[0]):
        at = _skip_space(text, at)
        negative = text[at] == _MINUS
        first = at + uint64(negative)
        at, mantissa = _read_digits(text, first, np.uint64(0))
        digits = int64(at - first)
        plain = digits == 1 or (digits > 1 and text[first] != _ZERO)
        power = 0
        if text[at] == _POINT:
            point, zero = at, text[first] == _ZERO  # zeros in front take no room
            first = _skip_zeros(text, at + _ONE) if zero else at + _ONE
            at, mantissa = _read_digits(text, first, mantissa)
            digits = int64(at - first) + (0 if zero else digits)
            power = int64(point) + 1 - int64(at)
            plain &= power < 0
        integer = power == 0
        if text[at] == _SMALL_E or text[at] == _LARGE_E:
            at, exponent = _read_exponent(text, at + _ONE)
            power += exponent
            integer = False
        if not plain or digits > MOST_DIGITS:
            break
        if mantissa <= EXACT_MANTISSA and -EXACT_POWER <= power <= EXACT_POWER:
            price = float64(mantissa) / _TENS[-power] if power < 0 else float64(mantissa) * _TENS[power]
        elif -MOST_POWER <= power <= MOST_POWER:
            price = _nearest(mantissa, power) if mantissa != 0 else 0.0
        else:
            break
        prices[count] = -price if negative and not (integer and mantissa == 0) else price  # the integer -0 is 0
        at = _skip_space(text, at)
        if text[at] == _CLOSING:
            return count + 1, begin, int64(at)
        if text[at] != _COMMA:
            break
        at += _ONE
    return 0, 0, 0
