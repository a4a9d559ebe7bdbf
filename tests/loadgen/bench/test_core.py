"""The core's benchmark measures what it says; never how fast, which is not for a test to judge."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest

import aggregation
from aggregation import Geometry
from loadgen.bench import core
from loadgen.bench.numpy_way import NumpyBlocks, window_statistics
from loadgen.bench.table import Row, Section, render
from loadgen.bench.timing import Contender, interleaved_medians


@pytest.fixture(scope="module")
def sections() -> list[Section]:
    return core.measure(quick=True)


def test_quick_run_has_every_row(sections: list[Section]) -> None:
    """A run measures every window, every batch size, memory and start-up, with the targets beside them."""
    fold, append, sharing, memory, start_up = ([row.what for row in section.rows] for section in sections)
    assert fold[: core.QUICK_K] == [f"k = {k}" for k in range(1, core.QUICK_K + 1)]
    assert len(fold) == core.QUICK_K + 6
    assert append[:3] == ["1 price", "100 prices", "10,000 prices"]
    assert append[3] == "10,000 prices into fresh memory"
    assert len(sharing) == len(start_up) == 2
    assert len(memory) == 11
    targets = [row.target for section in sections for row in section.rows if row.target]
    assert targets == [
        *["≤ 3 µs"] * (core.QUICK_K + 1),
        *["≤ 3 µs", "≤ 5 µs", "≤ 50 µs"],
        *["≤ 5 µs"] * 2,
        "≤ 64 kB",
    ]


def test_quick_run_measures_something(sections: list[Section]) -> None:
    """Every number is positive and finite, and every row of the text shows its verdict."""
    rows = [row for section in sections for row in section.rows]
    differences = sections[2].rows  # of two times: on a busy machine they may come out below zero
    for row in rows:
        assert row in differences or 0 < row.value < np.inf, row
        assert row.numpy is None or 0 < row.numpy < np.inf, row
    text = render(sections)
    for row in rows:
        assert any(row.what in line and row.verdict in line and row.target in line for line in text.splitlines()), row


def test_memory_follows_what_prices_compress_to(sections: list[Section]) -> None:
    """Resident memory is that of the hot prices and the summaries, and what the blocks take, up to 8 bytes a price."""
    per_price = {row.what: row.value for row in sections[3].rows}
    geometry = Geometry(max_k=core.QUICK_K)
    before_the_boxes = geometry.held_bytes(10**6, 10**6) / 10**6
    assert before_the_boxes + 8.0 <= per_price["random bits"] <= before_the_boxes + 8.1
    assert before_the_boxes + 0.3 <= per_price["EUR/USD quotes"] <= before_the_boxes + 0.7


def test_a_run_beside_a_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library of a commit is another one, in the same process, and every row is a ratio of the two."""
    monkeypatch.setattr(core, "library_at", lambda _revision: nullcontext(aggregation))
    rows = core.beside_rows(Geometry(max_k=4), core.walk(30_000), 0.01, "any")
    assert [row.what for row in rows][:4] == [
        *(f"append and roll up {size}" for size in ("1", "100", "10,000")),
        "10,000 into fresh memory",
    ]
    assert all(0 < row.value < np.inf for row in rows)


def test_machine_names_the_versions() -> None:
    """A table of times says what it was measured on."""
    assert f"numpy {np.__version__}" in core.machine()


def test_wrong_answers_stop_the_benchmark() -> None:
    """Contenders that disagree are not timed."""
    core.agree((1.0, 2.0, 1.5, 0.25), (1.0, 2.0, 1.5, 0.25))
    with pytest.raises(AssertionError):
        core.agree((1.0, 2.0, 1.5, 0.25), (1.0, 2.0, 1.5, 0.26))
    with pytest.raises(AssertionError):
        core.agree((1.0, 2.0, 1.5, 0.25), (1.5, 2.0, 1.5, 0.25))


@pytest.mark.parametrize("batch", [1, 10, 100])
def test_numpy_blocks_summarise_the_newest_prices(batch: int) -> None:
    """The other contender does the work it is timed for: its blocks are right, beyond the end of its ring too."""
    prices = core.walk(2_300)
    blocks = NumpyBlocks(np.empty(1_000), batch)
    for begin in range(0, len(prices), batch):
        blocks.append(prices[begin : begin + batch])
        for size in (10, 100, 1_000):
            if blocks.count >= size and blocks.count % size == 0:
                low, high, _, mean, var = window_statistics(prices[blocks.count - size : blocks.count])
                core.agree(blocks.newest(size), (low, high, mean, var))


def test_numpy_blocks_refuse_what_tenfold_refuses() -> None:
    """The other contender is not spared the check for numbers that are not finite."""
    with pytest.raises(ValueError, match="finite"):
        NumpyBlocks(np.empty(100), 10).append(np.full(10, np.nan))


def test_contenders_take_turns() -> None:
    """Every round takes one sample of each contender, not always in the same order, and nine rounds are the least."""
    order: list[str] = []
    contenders = [Contender(lambda: order.append("a")), Contender(lambda: order.append("b"), calls=2)]
    assert len(interleaved_medians(contenders, seconds=0)) == 2
    assert len(order) == 9 * 3
    assert {"".join(order[begin : begin + 3]) for begin in range(0, 27, 3)} == {"abb", "bba"}


def test_verdict_is_computed_from_the_measurement() -> None:
    """At the bound is reached, beyond it is missed, and without a bound nothing is claimed."""
    assert Row("", 5.0, "µs", at_most=5).verdict == "reached"
    assert Row("", 5.1, "µs", at_most=5).verdict == "missed"
    assert Row("", 10_000, "×", at_least=10_000).verdict == "reached"
    assert Row("", 9_999, "×", at_least=10_000).verdict == "missed"
    assert Row("", 1.0, "s").verdict == ""
