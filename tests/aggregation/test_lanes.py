"""Each operation on eight numbers does what it does on one, eight times."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from aggregation import lanes
from aggregation.lanes import LANES

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

EDGES = [0, 1, -1, 2, -2, 2**62, -(2**62), 2**63 - 1, -(2**63), 255, -256]


@njit  # type: ignore[untyped-decorator]  # numba has no types
def on_ints(a: Ints, b: Ints, bits: int, out: Ints) -> tuple[int, int]:
    x, y = lanes.load(a, 0), lanes.load(b, 0)
    lanes.store(out, 0, x + y)
    lanes.store(out, 8, x - y)
    lanes.store(out, 16, x & y)
    lanes.store(out, 24, x | y)
    lanes.store(out, 32, x ^ y)
    lanes.store(out, 40, x << bits)
    lanes.store(out, 48, x >> bits)
    lanes.store(out, 56, lanes.select(x == y, lanes.broadcast(bits), y))
    lanes.store(out, 64, lanes.funnel_shift(x, y, bits))
    lanes.store(out, 72, lanes.lane_before(x))
    return lanes.or_lanes(x), lanes.mask_bits(x == y)


@njit  # type: ignore[untyped-decorator]  # numba has no types
def on_floats(a: Floats, b: Floats, number: float, out: Floats) -> None:
    x, y = lanes.load(a, 0), lanes.load(b, 0)
    lanes.store(out, 0, x + y)
    lanes.store(out, 8, x - y)
    lanes.store(out, 16, x * y)
    lanes.store(out, 24, x / y)
    lanes.store(out, 32, x * number)
    lanes.store(out, 40, x * y + lanes.broadcast(number))
    lanes.store(out, 48, lanes.as_floats(lanes.as_ints(x) + 1))


@njit  # type: ignore[untyped-decorator]  # numba has no types
def on_word(word: int) -> tuple[int, int]:
    return lanes.popcount(word), lanes.bit_length(word)


@njit  # type: ignore[untyped-decorator]  # numba has no types
def transposed(source: Floats, target: Ints) -> None:
    lanes.transpose(source, 5, 13, target, 3, 11)


def signed(number: int) -> int:
    return (number + 2**63) % 2**64 - 2**63


def test_ints() -> None:
    """Sums wrap, >> keeps the sign, and a funnel shift takes the lower 64 of 128 bits, at every shift."""
    rng = np.random.default_rng(1)
    for bits in range(64):
        a, b = (rng.choice([*EDGES, *rng.integers(-(2**63), 2**63, 20).tolist()], LANES) for _ in range(2))
        b[3] = a[3]
        out = np.zeros(80, np.int64)
        every, equal = on_ints(a, b, bits, out)
        x, y = a.tolist(), b.tolist()
        pairs = list(zip(x, y, strict=True))
        assert out.reshape(10, 8).tolist() == [
            [signed(i + j) for i, j in pairs],
            [signed(i - j) for i, j in pairs],
            [i & j for i, j in pairs],
            [i | j for i, j in pairs],
            [i ^ j for i, j in pairs],
            [signed(i << bits) for i in x],
            [i >> bits for i in x],
            [bits if i == j else j for i, j in pairs],
            [signed((i % 2**64 | j % 2**64 << 64) >> bits) for i, j in pairs],
            [0, *x[:-1]],
        ]
        assert every == np.bitwise_or.reduce(a)
        assert equal == sum(1 << n for n, (i, j) in enumerate(pairs) if i == j)


def test_floats_round_once_each() -> None:
    """Every operation is rounded on its own: a product is not fused with a sum."""
    rng = np.random.default_rng(2)
    for _ in range(50):
        a, b = rng.normal(size=LANES), rng.normal(size=LANES)
        number = -float(a[0] * b[0])
        out = np.zeros(56)
        on_floats(a, b, number, out)
        wanted = [a + b, a - b, a * b, a / b, a * number, a * b + number, (a.view(np.int64) + 1).view(np.float64)]
        assert out.tobytes() == np.concatenate(wanted).tobytes()
        assert out[40] == 0.0


def test_words() -> None:
    """The number of ones, and the bits up to the first of them, of words of any sign."""
    for word in [*EDGES, *(signed(1 << n) for n in range(64))]:
        assert on_word(word) == ((word % 2**64).bit_count(), (word % 2**64).bit_length())


def test_transpose() -> None:
    """Rows become columns, from anywhere to anywhere, and nothing else is touched."""
    rng = np.random.default_rng(3)
    source = rng.integers(0, 2**64, 200, np.uint64).view(np.float64)
    target = np.zeros(200, np.int64)
    transposed(source, target)
    for i in range(8):
        for j in range(8):
            assert target[3 + 11 * j + i] == source.view(np.int64)[5 + 13 * i + j]
            target[3 + 11 * j + i] = 0
    assert not target.any()
