"""How much is measured, and for how long: a whole run, or a quick one through the same motions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .pairs import LEAST_ROUNDS
from .rivals.rival import RIVALS

MIDDLE_K: Final = 4
"""Between the shortest window and the longest of all."""


@dataclass(frozen=True)
class Effort:
    """What one run is told.

    Args:
        max_k: 10^max_k prices are held at most; windows that are longer are left out over HTTP.
        rounds: samples of each contender.
        seconds: how long a sample over HTTP takes.
        latency_seconds: likewise of a sample of latencies.
        batches: prices in a batch over HTTP.
        rivals: who is timed in process.
        step_sizes: exponents of the numbers of prices held in process.
    """

    max_k: int = 8
    rounds: int = LEAST_ROUNDS
    seconds: float = 0.2
    latency_seconds: float = 1.0
    batches: tuple[int, ...] = (1, 10, 100, 1_000, 10_000)
    rivals: tuple[str, ...] = RIVALS
    step_sizes: tuple[int, ...] = (4, 5, 6, 7, 8)

    @property
    def held(self) -> tuple[int, ...]:
        """Prices held over HTTP, in one symbol each: 10^3 … 10^max_k."""
        return tuple(10**exponent for exponent in range(3, self.max_k + 1))

    @property
    def most_held(self) -> int:
        """The last of them."""
        return self.held[-1]

    @property
    def windows(self) -> tuple[int, ...]:
        """Each k that is asked for beside the bare handler: the shortest, a middle one, the longest."""
        return (1, MIDDLE_K, self.max_k) if self.max_k > MIDDLE_K else (1, self.max_k)


FULL: Final = Effort()
QUICK: Final = Effort(max_k=6, seconds=0.06, latency_seconds=0.2, batches=(1, 100, 10_000), step_sizes=(6,))
