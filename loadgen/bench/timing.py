"""Samples of several contenders, taken in turn, and the medians of them.

On a small shared machine the clock of the next minute is not the clock of this one, so contenders are never timed one
after the other: every round takes one sample of each, in an order of its own, so that nobody always comes after the one
who sweeps the caches.
"""

from __future__ import annotations

from statistics import median
from time import perf_counter_ns
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

LEAST_ROUNDS: Final = 9
"""A median of fewer pairs says little where one sample in five is disturbed."""


class Contender(NamedTuple):
    """Something to time: ``calls`` calls make one sample, so that the clock's own 50 ns do not count."""

    call: Callable[[], object]
    calls: int = 1


def sample(contender: Contender) -> float:
    """Call it ``contender.calls`` times; the mean time of a call in µs."""
    call, calls = contender
    started = perf_counter_ns()
    for _ in range(calls):
        call()
    return (perf_counter_ns() - started) / calls / 1e3


def interleaved_medians(contenders: list[Contender], seconds: float) -> list[float]:
    """Take one sample of each contender a round; the median time of a call in µs, by contender.

    Goes on for ``seconds``, and for ``LEAST_ROUNDS`` rounds however long they take.
    """
    samples: list[list[float]] = [[] for _ in contenders]
    orders = np.random.default_rng(len(contenders))
    end = perf_counter_ns() + seconds * 1e9
    while len(samples[0]) < LEAST_ROUNDS or perf_counter_ns() < end:
        for turn in orders.permutation(len(contenders)):
            samples[turn].append(sample(contenders[turn]))
    return [median(taken) for taken in samples]
