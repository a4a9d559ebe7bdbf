from __future__ import annotations

import asyncio

import pytest

from aggregation import Geometry, Series
from service.compactor import Compactor


@pytest.fixture
def series() -> list[Series]:
    geometry = Geometry(max_k=3)
    return [Series(bytearray(geometry.slot_bytes), geometry) for _ in range(3)]


def test_nothing_is_rolled_up_before_the_loop_turns(series: list[Series]) -> None:
    """Waking costs the caller nothing: the roll-up waits until the event loop is free."""

    async def scenario() -> None:
        compactor = Compactor()
        series[0].append([1.0] * 100)
        compactor.wake(series[0])
        assert series[0].tail == 100
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert series[0].tail == 0
        assert compactor.due == 0

    asyncio.run(scenario())


def test_one_series_a_turn(series: list[Series]) -> None:
    """Between two roll-ups the event loop gets its turn, so that many symbols do not hold up an answer."""

    async def scenario() -> None:
        compactor = Compactor()
        for one in series:
            one.append([1.0] * 100)
            compactor.wake(one)
            compactor.wake(one)
        seen = []
        while compactor.due:
            seen.append([one.tail for one in series])
            await asyncio.sleep(0)
        assert [100, 100, 100] in seen
        assert [0, 100, 100] in seen
        assert [0, 0, 100] in seen

    asyncio.run(scenario())


def test_it_wakes_again_after_it_was_done(series: list[Series]) -> None:
    """Having caught up once does not end the compactor."""

    async def scenario() -> None:
        compactor = Compactor()
        for _ in range(3):
            series[0].append([1.0] * 100)
            compactor.wake(series[0])
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert series[0].tail == 0

    asyncio.run(scenario())


def test_drain_rolls_up_all_that_is_due(series: list[Series]) -> None:
    """A stop leaves no roll-up undone."""

    async def scenario() -> None:
        compactor = Compactor()
        for one in series:
            one.append([1.0] * 100)
            compactor.wake(one)
        compactor.drain()
        assert compactor.due == 0
        assert [one.tail for one in series] == [0, 0, 0]
        await asyncio.sleep(0)  # the turn that was scheduled finds nothing to do

    asyncio.run(scenario())
