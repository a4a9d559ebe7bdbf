from __future__ import annotations

import asyncio
import errno
import itertools
import os
import time
from collections.abc import Callable

import numpy as np
import pytest

from aggregation import Geometry, Layout, SharedMemory, Symbols
from service.api.compactor import Compactor
from service.api.problems import Problem
from service.api.resources import Question, Resources
from service.metrics.counters import Cell, SharedMetrics

NAMES = ["A", "B", "C"]


@pytest.fixture
def symbols() -> Symbols:
    return Symbols(SharedMemory(Layout(Geometry(max_k=4), max_symbols=3)))


def lags(symbols: Symbols) -> list[int]:
    return [symbols.series(name).lag for name in symbols]


async def test_nothing_is_rolled_up_before_the_loop_turns(symbols: Symbols) -> None:
    """Waking costs the caller nothing: the roll-up waits until the event loop is free."""
    compactor = Compactor(symbols, SharedMetrics(1).of_worker(0))
    symbols.append("A", [1.0] * 1000)
    compactor.wake("A")
    assert symbols.series("A").lag == 1000
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert symbols.series("A").lag == 0
    assert compactor.due == 0


async def test_only_a_batch_that_completes_a_block_wakes_it(symbols: Symbols) -> None:
    """Small batches are rolled up together, when the block is full that they lie in."""
    counters = SharedMetrics(1).of_worker(0)
    compactor = Compactor(symbols, counters)
    resources = Resources(symbols, compactor)
    question = Question(query="symbol=A", media_type="application/octet-stream")
    for size, due in [(999, 0), (1, 1), (998, 0), (1, 0), (2, 1), (2000, 1)]:
        assert not isinstance(resources.add_batch(question, np.ones(size).tobytes()), Problem)
        assert compactor.due == due
        compactor.drain()
    assert symbols.series("A").lag == 1
    assert counters.counts[Cell.ROLL_UPS] == 3


async def test_one_series_a_turn(symbols: Symbols) -> None:
    """Between two roll-ups the event loop gets its turn, so that many symbols do not hold up an answer."""
    compactor = Compactor(symbols, SharedMetrics(1).of_worker(0))
    for name in NAMES:
        symbols.append(name, [1.0] * 1000)
        compactor.wake(name)
        compactor.wake(name)
    seen = []
    while compactor.due:
        seen.append(lags(symbols))
        await asyncio.sleep(0)
    assert [1000, 1000, 1000] in seen
    assert [0, 1000, 1000] in seen
    assert [0, 0, 1000] in seen


async def test_it_wakes_again_after_it_was_done(symbols: Symbols) -> None:
    """Having caught up once does not end the compactor."""
    compactor = Compactor(symbols, SharedMetrics(1).of_worker(0))
    for _ in range(3):
        symbols.append("A", [1.0] * 1000)
        compactor.wake("A")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert symbols.series("A").lag == 0


async def test_drain_rolls_up_all_that_is_due_at_a_stop(symbols: Symbols) -> None:
    """A stop leaves no roll-up undone."""
    compactor = Compactor(symbols, SharedMetrics(1).of_worker(0))
    for name in NAMES:
        symbols.append(name, [1.0] * 1000)
        compactor.wake(name)
    compactor.drain()
    assert compactor.due == 0
    assert lags(symbols) == [0, 0, 0]
    await asyncio.sleep(0)  # the turn that was scheduled finds nothing to do


async def test_a_symbol_that_was_deleted_meanwhile_does_no_harm(symbols: Symbols) -> None:
    """A roll-up that is due for a symbol that no longer exists is dropped, and the others are done."""
    compactor = Compactor(symbols, SharedMetrics(1).of_worker(0))
    for name in NAMES:
        symbols.append(name, [1.0] * 1000)
        compactor.wake(name)
    symbols.delete("A")
    compactor.drain()
    assert lags(symbols) == [0, 0]


async def until_it_is_so(condition: Callable[[], bool]) -> None:
    """Let the event loop turn until a condition holds."""
    over = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < over
        await asyncio.sleep(0.01)


class Fault:
    """A call of the library's that fails for a while, and then does what it always did."""

    def __init__(self, call: Callable[[str], None], error: OSError) -> None:
        self._call = call
        self._error = error
        self.symbol: str | None = "A"
        self.failures = 0

    def __call__(self, symbol: str) -> None:
        if symbol == self.symbol:
            self.failures += 1
            raise self._error
        self._call(symbol)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EAGAIN])
