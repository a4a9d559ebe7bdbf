"""What abusive clients cost a normal one: ``python -m loadgen.bench.abuse``.

A quiet phase and an abused one take turns. In each, one normal client sends batches and polls, one at a time at a
steady rate to connections of its own, some of them to each worker, and takes the time of every answer. The crowd is
another process; when a quiet phase begins it goes, and the service is given time to let go of it.
"""

from __future__ import annotations

import math
import multiprocessing as mp
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from multiprocessing.connection import Connection
from random import Random
from statistics import median
from typing import Final, Self

import click
import numpy as np

from loadgen.launch import Footprint, Launched, launched
from loadgen.plan import Target
from loadgen.soak.crowd import KINDS, Crowd
from loadgen.wire.client import Caller
from loadgen.wire.requests import batch_request, stats_request

from .table import Row, Section, render

FORK: Final = mp.get_context("fork")

PAIRS: Final = 9
CONNECTIONS: Final = 8
"""Of the normal client: the kernel spreads them over the workers."""

RATE: Final = 250.0
"""Requests a second of the normal client: a quarter of a core with its crowd away, so there is no queue."""

BATCH: Final = 1_000
SETTLE_SECONDS: Final = 1.0
"""For a crowd to connect, and for the service to notice that one has gone."""

CROWDS: Final = (
    ("2,000 sockets, connected and silent", "connected and silent", 2_000),
    ("1,000 headers that never end", "headers that never end", 1_000),
    ("200 bodies that never end", "bodies that never end", 200),
    ("1,000 bodies that never end", "bodies that never end", 1_000),
    ("100 that never read their answers", "answers never read", 100),
    ("3,000 sockets: a third more than are served", "connected and silent", 3_000),
)


@dataclass
class Samples:
    """What one kind of abuse did, a value a pair. Latencies in ms, memory in MiB."""

    quiet: list[float] = field(default_factory=list)
    abused: list[float] = field(default_factory=list)
    quiet_median: list[float] = field(default_factory=list)
    abused_median: list[float] = field(default_factory=list)
    crowd_cpu: list[float] = field(default_factory=list)
    files: list[list[int]] = field(default_factory=list)
    memory: list[list[float]] = field(default_factory=list)
    failed: int = 0

    def add(self, quiet: Sequence[float], abused: Sequence[float], looks: Sequence[Sequence[Footprint]]) -> None:
        """Add a pair of phases, with looks at the workers before, during and after."""
        self.quiet.append(quantile(quiet, 0.99))
        self.abused.append(quantile(abused, 0.99))
        self.quiet_median.append(median(quiet))
        self.abused_median.append(median(abused))
        self.files.append([sum(worker.files for worker in look) for look in looks])
        self.memory.append([sum(worker.own_bytes for worker in look) / 2**20 for look in looks])

    @property
    def ratio(self) -> float:
        """p99 with abuse by p99 without: the median of the pairs."""
        return median(abused / quiet for abused, quiet in zip(self.abused, self.quiet, strict=True))


class Client:
    """A normal client: requests at a steady rate, over connections in turn, each answer timed from when it was due."""

    def __init__(self, target: Target) -> None:
        self._callers = [Caller(target) for _ in range(CONNECTIONS)]
        polls = [stats_request(target, "NORMAL", k) for k in (1, 3, 5)]
        self._requests = [*polls, batch_request(target, "NORMAL", np.full(BATCH, 1.25))]
        for caller in self._callers:
            caller.call(self._requests[-1])
        self.failed = 0

    def close(self) -> None:
        """Give the connections back."""
        for caller in self._callers:
            caller.close()

    def latencies(self, seconds: float) -> list[float]:
        """Go on for so long; ms from when each request was sent to its answer."""
        taken = []
        begin = time.perf_counter()
        for number in range(int(seconds * RATE)):
            time.sleep(max(0.0, begin + number / RATE - time.perf_counter()))
            sent = time.perf_counter()
            try:
                answer = self._callers[number % CONNECTIONS].call(self._requests[number % len(self._requests)])
                self.failed += answer.status != HTTPStatus.OK
            except OSError:
                self.failed += 1
            taken.append((time.perf_counter() - sent) * 1e3)
        return taken


