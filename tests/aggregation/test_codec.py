"""Blocks of prices come back bit for bit, in the format that is described: ``slow_codec`` reads and writes it too."""

from __future__ import annotations

import ctypes
import hashlib
import mmap
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregation import codec
from tests.aggregation import slow_codec
from tests.aggregation.slow_codec import BITS, Header
from tests.support.prices import NAMES, load

Prices = npt.NDArray[np.float64]
Words = npt.NDArray[np.int64]

UNTOUCHED: Final = 0x5A5A5A5A5A5A5A5A
ODD: Final = (0.0, -0.0, 5e-324, -2.2e-308, 1e100, -1e100, 1.7976931348623157e308, float("inf"), float("-inf"))
NOT_NUMBERS: Final = (0x7FF8000000000000, 0xFFF8000000000001, 0x7FF0000000000001)


def unsigned(words: Words) -> list[int]:
    numbers: list[int] = words.view(np.uint64).tolist()
    return numbers


def encode(block: Prices) -> Words:
    """The words of a block, seen to be the only ones that were touched, whatever the room held before."""
    words = np.full(codec.MAX_WORDS + 8, UNTOUCHED, np.int64)
    work = np.full(codec.WORK + 8, UNTOUCHED, np.int64)
    used = codec.encode(block, words, work[: codec.WORK])
    assert 2 <= used <= codec.MAX_WORDS
    assert (words[used:] == UNTOUCHED).all()
    assert (work[codec.WORK :] == UNTOUCHED).all()
    return words[:used].copy()


def decode(words: Words) -> Prices:
    """The prices of a block, whose words and no others were read."""
    room = np.full(codec.BLOCK + 16, -1.5)
    work = np.full(codec.WORK + 8, UNTOUCHED, np.int64)
    words = words.copy()
    words.flags.writeable = False
    assert codec.decode(words, room[8:-8], work[: codec.WORK]) == len(words)
    assert (room[:8] == -1.5).all()
    assert (room[-8:] == -1.5).all()
    assert (work[codec.WORK :] == UNTOUCHED).all()
    return room[8:-8].copy()


def assert_same(found: Iterable[float], prices: Prices) -> None:
    bits = np.array(list(found) if not isinstance(found, np.ndarray) else found, np.float64).view(np.int64)
    np.testing.assert_array_equal(bits, prices.view(np.int64))


def assert_comes_back(prices: npt.ArrayLike) -> Words:
    """Encoded prices are the same to the bit, read by the kernel and by the description; returns the words."""
    block = np.array(prices, np.float64)
    words = encode(block)
    assert_same(decode(words), block)
    assert_same(slow_codec.read(unsigned(words)), block)
    return words


def header(words: Words) -> Header:
    return Header.read(unsigned(words)[0])


def walk(rng: np.random.Generator, decimals: int, sigma: float, start: float = 100.0) -> Prices:
    """Prices of some decimals, as they come from a wire: each the double that is nearest to the decimal."""
    deltas = np.cumsum(np.rint(rng.normal(0.0, sigma, codec.BLOCK)))
    return np.array([float(f"{int(start * 10**decimals + delta)}e-{decimals}") for delta in deltas])


def from_bits(numbers: npt.ArrayLike) -> Prices:
    return np.array(numbers, np.uint64).view(np.float64)


def spread(few: Prices, seed: int) -> Prices:
    """A block of a few prices, each as often as comes."""
    return few[np.random.default_rng(seed).integers(0, len(few), codec.BLOCK)]