async def test_a_roll_up_that_fails_is_tried_again_and_the_others_go_on(
    symbols: Symbols, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    """Whatever a roll-up fails with, other symbols have theirs, and it is tried again until it is done.

    It is logged and counted, unless another process just had the lock.
    """
    counters = SharedMetrics(1).of_worker(0)
    compactor = Compactor(symbols, counters)
    fault = Fault(symbols.roll_up, OSError(number, os.strerror(number)))
    monkeypatch.setattr(symbols, "roll_up", fault)
    for name in NAMES:
        symbols.append(name, [1.0] * 1000)
        compactor.wake(name)
    await until_it_is_so(lambda: lags(symbols) == [1000, 0, 0] and fault.failures >= 2)
    symbols.append("B", [1.0] * 1000)
    compactor.wake("B")
    await until_it_is_so(lambda: lags(symbols) == [1000, 0, 0])
    fault.symbol = None
    await until_it_is_so(lambda: lags(symbols) == [0, 0, 0])
    if number == errno.ENOLCK:
        assert counters.counts[Cell.ROLL_UP_FAILURES] == fault.failures
        assert "failed to roll up" in caplog.text
    else:
        assert counters.counts[Cell.ROLL_UP_FAILURES] == 0
        assert caplog.text == ""


async def test_what_fails_over_and_over_is_tried_again_once_at_a_time(
    symbols: Symbols, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often a symbol is appended to while its roll-up fails, one more attempt is under way, not as many."""
    monkeypatch.setattr("service.api.compactor.RETRY_SECONDS", 0.05)
    compactor = Compactor(symbols, SharedMetrics(1).of_worker(0))
    fault = Fault(symbols.roll_up, OSError(errno.ENOLCK, "no lock"))
    monkeypatch.setattr(symbols, "roll_up", fault)
    for _ in range(100):
        compactor.wake("A")
        await asyncio.sleep(0)
    before = fault.failures
    began = time.monotonic()
    await asyncio.sleep(0.5)
    assert fault.failures - before <= (time.monotonic() - began) / 0.05 + 2


async def test_a_symbol_that_another_worker_deleted_and_created_again_is_rolled_up() -> None:
    """A worker that knew the symbol's predecessor rolls up the one that there is now."""
    memory = SharedMemory(Layout(Geometry(max_k=4), max_symbols=3))
    mine, yours = Symbols(memory), Symbols(memory)
    mine.append("A", [1.0] * 1000)
    compactor = Compactor(mine, SharedMetrics(1).of_worker(0))
    yours.delete("A")
    yours.append("other", [1.0])
    yours.append("A", [1.0] * 1000)
    compactor.wake("A")
    compactor.drain()
    assert lags(yours) == [1, 0]


async def test_what_a_killed_worker_left_is_done_at_the_start_of_the_next(symbols: Symbols) -> None:
    """Catching up rolls up every symbol, though nobody appends to it, and gives back what deleted ones have left."""
    for name in NAMES:
        symbols.append(name, [1.0] * 1000)
    compactor = Compactor(symbols, SharedMetrics(1).of_worker(0))
    compactor.catch_up()
    await until_it_is_so(lambda: compactor.due == 0)
    assert lags(symbols) == [0, 0, 0]


async def test_memory_of_deleted_symbols_is_given_back_a_slice_a_turn(
    symbols: Symbols, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two slices the event loop has its turn, roll-ups have theirs, and in the end all is back."""
    monkeypatch.setattr("aggregation.symbols.SLICE_SECONDS", 0.0)
    monkeypatch.setattr("aggregation.symbols.SLICE_BYTES", 4096)
    compactor = Compactor(symbols, SharedMetrics(1).of_worker(0))
    for name in NAMES:
        symbols.append(name, [1.0] * 1000)
    used = symbols.used_bytes(0)
    symbols.delete("A")
    compactor.tidy()
    seen = []
    compactor.wake("B")
    while compactor.due:
        seen.append((symbols.used_bytes(0), symbols.series("B").lag))
        await asyncio.sleep(0)
    left = [bytes_left for bytes_left, _ in seen]
    assert left[0] == used - 4096
    assert all(before - after in {0, 4096} for before, after in itertools.pairwise(left))
    assert len(set(left)) > 5
    assert next(bytes_left for bytes_left, lag in seen if lag == 0) > 0
    assert symbols.used_bytes(0) == 0


async def test_memory_that_cannot_be_given_back_is_tried_again(
    symbols: Symbols, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system refuses, it is counted and tried again later."""
    counters = SharedMetrics(1).of_worker(0)
    compactor = Compactor(symbols, counters)
    symbols.append("A", [1.0])
    memory = symbols._memory
    with monkeypatch.context() as patch:
        patch.setattr(SharedMemory, "give_back", lambda *_: os.pread(-1, 1, 0))
        with pytest.raises(OSError, match="descriptor"):
            symbols.delete("A")
        assert list(symbols) == []
        compactor.tidy()
        await until_it_is_so(lambda: counters.counts[Cell.ROLL_UP_FAILURES] >= 2)
    await until_it_is_so(lambda: symbols.used_bytes(0) == 0)
    assert not any(memory.slot(0))
