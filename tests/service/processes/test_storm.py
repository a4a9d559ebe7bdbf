"""Workers are killed, or stopped for ever, at random moments while ten symbols are written and read.

``TENFOLD_STORM_SECONDS=60`` makes it a long storm, with a blow every two seconds instead of two every second.
``--log-cli-level=INFO`` shows the figures.
"""

from __future__ import annotations

import itertools
import logging
import os
import random
import signal
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from service.settings import Settings
from tests.support.load import (
    CUT,
    Client,
    assert_answer,
    count_of,
    exact_at,
    numbers,
    seconds_until_replaced,
    together,
)
from tests.support.process import Forked, forked
from tests.support.sockets import HEALTH, Answer, Wire

log = logging.getLogger(__name__)

SECONDS = float(os.environ.get("TENFOLD_STORM_SECONDS", "6"))
BETWEEN_KILLS = 2.0 if SECONDS >= 20 else 0.5

SETTINGS = Settings(workers=2, max_k=5, hang_seconds=1.5)
MAX_K = SETTINGS.max_k
LARGEST = SETTINGS.max_batch
ROUND = SETTINGS.geometry.hot_capacity
"""Prices after which a ring has gone around and holds all the memory that it ever will."""

WITHIN_SECONDS = 5.0
"""A killed worker is to be replaced and serving within 2 s; what is above that is slack for a busy machine."""

STALL_SECONDS = 1.0
"""How long the workers that are well may keep somebody waiting, whatever has happened to another."""

SLACK_BYTES = 16 * 1024 * 1024
"""How much more memory the service may take after a storm than after a calm: what both share is the same to the page;
what each process takes for itself differs by how long it has lived and how many requests it has seen."""


@dataclass
class Stream:
    """One symbol's whole numbers: how many were sent, and how many are known to be in."""

    name: str
    base: int
    sent: int = 0
    acknowledged: int = 0


@dataclass
class Outcome:
    """What came of it; threads add to lists, which they may do at once."""

    batches: list[int] = field(default_factory=list)
    found: list[bool] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    seconds_to_replace: list[float] = field(default_factory=list)
    busy: list[str] = field(default_factory=list)
    seconds_of_health: list[float] = field(default_factory=list)
    memory: int = 0

    def health(self, quantile: float) -> float:
        """How long a worker that is well took to say so."""
        ordered = sorted(self.seconds_of_health)
        return ordered[min(len(ordered) - 1, int(quantile * len(ordered)))]

    def __str__(self) -> str:
        replaced = self.seconds_to_replace or [0.0]
        return (
            f"/health {len(self.seconds_of_health)} times, p50 {1e3 * self.health(0.5):.1f} ms, "
            f"p99.9 {1e3 * self.health(0.999):.1f} ms, most {1e3 * self.health(1.0):.1f} ms, "
            f"{len(self.batches)} batches acknowledged, {len(self.busy)} were 503, "
            f"{len(self.found)} in doubt of which {sum(self.found)} were in, "
            f"{len(self.answers)} answers right, {len(self.seconds_to_replace)} blows, replaced and serving after "
            f"{statistics.median(replaced):.2f} s (median), {max(replaced):.2f} s (most), {self.memory / 1e6:.1f} MB"
        )


