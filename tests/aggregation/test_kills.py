"""A process may be killed at any line and in the middle of any loop; what it leaves is the state before or after."""

from __future__ import annotations

import mmap
import os
import signal
from collections.abc import Callable
from functools import cache
from itertools import count, product

import numpy as np
import numpy.typing as npt
import pytest

from aggregation import Geometry, Layout, Series, SharedMemory, Statistics, Symbols
from aggregation.codec import BLOCK
from aggregation.levels import AT, COVERED, FIRST_LEVEL, PAGE_BYTES, RESIDENT, WORD_BYTES
from tests.aggregation.killing import begin_in_child, killed_at_line, killed_writing
from tests.aggregation.oracle import History, assert_all_windows
from tests.support.process import until

GEOMETRY = Geometry(max_k=5, max_batch=600, least_hot=3_000, box_blocks=4)
LAYOUT = Layout(GEOMETRY, max_symbols=3)
LONG_DIRECTORY = Geometry(max_k=6, max_batch=500, least_hot=3_000, box_blocks=2 * PAGE_BYTES // 8)
"""Boxes in which the ends of blocks have pages of their own."""

LAST = (600, 600, 500, 600)
"""Batches that are not rolled up when they are appended: with the last there is more than an append leaves standing."""

State = dict[str, list[Statistics]]


def batch(seed: int, size: int) -> npt.NDArray[np.float64]:
    values: npt.NDArray[np.float64] = np.random.default_rng(seed).normal(100.0, 1.0, size).round(2)
    return values


def bits(seed: int, size: int) -> npt.NDArray[np.float64]:
    """Prices that do not compress."""
    return np.exp(np.random.default_rng(seed).normal(0.0, 25.0, size))


def finish(symbols: Symbols, name: str) -> None:
    """Append the next block and roll up, which completes what was left undone on all levels."""
    for seed in (1, 2):
        symbols.append(name, batch(seed, BLOCK // 2))
    symbols.roll_up(name)


def state(symbols: Symbols) -> State:
    """All that anybody can see of the symbols; and they are sound."""
    for name in symbols:
        symbols.series(name).check()
    return {name: symbols.windows(name).statistics for name in symbols}


def fill(symbols: Symbols, name: str, sizes: list[int], stream: Callable[[int, int], npt.NDArray[np.float64]]) -> None:
    """Append and roll up batches of these sizes."""
    for seed, size in enumerate(sizes):
        symbols.append(name, stream(seed, size))
        symbols.roll_up(name)


@cache
def template() -> bytes:
    """Two symbols: all rings of A have gone around, B is young.

    When A is rolled up next, that completes a box, which leaves pages of a former one; a block of level 4; and begins
    the next box. An append to it goes over the end of the hot ring.
    """
    memory = SharedMemory(LAYOUT)
    symbols = Symbols(memory)
    fill(symbols, "A", [500] * 220, bits)
    fill(symbols, "A", [500] * 139, batch)
    for size in LAST:
        symbols.append("A", batch(size, size))
    fill(symbols, "B", [7], batch)
    series = symbols.series("A")
    assert (series.count, series.lag) == (181_800, 2_800)
    assert 0 < 7_000 - series.count % 7_000 < len(PRICES)
    return bytes(memory.view)


def prepared() -> SharedMemory:
    memory = SharedMemory(LAYOUT)
    memory.view[:] = template()
    return memory


PRICES = batch(99, 470)


ACTIONS: dict[str, Callable[[Symbols], object]] = {
    "append": lambda symbols: symbols.append("B", PRICES),
    "append and roll up before": lambda symbols: symbols.append("A", PRICES),
    "create": lambda symbols: symbols.append("C", PRICES),
    "roll up": lambda symbols: symbols.roll_up("A"),
    "delete": lambda symbols: symbols.delete("A"),
}


def symbols_after(action: Callable[[Symbols], object]) -> Symbols:
    """The prepared symbols after an action."""
    symbols = Symbols(prepared())
    action(symbols)
    return symbols


def go_on(symbols: Symbols) -> list[State]:
    """What is seen while whoever comes next appends, creates, rolls up and deletes as if nothing had happened."""
    seen = []
    for name in [*sorted(symbols), *(f"new-{n}" for n in range(LAYOUT.max_symbols - len(symbols)))]:
        fill(symbols, name, [1, 500, 500, 333], batch)
        seen.append(state(symbols))
    for name in sorted(symbols):
        symbols.delete(name)
        seen.append(state(symbols))
    return seen


@pytest.mark.parametrize("name", ACTIONS)
def test_a_kill_at_any_line_leaves_the_state_before_or_after(name: str) -> None:
    """Whichever line a process is killed at, others find the state before or after, never a mix, and can go on.

    The next roll-up that has a block to do ends with the same bytes as if nobody had been killed, and no memory is
    stranded.
    """
    action = ACTIONS[name]
    twin = prepared()
    before = state(Symbols(twin))
    action(Symbols(twin))
    after = state(Symbols(twin))
    if "A" in after:
        finish(Symbols(twin), "A")
    finished = bytes(twin.slot(0))
    later = {False: go_on(Symbols(prepared())), True: go_on(symbols_after(action))}
    outcomes = []
    for line in count(1):
        memory = prepared()
        symbols = Symbols(memory)
        assert list(symbols) == list(before)  # whoever is killed knew the symbols already, as a worker does
        killed = killed_at_line(line, lambda: action(symbols))  # noqa: B023 - it is called at once
        survivor = Symbols(memory)
        found = state(survivor)
        assert found in (before, after), f"killed at line {line}: neither the state before nor after"
        is_after = found != before
        outcomes.append(is_after)
        if line % 3 == 0 or "A" not in after:
            assert go_on(survivor) == later[is_after]
            while survivor.tidy():
                pass
            assert not any(memory.slot(0)), "memory was stranded"
        else:
            if found != after:
                action(survivor)
            finish(survivor, "A")
            assert bytes(memory.slot(0)) == finished
        if not killed:
            break
    assert outcomes == sorted(outcomes), "once the state after is reached it stays"
    if after != before:
        assert outcomes[-1], "an action that was not killed must have its effect"
        assert not outcomes[0]
        assert sum(outcomes) >= 2, "there must be a line after the publication, such as the unlocking"


def test_the_states_before_and_after_are_right() -> None:
    """What the states above are compared with is what the prices say."""
    memory = prepared()
    symbols = Symbols(memory)
    prices = [bits(seed, 500) for seed in range(220)] + [batch(seed, 500) for seed in range(139)]
    prices += [batch(size, size) for size in LAST]
    history = History(np.concatenate(prices)[-101_800:], start=80_000)
    assert_all_windows(symbols.series("A"), history)
    symbols.append("A", PRICES)
    history.append(PRICES)
    assert_all_windows(symbols.series("A"), history)
    symbols.roll_up("A")
    assert_all_windows(symbols.series("A"), history)


def test_a_new_occupant_of_a_dirty_slot_starts_empty() -> None:
    """A process that is killed while it creates a symbol leaves nothing that the slot's next occupant would see."""
    for line in count(1):
        memory = prepared()
        symbols = Symbols(memory)
        if not killed_at_line(line, lambda: symbols.append("C", PRICES)):  # noqa: B023 - it is called at once
            break
        if "C" not in list(symbols):
            symbols.append("D", [1.0])
            series = symbols.series("D")
            assert series.count == 1
            assert_all_windows(series, History([1.0]))


def parts(geometry: Geometry) -> dict[str, tuple[int, int]]:
    """Where the parts of a slot begin and end, in bytes."""
    ends = -(-geometry.box_blocks * 8 // PAGE_BYTES) * PAGE_BYTES
    return {
        "header": (0, PAGE_BYTES),
        "hot prices": (PAGE_BYTES, geometry.summaries_offset),
        "summaries": (geometry.summaries_offset, geometry.boxes_offset),
        "first ends of blocks": (geometry.boxes_offset, geometry.boxes_offset + ends),
        "boxes": (geometry.boxes_offset, geometry.slot_bytes),
    }


@pytest.mark.parametrize("geometry", [GEOMETRY, LONG_DIRECTORY], ids=["small boxes", "long directory"])
@pytest.mark.parametrize("stream", [batch, bits], ids=["decimals", "random bits"])
def test_a_kill_at_the_first_write_to_any_page(
    geometry: Geometry, stream: Callable[[int, int], npt.NDArray[np.float64]]
) -> None:
    """Killed at its first write to any page, a writer leaves a whole state; its successor ends with the same bytes."""
    layout = Layout(geometry, max_symbols=2)
    filled = SharedMemory(layout)
    for name in ("victim", "twin"):
        fill(Symbols(filled), name, [500] * 218, stream)  # 109,000: a block of level 4 is due
        for _ in range(3):
            Symbols(filled).append(name, stream(1000, 400))

    def write(symbols: Symbols, name: str) -> None:
        symbols.append(name, stream(1001, 499))
        symbols.roll_up(name)

    def written_by_twin() -> list[int]:
        memory = np.frombuffer(filled.slot(1), np.uint8).reshape(-1, PAGE_BYTES)
        before = memory.copy()
        write(Symbols(filled), "twin")
        changed = np.flatnonzero((memory != before).any(axis=1))
        return [int(page) * PAGE_BYTES for page in changed]

    before, pages = state(Symbols(filled))["victim"], written_by_twin()
    after = state(Symbols(filled))["twin"]
    for begin, end in parts(geometry).values():
        assert any(begin <= page < end for page in pages)
    address = np.frombuffer(filled.view, np.uint8).ctypes.data
    for page in pages:
        memory = SharedMemory(layout)
        memory.view[:] = filled.view
        symbols = Symbols(memory)
        address = np.frombuffer(memory.slot(0), np.uint8).ctypes.data
        assert killed_writing(address + page, PAGE_BYTES, lambda: write(symbols, "victim"))  # noqa: B023
        found = state(Symbols(memory))["victim"]
        assert found in (before, after)
        if found == before:
            write(symbols, "victim")
        assert state(Symbols(memory))["victim"] == after
        for name in ("victim", "twin"):
            finish(symbols, name)
        assert bytes(memory.slot(0)) == bytes(memory.slot(1))


def test_readers_are_answered_however_often_the_roll_up_of_upper_levels_is_killed() -> None:
    """Level 3 does not run away from a level that nobody lives long enough to roll up: readers have no room for it."""
    geometry = Geometry(max_k=5, max_batch=10, least_hot=1, box_blocks=3)
    memory = mmap.mmap(-1, geometry.slot_bytes)
    series = Series(memory, geometry)
    upper = int(geometry.plan()[FIRST_LEVEL + 3 + AT]) * WORD_BYTES // PAGE_BYTES * PAGE_BYTES
    address = np.frombuffer(memory, np.uint8).ctypes.data + upper

    def append_a_block() -> None:
        for _ in range(BLOCK // geometry.max_batch):
            series.append(np.arange(series.count, series.count + geometry.max_batch) % 1000.0)
        series.roll_up()

    for _ in range(80):
        killed_writing(address, PAGE_BYTES, append_a_block)
    reader = begin_in_child(lambda: series.statistics(5))
    try:
        until(lambda: os.waitpid(reader, os.WNOHANG)[0] == reader, 20)
    except AssertionError:
        os.kill(reader, signal.SIGKILL)
        raise
    assert_all_windows(series, History(np.arange(series.count) % 1000.0))


def test_the_roll_up_goes_on_from_whatever_was_published() -> None:
    """Killed between any two publications, with all the rest written, it ends with the same bytes."""
    memory = prepared()
    symbols = Symbols(memory)
    series = symbols.series("A")
    before = series._words[: RESIDENT + 1].copy()
    symbols.roll_up("A")
    finished, answers, after = series._words[: RESIDENT + 1].copy(), state(symbols), bytes(memory.view)
    finish(symbols, "A")
    expected = bytes(memory.slot(0))
    published = [range(int(before[COVERED + i]), int(finished[COVERED + i]) + 1, BLOCK * 10**i) for i in (0, 1)]
    assert [len(steps) for steps in published] == [3, 2]
    for third, fourth in product(*published):
        if fourth <= third // (10 * BLOCK) * 10 * BLOCK:
            memory.view[:] = after
            series._words[COVERED : COVERED + 2] = third, fourth
            assert state(symbols) == answers
            finish(symbols, "A")
            assert bytes(memory.slot(0)) == expected


def test_what_was_not_published_is_not_looked_at() -> None:
    """Whatever a writer that was killed has left in place of prices, blocks and summaries to come, nobody sees it."""
    memory = prepared()
    symbols = Symbols(memory)
    series = symbols.series("A")
    answers, geometry = state(symbols), LAYOUT.geometry
    rng = np.random.default_rng(3)
    for _ in range(40):
        count_, words = series.count, series._words
        begin = PAGE_BYTES // 8
        hot = (count_ + np.arange(geometry.max_batch)) % geometry.hot_capacity
        words[begin + hot] = rng.integers(-(2**63), 2**63, len(hot))
        for i, level in enumerate(geometry.levels):
            size, at, capacity = geometry.plan()[FIRST_LEVEL + 3 * i :][:3]
            row = at + words[COVERED + i] // size % capacity * 6
            words[row : row + 6] = rng.integers(-(2**63), 2**63, 6)
            assert level
        number, blocks = divmod(int(words[COVERED]) // BLOCK, geometry.box_blocks)
        box = geometry.boxes_offset // 8 + number % geometry.boxes * geometry.box_words
        end = int(words[box + blocks - 1]) if blocks else geometry.box_blocks
        words[box + end : box + geometry.box_words] = rng.integers(-(2**63), 2**63, geometry.box_words - end)
        words[box + blocks : box + geometry.box_blocks] = rng.integers(0, 1 << 40, geometry.box_blocks - blocks)
        assert state(symbols) == answers
        symbols.roll_up("A")
        assert state(symbols) == answers
        symbols.append("A", batch(1, int(rng.integers(1, 501))))
        answers = state(symbols)
