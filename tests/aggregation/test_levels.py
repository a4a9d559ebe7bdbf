from __future__ import annotations

import pytest

from aggregation import Geometry

GEOMETRIES = [
    Geometry(),
    Geometry(max_k=1),
    Geometry(max_k=1, radix=2, max_batch=1),
    Geometry(max_k=5, radix=2, max_batch=7),
    Geometry(max_k=4, radix=3, max_batch=100),
    Geometry(max_k=3, max_batch=999),
]


@pytest.mark.parametrize(
    ("bounds", "name"),
    [
        ({"max_k": 0}, "max_k"),
        ({"max_k": -1}, "max_k"),
        ({"radix": 1}, "radix"),
        ({"radix": 0}, "radix"),
        ({"max_batch": 0}, "max_batch"),
    ],
)
def test_bounds(bounds: dict[str, int], name: str) -> None:
    """A geometry below one of its bounds cannot be made, and the error names the bound."""
    with pytest.raises(ValueError, match=name):
        Geometry(**bounds)


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=repr)
def test_children_never_straddle_the_wrap(geometry: Geometry) -> None:
    """The ring below a level holds whole blocks of that level only, so a block's children lie side by side."""
    for level in range(geometry.levels - 1):
        assert geometry.capacity(level) % geometry.radix == 0


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=repr)
def test_rings_hold_what_a_window_may_ask_for(geometry: Geometry) -> None:
    """The raw ring holds the retention and one batch more; the ring of a level holds every block of the retention."""
    retention = geometry.radix**geometry.max_k
    assert geometry.retention == retention
    assert geometry.capacity(0) >= retention + geometry.max_batch
    for level in range(1, geometry.levels):
        assert geometry.capacity(level) * geometry.radix**level == retention


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=repr)
def test_plan_gives_every_level_rows_of_its_own(geometry: Geometry) -> None:
    """The rings of the levels follow each other in the table of summaries, without a gap or an overlap."""
    rows = geometry.plan.tolist()
    assert len(rows) == geometry.max_k + 1
    assert [row[0] for row in rows] == [geometry.radix**j for j in range(geometry.max_k + 1)]
    next_row = 0
    for _, first_row, capacity in rows[1:-1]:
        assert first_row == next_row
        next_row += capacity
    assert next_row == geometry.summaries


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=repr)
def test_parts_of_a_slot_do_not_overlap(geometry: Geometry) -> None:
    """Counts, prices and summaries lie one behind the other, each from a page boundary on."""
    assert geometry.raw_offset >= 8 * geometry.levels
    assert geometry.summaries_offset >= geometry.raw_offset + 8 * geometry.capacity(0)
    assert geometry.slot_bytes >= geometry.summaries_offset + 32 * geometry.summaries
    assert geometry.raw_offset % 4096 == geometry.summaries_offset % 4096 == geometry.slot_bytes % 4096 == 0


def test_full_retention_takes_under_twelve_bytes_a_price() -> None:
    """At full size a retained price costs at most 11.7 bytes, summaries and margins included."""
    geometry = Geometry()
    assert geometry.retention == 100_000_000
    assert geometry.slot_bytes <= 11.7 * geometry.retention


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=repr)
def test_what_a_full_slot_holds_is_the_slot(geometry: Geometry) -> None:
    """Memory grows with the prices, page by page, to exactly the slot, and no further."""
    counts = [*range(0, 3 * geometry.max_batch, max(1, geometry.max_batch // 7)), geometry.capacity(0), 10**12]
    held = [geometry.held_bytes(count) for count in counts]
    assert held == sorted(held)
    assert held[0] == geometry.raw_offset
    assert held[-1] == held[-2] == geometry.slot_bytes
    assert all(size % 4096 == 0 for size in held)
