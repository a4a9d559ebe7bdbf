"""Histograms, objectives, and how a run ended."""

from __future__ import annotations

import math
from array import array
from time import perf_counter_ns

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.load.lane import SECOND, Lane, Pace
from loadgen.load.outcome import Exit, Outcome, read_slo
from loadgen.load.recorder import Histogram, Recorder, sparse
from loadgen.plan import Plan, Target

HERE = Target("127.0.0.1", 8000)


def test_the_closed_model_has_no_lag() -> None:
    """What is meant for now is never late."""
    lane = Lane(0, [("stats", Pace(None, 0, 0.0))])
    assert lane.depart(7, 0) is None
    assert lane.meant == 7


@given(
    st.lists(st.integers(1_000, 60 * SECOND), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99, 0.999, 1.0])
)
def test_a_quantile_has_three_digits(nanoseconds: list[int], share: float) -> None:
    """From 1 µs to a minute a quantile is that of the sorted latencies, to 0.1 %, also after a merge of parts."""
    whole = Histogram()
    for part in (nanoseconds[::2], nanoseconds[1::2]):
        whole.add(sparse(array("q", part)))
    ranked = sorted(nanoseconds)[max(0, math.ceil(share * len(nanoseconds)) - 1)] / 1e3
    assert whole.quantile(share) == pytest.approx(ranked, rel=1e-3)
    assert (whole.count, whole.most) == (len(nanoseconds), max(nanoseconds) / 1e3)


def test_latencies_out_of_range_are_counted() -> None:
    """Nothing is lost below a microsecond or beyond a minute; the maximum is exact."""
    histogram = Histogram()
    histogram.add(sparse(array("q", [0, 1, 999, 100 * SECOND])))
    assert (histogram.count, histogram.most) == (4, 100e6)
    assert math.isnan(Histogram().quantile(0.5))


def test_a_recorder_begins_anew() -> None:
    """Each take holds what was recorded since the last one, response and service time apart."""
    recorder = Recorder()
    started = perf_counter_ns()
    for latency in range(2_000, 12_000):
        recorder.record(2 * latency, latency)
    assert perf_counter_ns() > started
    taken = recorder.take()
    assert (int(taken.response.counts.sum()), taken.response.most, taken.service.most) == (10_000, 23.998, 11.999)
    assert len(recorder.take().response.counts) == 0


def outcome(*latencies: int, lag: int = 0) -> Outcome:
    """With these response times on stats, in µs, and service times of 1 µs."""
    made = Outcome(Plan(HERE, ("A",)))
    made.endpoints["stats"].response.add(sparse(array("q", [latency * 1_000 for latency in latencies])))
    made.endpoints["stats"].service.add(sparse(array("q", [1_000 for _ in latencies])))
    made.lag.add(sparse(array("q", [lag])))
    return made


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("stats.p99<5ms", True),
        ("stats.p99<4ms", False),
        ("stats.p99 <= 4.1ms", True),
        ("stats.p50<2100us", True),
        ("stats.max>=4000µs", True),
        ("stats.max<0.001s", False),
        ("stats.service.max<=1us", True),
        ("add_batch.p99<1s", False),
        ("add_batch.rate>0/s", False),
    ],
)
def test_an_objective_is_held_against_what_was_found(text: str, met: bool) -> None:
    """Latencies of 1, 2 and 4 ms: the objective is met or missed as arithmetic says; no answers meet none."""
    assert read_slo(text).judge(outcome(1_000, 2_000, 4_000)).met is met


@pytest.mark.parametrize(
    "text", ["", "stats.p99", "stats.p99<5", "get.p99<5ms", "stats.rate<5ms", "stats.p50<5/s", "p99<5ms"]
)
def test_what_is_no_objective_is_refused(text: str) -> None:
    """An objective without endpoint, metric, comparison, value or the right unit is refused in words."""
    with pytest.raises(ValueError, match=r"objective|compared"):
        read_slo(text)


def test_the_worst_decides_how_a_run_ended() -> None:
    """Wrong before failed before saturated before missed."""
    made = outcome(1_000)
    assert made.exit() is Exit.WELL
    made.objectives = [read_slo("stats.max<1us").judge(made)]
    assert made.exit() is Exit.MISSED
    made.lag.add(sparse(array("q", [SECOND] * 10)))
    assert made.exit() is Exit.SATURATED
    made.endpoints["stats"].statuses[0] = 1
    assert made.exit() is Exit.FAILED
