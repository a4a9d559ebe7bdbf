from __future__ import annotations

import pytest

from aggregation import Geometry, Layout
from aggregation.codec import BLOCK, MAX_WORDS
from aggregation.levels import (
    AT,
    BATCHES,
    BOXES_AT,
    CAPACITY,
    COVERED,
    FIRST_LEVEL,
    HOT,
    HOT_KEPT,
    KEPT,
    MAX_K,
    PAGE_BYTES,
    PRICES,
    PRICES_AT,
    SIZE,
    WORD_BYTES,
)
from aggregation.summaries import FIELDS

GEOMETRIES = [
    Geometry(),
    *[Geometry(max_k=k, max_batch=batch) for k in (1, 2, 3, 4, 5) for batch in (1, 999, 12_345)],
    *[Geometry(max_k=k, max_batch=500, least_hot=1, box_blocks=boxes) for k in (4, 5, 6) for boxes in (1, 4, 7, 1_000)],
    Geometry(max_k=MAX_K),
]
every_geometry = pytest.mark.parametrize("geometry", GEOMETRIES, ids=repr)


@pytest.mark.parametrize("name", ["max_k", "max_batch", "least_hot", "box_blocks"])
@pytest.mark.parametrize("bound", [0, -1])
def test_bounds(name: str, bound: int) -> None:
    """A geometry below one of its bounds, or beyond the largest k, cannot be made, and the error names it."""
    with pytest.raises(ValueError, match=name):
        Geometry(**{name: bound})
    with pytest.raises(ValueError, match=f"max_k must be at most {MAX_K}"):
        Geometry(max_k=MAX_K + 1)


@every_geometry
def test_what_lies_side_by_side_never_straddles_a_wrap(geometry: Geometry) -> None:
    """The ring of raw prices holds whole blocks, and each ring of summaries whole tens of them."""
    assert geometry.hot_capacity % BLOCK == geometry.hot_capacity % 1_000 == 0
    assert all(geometry.capacity(level) % 10 == 0 for level in geometry.levels)


@every_geometry
def test_nothing_is_overwritten_that_a_window_or_a_roll_up_may_ask_for(geometry: Geometry) -> None:
    """Neither the largest batch, nor a box that is begun, nor a roll-up at the longest lag, reaches that."""
    retention, lag = 10**geometry.max_k, geometry.max_tail + geometry.max_batch
    assert geometry.retention == retention
    assert geometry.hot <= retention
    # What is not rolled up is there after the largest batch; a reader may be overtaken by max_tail prices besides.
    assert geometry.hot_capacity >= geometry.hot + lag
    if geometry.boxes:
        assert geometry.hot >= lag + BLOCK, "what is cold is rolled up, to the beginning of its block"
        assert geometry.boxes * geometry.box_blocks * BLOCK >= retention + geometry.box_blocks * BLOCK + BLOCK
        assert geometry.kept >= retention + BLOCK
    else:
        assert geometry.hot == retention
        assert geometry.kept >= retention + geometry.max_tail
    for level in geometry.levels:
        size = geometry.block_size(level)
        assert size == 10**level
        # Summaries that are written begin less than a block of theirs after the price that completes them.
        assert geometry.capacity(level) * size >= geometry.kept


@every_geometry
def test_parts_of_a_slot_follow_one_another(geometry: Geometry) -> None:
    """Counts, raw prices, the ring of each level, and boxes: without a gap but to the next page, or an overlap."""
    plan = geometry.plan().tolist()
    assert COVERED + len(geometry.levels) <= BATCHES
    assert (plan[HOT], plan[PRICES], plan[KEPT]) == (geometry.hot, geometry.hot_capacity, geometry.kept)
    assert plan[HOT_KEPT] == geometry.hot_capacity - geometry.max_batch
    assert plan[PRICES_AT] * WORD_BYTES == PAGE_BYTES
    end = PAGE_BYTES + geometry.hot_capacity * WORD_BYTES
    assert 0 <= geometry.summaries_offset - end < PAGE_BYTES
    end = geometry.summaries_offset
    for i, level in enumerate(geometry.levels):
        row = plan[FIRST_LEVEL + 3 * i :][:3]
        assert row[AT] * WORD_BYTES == end
        assert (row[SIZE], row[CAPACITY]) == (10**level, geometry.capacity(level))
        end += geometry.capacity(level) * FIELDS * WORD_BYTES
    assert plan[BOXES_AT] * WORD_BYTES == geometry.boxes_offset
    assert 0 <= geometry.boxes_offset - end < PAGE_BYTES
    assert geometry.box_words >= geometry.box_blocks * (1 + MAX_WORDS)
    assert geometry.slot_bytes == geometry.boxes_offset + geometry.boxes * geometry.box_words * WORD_BYTES
    for offset in (geometry.summaries_offset, geometry.boxes_offset, geometry.box_words * WORD_BYTES):
        assert offset % PAGE_BYTES == 0


def test_full_retention_takes_under_nine_bytes_a_price_at_worst() -> None:
    """At full size a price that does not compress costs little more than itself, summaries and slack included."""
    geometry = Geometry()
    assert geometry.retention == 100_000_000
    assert geometry.slot_bytes <= 8.3 * geometry.retention
    assert Layout().total_bytes <= 8.3e9 + PAGE_BYTES
    with pytest.raises(ValueError, match="max_symbols"):
        Layout(max_symbols=0)
