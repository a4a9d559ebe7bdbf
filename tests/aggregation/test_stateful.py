from __future__ import annotations

from typing import Final

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aggregation import MAX_PRICE, Geometry, PriceError, Series, kernels
from tests.aggregation.oracle import History, assert_all_windows, new_series

GEOMETRIES: Final = (
    Geometry(max_k=5, radix=2, max_batch=7),
    Geometry(max_k=3, radix=3, max_batch=40),
    Geometry(max_k=3, radix=10, max_batch=150),
    Geometry(max_k=1, radix=4, max_batch=3),
)

# Starts of the stream: empty, and far out, at and beside the largest blocks' edges.
STARTS: Final = st.sampled_from([0, 0, 2**40, 2**40 - 1, 10**12, 10**12 + 7])

SCALES: Final = st.sampled_from([0.0, 1e-300, 1e-9, 1.0, 1e9, 1e90])


class SeriesMachine(RuleBasedStateMachine):
    """A series and its naive history side by side, through any sequence of what may happen to a series."""

    series: Series
    history: History

    @initialize(geometry=st.sampled_from(GEOMETRIES), start=STARTS)
    def begin(self, geometry: Geometry, start: int) -> None:
        """Start a stream, maybe far out."""
        self.series, self.history = new_series(geometry, start)

    def append(self, prices: list[float]) -> None:
        """Append to both."""
        count = self.series.append(prices)
        self.history.append(prices)
        assert count == self.history.count

    @rule(data=st.data(), roll_up=st.booleans())
    def append_any_prices(self, data: st.DataObject, roll_up: bool) -> None:
        """A batch of anything that is a price."""
        most = min(self.series.geometry.max_batch, 12)
        self.append(data.draw(st.lists(st.floats(-MAX_PRICE, MAX_PRICE), min_size=1, max_size=most)))
        if roll_up:
            self.series.roll_up()

    @rule(
        seed=st.integers(0, 2**32),
        scale=SCALES,
        centre=st.sampled_from([0.0, 1.1, -1e9, 1e12]),
        times=st.integers(1, 9),
    )
    def append_batches(self, seed: int, scale: float, centre: float, times: int) -> None:
        """Batches of alike prices, which soon wrap the rings, some of them rolled up."""
        rng = np.random.default_rng(seed)
        for _ in range(times):
            size = int(rng.integers(1, self.series.geometry.max_batch + 1))
            self.append((centre + scale * rng.standard_normal(size)).tolist())
            if rng.random() < 0.5:
                self.series.roll_up()

    @rule(through=st.integers(0, 5))
    def roll_up_partly(self, through: int) -> None:
        """A roll-up that is stopped after a level."""
        self.series.roll_up(through)

    @rule()
    def roll_up(self) -> None:
        """A roll-up that is not stopped covers every block that is complete."""
        self.series.roll_up()
        geometry = self.series.geometry
        sizes = [geometry.radix**level for level in range(geometry.levels)]
        assert self.series.covered.tolist() == [self.history.count // size * size for size in sizes]

    @rule(data=st.data(), bad=st.sampled_from([np.nan, np.inf, -np.inf, 1.1e100]))
    def append_what_is_refused(self, data: st.DataObject, bad: float) -> None:
        """A batch with something in it that is no price."""
        size = data.draw(st.integers(1, self.series.geometry.max_batch))
        index = data.draw(st.integers(0, size - 1))
        batch = np.ones(size)
        batch[index] = bad
        try:
            self.series.append(batch)
        except PriceError as error:
            assert error.index == index  # noqa: PT017 pytest.raises would hide the machine's steps in a failure
        else:
            raise AssertionError(f"{bad} was accepted")

    @rule(seed=st.integers(0, 2**32))
    def die_before_the_count_is_published(self, seed: int) -> None:
        """Prices are written, and their writer is killed."""
        torn = np.random.default_rng(seed).normal(0, 1e50, self.series.geometry.max_batch)
        kernels.write(self.series._raw, self.series.count, torn, MAX_PRICE)

    @precondition(lambda self: self.series.geometry.levels > 1)
    @rule(data=st.data())
    def die_before_levels_are_published(self, data: st.DataObject) -> None:
        """Summaries are written, and their writer is killed before it publishes them."""
        level = data.draw(st.integers(1, self.series.geometry.levels - 1))
        published = self.series.covered[level:].copy()
        self.series.roll_up()
        self.series.covered[level:] = published

    @rule()
    def change_hands(self) -> None:
        """Another process takes the memory over."""
        base = self.series.covered.base
        assert base is not None
        self.series = Series(memoryview(base).cast("B"), self.series.geometry)  # type: ignore[arg-type]

    @invariant()
    def every_answer_is_exact(self) -> None:
        """The structure is sound, and every k answers as the history does."""
        if not hasattr(self, "series"):
            return
        self.series.check()
        if self.history.count > 0:
            assert_all_windows(self.series, self.history)


SeriesMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None, derandomize=True)
TestSeries = SeriesMachine.TestCase
