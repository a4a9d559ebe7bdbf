from __future__ import annotations

from typing import Final

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from aggregation import MAX_PRICE, Geometry, PriceError, Series
from aggregation.codec import BLOCK
from aggregation.levels import PRICES_AT
from tests.aggregation.lagging import covered, let_lag, most_behind
from tests.aggregation.oracle import History, all_windows, assert_all_windows, bits, new_series

GEOMETRIES: Final = (
    Geometry(max_k=5, max_batch=500, least_hot=3_000, box_blocks=4),
    Geometry(max_k=4, max_batch=40, least_hot=1, box_blocks=1),
    Geometry(max_k=4, max_batch=900, least_hot=1, box_blocks=3),
    Geometry(max_k=3, max_batch=1_500),
    Geometry(max_k=1, max_batch=3),
)

# Starts of the stream: empty, and far out, at and beside the edges of the largest blocks and of rings.
STARTS: Final = st.sampled_from([0, 0, 2_990, 107_990, 11_999, 10**15, 10**15 - 1, 10**12 + 7])

SCALES: Final = st.sampled_from([0.0, 1e-300, 1e-9, 1.0, 1e9, 1e90])


class SeriesMachine(RuleBasedStateMachine):
    """A series, its naive history, and a twin that is all hot, through any sequence of what may happen to a series."""

    series: Series
    twin: Series
    history: History

    @initialize(geometry=st.sampled_from(GEOMETRIES), start=STARTS)
    def begin(self, geometry: Geometry, start: int) -> None:
        """Start a stream, maybe far out."""
        self.series, self.history = new_series(geometry, start)
        self.twin, _ = new_series(Geometry(geometry.max_k, 10_000), start)

    def append(self, prices: list[float]) -> None:
        """Append to all of them."""
        self.history.append(prices)
        assert self.series.append(prices) == self.twin.append(prices) == self.history.count

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
        decimals=st.sampled_from([2, 5, None]),
        times=st.integers(1, 9),
    )
    def append_batches(self, seed: int, scale: float, centre: float, decimals: int | None, times: int) -> None:
        """Batches of alike prices, which soon complete blocks, some of them rolled up."""
        random = np.random.default_rng(seed)
        for _ in range(times):
            prices = centre + scale * random.standard_normal(
                int(random.integers(1, self.series.geometry.max_batch + 1))
            )
            self.append((prices if decimals is None else prices.round(decimals)).tolist())
            if random.random() < 0.5:
                self.series.roll_up()

    @rule(beside=st.integers(-1, 1))
    def append_to_the_edge(self, beside: int) -> None:
        """Largest batches until a block is complete, or lacks one price, or has one behind it."""
        missing = -self.series.count % BLOCK + beside
        while missing > 0:
            size = min(self.series.geometry.max_batch, missing)
            self.append([float(self.series.count)] * size)
            missing -= size

    @rule()
    def roll_up(self) -> None:
        """A roll-up covers every block that is complete."""
        self.series.roll_up()
        geometry = self.series.geometry
        sizes = [geometry.block_size(level) for level in geometry.levels]
        assert covered(self.series).tolist() == [self.history.count // size * size for size in sizes]

    @rule(data=st.data())
    def die_in_a_roll_up(self, data: st.DataObject) -> None:
        """Blocks and summaries of some levels are half-written, and their writer is killed."""
        self.series.roll_up()
        levels = len(self.series.geometry.levels)
        behind = data.draw(st.tuples(st.integers(0, most_behind(self.series)), *[st.integers(0, 2)] * (levels - 1)))
        let_lag(self.series, behind)

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

    @rule()
    def die_before_the_count_is_published(self) -> None:
        """The largest batch is written after what an append does first, and its writer is killed."""
        geometry = self.series.geometry
        if self.series.lag > geometry.max_tail:
            self.series.roll_up()
        cells = np.arange(self.series.count, self.series.count + geometry.max_batch) % geometry.hot_capacity
        self.series._words.view(np.float64)[geometry.plan()[PRICES_AT] + cells] = np.nan

    @rule()
    def change_hands(self) -> None:
        """Another process takes the memory over."""
        self.series = Series(self.series._words.data, self.series.geometry)

    @invariant()
    def every_answer_is_exact(self) -> None:
        """The structure is sound, and every k answers as the history does, and as the twin to the bit."""
        if not hasattr(self, "series"):
            return
        self.series.check()
        if self.history.count > 0:
            assert_all_windows(self.series, self.history)
            assert list(map(bits, all_windows(self.series))) == list(map(bits, all_windows(self.twin)))


SeriesMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=25, deadline=None, derandomize=True)
TestSeries = SeriesMachine.TestCase
