"""A process may stand still with a lock in its hands, for ever; it holds up its own symbol only, and nobody waits."""

from __future__ import annotations

import mmap
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from aggregation import Geometry, Layout, SharedMemory, Symbols
from aggregation import symbols as module
from tests.aggregation.killing import killed_at_line, stopped_at_line
from tests.aggregation.oracle import History, assert_all_windows
from tests.aggregation.resident import resident_bytes

LAYOUT = Layout(Geometry(max_k=3, max_batch=100), max_symbols=3)

ACTIONS: dict[str, Callable[[Symbols], object]] = {
    "append": lambda symbols: symbols.append("A", [4.0]),
    "create": lambda symbols: symbols.append("B", [4.0]),
    "delete": lambda symbols: symbols.delete("A"),
    "roll up": lambda symbols: symbols.roll_up("A"),
}

STEP = 3
"""Every third line will do: a creation has some 250, and each takes a process."""


def prepared() -> SharedMemory:
    memory = SharedMemory(LAYOUT)
    Symbols(memory).append("A", [1.0, 2.0, 3.0])
    return memory


@pytest.mark.parametrize("name", ACTIONS)
def test_a_stopped_process_holds_up_nobody_but_its_own_symbol(name: str) -> None:
    """Wherever a process is stopped, an unrelated symbol can be created, appended to, rolled up and deleted."""
    for line in count(1, STEP):
        memory = prepared()
        with stopped_at_line(line, lambda: ACTIONS[name](Symbols(memory))) as stopped:  # noqa: B023 - it is called at once
            if not stopped:
                break
            symbols = Symbols(memory)
            assert symbols.append("unrelated", [7.0]) == 1, line
            assert symbols.append("unrelated", [8.0]) == 2, line
            symbols.roll_up("unrelated")
            assert symbols.statistics("unrelated", 1).size == 2
            symbols.delete("unrelated")
    assert line > 5


@pytest.mark.parametrize("name", ACTIONS)
def test_a_lock_that_is_taken_is_blockingioerror_at_once_and_changes_nothing(name: str) -> None:
    """Whoever needs a lock of a stopped process is told so, and has done nothing; once that is killed all goes on."""
    refused = 0
    for line in count(1, STEP):
        memory = prepared()
        symbols = Symbols(memory)
        with stopped_at_line(line, lambda: ACTIONS[name](Symbols(memory))) as stopped:  # noqa: B023
            if not stopped:
                break
            before = symbols.overview()
            for action in ACTIONS.values():
                try:
                    action(symbols)
                except BlockingIOError:
                    refused += 1
                    assert symbols.overview() == before
                except LookupError:
                    assert "A" not in list(symbols)
                before = symbols.overview()
        for _ in range(2):
            symbols.append("A", [5.0])
            symbols.append("B", [6.0])
            symbols.roll_up("A")
            symbols.delete("A")
        assert list(symbols) == ["B"]
    assert refused >= 2


def test_the_same_name_is_created_once_though_its_first_creator_was_stopped() -> None:
    """While a process stands still in the middle of a creation, another creates no second symbol of that name."""
    for line in count(1, STEP):
        memory = prepared()
        with stopped_at_line(line, lambda: Symbols(memory).append("B", [4.0])) as stopped:  # noqa: B023
            if not stopped:
                break
            with suppress(BlockingIOError):
                assert Symbols(memory).append("B", [5.0]) in (1, 2)
            assert list(Symbols(memory)).count("B") <= 1