class Neighbours:
    """A crowd in a process of its own, which comes and goes as it is told; a context manager."""

    def __init__(self, service: Launched, kind: str, count: int) -> None:
        self._ours, theirs = FORK.Pipe()
        self._process = FORK.Process(target=_be_abusive, args=(theirs, service.target, kind, count), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join()

    def come(self) -> None:
        """Have the crowd connect and begin."""
        self._ours.send(True)
        self._ours.recv()

    def go(self) -> float:
        """Have the crowd close its connections; the share of a core that it has used since it came."""
        self._ours.send(False)
        share: float = self._ours.recv()
        return share


def _be_abusive(parent: Connection, target: Target, kind: str, count: int) -> None:
    """In a process of its own: a crowd whenever the parent wants one."""
    (abuse,) = (abuse for abuse in KINDS if abuse.name == kind)
    while parent.recv():
        with Crowd(target, Random(1)) as crowd:
            crowd.join(abuse, count)
            parent.send(None)
            began, cpu = time.monotonic(), time.process_time()
            crowd.play(math.inf, lambda: not parent.poll())
            share = (time.process_time() - cpu) / (time.monotonic() - began)
        parent.send(share)
        parent.recv()


def quantile(latencies: Sequence[float], share: float) -> float:
    """The latency that this share of answers does not exceed."""
    return sorted(latencies)[int(share * len(latencies))]


def compare(service: Launched, kind: str, count: int, seconds: float) -> Samples:
    """Quiet and abused phases in turn."""
    samples = Samples()
    client = Client(service.target)
    client.latencies(SETTLE_SECONDS)  # warm
    with Neighbours(service, kind, count) as neighbours:
        for _ in range(PAIRS):
            before = service.footprints()
            quiet = client.latencies(seconds)
            neighbours.come()
            client.latencies(SETTLE_SECONDS)
            abused = client.latencies(seconds)
            during = service.footprints()
            samples.crowd_cpu.append(neighbours.go())
            client.latencies(SETTLE_SECONDS)
            samples.add(quiet, abused, [before, during, service.footprints()])
    samples.failed = client.failed
    client.close()
    return samples


def section(what: str, samples: Samples) -> Section:
    """What one kind of abuse did."""
    worst = max(abused / quiet for abused, quiet in zip(samples.abused, samples.quiet, strict=True))
    files = " → ".join(f"{number:,}" for number in samples.files[-1])
    memory = " → ".join(f"{mebibytes:.0f}" for mebibytes in samples.memory[-1])
    return Section(
        what,
        f"crowd: {median(samples.crowd_cpu):.0%} of a core; descriptors {files}, MiB {memory} "
        f"before, during, after; failed: {samples.failed}",
        [
            Row("p50 in quiet", median(samples.quiet_median), "ms"),
            Row("p50 with abuse", median(samples.abused_median), "ms"),
            Row("p99 in quiet", median(samples.quiet), "ms"),
            Row("p99 with abuse", median(samples.abused), "ms"),
            Row(
                "p99 with abuse / in quiet, median of pairs", samples.ratio, "×", at_most=3, note=f"worst {worst:.2f} ×"
            ),
        ],
    )


@click.command()
@click.option("--seconds", default=2.0, show_default=True, help="How long each phase takes.")
@click.option("--only", default="", help="Only kinds of abuse whose title contains this.")
def main(seconds: float, only: str) -> None:
    """Compare the latency of a normal client without and with abusive ones."""
    with launched("service", ("--port", "0", "--workers", "2", "--max-k", "5")) as service:
        for title, kind, count in CROWDS:
            if only in title:
                print(render([section(title, compare(service, kind, count, seconds))]), flush=True)


if __name__ == "__main__":
    main()
