"""Memory follows what prices compress to, both ways; and it is known how much there is and how much more it will be."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from aggregation import Geometry, Layout, MemoryReserveError, Series, SharedMemory, Symbols
from aggregation.levels import PAGE_BYTES
from tests.aggregation.oracle import History, assert_all_windows
from tests.aggregation.resident import resident_bytes
from tests.aggregation.writer import SMALL_BOXES, fill
from tests.support.prices import NAMES, load

Prices = npt.NDArray[np.float64]

LARGER_BOXES = Geometry(max_k=6, max_batch=5_000, least_hot=20_000, box_blocks=60)
LAP = SMALL_BOXES.boxes * SMALL_BOXES.box_blocks * 1000
"""Prices until a box is written over."""


def decimals(rng: np.random.Generator, size: int) -> Prices:
    walk: Prices = np.round(100.0 + rng.normal(0.0, 0.05, size).cumsum(), 2)
    return walk


def bits(rng: np.random.Generator, size: int) -> Prices:
    """Prices that do not compress."""
    prices: Prices = np.exp(rng.normal(0.0, 25.0, size))
    return prices


def new_series(geometry: Geometry) -> tuple[Series, memoryview]:
    """A series in memory that is given back, and that memory."""
    memory = SharedMemory(Layout(geometry, max_symbols=1))
    return memory.series(0), memory.slot(0)


def slack(geometry: Geometry) -> int:
    """How much what is said to be held may be off: two pages a box and one a level, and what a former box has left.

    That is there until the block after a box is rolled up.
    """
    return (2 * geometry.boxes + len(geometry.levels) + 2) * PAGE_BYTES


def assert_held(series: Series, memory: memoryview) -> None:
    held, resident = series.held_bytes, resident_bytes(memory)
    assert abs(held - resident) <= slack(series.geometry), (series.count, held, resident)


@pytest.mark.parametrize("count", [1, 9, 1000])
def test_an_almost_empty_symbol_takes_little(count: int) -> None:
    """A symbol of a few prices takes 64 KB at most where pages have 4, and says so."""
    series, memory = new_series(Geometry())
    series.append(decimals(np.random.default_rng(1), count))
    series.roll_up()
    assert resident_bytes(memory) <= 16 * PAGE_BYTES
    assert series.held_bytes <= 16 * PAGE_BYTES
    assert abs(series.held_bytes - resident_bytes(memory)) <= 2 * PAGE_BYTES


@pytest.mark.parametrize("geometry", [SMALL_BOXES, LARGER_BOXES, Geometry(max_k=3), Geometry(max_k=6)], ids=repr)
@pytest.mark.parametrize("stream", [decimals, bits])
def test_held_bytes_are_those_that_are_resident(
    geometry: Geometry, stream: Callable[[np.random.Generator, int], Prices]
) -> None:
    """At any count, small or far beyond all rings, it is known within a few pages a box how much memory there is."""
    rng = np.random.default_rng(2)
    series, memory = new_series(geometry)
    most = 2 * (geometry.kept + geometry.hot_capacity)
    while series.count < most:
        batch = stream(rng, int(rng.integers(1, min(geometry.max_batch, series.count + 2) + 1)))
        series.append(batch)
        if rng.random() < 0.7:
            series.roll_up()
        if rng.random() < 0.1 or series.count < 20_000:
            assert_held(series, memory)
    series.roll_up()
    assert_held(series, memory)


def test_memory_follows_prices_that_compress_less_and_more_again() -> None:
    """From decimals to random bits and back, lap by lap, memory is what the prices need, and all is right."""
    rng = np.random.default_rng(3)
    series, memory = new_series(SMALL_BOXES)
    twin = Series(bytearray(SMALL_BOXES.slot_bytes), SMALL_BOXES)  # which never gives anything back
    resident = []
    last: list[Prices] = []
    for stream in (decimals, bits, decimals, decimals, bits, bits, decimals):
        end = series.count + LAP + 1_000
        while series.count < end:
            batch = stream(rng, int(rng.integers(1, SMALL_BOXES.max_batch + 1)))
            last = [*last[-600:], batch]
            for each in (series, twin):
                each.append(batch)
                each.roll_up()
            assert_held(series, memory)
            if rng.random() < 0.1:
                assert series.windows() == twin.windows()
        series.check()
        resident.append(resident_bytes(memory))
        prices = np.concatenate(last)
        assert_all_windows(series, History(prices, series.count - len(prices)))
    few, many = resident[0], resident[1]
    assert many > 3 * few
    for found, expected in zip(resident, (few, many, few, few, many, many, few), strict=True):
        assert abs(found - expected) <= slack(SMALL_BOXES)


def test_resident_memory_is_not_given_back() -> None:
    """Where all of it was touched at the start, it stays, whatever the prices are; nothing is asked for."""
    rng = np.random.default_rng(4)
    series, memory = new_series(SMALL_BOXES)
    memory[:] = bytes(len(memory))
    series.resident = True
    for stream in (bits, decimals, bits):
        end = series.count + LAP + 1_000
        while series.count < end:
            series.append(stream(rng, 500))
            series.roll_up()
            assert series.growth(500) == 0
        assert resident_bytes(memory) == len(memory) == series.held_bytes
        series.check()


@pytest.mark.parametrize("stream", [decimals, bits])
def test_growth_foretells_what_a_young_symbol_takes(stream: Callable[[np.random.Generator, int], Prices]) -> None:
    """Until all rings have gone around, what appends are said to touch is what they touch, in all."""
    rng = np.random.default_rng(5)
    series, memory = new_series(LARGER_BOXES)
    empty, foretold = resident_bytes(memory), 0
    for _ in range(LARGER_BOXES.kept // 1_000 - 10):
        foretold += series.growth(1_000)
        series.append(stream(rng, 1_000))
        series.roll_up()
    touched = resident_bytes(memory) - empty
    unknown = 100_000  # the first block: it may be anything
    assert 0.8 * touched < foretold < 1.2 * touched + unknown


def test_growth_of_single_prices_is_foretold() -> None:
    """A price that takes half a byte is not for nothing: many of them are many bytes."""
    series, _ = new_series(SMALL_BOXES)
    for _ in range(20):
        series.append(decimals(np.random.default_rng(6), 500))
        series.roll_up()
    assert series.count > SMALL_BOXES.hot_capacity
    assert series.growth(1) > 0


def test_growth_after_the_rings_have_gone_around() -> None:
    """It is nothing for prices as ever, what is touched if they compress less, and nothing if they compress better."""
    rng = np.random.default_rng(7)
    series, memory = new_series(LARGER_BOXES)
    lap = LARGER_BOXES.boxes * LARGER_BOXES.box_blocks * 1000

    def appended(stream: Callable[[np.random.Generator, int], Prices], size: int) -> tuple[int, int]:
        """Append so many; returns what was foretold and what was touched."""
        before, foretold = resident_bytes(memory), 0
        for _ in range(size // 1000):
            foretold += series.growth(1000)
            series.append(stream(rng, 1000))
            series.roll_up()
        return foretold, resident_bytes(memory) - before

    appended(decimals, lap + 1_000)
    assert appended(decimals, lap)[0] == 0
    foretold, touched = appended(bits, lap)
    assert 0.8 * touched < foretold < 1.3 * touched
    foretold, touched = appended(decimals, lap)
    assert (foretold, touched < 0) == (0, True)


def symbols_that_may_not_grow(geometry: Geometry, stream: Callable[[int], Prices]) -> Symbols:
    """With one symbol whose rings have all gone around, and no memory left."""
    memory = SharedMemory(Layout(geometry, max_symbols=1))
    filler, symbols = Symbols(memory), Symbols(memory, may_grow=lambda _growth: False)
    for _ in range((geometry.kept + geometry.hot_capacity) // 500 * 2):
        filler.append("A", stream(500))
        filler.roll_up("A")
    return symbols


@pytest.mark.parametrize("source", ["decimals", "bits", *NAMES])
def test_a_full_symbol_whose_prices_are_as_ever_is_never_refused(source: str) -> None:
    """Where no memory is left, a symbol goes on for laps, as long as its prices stay what they are."""
    rng = np.random.default_rng(8)
    geometry = Geometry(max_k=5, max_batch=500, least_hot=3_000, box_blocks=20)
    if source in NAMES:
        prices = cycle(load(source).tolist())
        symbols = symbols_that_may_not_grow(geometry, lambda size: np.fromiter(islice(prices, size), float))
        batches = (np.fromiter(islice(prices, 500), float) for _ in range(1_000))
    else:
        stream = {"decimals": decimals, "bits": bits}[source]
        symbols = symbols_that_may_not_grow(geometry, lambda size: stream(rng, size))
        batches = (stream(rng, 500) for _ in range(1_000))
    for batch in batches:
        symbols.append("A", batch)
        symbols.roll_up("A")


def test_a_full_symbol_whose_prices_turn_to_random_bits_is_refused_before_memory_is_gone() -> None:
    """It is MemoryReserveError from the next block on, and nothing is lost."""
    rng = np.random.default_rng(9)
    symbols = symbols_that_may_not_grow(SMALL_BOXES, lambda size: decimals(rng, size))
    series = symbols.series("A")
    held = series.held_bytes
    for _ in range(4):
        with suppress(MemoryReserveError):
            symbols.append("A", bits(rng, 500))
            symbols.roll_up("A")
    before, windows = series.count, symbols.windows("A")
    for _ in range(3):
        with pytest.raises(MemoryReserveError):
            symbols.append("A", bits(rng, 500))
    assert (series.count, symbols.windows("A")) == (before, windows)
    assert series.held_bytes < held + 4 * 8_000
    series.check()


@pytest.mark.parametrize("geometry", [SMALL_BOXES, LARGER_BOXES, Geometry(max_k=2, max_batch=70)], ids=repr)
def test_no_ring_can_be_outrun(geometry: Geometry) -> None:
    """Appends that nobody rolls up do it themselves: the lag is bounded, and no ring overwrites what is not covered."""
    rng = np.random.default_rng(10)
    series, memory = new_series(geometry)
    last: list[Prices] = []
    most = 0
    while series.count < 2 * geometry.kept + geometry.hot_capacity:
        batch = decimals(rng, int(rng.integers(geometry.max_batch // 2, geometry.max_batch + 1)))
        last = [*last[-2 * geometry.retention // geometry.max_batch - 1 :], batch]
        series.append(batch)
        most = max(most, series.lag)
        assert series.lag <= geometry.max_tail + geometry.max_batch
        assert series.lag + geometry.hot <= geometry.hot_capacity + 1_000
    prices = np.concatenate(last)[-geometry.retention :]
    assert_all_windows(series, History(prices, series.count - len(prices)))
    series.check()
    assert_held(series, memory)
    assert most > geometry.max_tail


def test_the_rings_of_a_small_geometry_go_around() -> None:
    """The readers' tests and these see every ring wrap."""
    series, _ = new_series(SMALL_BOXES)
    fill(series, 2 * LAP)
    assert series.count > 2 * SMALL_BOXES.hot_capacity
    for level in SMALL_BOXES.levels:
        assert series.count // 10**level > SMALL_BOXES.capacity(level)


def pages_given_back(page: int) -> int:
    """Give memory back in whole pages of this size; returns how many."""
    given = []
    memory = bytearray(LARGER_BOXES.slot_bytes)

    def give_back(begin: int, size: int) -> None:
        assert begin % page == size % page == 0
        memory[begin : begin + size] = bytes(size)
        given.append(size // page)

    series = Series(memory, LARGER_BOXES, give_back)
    rng = np.random.default_rng(12)
    for stream in (bits, decimals, bits):
        end = series.count + LARGER_BOXES.kept + 200_000
        while series.count < end:
            series.append(stream(rng, 5_000))
            series.roll_up()
        series.check()
    return sum(given)


@pytest.mark.parametrize("page", [4096, 16384, 65536])
def test_whole_pages_are_given_back_of_whatever_size(page: int) -> None:
    """Where the machine's pages are larger, memory is given back in those, and what is still asked for is not."""
    program = (
        f"import mmap; mmap.PAGESIZE = {page}; from tests.aggregation.test_boxes import pages_given_back; "
        f"print(pages_given_back({page}))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root)
    assert int(done.stdout) * page > LARGER_BOXES.boxes * 350_000
