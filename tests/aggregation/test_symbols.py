from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aggregation import Geometry, Series, Symbols, TooManySymbolsError
from tests.aggregation.oracle import History, assert_all_windows

SMALL = Geometry(max_k=2, max_batch=20)


def resident_bytes(series: Series) -> int:
    """What the kernel has committed to the mapping that holds the series."""
    address = int(series.covered.ctypes.data)
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


def test_symbols_do_not_touch_each_other() -> None:
    """Every symbol answers from its own prices, in whatever order they are appended to."""
    symbols = Symbols(SMALL)
    histories = {f"S{i}": History() for i in range(10)}
    rng = np.random.default_rng(7)
    for _ in range(400):
        name = f"S{rng.integers(10)}"
        batch = rng.normal(0.0, 1.0, int(rng.integers(1, 21)))
        histories[name].append(batch)
        series, count = symbols.append(name, batch)
        assert count == histories[name].count
        assert series is symbols.get(name)
        if rng.random() < 0.5:
            series.roll_up()
    for name, history in histories.items():
        found = symbols.get(name)
        assert found is not None
        found.check()
        assert_all_windows(found, history)


def test_the_eleventh_symbol_is_refused() -> None:
    """Ten symbols are the limit; an eleventh is refused, and the ten go on."""
    symbols = Symbols(SMALL)
    for i in range(10):
        symbols.append(f"S{i}", [float(i)])
    for _ in range(2):
        with pytest.raises(TooManySymbolsError, match="10 symbols already"):
            symbols.append("S10", [1.0])
    assert symbols.get("S10") is None
    assert len(symbols) == 10
    assert list(symbols) == [f"S{i}" for i in range(10)]
    for i in range(10):
        series, count = symbols.append(f"S{i}", [float(i) + 1])
        assert count == 2
        assert series.statistics(1)[:4] == (2, i, i + 1, i + 1)


def test_names_are_opaque() -> None:
    """Any two different strings are two symbols; the same string is the same series."""
    names = ["a", "A", "", " ", "a ", "ä", "a\u0308", "😀", "\0"]
    symbols = Symbols(SMALL)
    for i, name in enumerate(names):
        symbols.append(name, [float(i)])
    for i, name in enumerate(names):
        series = symbols.get(name)
        assert series is not None
        assert (series.count, series.statistics(1).last) == (1, i)


@pytest.mark.parametrize("batch", [[], [float("nan")], [1.0] * 21, [[1.0]]])
def test_a_refused_batch_creates_no_symbol(batch: list[float]) -> None:
    """A first batch that is refused leaves no symbol behind; a later one leaves the symbol as it was."""
    symbols = Symbols(SMALL, max_symbols=1)
    with pytest.raises(ValueError, match="batch"):
        symbols.append("A", batch)
    assert (len(symbols), symbols.get("A")) == (0, None)
    symbols.append("B", [1.0])
    with pytest.raises(ValueError, match="batch"):
        symbols.append("B", batch)
    series = symbols.get("B")
    assert series is not None
    assert series.count == 1


def test_an_unknown_symbol() -> None:
    """Asking for a symbol that has no price makes none."""
    symbols = Symbols(SMALL)
    assert symbols.get("EURUSD") is None
    assert len(symbols) == 0


def test_bytes_at_full_retention() -> None:
    """Ten full symbols take at most 11.7 GB."""
    assert Symbols(Geometry()).full_bytes <= 11.7e9


def test_an_almost_empty_symbol_commits_next_to_nothing() -> None:
    """A symbol of full size with a thousand prices commits less than 1 MB of its 1.16 GB."""
    series, _ = Symbols(Geometry()).append("EURUSD", np.ones(1_000))
    series.roll_up()
    assert 0 < resident_bytes(series) < 1_000_000
