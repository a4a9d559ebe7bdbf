"""A process may be killed at any line and in the middle of any loop; what it leaves is the state before or after."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import numpy as np
import pytest

from aggregation import Geometry, Layout, SharedMemory, Symbols
from aggregation.levels import PAGE_BYTES
from tests.aggregation.killing import killed_at_line, killed_writing
from tests.aggregation.oracle import History, assert_all_windows

GEOMETRY = Geometry(max_k=3, radix=4, max_batch=50)
LAYOUT = Layout(GEOMETRY, max_symbols=3)

State = dict[str, History]


def batch(seed: int, size: int) -> list[float]:
    values: list[float] = np.random.default_rng(seed).normal(100.0, 1.0, size).round(2).tolist()
    return values


def extended(history: History | None, prices: list[float]) -> History:
    grown = History(history.prices if history else ())
    grown.append(prices)
    return grown


def holds(symbols: Symbols, state: State) -> bool:
    """Whether exactly these symbols exist, with exactly these prices in every window."""
    if sorted(symbols) != sorted(state):
        return False
    if any(symbols.count(name) != history.count for name, history in state.items()):
        return False
    for name, history in state.items():
        symbols.series(name).check()
        assert_all_windows(symbols.series(name), history)
    return True


def go_on(symbols: Symbols, state: State) -> None:
    """Whoever comes next can append, create, roll up and delete as if nothing had happened."""
    state = dict(state)
    for name in [*state, *(f"new-{n}" for n in range(LAYOUT.max_symbols - len(state)))]:
        for seed, size in enumerate((1, 50, 33)):
            prices = batch(seed, size)
            symbols.append(name, prices)
            state[name] = extended(state.get(name), prices)
            assert holds(symbols, state)
            symbols.roll_up(name)
            assert holds(symbols, state)
    for name in list(state):
        symbols.delete(name)
        del state[name]
        assert holds(symbols, state)


def prepared() -> tuple[SharedMemory, State]:
    """Two symbols: A has wrapped its ring and has a tail, B is young."""
    memory = SharedMemory(LAYOUT)
    symbols = Symbols(memory)
    state: State = {}
    for name, sizes in {"A": [50] * 5 + [23], "B": [7]}.items():
        for seed, size in enumerate(sizes):
            symbols.append(name, batch(seed, size))
            state[name] = extended(state.get(name), batch(seed, size))
            if size == 50:
                symbols.roll_up(name)
    return memory, state


def without(state: State, name: str) -> State:
    return {n: h for n, h in state.items() if n != name}


PRICES = batch(99, 47)

ACTIONS: dict[str, tuple[Callable[[Symbols], object], Callable[[State], State]]] = {
    "append": (lambda s: s.append("A", PRICES), lambda state: {**state, "A": extended(state["A"], PRICES)}),
    "create": (lambda s: s.append("C", PRICES), lambda state: {**state, "C": extended(None, PRICES)}),
    "roll up": (lambda s: s.roll_up("A"), lambda state: state),
    "delete": (lambda s: s.delete("A"), lambda state: without(state, "A")),
}


@pytest.mark.parametrize("name", ACTIONS)
def test_a_kill_at_any_line_leaves_the_state_before_or_after(name: str) -> None:
    """Whichever line a process is killed at, others find the state before or after, never a mix, and can go on."""
    action, change = ACTIONS[name]
    outcomes = []
    for line in count(1):
        memory, before = prepared()
        symbols = Symbols(memory)
        holds(symbols, before)  # whoever is killed knew the symbols already, as a worker does
        killed = killed_at_line(line, lambda: action(symbols))  # noqa: B023 - it is called at once
        after = change(before)
        survivor = Symbols(memory)
        is_after = holds(survivor, after)
        assert is_after or holds(survivor, before), f"killed at line {line}: neither the state before nor after"
        outcomes.append(is_after)
        go_on(survivor, after if is_after else before)
        if not killed:
            break
    assert outcomes[-1], "an action that was not killed must have its effect"
    assert outcomes == sorted(outcomes), "once the state after is reached it stays"
    if change(before) is not before:
        assert not outcomes[0]
        assert sum(outcomes) >= 2, "there must be a line after the publication, such as the unlocking"


def test_a_new_occupant_of_a_dirty_slot_starts_empty() -> None:
    """A process that is killed while it creates a symbol leaves nothing that the slot's next occupant would see."""
    for line in count(1):
        memory, _ = prepared()
        symbols = Symbols(memory)
        if not killed_at_line(line, lambda: symbols.append("C", PRICES)):  # noqa: B023 - it is called at once
            break
        if "C" not in list(symbols):
            symbols.append("D", [1.0])
            series = symbols.series("D")
            assert series.count == 1
            assert_all_windows(series, History([1.0]))


@pytest.mark.parametrize("part", ["header", "raw", "summaries"])
def test_a_kill_in_the_middle_of_a_loop_leaves_a_whole_series(part: str) -> None:
    """Killed at its first write to any page, a writer leaves a whole state; its successor ends with the same bytes."""
    geometry = Geometry(max_k=4, max_batch=4_000)
    begin, end = {
        "header": (0, geometry.raw_offset),
        "raw": (geometry.raw_offset, geometry.summaries_offset),
        "summaries": (geometry.summaries_offset, geometry.slot_bytes),
    }[part]
    template = SharedMemory(Layout(geometry, max_symbols=2))
    before = History()
    for seed in range(4):  # once around the ring of 14,000 prices, and a little further
        before.append(batch(seed, 3_600))
        for name in ("victim", "twin"):
            Symbols(template).append(name, batch(seed, 3_600))
            Symbols(template).roll_up(name)
    last = batch(9, 3_777)
    after = extended(before, last)

    def finish(symbols: Symbols, name: str) -> None:
        symbols.append(name, last)
        symbols.roll_up(name)

    finish(Symbols(template), "twin")
    kills = 0
    for page in range(begin, end, PAGE_BYTES):
        memory = SharedMemory(template.layout)
        memory.view[:] = template.view
        symbols = Symbols(memory)
        series = symbols.series("victim")
        kills += killed_writing(series.covered.ctypes.data + page, PAGE_BYTES, lambda: finish(symbols, "victim"))  # noqa: B023

        series.check()
        if series.count == before.count:
            assert_all_windows(series, before)
            finish(symbols, "victim")
        else:
            assert_all_windows(series, after)
            symbols.roll_up("victim")
        assert bytes(memory.slot(0)) == bytes(memory.slot(1))
    assert_all_windows(series, after)
    assert kills >= {"header": 1, "raw": 7, "summaries": 4}[part]
