"""A block of 1,000 prices to some hundred words, 1,002 at most, and back: bit for bit, whatever the prices are.

Prices are decimals of a few digits that move by a few ticks. So what is kept is the delta from each to the next, as an
integer, all of one width; the few deltas that are wider, and prices that are no such decimals, are kept beside them.
Decimals as integers, checked price by price, with exceptions: that is ALP (Afroozeh, Kuffó and Boncz, "ALP: Adaptive
Lossless floating-Point compression", SIGMOD 2024). Packed so that many lanes go through the same operations, without
a branch: that is FastLanes (Afroozeh and Boncz, "The FastLanes compression layout", VLDB 2023).

**Format.** A word has 64 bits, bit 0 is the lowest, and integers wrap. Price i = 125·l + r of the block is row r of
lane l, and its *place* is 8·r + l. One after another there are::

    1 word            bits 0–3 exponent e, 4–10 width w, 11–16 split s, 17–26 jumps j, 27–36 exceptions x, others 0
    1 word            the integer before the first delta
    8·⌈125·w/64⌉      deltas: lane l has every eighth word from the l-th on; joined, the first word lowest, bits w·r …
                      w·r + w − 1 are the delta of row r: they stand for their number − 2^(w−1), or for 0 if w = 0
    j words           jumps: each is added to the delta at its place, which does not fit into w bits
    x words           exceptions: each is the bits of the price at its place
    ⌈(j + x)/4⌉       places of the jumps, then of the exceptions: four to a word, 16 bits each, the first lowest

The integer of a price is the integer of the price before plus its own delta, in the order of the block. If e = 15, it
is the bits of the price. Otherwise it is the bits of the double q + 1.5·2^52, where q is the price times 10^e, a whole
number; it grows by 1 as q does. The integer of an exception is not used.

**From q to the price.** 1.14605 is the double nearest to 114605 / 10^5, so the quotient must be rounded correctly. A
division is, but it is slow; q · 10^−e is fast, but often is not. Markstein's correction by two fused multiply-adds
("Computation of elementary functions on the IBM RISC System/6000 processor", 1990) is both, where a processor has them.
As many plain operations will do, because q is a whole number. 1/10^e is split as Cody and Waite split constants
("Software manual for the elementary functions", 1980): ``head`` is 1/10^e as a double with its last s bits made zero,
``rest`` is the double nearest to 1/10^e − head, and the price is ``q·head + q·rest``, each operation rounded on its
own. If |q| < 2^s, q·head is exact and q·rest is at least 2^(52−s) times smaller, so its error tips the rounding of the
sum once in some 2^(53−s) times, or less: that is measured. The bits are the same on every processor.

**Lossless.** The encoder goes this way back just as the decoder does and compares bits; a price that does not come
back is an exception. Nothing else is relied on: not how exact that way is, nor how the exponent was chosen. Where all
this would take more than 1,002 words, the bits do not: with e = 15 and w = 64 the deltas are 1,000 words.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numba import float64, int64, types

from .compiled import compiled
from .lanes import (
    LANES,
    as_floats,
    as_ints,
    bit_length,
    broadcast,
    funnel_shift,
    lane_before,
    load,
    mask_bits,
    or_lanes,
    popcount,
    select,
    store,
    transpose,
)

BLOCK: Final = 1000
ROWS: Final = BLOCK // LANES
WORD: Final = 64

HEADER: Final = 2
MAX_WORDS: Final = HEADER + BLOCK
"""Words that a block takes at most."""

WORK: Final = BLOCK + ROWS
"""Words of scratch that encoding and decoding need."""

BITS: Final = 15
"""The exponent that says that integers are the bits of the prices."""

MAX_EXCEPTIONS: Final = 7
"""Among 32 prices. With more of them, decimals hardly take less than deltas of bits, which are 40 to 64 bits wide."""

MIN_SPLIT: Final = 32
"""With as many, all but one price in a million come back (measured); with fewer it could hardly be better."""

MAX_SPLIT: Final = 51
"""From 2^51 on, the doubles around q + 1.5·2^52 are no longer 1 apart."""

ALL_GOOD: Final = (1 << LANES) - 1

Words = npt.NDArray[np.int64]
Prices = npt.NDArray[np.float64]
Lanes = Any

_WORDS = int64[::1]
_BLOCK = float64[::1]
_GIVEN_WORDS = types.Array(types.int64, 1, "C", readonly=True)
_GIVEN_BLOCK = types.Array(types.float64, 1, "C", readonly=True)

_POWER: Final = 10.0 ** np.arange(BITS)
_RECIPROCAL: Final = 1.0 / _POWER
_MISSING: Final = np.array([float(Fraction(1, 10**e) - Fraction(_RECIPROCAL[e])) for e in range(BITS)])
_MAGIC: Final = 1.5 * 2.0**52  # adding it rounds to a whole number, which then stands in the last bits
_MAGIC_BITS: Final = int(np.float64(_MAGIC).view(np.int64))


@compiled()
def _packed_words(width: int) -> int:
    return (ROWS * width + 63) // 64 * LANES


@compiled()
def _patch_words(patches: int) -> int:
    return patches + (patches + 3) // 4


@compiled()
def _bias(width: int) -> int:
    """What is added to a delta so that one that fits is neither negative nor wider."""
    return 1 << (width - 1) if width > 0 else 0


@compiled()
def _low_bits(width: int) -> int:
    return (1 << (width - 1) << 1) - 1 if width > 0 else 0


@compiled()
def _reciprocal(exponent: int, split: int) -> tuple[float, float]:
    """1 / 10**exponent as (head, rest)."""
    whole = _RECIPROCAL[exponent]
    head = np.int64(np.float64(whole).view(np.int64) & (-1 << split)).view(np.float64)
    return head, (whole - head) + _MISSING[exponent]


@compiled()
def _to_lanes(block: Prices, work: Words) -> None:
    """Put every price at its place, eight rows at a time; the last eight overlap the ones before."""
    for tile in range(0, ROWS, LANES):
        row = min(tile, ROWS - LANES)
        transpose(block, row, ROWS, work, LANES * row, LANES)


@compiled()
def _from_lanes(work: Words, block: Prices) -> None:
    for tile in range(0, ROWS, LANES):
        row = min(tile, ROWS - LANES)
        transpose(work, LANES * row, LANES, block, row, ROWS)


@compiled()
def _choose_exponent(block: Prices) -> tuple[int, int]:
    """(exponent, split) that promise the fewest bits, judging by 32 prices.

    One more decimal takes 3.3 bits for each of the 32, one more exception takes 80: they count 4 and 3.
    """
    best, split, least = BITS, 0, 1 << 30
    for exponent in range(BITS):
        power = _POWER[exponent]
        exceptions = 0
        size = broadcast(0)
        for i in range(0, BLOCK, BLOCK // 4):
            prices = load(block, i)
            shifted = prices * power + _MAGIC
            good = as_ints((shifted - _MAGIC) / power) == as_ints(prices)
            exceptions += LANES - popcount(mask_bits(good))
            if exceptions > MAX_EXCEPTIONS:
                break
            integers = select(good, as_ints(shifted) - _MAGIC_BITS, broadcast(0))
            size = size | (integers ^ (integers >> 63))
        cost = 4 * exponent + 3 * exceptions
        if exceptions <= MAX_EXCEPTIONS and cost < least:
            best, least = exponent, cost
            split = min(max(bit_length(or_lanes(size)) + 1, MIN_SPLIT), MAX_SPLIT)
        if exceptions == 0:
            break
    return best, split


@compiled()
def _decimal_deltas(work: Words, exponent: int, split: int) -> tuple[int, int]:
    """Put deltas where the prices are; returns (integer before the first, exceptions).

    An exception has the integer of the row before, or 0. Behind the deltas each row has a word: which lanes are good.
    """
    power = _POWER[exponent]
    head, rest = _reciprocal(exponent, split)
    before = broadcast(0)
    exceptions = 0
    for row in range(ROWS):
        bits = load(work, LANES * row)
        shifted = as_floats(bits) * power + _MAGIC
        q = shifted - _MAGIC
        good = as_ints(q * head + q * rest) == bits
        integers = select(good, as_ints(shifted), before)
        store(work, LANES * row, integers - before)
        before = integers
        flags = mask_bits(good)
        work[BLOCK + row] = flags
        exceptions += LANES - popcount(flags)
    return _join(work, before), exceptions


@compiled()
def _bit_deltas(work: Words) -> int:
    """Put deltas from bits to bits where the prices are; returns the integer before the first."""
    before = broadcast(0)
    for place in range(0, BLOCK, LANES):
        bits = load(work, place)
        store(work, place, bits - before)
        before = bits
    return _join(work, before)


@compiled()
def _join(work: Words, last: Lanes) -> int:
    """Measure row 0 from where the lane before it ends; returns the integer that the first lane is measured from."""
    store(work, 0, load(work, 0) - lane_before(last))
    first: int = work[0]
    work[0] = 0
    return first


@compiled()
def _zigzag(deltas: Lanes) -> Lanes:
    """0, −1, 1, −2, … to 0, 1, 2, 3, …, which have as many bits as the deltas need."""
    return (deltas + deltas) ^ (deltas >> 63)


@compiled()
def _needed_width(work: Words, every: int) -> int:
    """The width that all deltas fit into, looking at one row of so many."""
    size = broadcast(0)
    for place in range(0, BLOCK, every * LANES):
        size = size | _zigzag(load(work, place))
    width: int = bit_length(or_lanes(size))
    return width


@compiled()
def _try_width(work: Words, width: int) -> tuple[int, int]:
    """(deltas that do not fit into so many bits, the width that all others fit into)."""
    too_wide = ~_low_bits(width)
    size = broadcast(0)
    fit = 0
    for place in range(0, BLOCK, LANES):
        bits = _zigzag(load(work, place))
        good = (bits & too_wide) == broadcast(0)
        fit += popcount(mask_bits(good))
        size = size | select(good, bits, broadcast(0))
    return BLOCK - fit, bit_length(or_lanes(size))


@compiled()
def _choose_width(work: Words) -> tuple[int, int]:
    """(width, jumps) that take few words: from what an eighth of the rows needs, narrower as long as that is less."""
    jumps, width = _try_width(work, _needed_width(work, LANES))
    words = _packed_words(width) + _patch_words(jumps)
    if words > BLOCK or jumps > BLOCK // 16:  # these rows are not like the others
        jumps, width = 0, _needed_width(work, 1)
        words = _packed_words(width)  # 1,000 at most
    while width > 0:
        wider, narrower = _try_width(work, width - 1)
        less = _packed_words(narrower) + _patch_words(wider)
        if less >= words:
            break
        width, jumps, words = narrower, wider, less
    return width, jumps


@compiled()
def _pack(work: Words, width: int, words: Words) -> None:
    bias, low = _bias(width), _low_bits(width)
    at = HEADER
    held = broadcast(0)
    used = 0
    for place in range(0, BLOCK, LANES):
        bits = (load(work, place) + bias) & low
        held = held | (bits << used)
        used += width
        if used >= WORD:
            store(words, at, held)
            at += LANES
            used -= WORD
            held = bits >> (width - used) if used > 0 else broadcast(0)
    if used > 0:
        store(words, at, held)


@compiled()
def _unpack(words: Words, width: int, work: Words) -> Lanes:
    """Lay out the deltas; returns the sum of each lane."""
    if width == 0:  # then there is no word to read
        for place in range(0, BLOCK, LANES):
            store(work, place, broadcast(0))
        return broadcast(0)
    bias, low = _bias(width), _low_bits(width)
    last = HEADER + _packed_words(width) - LANES
    total = broadcast(0)
    bit = 0
    for place in range(0, BLOCK, LANES):
        at = HEADER + (bit >> 6) * LANES
        bits = funnel_shift(load(words, at), load(words, min(at + LANES, last)), bit & 63)
        deltas = (bits & low) - bias
        store(work, place, deltas)
        total = total + deltas
        bit += width
    return total


@compiled()
def _starts(sums: Lanes, before: int) -> Lanes:
    """The integer that each lane is measured from: all lanes before it, summed up."""
    sums = lane_before(sums)
    starts = sums + before
    for _ in range(LANES - 2):
        sums = lane_before(sums)
        starts = starts + sums
    return starts


@compiled()
def _to_prices(work: Words, exponent: int, split: int, integers: Lanes) -> None:
    """Put the bits of prices where the deltas are."""
    if exponent == BITS:
        for place in range(0, BLOCK, LANES):
            integers = integers + load(work, place)
            store(work, place, integers)
        return
    head, rest = _reciprocal(exponent, split)
    for place in range(0, BLOCK, LANES):
        integers = integers + load(work, place)
        q = as_floats(integers) - _MAGIC
        store(work, place, q * head + q * rest)


@compiled()
def _note(words: Words, at: int, patches: int, done: int, patch: int, place: int) -> int:
    """Write the next of so many patches, and its place; returns how many are written now."""
    words[at + done] = patch
    words[at + patches + (done >> 2)] |= place << (16 * (done & 3))
    return done + 1


@compiled()
def _place(words: Words, places: int, i: int) -> int:
    """The place of patch i: one of the block, whatever the words hold."""
    place: int = (words[places + (i >> 2)] >> (16 * (i & 3))) & 1023
    return min(place, BLOCK - 1)


@compiled()
def _note_jumps(work: Words, width: int, words: Words, at: int, patches: int) -> int:
    """Write what does not fit of deltas; returns how many patches are written now."""
    bias, low = _bias(width), _low_bits(width)
    done = 0
    for first in range(0, BLOCK, LANES):
        deltas = load(work, first)
        if mask_bits(((deltas + bias) & low) - bias == deltas) != ALL_GOOD:
            for place in range(first, first + LANES):
                jump = work[place] - (((work[place] + bias) & low) - bias)
                if jump != 0:
                    done = _note(words, at, patches, done, jump, place)
    return done


@compiled()
def _note_exceptions(block: Prices, work: Words, words: Words, at: int, patches: int, done: int) -> None:
    """Write prices that do not come back otherwise, after as many patches."""
    bits = block.view(np.int64)
    for row in range(ROWS):
        good = work[BLOCK + row]
        if good != ALL_GOOD:
            for lane in range(LANES):
                if not (good >> lane) & 1:
                    done = _note(words, at, patches, done, bits[ROWS * lane + row], LANES * row + lane)


@compiled(int64(_GIVEN_BLOCK, _WORDS, _WORDS))
def encode(block: Prices, words: Words, work: Words) -> int:
    """Write a block of prices to the front of ``words``; returns how many words it takes: 2 to MAX_WORDS.

    O(BLOCK), a nanosecond a price. Words behind them are not touched. ``work`` is WORK words of scratch.
    """
    exponent, split = _choose_exponent(block)
    while True:
        _to_lanes(block, work)
        if exponent == BITS:
            before, exceptions = _bit_deltas(work), 0
        else:
            before, exceptions = _decimal_deltas(work, exponent, split)
        width, jumps = _choose_width(work)
        patches = jumps + exceptions
        at = HEADER + _packed_words(width)
        used = at + _patch_words(patches)
        if used <= MAX_WORDS:
            break
        exponent, split = BITS, 0
    words[0] = exponent | width << 4 | split << 11 | jumps << 17 | exceptions << 27
    words[1] = before
    _pack(work, width, words)
    words[at + patches : used] = 0
    done = _note_jumps(work, width, words, at, patches) if jumps > 0 else 0
    if exceptions > 0:
        _note_exceptions(block, work, words, at, patches, done)
    return used


@compiled(int64(_GIVEN_WORDS, _BLOCK, _WORDS))
def decode(words: Words, block: Prices, work: Words) -> int:
    """Read the prices of a block, in their order, from the front of ``words``; returns how many words it takes.

    O(BLOCK), half a microsecond. The last n prices take as long as all: a lane cannot begin before the one before
    it is summed up. ``work`` is WORK words of scratch.

    Words that change while they are read, or are no block's, give other prices, or 0 and none. Nothing outside of the
    three arrays is read or written.
    """
    header = words[0]
    exponent, width, split = header & 15, (header >> 4) & 127, (header >> 11) & 63
    jumps, exceptions = (header >> 17) & 1023, (header >> 27) & 1023
    at = HEADER + _packed_words(width)
    places = at + jumps + exceptions
    used = at + _patch_words(jumps + exceptions)
    if width > WORD or used > min(MAX_WORDS, words.shape[0]):
        return 0
    sums = _unpack(words, width, work)
    if jumps > 0:
        store(work, BLOCK, sums)
        for i in range(jumps):
            place = _place(words, places, i)
            work[place] += words[at + i]
            work[BLOCK + place % LANES] += words[at + i]
        sums = load(work, BLOCK)
    _to_prices(work, exponent, split, _starts(sums, words[1]))
    _from_lanes(work, block)
    bits = block.view(np.int64)
    for i in range(jumps, jumps + exceptions):
        place = _place(words, places, i)
        bits[place % LANES * ROWS + place // LANES] = words[at + i]
    return used
