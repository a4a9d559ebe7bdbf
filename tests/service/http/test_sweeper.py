from __future__ import annotations

import asyncio
from typing import NoReturn

import pytest

from service.http import limits
from service.http.limits import MOST_LINGERING, Sweeper
from service.settings import Limits

LIMITS = Limits(connections=10, request_seconds=1.0, idle_seconds=1.0, request_bytes=1000)


class Client:
    """A connection that is never past its deadline."""

    def __init__(self) -> None:
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
    sweeper = Sweeper(LIMITS)
    clients = [Client() for _ in range(MOST_LINGERING + 2)]
    sweeper.connections.update(clients)
    for client in clients:
        sweeper.linger(client)
    assert [client.aborted for client in clients] == [True, True] + [False] * MOST_LINGERING
