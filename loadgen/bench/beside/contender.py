"""A contender in a process of its own, on the server's core, told what to do through a pipe.

So each has all memory and all caches to itself while it has its turn, what it holds can be read from the kernel, and
one that takes too long or too much can be ended without harm to the rest.
"""

from __future__ import annotations

import gc
import multiprocessing
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from time import process_time_ns
from typing import Any, Final, NamedTuple

from loadgen.launch import on_core

from . import truth
from .feed import batches, feed
from .machine import available_bytes
from .rivals.rival import MOST_BYTES_A_PRICE, Rival, Window, find, make, retained

STEP_LIMIT_SECONDS: Final = 20.0
"""Who needs longer for one batch and its eight windows is not timed at that size, and the report says so."""

LOAD_LIMIT_SECONDS: Final = 60.0
"""Likewise for holding so many prices in the first place."""

SAMPLE_NS: Final = 20_000_000
"""About how long a sample takes, so that the clock's own half a microsecond does not count."""

MOST_STEPS: Final = 200

RAGGED: Final = 4
"""A quarter of a batch goes first. So no window starts or ends with one of tenfold's blocks, which would flatter it."""


MEMORY_SHARE: Final = 0.6
"""Of the available memory: who needs more is not tried."""


def too_much(name: str, held: int) -> str:
    """Why a contender is not tried with so many prices, or nothing."""
    usable = available_bytes() * MEMORY_SHARE
    return f"> {usable / 1e9:.1f} GB" if MOST_BYTES_A_PRICE[name] * held > usable else ""


class Step(NamedTuple):
    """CPU time of one step: appending a batch, then answering eight windows, in µs."""

    append_us: float
    windows_us: float

    @property
    def total_us(self) -> float:
        """Both together."""
        return self.append_us + self.windows_us


class LimitError(Exception):
    """A contender took longer, or more memory, than it may; ``name`` says which."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name = name


class Contender:
    """The other end of the pipe; what its methods do is what ``Work`` says.

    Raises:
        LimitError: from any method: it took too long, or its process died, as it does when memory runs out.
        DisagreementError: from ``check``.
    """

    def __init__(self, name: str, core: int, pipe: Connection) -> None:
        self.name = name
        self.core = core
        self._pipe = pipe

    def check(self) -> None:
        """Compare it with exact arithmetic."""
        wrong = self._call(LOAD_LIMIT_SECONDS, "check")
        if wrong is not None:
            raise truth.DisagreementError(wrong)

    def worst_variance(self, kind: str) -> float:
        """What hard prices do to it."""
        return float(self._call(LOAD_LIMIT_SECONDS, "worst_variance", kind))

    def load(self, held: int) -> float:
        """Hold so many prices and retain no more; the memory that this took, in bytes a price."""
        return float(self._call(LOAD_LIMIT_SECONDS, "load", held)) / held

    def windows(self) -> list[Window]:
        """The eight windows as they are."""
        return list(self._call(STEP_LIMIT_SECONDS, "windows"))

    def prepare(self, batch: int) -> Step:
        """Append batches of this size from now on; the first step."""
        return Step(*self._call(STEP_LIMIT_SECONDS, "prepare", batch))

    def sample(self) -> Step:
        """The mean of some steps."""
        return Step(*self._call(2 * STEP_LIMIT_SECONDS, "sample"))

    def _call(self, limit: float, *command: Any) -> Any:  # noqa: ANN401 - each command has its own answer
        try:
            self._pipe.send(command)
            if not self._pipe.poll(limit):
                raise LimitError(self.name, f"> {limit:g} s")
            return self._pipe.recv()
        except (EOFError, BrokenPipeError) as error:
            raise LimitError(self.name, "died") from error


@contextmanager
def contender(name: str, core: int) -> Iterator[Contender]:
    """Start a contender's process; it is gone in the end."""
    context = multiprocessing.get_context("spawn")
    ours, its = context.Pipe()
    process = context.Process(target=_serve, args=(name, its), daemon=True)
    with on_core(core):  # before it starts, so that libraries that count cores count one
        process.start()
    its.close()
    try:
        yield Contender(name, core, ours)
    finally:
        ours.close()
        process.kill()
        process.join()


def _serve(name: str, pipe: Connection) -> None:
    """Do what comes through the pipe until it closes."""
    sys.stdin.close()
    work = _Work(name)
    while True:
        try:
            command, *arguments = pipe.recv()
        except EOFError:
            return
        pipe.send(getattr(work, command)(*arguments))


class _Work:
    """What a contender's process does, a method a command."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._rival: Rival
        self._steps = 1

    def check(self) -> str | None:
        try:
            truth.check(self._name, make(self._name, truth.SAMPLE), retained(self._name, truth.SAMPLE))
        except truth.DisagreementError as error:
            return str(error)
        return None

    def worst_variance(self, kind: str) -> float:
        return truth.worst_variance(make(self._name, truth.SAMPLE), kind)

    def load(self, held: int) -> int:
        prices, kind = feed(held), find(self._name)  # code is no price's memory
        before = _own_memory()
        self._rival = kind(held)
        self._rival.load(prices)
        gc.collect()
        return _own_memory() - before

    def windows(self) -> list[Window]:
        # Plain tuples: what is sent must be known at the other end of the pipe.
        return [(size, low, high, last, avg, var) for size, low, high, last, avg, var in self._rival.windows()]

    def prepare(self, batch: int) -> Step:
        self._batches = batches(batch)
        self._rival.append(feed(batch // RAGGED + 1))
        gc.collect()
        self._steps = 1
        first = self.sample()
        second = self.sample() if first.total_us * 1e3 < SAMPLE_NS else first
        self._steps = max(1, min(MOST_STEPS, int(SAMPLE_NS / 1e3 / second.total_us)))
        return first

    def sample(self) -> Step:
        append = windows = 0
        for _ in range(self._steps):
            batch = next(self._batches)
            begin = process_time_ns()
            self._rival.append(batch)
            middle = process_time_ns()
            self._rival.windows()
            windows += process_time_ns() - middle
            append += middle - begin
        return Step(append / self._steps / 1e3, windows / self._steps / 1e3)


def _own_memory() -> int:
    """Bytes of memory that no other process shares."""
    rollup = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in rollup if line.startswith("Private_"))