class Storm:
    """Ten producers, one for each symbol, four dashboards, two who ask for health, and perhaps somebody with blows.

    Args:
        service: what is stormed.
        seconds: how long.
        blows: the signals that workers get, one after the other.
    """

    def __init__(self, service: Forked, seconds: float, blows: Sequence[signal.Signals]) -> None:
        self._service = service
        self._over = time.monotonic() + seconds
        self._blows = blows
        self._struck: set[int | None] = set()
        self.streams = [Stream(f"S{number}", 10**9 * number) for number in range(10)]
        self.outcome = Outcome()

    def run(self) -> Outcome:
        producers = [partial(self._produce, stream) for stream in self.streams]
        dashboards = [partial(self._watch, seed) for seed in range(4)]
        together(*producers, *dashboards, self._probe, self._probe, *([self._strike] if self._blows else []))
        return self.outcome

    def _produce(self, stream: Stream) -> None:
        generator = random.Random(stream.base)
        with Client(self._service.url) as client:
            while time.monotonic() < self._over or stream.acknowledged < ROUND:
                size = generator.choice([1, 9, 100, 2_345, LARGEST])
                stream.sent = stream.acknowledged + size
                prices = numbers(stream.base, stream.acknowledged, stream.sent)
                try:
                    answer = client.add(stream.name, prices)
                except CUT:
                    self._settle(client, stream)
                else:
                    if answer.status == 503:  # a worker was stopped in the middle of this symbol
                        self.outcome.busy.append(stream.name)
                        continue
                    assert answer.told == (200, {"symbol": stream.name, "added": size, "count": stream.sent})
                    self.outcome.batches.append(size)
                    stream.acknowledged = stream.sent

    def _settle(self, client: Client, stream: Stream) -> None:
        """A batch whose answer was cut is in as a whole or not at all: ask which."""
        count = count_of(self._ask(client, stream, 1), 1, stream.base)
        assert count in (stream.acknowledged, stream.sent), (count, stream)
        self.outcome.found.append(count == stream.sent)
        stream.acknowledged = count

    def _ask(self, client: Client, stream: Stream, k: int) -> Answer:
        """Ask until there is an answer: the connection may be cut any number of times."""
        while True:
            try:
                answer = client.stats(stream.name, k)
            except CUT:
                continue
            self.outcome.answers.append(k)
            return answer

    def _watch(self, seed: int) -> None:
        generator = random.Random(seed)
        with Client(self._service.url) as client:
            while time.monotonic() < self._over:
                stream, k = generator.choice(self.streams), generator.randint(1, MAX_K)
                least = stream.acknowledged
                count = count_of(self._ask(client, stream, k), k, stream.base)
                assert least <= count <= stream.sent, (least, count, stream)

    def _probe(self) -> None:
        """Ask one worker for its health over and over, for as long as it is well; then another."""
        while time.monotonic() < self._over:
            with suppress(*CUT), Wire(self._service.port) as wire:
                wire.ask(HEALTH)
                worker = self._service.worker_of(wire.port)
                while time.monotonic() < self._over:
                    asked = time.monotonic()
                    assert wire.ask(HEALTH).status == 200
                    if worker in self._struck:
                        break
                    self.outcome.seconds_of_health.append(time.monotonic() - asked)
                    time.sleep(0.005)

    def _strike(self) -> None:
        generator = random.Random(1)
        for blow in itertools.cycle(self._blows):
            time.sleep(generator.uniform(0.5, 1.5) * BETWEEN_KILLS)
            if time.monotonic() > self._over:
                return
            victim = generator.choice(self._service.workers())
            self._struck.add(victim)
            took = seconds_until_replaced(self._service, victim, WITHIN_SECONDS, *CUT, blow=blow)
            self.outcome.seconds_to_replace.append(took)


def outcome_of(seconds: float, *blows: signal.Signals) -> Outcome:
    """Storm a service of its own; all of its prices must be there in the end, and its memory sound."""
    with forked(SETTINGS) as service:
        storm = Storm(service, seconds, blows)
        outcome = storm.run()
        with Client(service.url) as client:
            assert client.health().document["symbols"] == len(storm.streams)
            for stream in storm.streams:
                for k in range(1, MAX_K + 1):
                    assert_answer(client.stats(stream.name, k), exact_at(stream.acknowledged, k, stream.base))
        assert len(service.workers()) == SETTINGS.workers
        outcome.memory = service.memory()
        assert service.stop() == 0
        for stream in storm.streams:
            series = service.symbols.series(stream.name)
            assert series.count == stream.acknowledged
            series.check()
    log.info("%s for %g s: %s", " and ".join(blow.name for blow in blows) or "calm", seconds, outcome)
    return outcome


def test_a_storm_of_sigkill() -> None:
    """However often workers are killed, no answer is wrong, no acknowledged batch lost, and no memory either."""
    calm = outcome_of(max(1.0, SECONDS / 4))
    assert (calm.found, calm.busy) == ([], [])
    stormy = outcome_of(SECONDS, signal.SIGKILL)
    assert len(stormy.seconds_to_replace) >= SECONDS / BETWEEN_KILLS / 4
    assert stormy.memory < calm.memory + SLACK_BYTES, f"{stormy}; without kills: {calm}"


def test_a_storm_of_sigkill_and_sigstop() -> None:
    """However workers are killed and stopped for ever, nothing is wrong or lost, and no other keeps anybody waiting."""
    stormy = outcome_of(SECONDS, signal.SIGSTOP, signal.SIGKILL)
    assert len(stormy.seconds_to_replace) >= 2
    assert stormy.health(0.999) < STALL_SECONDS, stormy
