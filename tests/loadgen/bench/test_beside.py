"""The side-by-side benchmark compares right answers, and reports what it measured; speed is not for a test to judge."""

from __future__ import annotations

import statistics
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from loadgen.bench.beside import contender as processes
from loadgen.bench.beside import in_process as steps
from loadgen.bench.beside import truth
from loadgen.bench.beside.feed import feed
from loadgen.bench.beside.in_process import Pair, Steps
from loadgen.bench.beside.pairs import median_ratio, take_turns
from loadgen.bench.beside.rivals.raw_numpy import RawNumpy
from loadgen.bench.beside.rivals.rival import RIVALS, TENFOLD, WINDOWS, Window, make, retained
from loadgen.bench.beside.rivals.running import Running
from loadgen.launch import choose_cores


@pytest.mark.parametrize("name", ["tenfold", *RIVALS])
def test_contender_is_exact_enough(name: str) -> None:
    """Every contender gives the windows of rational arithmetic, before and after its ring has gone around."""
    truth.check(name, make(name, truth.SAMPLE), retained(name, truth.SAMPLE))


@pytest.mark.parametrize("name", RIVALS)
def test_rival_with_few_prices(name: str) -> None:
    """Windows are cut to what is held, from the first price on, and to the retention, from a price beyond it on."""
    rival = make(name, 15)
    prices = feed(37)
    rival.load(prices[:1])
    truth.agree(name, rival.windows(), truth.exact_windows(prices[:1], 15))
    for begin, end in pairwise((1, 3, 14, 15, 16, 30, 37)):
        rival.append(prices[begin:end])
        truth.agree(name, rival.windows(), truth.exact_windows(prices[:end], 15))


def test_exact_windows_are_those_of_the_standard_library() -> None:
    """The oracle of all contenders agrees with ``statistics`` in fractions."""
    prices = feed(1_234)
    for size, window in zip(WINDOWS, truth.exact_windows(prices, 1_000), strict=True):
        newest = prices[-min(size, 1_000) :].tolist()
        exact = [Fraction(price) for price in newest]
        assert window[:4] == (len(newest), min(newest), max(newest), newest[-1])
        assert window[4:] == (float(statistics.mean(exact)), float(statistics.pvariance(exact)))


@pytest.mark.parametrize("place", range(6))
def test_every_number_is_compared(place: int) -> None:
    """A window that is off by a millionth in any of its numbers is a disagreement."""
    right = truth.exact_windows(feed(100), 100)
    wrong = [list(window) for window in right]
    wrong[3][place] *= 1 + 1e-6
    with pytest.raises(truth.DisagreementError, match="numpy answers"):
        truth.agree("numpy", [tuple(window) for window in wrong], right)  # type: ignore[misc]
    truth.agree("numpy", right, right)


def test_a_wrong_contender_is_found_out() -> None:
    """The check before the timing fails where a contender forgets its oldest price."""

    class Forgetful(RawNumpy):
        def windows(self) -> list[Window]:
            self._retention -= 1
            return super().windows()

    with pytest.raises(truth.DisagreementError):
        truth.check("forgetful", Forgetful(truth.SAMPLE), truth.SAMPLE)


def test_hard_prices_are_hard_for_running_sums() -> None:
    """The stream of small noise after a jump costs running sums every digit, numpy none of six."""
    assert truth.worst_variance(Running(truth.SAMPLE), truth.HARD[0]) > 1
    assert truth.worst_variance(RawNumpy(truth.SAMPLE), truth.HARD[0]) < 1e-6


def test_running_sums_are_loaded_as_if_appended() -> None:
    """What numpy computes at loading is the state that appending price by price arrives at."""
    loaded, appended = Running(1_000), Running(1_000)
    prices = np.round(feed(3_000), 1)  # repeats many a price
    loaded.load(prices[:900])
    appended.load(prices[:1])
    appended.append(prices[1:900])
    for begin in range(900, 3_000, 300):
        for one in (loaded, appended):
            one.append(prices[begin : begin + 300])
        truth.agree("loaded", loaded.windows(), truth.exact_windows(prices[: begin + 300], 1_000))
        truth.agree("appended", appended.windows(), truth.exact_windows(prices[: begin + 300], 1_000))


def test_ratios_are_taken_within_rounds() -> None:
    """The median of ratios is not the ratio of medians, and a ratio needs a partner."""
    assert median_ratio([1, 20, 300], [1, 10, 100]) == 2
    assert median_ratio([1, 9, 5], [9, 1, 5]) == 1
    for numerators in ([1.0], []):
        with pytest.raises(ValueError, match="pairs"):
            median_ratio(numerators, [])


def test_everybody_takes_turns() -> None:
    """Each contender gives one sample a round, and nobody always comes first."""
    order: list[str] = []
    samples = take_turns([lambda: order.append("a"), lambda: order.append("b")], rounds=9)
    assert [len(one) for one in samples] == [9, 9]
    rounds = {"".join(order[begin : begin + 2]) for begin in range(0, 18, 2)}
    assert rounds == {"ab", "ba"}


def test_too_slow_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rival that takes too long is ended, and the pair says so instead of a figure."""
    monkeypatch.setattr(processes, "LOAD_LIMIT_SECONDS", 0.0)
    pairs = [Pair("numpy", 1_000, 10)]
    core = choose_cores().server
    with processes.contender("numpy", core) as stand_in:
        stand_in.name = TENFOLD
        steps.fill_all(pairs, stand_in, [], Steps(), rounds=3)
    assert [pair.limit for pair in pairs] == ["> 0 s"]
    assert not pairs[0].theirs
