"""In process: one batch in and eight windows out, tenfold's library beside each rival, pair by pair.

Fair, because all do the same work at the same level (numpy arrays in, Python numbers out, no HTTP), on the same core,
and check that prices are finite. CPU time, so what other processes do matters less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from loadgen.launch import Cores

from . import truth
from .contender import Contender, LimitError, Step, contender, too_much
from .effort import Effort
from .pairs import median_ratio, take_turns
from .rivals.rival import TENFOLD, Window

LARGEST_BATCH: Final = 10_000
BATCHES: Final = (1, 100)
"""Other batch sizes, tried at ``BATCHES_HELD`` prices."""

BATCHES_HELD: Final = 1_000_000
FULL_RETENTION: Final = 100_000_000


@dataclass
class Pair:
    """A rival beside tenfold at one size: a step of each in every round, or why there is none."""

    rival: str
    held: int
    batch: int
    theirs: list[Step] = field(default_factory=list)
    ours: list[Step] = field(default_factory=list)
    limit: str = ""

    @property
    def step_ratio(self) -> float:
        """How many times tenfold's prices a second are the rival's, each batch followed by eight windows."""
        return median_ratio([step.total_us for step in self.theirs], [step.total_us for step in self.ours])

    @property
    def windows_ratio(self) -> float:
        """How many times longer the rival takes for the eight windows after a batch."""
        return median_ratio([step.windows_us for step in self.theirs], [step.windows_us for step in self.ours])


@dataclass
class Steps:
    """All that was measured in process."""

    pairs: list[Pair] = field(default_factory=list)
    bytes_a_price: dict[str, float] = field(default_factory=dict)
    memory_held: dict[str, int] = field(default_factory=dict)
    worst_variance: dict[str, list[float]] = field(default_factory=dict)

    def note_memory(self, name: str, held: int, bytes_a_price: float) -> None:
        """Keep what was measured with the most prices."""
        if held >= self.memory_held.get(name, 0):
            self.bytes_a_price[name], self.memory_held[name] = bytes_a_price, held


def median_step(steps: Iterable[Step]) -> Step:
    """The median of each part."""
    appends, windows = zip(*steps, strict=True)
    return Step(median(appends), median(windows))


def check_all(cores: Cores, rivals: tuple[str, ...], results: Steps, say: Callable[[str], None]) -> None:
    """Compare every contender with exact arithmetic, then see what hard prices do to it.

    Raises:
        DisagreementError: one of them is wrong.
    """
    for name in (TENFOLD, *rivals):
        say(f"checking {name}")
        with contender(name, cores.server) as one:
            one.check()
            results.worst_variance[name] = [one.worst_variance(kind) for kind in truth.HARD]


def measure(cores: Cores, effort: Effort, say: Callable[[str], None]) -> Steps:
    """All pairs at all sizes, smallest first.

    Raises:
        DisagreementError: an answer is wrong, or a rival answers otherwise than tenfold.
        LimitError: tenfold gave up.
    """
    results, rivals = Steps(), effort.rivals
    check_all(cores, rivals, results, say)
    for held in (10**exponent for exponent in effort.step_sizes):
        with contender(TENFOLD, cores.server) as ours:
            memory = ours.load(held)
            if held == FULL_RETENTION:  # its retention is full; with fewer prices this would say little
                results.note_memory(TENFOLD, held, memory)
            expected = ours.windows()
            for name in rivals:
                say(f"{name} beside tenfold, {held:,} prices held")
                batches = (LARGEST_BATCH, *BATCHES) if held == BATCHES_HELD else (LARGEST_BATCH,)
                pairs = [Pair(name, held, batch, limit=too_much(name, held)) for batch in batches]
                results.pairs += pairs
                if not pairs[0].limit:
                    fill_all(pairs, ours, expected, results, effort.rounds)
    return results


def fill_all(pairs: list[Pair], ours: Contender, expected: list[Window], results: Steps, rounds: int) -> None:
    """Start a rival, compare its answers, take the samples of all its pairs at one size; say where it gave up.

    Raises:
        DisagreementError: it answers otherwise than tenfold.
        LimitError: tenfold gave up.
    """
    name, held = pairs[0].rival, pairs[0].held
    try:
        with contender(name, ours.core) as rival:
            results.note_memory(name, held, rival.load(held))
            truth.agree(name, rival.windows(), expected)
            for pair in pairs:
                _fill(pair, ours, rival, rounds)
    except LimitError as error:
        if error.name != name:
            raise
        for pair in pairs:
            pair.limit = "" if pair.theirs else str(error)


def _fill(pair: Pair, ours: Contender, rival: Contender, rounds: int) -> None:
    """Take the samples of a pair, after a step of each that warms up."""
    for one in (ours, rival):
        one.prepare(pair.batch)
    pair.ours, pair.theirs = take_turns([ours.sample, rival.sample], rounds)
