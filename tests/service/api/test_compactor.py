from __future__ import annotations

import asyncio

import pytest

from aggregation import Geometry, Layout, SharedMemory, Symbols
from service.api.compactor import ENOUGH, Compactor
from service.metrics.counters import Cell, SharedMetrics

NAMES = ["A", "B", "C"]


@pytest.fixture
def symbols() -> Symbols:
    return Symbols(SharedMemory(Layout(Geometry(max_k=3), max_symbols=3)))


def tails(symbols: Symbols) -> list[int]:
    return [symbols.series(name).tail for name in symbols]


async def test_nothing_is_rolled_up_before_the_loop_turns(symbols: Symbols) -> None:
    """Waking costs the caller nothing: the roll-up waits until the event loop is free."""
    compactor = Compactor(symbols, SharedMetrics(1).of_worker(0))
    symbols.append("A", [1.0] * 100)
    compactor.wake("A", ENOUGH)
    assert symbols.series("A").tail == 100
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert symbols.series("A").tail == 0
    assert compactor.due == 0


async def test_a_few_prices_wait_for_more(symbols: Symbols, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small batches are rolled up together: after a moment, or as soon as there are enough of them."""
    moment = 0.2  # in which even a busy machine gets through nine small batches
    monkeypatch.setattr("service.api.compactor.DELAY_SECONDS", moment)
    counters = SharedMetrics(1).of_worker(0)
    compactor = Compactor(symbols, counters)
    for _ in range(9):
        symbols.append("A", [1.0] * 10)
        compactor.wake("A", 10)
        await asyncio.sleep(0)
    assert symbols.series("A").tail == 90
    await asyncio.sleep(2 * moment)
    assert symbols.series("A").tail == 0
    assert counters.counts[Cell.ROLL_UPS] == 1
    symbols.append("A", [1.0] * ENOUGH)
    for _ in range(10):
        compactor.wake("A", ENOUGH // 10)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert symbols.series("A").tail == 0
    assert counters.counts[Cell.ROLL_UPS] == 2
    await asyncio.sleep(2 * moment)
    assert counters.counts[Cell.ROLL_UPS] == 2, "the turn that was to come later does not come as well"


async def test_one_series_a_turn(symbols: Symbols) -> None:
    """Between two roll-ups the event loop gets its turn, so that many symbols do not hold up an answer."""
    compactor = Compactor(symbols, SharedMetrics(1).of_worker(0))
    for name in NAMES:
        symbols.append(name, [1.0] * 100)
        compactor.wake(name, ENOUGH)
        compactor.wake(name, ENOUGH)
    seen = []
    while compactor.due:
        seen.append(tails(symbols))
        await asyncio.sleep(0)
    assert [100, 100, 100] in seen
    assert [0, 100, 100] in seen
    assert [0, 0, 100] in seen


async def test_it_wakes_again_after_it_was_done(symbols: Symbols) -> None:
    """Having caught up once does not end the compactor."""
    compactor = Compactor(symbols, SharedMetrics(1).of_worker(0))
    for _ in range(3):
        symbols.append("A", [1.0] * 100)
        compactor.wake("A", ENOUGH)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert symbols.series("A").tail == 0


async def test_drain_rolls_up_all_that_is_due_at_a_stop(symbols: Symbols) -> None:
    """A stop leaves no roll-up undone."""
    compactor = Compactor(symbols, SharedMetrics(1).of_worker(0))
    for name in NAMES:
        symbols.append(name, [1.0] * 100)
        compactor.wake(name, ENOUGH)
    compactor.drain()
    assert compactor.due == 0
    assert tails(symbols) == [0, 0, 0]
    await asyncio.sleep(0)  # the turn that was scheduled finds nothing to do


async def test_a_symbol_that_was_deleted_meanwhile_does_no_harm(symbols: Symbols) -> None:
    """A roll-up that is due for a symbol that no longer exists is dropped, and the others are done."""
    compactor = Compactor(symbols, SharedMetrics(1).of_worker(0))
    for name in NAMES:
        symbols.append(name, [1.0] * 100)
        compactor.wake(name, ENOUGH)
    symbols.delete("A")
    compactor.drain()
    assert tails(symbols) == [0, 0]
