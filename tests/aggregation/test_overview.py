from __future__ import annotations

import ctypes
import mmap

import numpy as np
import pytest

from aggregation import Geometry, Holding, Layout, SharedMemory, Symbols

GEOMETRIES = [
    Geometry(max_k=5),
    Geometry(max_k=1, max_batch=20),
    Geometry(max_k=5, max_batch=500, least_hot=1, box_blocks=3),
]


def pages_held(memory: SharedMemory, slot: int) -> int:
    """Pages of a slot that the system has provided, as it says itself."""
    bytes_of_slot = np.frombuffer(memory.slot(slot), np.uint8)
    pages = (ctypes.c_ubyte * -(-bytes_of_slot.nbytes // mmap.PAGESIZE))()
    address = ctypes.c_void_p(bytes_of_slot.ctypes.data)
    assert ctypes.CDLL(None).mincore(address, ctypes.c_size_t(bytes_of_slot.nbytes), pages) == 0
    return sum(page & 1 for page in pages)


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=repr)
def test_bytes_are_the_pages_that_the_system_provided(geometry: Geometry) -> None:
    """What an overview calls a symbol's bytes is what the kernel has provided, at every count, also past the wrap."""
    memory = SharedMemory(Layout(geometry, max_symbols=2))
    symbols = Symbols(memory)
    symbols.append("first", [1.0])
    rng = np.random.default_rng(3)
    while symbols.count("first") < 2 * geometry.kept:
        symbols.append("first", rng.normal(size=int(rng.integers(1, geometry.max_batch + 1))))
        symbols.roll_up("first")
        (holding,) = symbols.overview()
        assert holding.held_bytes == pages_held(memory, 0) * mmap.PAGESIZE
    assert pages_held(memory, 1) == 0, "to look on takes no memory"


def test_a_symbol_that_was_touched_at_the_start_takes_it_all() -> None:
    """Where all memory was touched beforehand, a symbol takes its whole slot from its first price."""
    memory = SharedMemory(Layout(Geometry(max_k=3), max_symbols=1))
    memory.touch(memory.layout.slot_offset(0), memory.layout.geometry.slot_bytes)
    memory.series(0).resident = True
    symbols = Symbols(memory)
    symbols.append("A", [1.0])
    assert (
        symbols.overview()[0].held_bytes == memory.layout.geometry.slot_bytes == pages_held(memory, 0) * mmap.PAGESIZE
    )


def test_an_overview_counts_what_was_appended() -> None:
    """Count, batches and lag are those of the symbol; what was refused is not among them; deletion starts anew."""
    symbols = Symbols(SharedMemory(Layout(Geometry(max_k=3, max_batch=100), max_symbols=3)))
    assert symbols.overview() == []
    page = mmap.PAGESIZE
    for size in (*[100] * 10, 33):
        symbols.append("A", np.ones(size))
    symbols.append("日本", [1.0])
    with pytest.raises(ValueError, match="price"):
        symbols.append("A", [float("nan")])
    first, second = symbols.overview()
    assert (first.symbol, first.appended, first.batches, first.lag) == ("A", 1033, 11, 1033)
    assert second == Holding("日本", appended=1, last=1.0, held_bytes=2 * page, batches=1, lag=1)
    symbols.roll_up("A")
    assert symbols.overview()[0].lag == 33
    symbols.delete("A")
    assert symbols.overview() == [second]
    symbols.append("A", [1.0, 2.0])
    first = symbols.overview()[0]
    assert (first.symbol, first.appended, first.batches, first.lag) == ("A", 2, 1, 2)
