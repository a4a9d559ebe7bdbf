from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aggregation import (
    NAME_BYTES,
    Geometry,
    Layout,
    MemoryReserveError,
    NotHeldError,
    PositionError,
    Series,
    SharedMemory,
    Symbols,
    TooManySymbolsError,
    UnknownSymbolError,
    Windows,
)
from tests.aggregation.oracle import History, assert_all_windows

SMALL = Geometry(max_k=2, max_batch=20)


def resident_bytes(series: Series) -> int:
    """What the kernel has committed to the mapping that holds the series."""
    address = int(series._words.ctypes.data)
    inside = False
    with Path("/proc/self/smaps").open() as smaps:
        for line in smaps:
            first = line.split()[0]
            if not first.endswith(":"):
                begin, end = (int(bound, 16) for bound in first.split("-"))
                inside = begin <= address < end
            elif inside and first == "Rss:":
                return int(line.split()[1]) * 1024
    raise LookupError(hex(address))


def new_symbols(max_symbols: int = 10) -> Symbols:
    return Symbols(SharedMemory(Layout(SMALL, max_symbols)))


def test_symbols_do_not_touch_each_other() -> None:
    """Every symbol answers from its own prices, in whatever order they are appended to."""
    symbols = new_symbols()
    histories = {f"S{i}": History() for i in range(10)}
    rng = np.random.default_rng(7)
    for _ in range(400):
        name = f"S{rng.integers(10)}"
        batch = rng.normal(0.0, 1.0, int(rng.integers(1, 21)))
        histories[name].append(batch)
        assert symbols.append(name, batch) == histories[name].count
        if rng.random() < 0.5:
            symbols.roll_up(name)
    for name, history in histories.items():
        assert symbols.count(name) == history.count
        assert_all_windows(symbols.series(name), history)
        symbols.series(name).check()


def test_the_eleventh_symbol_is_refused() -> None:
    """Ten symbols are the limit; an eleventh is refused, and the ten go on."""
    symbols = new_symbols()
    for i in range(10):
        symbols.append(f"S{i}", [float(i)])
    for _ in range(2):
        with pytest.raises(TooManySymbolsError, match="10 symbols already"):
            symbols.append("S10", [1.0])
    assert list(symbols) == [f"S{i}" for i in range(10)]
    for i in range(10):
        assert symbols.append(f"S{i}", [float(i) + 1]) == 2
        assert symbols.statistics(f"S{i}", 1)[:4] == (2, i, i + 1, i + 1)


def test_a_deleted_symbol_makes_room() -> None:
    """Deleting a symbol frees its place for another one, which starts empty; a deleted symbol may come again."""
    symbols = new_symbols(max_symbols=2)
    rng = np.random.default_rng(8)
    for name in ("A", "B"):
        for _ in range(30):
            symbols.append(name, rng.normal(0.0, 1e50, 20))
            symbols.roll_up(name)
    for name in ("C", "A"):
        symbols.delete(next(iter(symbols)))
        history = History(rng.normal(0.0, 1.0, 13))
        assert symbols.append(name, history.prices) == 13
        assert_all_windows(symbols.series(name), history)
        symbols.series(name).check()
    assert sorted(symbols) == ["A", "B"]


@pytest.mark.parametrize("name", ["EURUSD", "", "gone", "x" * 1_000])
def test_an_unknown_symbol(name: str) -> None:
    """Asking for a symbol that has no price, or was deleted, says so and makes none; rolling it up does nothing."""
    symbols = new_symbols()
    symbols.append("gone", [1.0])
    symbols.delete("gone")
    for ask in (
        symbols.count,
        symbols.series,
        symbols.delete,
        symbols.windows,
        lambda name: symbols.statistics(name, 1),
    ):
        with pytest.raises(UnknownSymbolError):
            ask(name)
    symbols.roll_up(name)
    assert len(symbols) == 0


def test_names_are_opaque() -> None:
    """Any two different strings are two symbols; the same string is the same one, up to the last byte that fits."""
    names = ["a", "A", "", " ", "a ", "ä", "a\u0308", "\0", "x" * NAME_BYTES, "x" * (NAME_BYTES - 1)]
    symbols = new_symbols()
    for i, name in enumerate(names):
        symbols.append(name, [float(i)])
    assert list(symbols) == names
    for i, name in enumerate(names):
        assert (symbols.count(name), symbols.statistics(name, 1).last) == (1, i)