@pytest.fixture
def slices(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The slices of memory that are given back, in order: (begin, size); four pages each, and one at a time."""
    given: list[tuple[int, int]] = []
    give_back = SharedMemory.give_back

    def noted(memory: SharedMemory, slot: int, begin: int, size: int) -> None:
        given.append((begin, size))
        give_back(memory, slot, begin, size)

    monkeypatch.setattr(SharedMemory, "give_back", noted)
    monkeypatch.setattr(module, "SLICE_BYTES", 4 * mmap.PAGESIZE)
    monkeypatch.setattr(module, "SLICE_SECONDS", 0.0)
    return given


LARGE = Layout(Geometry(max_k=5), max_symbols=2)


def filled(memory: SharedMemory) -> Symbols:
    symbols = Symbols(memory)
    for _ in range(12):
        symbols.append("A", np.arange(10_000.0))
        symbols.roll_up("A")
    return symbols


def test_the_memory_of_a_deleted_symbol_is_given_back_in_slices(slices: list[tuple[int, int]]) -> None:
    """A deletion gives back one slice, each call of ``tidy`` another, until all is back and the slot is all zero."""
    memory = SharedMemory(LARGE)
    symbols = filled(memory)
    held = resident_bytes(memory.slot(0))
    symbols.delete("A")
    assert len(slices) == 1
    while symbols.tidy():
        assert list(symbols) == []
    assert len(slices) == -(-LARGE.geometry.slot_bytes // (4 * mmap.PAGESIZE))
    assert all(size <= 4 * mmap.PAGESIZE for _, size in slices)
    assert sum(size for _, size in slices) == LARGE.geometry.slot_bytes
    assert resident_bytes(memory.slot(0)) < held / 20
    assert not any(memory.slot(0))
    assert not symbols.tidy()


def test_a_creation_does_not_take_a_place_that_is_not_clean_while_there_is_another(
    slices: list[tuple[int, int]],
) -> None:
    """A new symbol takes a clean place first; where there is none it helps to clean one, slice by slice."""
    symbols = filled(SharedMemory(LARGE))
    symbols.delete("A")
    assert symbols.append("B", [1.0]) == 1
    assert len(slices) == 1
    symbols.delete("B")
    attempts = 0
    while "C" not in list(symbols):
        before = len(slices)
        try:
            assert symbols.append("C", [1.0]) == 1
        except BlockingIOError:
            attempts += 1
        assert len(slices) <= before + 1
    assert attempts > 10
    assert_all_windows(symbols.series("C"), History([1.0]))


def test_a_kill_between_deleting_and_giving_back_strands_no_memory() -> None:
    """Wherever a process is killed that deletes a symbol, ``tidy`` gives back what is left of it, if it is gone."""
    gone = 0
    for line in count(1):
        memory = SharedMemory(LARGE)
        symbols = filled(memory)
        held = resident_bytes(memory.slot(0))
        killed = killed_at_line(line, lambda: symbols.delete("A"))  # noqa: B023
        while symbols.tidy():
            pass
        if list(symbols) == []:
            gone += 1
            assert resident_bytes(memory.slot(0)) < held / 20
        if not killed:
            break
    assert gone > 3


def test_what_another_process_is_cleaning_is_left_to_it(slices: list[tuple[int, int]]) -> None:
    """``tidy`` does not wait for a process that gives memory back and stands still with the lock."""
    memory = SharedMemory(LARGE)
    symbols = filled(memory)
    symbols.delete("A")
    for line in count(1):
        with stopped_at_line(line, lambda: Symbols(memory).tidy()) as stopped:
            assert stopped
            before = len(slices)
            if not symbols.tidy():
                assert len(slices) == before
                return


def test_preallocated_memory_is_kept_when_its_symbol_is_deleted() -> None:
    """A slot whose memory was touched at the start keeps it, and is an empty one for the next symbol."""
    memory = SharedMemory(LARGE)
    memory.touch(LARGE.slot_offset(0), LARGE.geometry.slot_bytes)
    memory.series(0).resident = True
    symbols = filled(memory)
    held = resident_bytes(memory.slot(0))
    assert held >= LARGE.geometry.slot_bytes
    symbols.delete("A")
    while symbols.tidy():
        pass
    assert resident_bytes(memory.slot(0)) >= LARGE.geometry.slot_bytes
    history = History([3.0, 4.0])
    assert symbols.append("B", history.prices) == 2
    symbols.roll_up("B")
    assert symbols.series("B").resident
    assert (symbols.series("B").growth(100), symbols.series("B").batches) == (0, 1)
    assert_all_windows(symbols.series("B"), history)
    symbols.series("B").check()


def test_a_lone_surrogate_is_an_error_of_ours() -> None:
    """A name that UTF-8 cannot say is refused in words of ours where it would be created, and unknown elsewhere."""
    symbols = Symbols(prepared())
    with pytest.raises(ValueError, match="surrogate") as caught:
        symbols.append("\ud800", [1.0])
    assert not isinstance(caught.value, UnicodeError)
    symbols.roll_up("\ud800")
    with pytest.raises(LookupError):
        symbols.statistics("\ud800", 1)
    with pytest.raises(LookupError):
        symbols.delete("\ud800")
    assert list(symbols) == ["A"]


@pytest.mark.parametrize("page", [4096, 16384, 65536])
def test_parts_of_the_layout_begin_on_pages_of_the_machine(page: int) -> None:
    """Whatever size the machine's pages have, every part of the memory begins on one, so that it can be given back."""
    program = (
        f"import mmap; mmap.PAGESIZE = {page}; from aggregation import Geometry, Layout; "
        "layout = Layout(Geometry(max_k=6)); geometry = layout.geometry; "
        "print([layout.slot_offset(3), geometry.summaries_offset, geometry.boxes_offset, geometry.slot_bytes, "
        "geometry.box_words * 8])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root)
    offsets = [int(offset) for offset in done.stdout.strip("[]\n").split(",")]
    assert [offset % page for offset in offsets] == [0] * 5
