"""The codec's format, read and written by its description alone: one price at a time, whole numbers and fractions.

The writer writes what it is told to, well chosen or not: any exponent, split and width.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

WORD = 1 << 64
MAGIC = 3 << 51
BITS = 15


def bits(price: float) -> int:
    (number,) = struct.unpack("<Q", struct.pack("<d", price))
    return int(number)


def price_of(number: int) -> float:
    (price,) = struct.unpack("<d", struct.pack("<Q", number % WORD))
    return float(price)


def place(i: int) -> int:
    lane, row = divmod(i, 125)
    return 8 * row + lane


class Header(NamedTuple):
    """Word 0."""

    exponent: int
    width: int
    split: int
    jumps: int
    exceptions: int

    @classmethod
    def read(cls, word: int) -> Header:
        fields = []
        for size in (4, 7, 6, 10, 10):
            fields.append(word % (1 << size))
            word >>= size
        assert word == 0
        return cls(*fields)

    def word(self) -> int:
        return self.exponent | self.width << 4 | self.split << 11 | self.jumps << 17 | self.exceptions << 27

    def packed(self) -> int:
        return 8 * -(-125 * self.width // 64)

    def words(self) -> int:
        patches = self.jumps + self.exceptions
        return 2 + self.packed() + patches + -(-patches // 4)


def from_integer(number: int, exponent: int, split: int) -> float:
    """The price that an integer stands for."""
    if exponent == BITS:
        return price_of(number)
    reciprocal = Fraction(1, 10**exponent)
    head = price_of(bits(float(reciprocal)) >> split << split)
    rest = float(reciprocal - Fraction(head))
    q = price_of(number) - MAGIC
    return q * head + q * rest


def read(words: Sequence[int]) -> list[float]:
    """The prices; ``words`` are those of one block, all of them, each 0 … 2^64 − 1."""
    header = Header.read(words[0])
    assert len(words) == header.words()
    packed = words[2 : 2 + header.packed()]
    patches = words[2 + header.packed() :][: header.jumps + header.exceptions]
    places = [
        word >> 16 * quarter & 0xFFFF for word in words[2 + header.packed() + len(patches) :] for quarter in range(4)
    ]
    assert not any(places[len(patches) :])
    deltas = []
    for i in range(1000):
        lane, row = divmod(i, 125)
        stream = sum(word << 64 * n for n, word in enumerate(packed[lane::8]))
        delta = stream >> header.width * row & (1 << header.width) - 1
        deltas.append(delta - (1 << header.width >> 1))
    where = {place(i): i for i in range(1000)}
    for patch, at in zip(patches[: header.jumps], places, strict=False):
        deltas[where[at]] += patch
    prices = []
    number = words[1]
    for delta in deltas:
        number = (number + delta) % WORD
        prices.append(from_integer(number, header.exponent, header.split))
    for patch, at in list(zip(patches, places, strict=False))[header.jumps :]:
        prices[where[at]] = price_of(patch)
    return prices


def write(prices: Sequence[float], exponent: int, split: int, width: int) -> list[int]:
    """The words of a block."""
    numbers: list[int] = []
    exceptions = []
    for i, price in enumerate(prices):
        number = bits(price) if exponent == BITS else bits(round(Fraction(price) * 10**exponent) + MAGIC)
        if bits(from_integer(number, exponent, split)) != bits(price):
            exceptions.append((bits(price), place(i)))
            number = numbers[-1] if numbers else bits(MAGIC)
        numbers.append(number)
    half = 1 << width >> 1
    jumps = []
    streams = [0] * 8
    before = numbers[0]
    for i, number in enumerate(numbers):
        lane, row = divmod(i, 125)
        delta = number - before
        field = (delta + half) % (1 << width)
        jump = (delta - (field - half)) % WORD
        if jump:
            jumps.append((jump, place(i)))
        streams[lane] |= field << width * row
        before = number
    header = Header(exponent, width, split, len(jumps), len(exceptions))
    packed = [streams[n % 8] >> 64 * (n // 8) & (WORD - 1) for n in range(header.packed())]
    patches = [patch for patch, _ in jumps + exceptions]
    places = [at for _, at in jumps + exceptions]
    quarters = [sum(at << 16 * n for n, at in enumerate(places[i : i + 4])) for i in range(0, len(places), 4)]
    return [header.word(), numbers[0], *packed, *patches, *quarters]
