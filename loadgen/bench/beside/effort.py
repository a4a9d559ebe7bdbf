"""How much is measured, and for how long: a whole run, or a quick one through the same motions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .pairs import LEAST_ROUNDS
from .rivals.rival import RIVALS


@dataclass(frozen=True)
class Effort:
    """What one run is told.

    Args:
        max_k: 10^max_k prices are held at most; windows that are longer are left out over HTTP.
        rounds: samples of each contender.
        seconds: how long a sample over HTTP takes.
        batches: prices in a batch over HTTP.
        connections: how many clients ask at once, the usual number first; the most last.
        judged: whether the figures are worth a verdict and a picture.
        rivals: who is timed in process.
        step_sizes: exponents of the numbers of prices held in process.
    """

    max_k: int = 8
    rounds: int = LEAST_ROUNDS
    seconds: float = 0.5
    batches: tuple[int, ...] = (100, 10_000)
    connections: tuple[int, ...] = (8, 64, 1_000)
    judged: bool = True
    rivals: tuple[str, ...] = RIVALS
    step_sizes: tuple[int, ...] = (4, 5, 6, 7, 8)

    @property
    def held(self) -> tuple[int, ...]:
        """Prices held over HTTP, in one symbol each: 10^3 … 10^max_k."""
        return tuple(10**exponent for exponent in range(3, self.max_k + 1))

    @property
    def middle_k(self) -> int:
        """The window that is asked for beside the floors: between the shortest and the longest of all."""
        return min(5, self.max_k)


FULL: Final = Effort()
QUICK: Final = Effort(max_k=6, seconds=0.1, connections=(8,), judged=False, step_sizes=(6,))
