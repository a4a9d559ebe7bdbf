"""The tiling of a window, looked at by itself: also at a moment that a single thread cannot bring about."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aggregation import Geometry, kernels


@st.composite
def moments(draw: st.DrawFn) -> tuple[Geometry, list[int], int, int]:
    """A geometry, what its levels cover at some count, an older count, and the start of a window of that one."""
    geometry = Geometry(draw(st.integers(1, 5)), draw(st.integers(2, 10)), max_batch=5)
    now = draw(st.integers(1, 3 * geometry.retention))
    covered = [now]
    for level in range(1, geometry.levels):
        behind = draw(st.integers(0, 20))
        size = geometry.block_size(level)
        covered.append(max(0, covered[-1] // size - behind) * size)
    count = draw(st.integers(1, now))
    start = count - min(count, draw(st.integers(1, geometry.retention)))
    return geometry, covered, start, count


def tile(geometry: Geometry, covered: list[int], start: int, count: int) -> list[list[int]]:
    """The runs of pieces from a start to a count: level, and where in its ring they begin and end."""
    reach = np.zeros(geometry.levels, dtype=np.int64)
    runs = np.zeros((4 * geometry.plan.shape[0], 3), dtype=np.int64)
    kernels._note_reach(reach, np.array(covered, dtype=np.int64), geometry.plan, count)
    return runs[: kernels._tile(runs, reach, geometry.plan, start)].tolist()  # type: ignore[no-any-return]  # numpy knows no depth


@given(moments())
def test_a_tiling_is_exact_also_where_levels_have_moved_on(moment: tuple[Geometry, list[int], int, int]) -> None:
    """Whatever the levels cover by now, the runs tile exactly the window of the count that was read, in order."""
    geometry, covered, start, count = moment
    runs = tile(geometry, covered, start, count)
    position = start
    for level, begin, end in runs:
        size, first_row, capacity = geometry.plan[level].tolist()
        assert position % size == 0
        assert begin == first_row + position // size % capacity
        assert begin < end <= first_row + capacity
        assert level == 0 or position + (end - begin) * size <= covered[level]
        position += (end - begin) * size
    assert position == count


@given(moments())
def test_a_tiling_is_exact_also_where_the_symbol_is_being_deleted(moment: tuple[Geometry, list[int], int, int]) -> None:
    """When all that is published has become 0 since the count was read, the window is still tiled, and not empty."""
    geometry, covered, start, count = moment
    runs = tile(geometry, [0] * len(covered), start, count)
    assert all(level == 0 for level, _, _ in runs)
    assert sum(end - begin for _, begin, end in runs) == count - start > 0


@given(moments())
def test_a_tiling_of_rolled_up_prices_is_short(moment: tuple[Geometry, list[int], int, int]) -> None:
    """Where nothing lags, a window of any length takes at most radix − 1 pieces a level on either side."""
    geometry, _, start, count = moment
    covered = [count // geometry.block_size(level) * geometry.block_size(level) for level in range(geometry.levels)]
    runs = tile(geometry, covered, start, count)
    pieces = np.zeros(geometry.levels, dtype=np.int64)
    for level, begin, end in runs:
        pieces[level] += end - begin
    assert pieces[: geometry.levels - 1].max(initial=0) <= 2 * (geometry.radix - 1)
    assert pieces[-1] <= geometry.radix