def before_the_edge(size: int) -> Words:
    """As many words, right before a page that nobody may read: whoever does dies."""
    pages = -(-8 * size // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = np.frombuffer(mmap.mmap(-1, pages + mmap.PAGESIZE), np.uint8)
    edge = ctypes.c_void_p(memory.ctypes.data + pages)
    assert ctypes.CDLL(None).mprotect(edge, ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
    return memory[pages - 8 * size : pages].view(np.int64)


WHOLE_WORDS = st.integers(0, 2**64 - 1) | st.sampled_from([*NOT_NUMBERS, *map(slow_codec.bits, ODD)])
SEEDS = st.integers(0, 2**32)


@given(numbers=st.lists(WHOLE_WORDS, min_size=1, max_size=30), seed=SEEDS)
@settings(max_examples=40, deadline=None)
def test_any_bits_come_back(numbers: list[int], seed: int) -> None:
    """Whatever the 64 bits are, infinite, no number, subnormal or −0.0: they come back."""
    assert_comes_back(spread(from_bits(numbers), seed))


@given(
    decimals=st.integers(0, 17),
    start=st.floats(-1e7, 1e7),
    sigma=st.sampled_from([0.0, 0.3, 1.0, 30.0, 1e5, 1e9]),
    others=st.lists(st.floats(-1e100, 1e100) | st.sampled_from(ODD), max_size=200),
    seed=SEEDS,
)
@settings(max_examples=40, deadline=None)
def test_decimals_come_back(decimals: int, start: float, sigma: float, others: list[float], seed: int) -> None:
    """Walks of any number of decimals, with prices of any other kind anywhere among them, come back."""
    rng = np.random.default_rng(seed)
    block = walk(rng, decimals, sigma, start)
    block[rng.permutation(codec.BLOCK)[: len(others)]] = others
    assert_comes_back(block)


def test_random_bits_take_two_words_more() -> None:
    """What cannot be compressed takes the block's 1,000 words and two."""
    rng = np.random.default_rng(1)
    for _ in range(5):
        words = assert_comes_back(from_bits(rng.integers(0, 2**64, codec.BLOCK, np.uint64)))
        assert len(words) == codec.MAX_WORDS


def test_few_wide_steps_among_almost_as_wide_ones_fit() -> None:
    """Jumps beside deltas of 60 bits and more would take more than the bits as they are: they are not taken."""
    rng = np.random.default_rng(2)
    for width in range(58, 65):
        for jumps in (1, 10, 40, 63, 64, 100, 500):
            deltas = rng.integers(-(2 ** (width - 1)), 2 ** (width - 1), codec.BLOCK)
            wide = rng.choice(np.arange(codec.BLOCK).reshape(8, 125)[:, 1:8].ravel(), jumps % 56, replace=False)
            deltas[wide] = rng.integers(-(2**63), 2**63, len(wide))
            block = from_bits(np.cumsum(deltas.view(np.uint64)))
            assert_same(decode(encode(block)), block)


@pytest.mark.parametrize("name", NAMES)
def test_real_prices_come_back(name: str) -> None:
    """Real prices come back, every block that they make."""
    prices = load(name)
    for begin in range(0, len(prices) - codec.BLOCK + 1, 500):
        block = prices[begin : begin + codec.BLOCK]
        assert_same(decode(encode(block)), block)
    assert_comes_back(prices[: codec.BLOCK])


@pytest.mark.parametrize(
    ("name", "most"),
    [("eurusd_ticks", 0.49), ("btcperp_minutes", 1.14), ("gbpusd_minutes", 1.03), ("btcusdt_trades", 1.60)],
)
def test_real_prices_take_few_bytes(name: str, most: float) -> None:
    """Bytes a price over all whole blocks: half a byte for ticks, some one and a half for trades of a coin."""
    blocks = [encode(block) for block in load(name)[: len(load(name)) // 1000 * 1000].reshape(-1, 1000)]
    assert 8 * sum(map(len, blocks)) / (1000 * len(blocks)) <= most


def block_kinds() -> dict[str, tuple[Prices, float]]:
    """Blocks of a kind, and how many bytes a price they may take."""
    rng = np.random.default_rng(7)
    cents = walk(rng, 2, 5.0)
    outliers = cents.copy()
    outliers[rng.permutation(codec.BLOCK)[:10]] = rng.normal(100.0, 1.0, 10)
    spikes = cents.copy()
    spikes[rng.permutation(codec.BLOCK)[:10]] = 99_999_999.99
    quotes = np.tile([134.25, 134.27], codec.BLOCK // 2)
    leap = np.r_[cents[:700], walk(rng, 2, 5.0, 25_000.0)[700:]]
    zeros = np.zeros(codec.BLOCK)
    zeros[rng.permutation(codec.BLOCK)[:10]] = -0.0
    return {
        "constant": (np.full(codec.BLOCK, 1.14605), 0.016),
        "constant 1e100": (np.full(codec.BLOCK, 1e100), 0.016),
        "constant third": (np.full(codec.BLOCK, 1 / 3), 0.016),
        "two constants": (np.r_[np.full(500, 1.5), np.full(500, -2.5)], 0.032),
        "bid and ask": (quotes, 0.41),
        "cents": (cents, 0.7),
        "below zero": (-cents, 0.7),
        "full-precision outliers": (outliers, 0.85),
        "spikes": (spikes, 0.95),
        "a leap": (leap, 0.72),
        "few −0.0": (zeros, 0.12),
        "eight decimals": (walk(rng, 8, 1e8, 65_000.0), 3.8),
        "twelve decimals": (walk(rng, 12, 100.0, 1.0), 1.5),
        "ones and tiny": (np.tile([1.0, 5e-324], codec.BLOCK // 2), 8.016),
        "full-precision walk": (np.cumsum(rng.normal(0.0, 0.05, codec.BLOCK)) + 100.0, 5.8),
        "normal": (rng.normal(100.0, 1.0, codec.BLOCK), 6.4),
    }


@pytest.mark.parametrize("kind", block_kinds())
def test_kinds_of_prices(kind: str) -> None:
    """Each kind comes back, and takes no more than it should."""
    block, most = block_kinds()[kind]
    assert 8 * len(assert_comes_back(block)) / codec.BLOCK <= most


@pytest.mark.parametrize("exponent", range(16))
def test_every_width(exponent: int) -> None:
    """The kernel reads what the description writes, at all exponents and, among them, all widths from 0 to 64."""
    rng = np.random.default_rng(exponent)
    for width in range(exponent % 5, 65, 5):
        sigma = 2.0 ** (width / 2) if width > 3 else 0.0
        if exponent < BITS:
            block = walk(rng, exponent, sigma, 10.0 ** (9 - exponent))
        else:
            block = from_bits(
                slow_codec.bits(1 / 3) + np.cumsum(np.rint(rng.normal(0.0, sigma, codec.BLOCK))).astype(int)
            )
        words = np.array(slow_codec.write(block.tolist(), exponent, 40, width), np.uint64).view(np.int64)
        assert header(words)[:2] == (exponent, width)
        assert_same(decode(words), block)
        assert_same(slow_codec.read(unsigned(words)), block)


def test_the_kernel_writes_every_width() -> None:
    """Deltas of each width, up to 64 bits, come back at that width."""
    rng = np.random.default_rng(3)
    for width in range(65):
        low = -(1 << width >> 1)
        deltas = rng.integers(low, -low, codec.BLOCK) if width else np.zeros(codec.BLOCK, np.int64)
        block = from_bits(np.cumsum(deltas.view(np.uint64)) + np.uint64(slow_codec.bits(1 / 3)))
        assert header(assert_comes_back(block)).width == width


def test_a_patch_at_every_place() -> None:
    """A leap, or a price of full precision, comes back wherever it is."""
    for i in range(codec.BLOCK):
        block = np.full(codec.BLOCK, 2.25)
        block[i:] = 2.26
        words = encode(block)
        assert_same(decode(words), block)
        assert (header(words).jumps, header(words).exceptions) == (min(i, 1), 0)
        block[i:] = 2.25
        block[i] = 1 / 3
        words = encode(block)
        assert_same(decode(words), block)
        assert header(words).exceptions == 1
        if i % 37 == 0:
            assert_same(slow_codec.read(unsigned(words)), block)


def test_many_patches_of_both_kinds() -> None:
    """Any number of leaps beside any number of exceptions comes back, until bits are better."""
    rng = np.random.default_rng(4)
    for leaps in (0, 1, 3, 4, 5, 50, 200):
        for exceptions in (0, 1, 2, 3, 4, 30, 200, 600):
            deltas = rng.integers(-1, 2, codec.BLOCK)
            deltas[rng.permutation(codec.BLOCK)[:leaps]] += 10**9
            block = np.cumsum(deltas) / 100
            block[rng.permutation(codec.BLOCK)[:exceptions]] = rng.normal(0.0, 1.0, exceptions)
            assert_comes_back(block)


def test_nothing_behind_is_read_or_written() -> None:
    """Blocks of all kinds come back where each array ends at the end of memory."""
    room, work = before_the_edge(codec.BLOCK).view(np.float64), before_the_edge(codec.WORK)
    for block, _ in block_kinds().values():
        words = before_the_edge(len(encode(block)))
        room[:] = block
        assert codec.encode(room, words, work) == len(words)
        room[:] = 0.0
        assert codec.decode(words, room, work) == len(words)
        assert_same(room, block)


def test_words_that_are_no_block_touch_nothing_else() -> None:
    """Words that were overwritten while they are read give prices of no use, or none, and nothing behind is touched."""
    rng = np.random.default_rng(5)
    room, work = before_the_edge(codec.BLOCK).view(np.float64), before_the_edge(codec.WORK)
    most = before_the_edge(codec.MAX_WORDS)
    refused = 0
    for _ in range(3000):
        words = most[-int(rng.integers(1, codec.MAX_WORDS + 1)) :]
        words[:] = rng.integers(-(2**63), 2**63, len(words))
        if rng.random() < 0.8:
            words[0] = Header(*(int(rng.integers(0, high)) for high in (16, 70, 64, 200, 200))).word()
        used = codec.decode(words, room, work)
        assert 0 <= used <= len(words)
        refused += used == 0
    assert 0 < refused < 3000


def digest() -> str:
    """All words that some blocks are encoded to, and all prices that these are decoded to, in short."""
    total = hashlib.sha256()
    for block, _ in block_kinds().values():
        words = encode(block)
        prices = decode(words)
        total.update(words.tobytes() + prices.tobytes())
    return total.hexdigest()


ALONE: Final = """
import sys, types
sys.modules["aggregation"] = package = types.ModuleType("aggregation")
package.__path__ = ["aggregation"]
from tests.aggregation import test_codec
print(test_codec.digest())
"""
"""The codec without the rest of its package, which would only be compiled, too."""


@pytest.mark.timeout(600)  # it is compiled
@pytest.mark.parametrize("processor", ["generic", "haswell"])
def test_other_processors_write_the_same_words(processor: str, tmp_path: Path) -> None:
    """Without AVX and fused operations, and with AVX2 and these, words and prices are the same to the bit."""
    done = subprocess.run(
        [sys.executable, "-c", ALONE],
        cwd=Path(__file__).parents[2],
        env={
            **os.environ,
            "NUMBA_CPU_NAME": processor,
            "NUMBA_CPU_FEATURES": "",
            "NUMBA_CACHE_DIR": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == digest()
