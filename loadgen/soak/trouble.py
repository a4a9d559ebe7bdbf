"""What a soak does to a service besides using it: workers are killed and stopped, and crowds misbehave.

Each goes on until a moment and then says what it has done; the soak gives each a process of its own. What is done when,
and to whom, derives from a seed.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Final

from loadgen.launch import Launched

from .crowd import KINDS, Crowd

REPLACED_SECONDS: Final = 10.0
"""A killed worker is replaced within a fraction of a second; the rest is slack for a busy machine."""

HANG_SECONDS: Final = 5.0
START_SECONDS: Final = 20.0
"""How long a worker may stand still before the service is to replace it, and how long one that has never served."""

STOPPED_SECONDS: Final = 3.0
"""How long a worker stands still at most: less than clients wait for an answer."""

KILLS: Final = 0.75
HANGS: Final = 0.05
"""The share of blows that are kills, and that stop a worker for ever; the rest stop one for a while."""

BETWEEN_SECONDS: Final = 2.0
"""Between two blows, on average."""

SCENE_SECONDS: Final = (1.0, 4.0)
SCENE_KINDS: Final = 3
SCENE_CROWD: Final = (10, 100)
"""How long one crowd goes on, of how many kinds it is, and how many connections each kind has."""


@dataclass
class Blows:
    """What has been done to workers.

    Args:
        kills: workers killed.
        hangs: workers stopped for ever, which the service is to kill.
        stops: workers stopped, and continued later.
        slowest: seconds until there were as many workers as before, the most; of one that hung, after its time.
        unreplaced: kills and hangs after which there were not.
    """

    kills: int = 0
    hangs: int = 0
    stops: int = 0
    slowest: float = 0.0
    unreplaced: int = 0


@dataclass
class Crowds:
    """Who has misbehaved: connections by kind of abuse, and how many of all the service has closed."""

    opened: Counter[str] = field(default_factory=Counter)
    ended: int = 0


def strike(service: Launched, seed: int, until: float) -> Blows:
    """Kill or stop a worker now and then, never two at once; all run again in the end."""

    def await_replacement(allowed: float, most: float) -> None:
        began = time.monotonic()
        while victim in (now := service.workers()) or len(now) < count:
            if time.monotonic() > began + most + REPLACED_SECONDS:
                blows.unreplaced += 1
                break
            time.sleep(0.01)
        blows.slowest = max(blows.slowest, time.monotonic() - began - allowed)

    random = Random(f"blows {seed}")
    blows = Blows()
    count = len(service.workers())
    while count and time.monotonic() + (pause := random.uniform(0.5, 1.5) * BETWEEN_SECONDS) < until:
        time.sleep(pause)
        workers = service.workers()
        victim = workers[random.randrange(count) % len(workers)]
        blow = random.random()
        if blow < KILLS:
            os.kill(victim, signal.SIGKILL)
            blows.kills += 1
            await_replacement(0.0, 0.0)
        elif blow < KILLS + HANGS and time.monotonic() + 2 * HANG_SECONDS < until:
            os.kill(victim, signal.SIGSTOP)
            blows.hangs += 1
            await_replacement(HANG_SECONDS, START_SECONDS)
        else:
            os.kill(victim, signal.SIGSTOP)
            blows.stops += 1
            time.sleep(min(random.uniform(0.1, STOPPED_SECONDS), max(0.0, until - time.monotonic())))
            os.kill(victim, signal.SIGCONT)
    return blows


def harass(service: Launched, seed: int, until: float) -> Crowds:
    """Send one crowd after the other, each of some kinds of abuse at once."""
    random = Random(f"crowds {seed}")
    crowds = Crowds()
    while (now := time.monotonic()) < until:
        with Crowd(service.target, random) as crowd:
            for abuse in random.sample(KINDS, SCENE_KINDS):
                crowd.join(abuse, random.randint(*SCENE_CROWD))
            crowd.play(min(until, now + random.uniform(*SCENE_SECONDS)))
        crowds.opened += crowd.opened
        crowds.ended += crowd.ended
    return crowds