@pytest.mark.parametrize(
    ("name", "batch"),
    [("A", []), ("A", [float("nan")]), ("A", [1.0] * 21), ("A", [[1.0]]), ("ä" * (NAME_BYTES // 2) + "x", [1.0])],
)
def test_what_is_refused_creates_no_symbol(name: str, batch: list[float]) -> None:
    """A first batch that is refused, or a name that is too long, leaves neither a symbol nor a used place behind."""
    symbols = new_symbols(max_symbols=1)
    with pytest.raises(ValueError, match=r"batch|bytes"):
        symbols.append(name, batch)
    assert len(symbols) == 0
    assert symbols.append("B", [2.0]) == 1
    assert symbols.statistics("B", 2)[:4] == (1, 2.0, 2.0, 2.0)


def test_a_later_batch_that_is_refused() -> None:
    """A batch that is refused leaves its symbol as it was."""
    symbols = new_symbols()
    symbols.append("A", [1.0])
    with pytest.raises(ValueError, match="price 1"):
        symbols.append("A", [2.0, np.inf])
    assert symbols.count("A") == 1


def test_a_batch_is_appended_at_its_position_or_not_at_all() -> None:
    """One that is sent again, or out of order, is refused with the count, and changes nothing; the right one is in."""
    memory = SharedMemory(Layout(SMALL, max_symbols=2))
    mine, yours = Symbols(memory), Symbols(memory)
    for at, size, count in ((0, 3, 3), (3, 20, 23), (23, 1, 24)):
        for wrong in (count, at + 1, 2**63 - 1):
            with pytest.raises(PositionError, match=f"{at} prices were added") as refused:
                yours.append("A", np.zeros(size), wrong)
            assert refused.value.count == at
        assert mine.append("A", np.arange(at, at + size, dtype=np.float64), at) == count
        for again in (mine, yours):
            with pytest.raises(PositionError) as refused:
                again.append("A", np.zeros(size), at)
            assert refused.value.count == count
    assert mine.append("A", [24.0]) == 25
    assert mine.series("A").prices(0, 25).tolist() == list(range(25))


def test_an_unknown_symbol_begins_at_position_0() -> None:
    """Elsewhere its first batch is refused and creates nothing, also where there is no room, or it was deleted."""
    symbols = new_symbols(max_symbols=1)
    for _ in range(2):
        with pytest.raises(PositionError) as refused:
            symbols.append("A", [1.0], 5)
        assert (refused.value.count, list(symbols)) == (0, [])
        assert symbols.append("A", [1.0, 2.0], 0) == 2
        with pytest.raises(PositionError):
            symbols.append("B", [1.0], 2)
        with pytest.raises(TooManySymbolsError):
            symbols.append("B", [1.0], 0)
        symbols.delete("A")


def test_two_sets_over_one_memory() -> None:
    """What one set does, another sees at once: creation, prices, deletion, and a successor of the same name."""
    memory = SharedMemory(Layout(SMALL, max_symbols=2))
    mine, yours = Symbols(memory), Symbols(memory)
    for price in (1.0, 2.0, 3.0):
        mine.append("A", [price])
        assert yours.append("A", [price]) == 2
        assert mine.statistics("A", 1)[:4] == (2, price, price, price)
        assert mine.windows("A") == Windows(2, [2, 2], [[price, price, price, price, 0.0]] * 2)
        yours.delete("A")
        with pytest.raises(UnknownSymbolError):
            mine.statistics("A", 1)
        with pytest.raises(UnknownSymbolError):
            mine.windows("A")
        yours.append("other", [7.0])
        assert list(mine) == ["other"]
        assert mine.append("A", [8.0]) == 1
        mine.delete("other")
        mine.delete("A")


def test_the_overview_is_sorted_and_each_entry_is_right() -> None:
    """The overview has every symbol that exists, by code points, with all prices ever appended and the last of them."""
    symbols = new_symbols()
    assert symbols.overview() == []
    for i, name in enumerate(["b", "ä", "B", "gone", "日経", "a"]):
        for _ in range(10 * i + 1):
            symbols.append(name, [7.0, -1.5 - i])
            symbols.roll_up(name)
    symbols.delete("gone")
    assert [holding[:3] for holding in symbols.overview()] == [
        ("B", 42, -3.5),
        ("a", 102, -6.5),
        ("b", 2, -1.5),
        ("ä", 22, -2.5),
        ("日経", 82, -5.5),
    ]


def test_the_overview_while_a_symbol_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A symbol that gives way to another while it is looked at is not mixed with it: the other one is listed, whole."""
    memory = SharedMemory(Layout(SMALL, max_symbols=1))
    mine, yours = Symbols(memory), Symbols(memory)
    yours.append("A", [1.0])
    newest = Series.newest

    def replace(series: Series) -> tuple[int, float] | None:
        found = newest(series)
        if "A" in yours:
            yours.delete("A")
            yours.append("B", [2.0, 3.0])
        return found

    monkeypatch.setattr(Series, "newest", replace)
    assert [holding[:3] for holding in mine.overview()] == [("B", 2, 3.0)]


def test_prices_come_back_and_those_that_are_not_held_are_named() -> None:
    """The newest, or fewer if there are fewer, or neighbouring ones; beyond what is held it says what is."""
    symbols = new_symbols()
    prices = np.random.default_rng(4).normal(0.0, 1.0, 250)
    for begin in range(0, 250, 10):
        symbols.append("A", prices[begin : begin + 10])
        count = begin + 10
        for size in (1, 20, 1_000):
            found = symbols.prices("A", size)
            held = min(size, count, 100)
            assert (found.begin, found.appended) == (count - held, count)
            assert found.prices.tobytes() == prices[count - held : count].tobytes()
        oldest = max(0, count - 100)
        found = symbols.prices("A", 10, oldest)
        assert (found.begin, found.appended, found.prices.tolist()) == (
            oldest,
            count,
            prices[oldest : oldest + 10].tolist(),
        )
        for wrong, size in ((oldest - 1, 2), (count - 1, 2), (count, 1)):
            if wrong >= 0:
                with pytest.raises(NotHeldError) as refused:
                    symbols.prices("A", size, wrong)
                assert (refused.value.oldest, refused.value.count) == (oldest, count)


@pytest.mark.parametrize("begin", [None, 0])
def test_prices_while_a_symbol_is_replaced(monkeypatch: pytest.MonkeyPatch, begin: int | None) -> None:
    """What was read of a place that has changed hands meanwhile is read again, of the symbol that was asked for."""
    memory = SharedMemory(Layout(SMALL, max_symbols=2))
    mine, yours = Symbols(memory), Symbols(memory)
    yours.append("A", [1.0])
    for name in ("last", "stretch"):
        read = getattr(Series, name)

        def replace(series: Series, *wanted: int, read: Callable[..., object] = read) -> object:
            if yours.count("A") == 1:
                yours.delete("A")
                yours.append("B", [7.0])
                yours.append("A", [2.0, 3.0])
            return read(series, *wanted)

        monkeypatch.setattr(Series, name, replace)
    assert mine.prices("A", 1, begin).prices.tolist() == [3.0 if begin is None else 2.0]
    yours.delete("A")
    with pytest.raises(UnknownSymbolError):
        mine.prices("A", 1, begin)


def test_growth_may_be_refused() -> None:
    """Where new memory may not be taken, a batch that needs some is refused, and one that needs none is not."""
    grown: list[int] = []
    allowed = True

    def may_grow(growth: int) -> bool:
        grown.append(growth)
        return allowed

    symbols = Symbols(SharedMemory(Layout(SMALL, max_symbols=2)), may_grow)
    for _ in range(SMALL.hot_capacity // 20 - 1):
        symbols.append("full", np.ones(20))
    symbols.append("half", np.ones(20))
    allowed = False
    for name in ("half", "new", "full"):
        with pytest.raises((MemoryReserveError, TooManySymbolsError)):
            symbols.append(name, np.ones(20))
    allowed = True
    symbols.append("full", np.ones(20))
    assert grown[0] >= 20 * 8
    allowed = False
    assert symbols.append("full", np.ones(20)) == SMALL.hot_capacity + 20
    assert symbols.count("half") == 20


def test_an_almost_empty_symbol_commits_next_to_nothing() -> None:
    """With a thousand prices in one symbol, the memory of ten symbols of full size commits 64 KB at most."""
    symbols = Symbols(SharedMemory(Layout()))
    symbols.append("EURUSD", np.ones(1_000))
    symbols.roll_up("EURUSD")
    assert 0 < resident_bytes(symbols.series("EURUSD")) <= 64 * 1024
    symbols.delete("EURUSD")
    symbols.append("GBPUSD", [1.0])
    assert resident_bytes(symbols.series("GBPUSD")) <= 64 * 1024


def test_shared_memory_that_nobody_uses_is_given_back() -> None:
    """Memory and lock file live as long as somebody uses them, and no longer."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        symbols = Symbols(SharedMemory(Layout(SMALL)))
        symbols.append("A", [1.0])
        series = symbols.series("A")
        del symbols
        assert series.count == 1
        del series
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1
