from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import NoReturn

import pytest

from service.http import limits
from service.http.limits import MOST_LINGERING, Sweeper
from service.settings import Limits

LIMITS = Limits(connections=10, request_seconds=1.0, idle_seconds=1.0, request_bytes=1000)


class Client:
    """A connection that is never past its deadline."""

    def __init__(self, idle_since: float | None = None) -> None:
        self.idle_since = idle_since
        self.made_room = False
        self.swept = 0
        self.swept_often = asyncio.Event()
        self.aborted = False

    def sweep(self, _now: float) -> bool:
        self.swept += 1
        if self.swept > 5:
            self.swept_often.set()
        return False

    def held(self) -> int:
        return 0

    def give_way(self) -> None:
        raise AssertionError

    def abort(self) -> None:
        self.aborted = True

    def make_room(self) -> None:
        self.made_room = True


class Broken(Client):
    """One that cannot be swept."""

    def sweep(self, now: float) -> bool:
        super().sweep(now)
        raise ZeroDivisionError("on purpose")


async def test_a_defect_of_a_connection_or_of_a_sweep_ends_no_sweeping(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong in a sweep, all other connections are swept, and the next sweep comes."""

    def fail(_: Sweeper) -> NoReturn:
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr(limits, "SWEEP_SECONDS", 0.01)
    sweeper = Sweeper(LIMITS)
    clients, broken = [Client() for _ in range(10)], Broken()
    sweeper.connections.update([*clients[:5], broken, *clients[5:]])
    sweeper.start()
    assert all(client.swept == 1 for client in clients)
    assert broken.aborted
    monkeypatch.setattr(Sweeper, "_give_back", fail)
    await asyncio.wait_for(clients[0].swept_often.wait(), 30)
    assert not any(client.aborted for client in clients)


def test_only_so_many_connections_linger() -> None:
    """Where one more would wait for its client to take the last answer, the one that has waited longest is closed."""
    sweeper = Sweeper(replace(LIMITS, connections=2 * MOST_LINGERING))
    clients = [Client() for _ in range(MOST_LINGERING + 2)]
    sweeper.connections.update(clients)
    for client in clients:
        sweeper.linger(client)
    assert [client.aborted for client in clients] == [True, True] + [False] * MOST_LINGERING


def test_the_connection_that_has_been_idle_longest_makes_room() -> None:
    """Whoever was busy since it was noted comes later, whoever is busy is passed over, and whoever just came stays."""
    sweeper, now = Sweeper(LIMITS), time.monotonic()
    active, second, busy, first, third, new = [Client(now - age) for age in (60, 40, 70, 50, 30, 0)]
    for client in (active, second, busy, first, third, new):
        sweeper.resting[client] = client.idle_since or 0.0
    active.idle_since, busy.idle_since = now - 20, None
    sweeper._sweep(now)
    third.idle_since = now - 0.4  # since then
    for expected in (first, second, active):
        assert sweeper.make_room()
        assert expected.made_room
    sweeper._sweep(now)
    assert sweeper.make_room()
    assert third.made_room
    assert not sweeper.make_room()
    assert not busy.made_room
    assert not new.made_room


def test_nobody_is_refused_where_a_connection_has_been_idle_since_a_sweep() -> None:
    """Whoever was noted first and asked something a moment ago does not stand before one that is idle."""
    sweeper, now = Sweeper(LIMITS), time.monotonic()
    active, idle = Client(now - 60), Client(now - 50)
    sweeper.resting = {active: now - 60, idle: now - 50}
    active.idle_since, idle.idle_since = now - 0.1, now - 30
    sweeper._sweep(now)
    assert sweeper.make_room()
    assert idle.made_room


def test_who_is_busy_is_looked_at_once_for_many_that_want_room() -> None:
    """Where none of a thousand is idle the first newcomer finds that out, and those after it cost nothing."""
    looked = 0

    class Counted(Client):
        @property
        def idle_since(self) -> float | None:
            nonlocal looked
            looked += 1
            return None

        @idle_since.setter
        def idle_since(self, _: float | None) -> None:
            pass

    sweeper = Sweeper(LIMITS)
    sweeper.resting.update({Counted(): 0.0 for _ in range(1000)})
    assert not any(sweeper.make_room() for _ in range(1000))
    assert looked == 1000
