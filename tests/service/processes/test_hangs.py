"""A worker that stands still is replaced; one that was stopped with all others, or is slow to start, is not."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from aggregation import Symbols
from service.settings import Settings
from tests.support.load import CUT, Client, batch, connected_to_each, count_of, numbers
from tests.support.process import Forked, alive, forked, until
from tests.support.scrape import Scrape
from tests.support.sockets import HEALTH, Wire, post, request

SETTINGS = Settings(workers=2, max_k=3, hang_seconds=1.0, lock_seconds=60.0, request_seconds=60.0)

SOON = 20.0
"""Within which what takes a second or two is to have happened; the rest is slack for a busy machine."""


@pytest.fixture
def settings() -> Settings:
    return SETTINGS


def added(symbol: str, begin: int, end: int) -> bytes:
    """The request that adds these prices of a stream of whole numbers."""
    return post(batch(symbol, numbers(0, begin, end)))


def is_replaced(service: Forked, worker: int) -> bool:
    return worker not in service.workers() and len(service.workers()) == service.settings.workers


def test_a_worker_that_is_stopped_for_ever_is_replaced(shared_service: Forked) -> None:
    """After SIGSTOP a worker is killed in its time and replaced, the log says so, and no price is lost."""
    with connected_to_each(shared_service) as clients:
        for client in clients.values():
            assert client.add("A", numbers(0, 0, 10)).status == 200
        victim, *_ = clients
        os.kill(victim, signal.SIGSTOP)
        until(partial(is_replaced, shared_service, victim), SOON)
        with pytest.raises(CUT):
            clients[victim].health()
    shared_service.wait_for_log(f"(process {victim}) stands still: killing it")
    shared_service.wait_for_log(f"(process {victim}) was killed by signal 9")
    with connected_to_each(shared_service) as clients:
        for client in clients.values():
            assert client.stats("A", 3).document["last"] == 9.0
    shared_service.stop_cleanly()


def test_an_event_loop_that_stands_still_is_a_worker_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that runs, but whose event loop does not turn, does not beat, and is replaced."""

    def stand_still(*_: object) -> None:
        while True:
            time.sleep(0.01)

    monkeypatch.setattr("service.api.resources.write_windows", stand_still)
    with forked(SETTINGS) as service, Wire(service.port) as wire:
        assert wire.ask(added("A", 0, 10)).status == 200
        victim = service.worker_of(wire.port)
        assert victim is not None
        wire.send(request("GET", "/stats/all?symbol=A"))
        with pytest.raises(CUT):
            wire.answer()
        until(partial(is_replaced, service, victim), SOON)
        with Wire(service.port) as other:
            assert other.ask(HEALTH).status == 200


def test_the_lock_of_a_worker_that_is_stopped_is_released_and_nobody_stands_still_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stopped with a symbol's lock, a worker holds up that symbol until it is replaced, and nothing else."""
    append = Symbols._append

    def stop_at_13(symbols: Symbols, occupant: object, prices: list[float], at: int | None) -> object:
        if len(prices) == 13:
            symbols._memory.slot_locks[0].acquire()
            os.kill(os.getpid(), signal.SIGSTOP)
        return append(symbols, occupant, prices, at)  # type: ignore[arg-type]

    monkeypatch.setattr(Symbols, "_append", stop_at_13)
    with forked(replace(SETTINGS, hang_seconds=6.0)) as service, connected_to_each(service) as clients:
        (victim, stopped), (_, other) = clients.items()
        other.add("A", numbers(0, 0, 10))
        other.add("B", numbers(0, 0, 10))
        assert stopped._wire is not None
        assert other._wire is not None
        stopped._wire.send(added("A", 10, 23))
        until(lambda: _is_stopped(victim), SOON)
        with connected_elsewhere(service, victim) as beside:
            other._wire.send(added("A", 10, 30))
            served = 0
            while alive(victim):
                assert beside.health().status == 200
                assert beside.add("B", numbers(0, 10 + served, 11 + served)).status == 200
                served += 1
            assert served > 0
            assert other._wire.answer().document["count"] == 30
            assert count_of(beside.stats("B", 3), 3) == 10 + served
        until(partial(is_replaced, service, victim), SOON)


@contextmanager
def connected_elsewhere(service: Forked, stopped: int) -> Iterator[Client]:
    """A client of a worker that is not the one that was stopped, whose connections are accepted by nobody."""
    with ExitStack() as wires:
        while True:
            client = wires.enter_context(Client(service.url))
            client._wire = Wire(service.port)
            client._wire.send(HEALTH)
            if client._wire.has_answer(0.3):
                assert client._wire.answer().status == 200
                assert service.worker_of(client.port) != stopped
                yield client
                return


def _is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


@pytest.mark.parametrize("whom", ["all", "the supervisor", "a worker"])
def test_nobody_is_replaced_for_a_pause_that_is_not_his(shared_service: Forked, whom: str) -> None:
    """After SIGSTOP and SIGCONT of all processes, of the supervisor, or shortly of a worker, the same ones serve."""
    before = shared_service.workers()
    pids = {"all": [shared_service.pid, *before], "the supervisor": [shared_service.pid], "a worker": before[:1]}[whom]
    for _ in range(2):
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(SETTINGS.hang_seconds * (0.2 if whom == "a worker" else 3))
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        time.sleep(0.3)
    time.sleep(SETTINGS.hang_seconds)  # the longer, the more could go wrong
    assert shared_service.workers() == before
    with connected_to_each(shared_service) as clients:
        assert sorted(clients) == sorted(before)
    shared_service.stop_cleanly()


def test_what_passes_while_the_supervisor_stands_still_is_nobodys_silence() -> None:
    """It looks before the workers run again, and takes the pause for half a second, not for what it was."""
    with forked(replace(SETTINGS, hang_seconds=4.0)) as service:
        before = service.workers()
        service.signal_all(signal.SIGSTOP)
        time.sleep(5.0)
        os.kill(service.pid, signal.SIGCONT)
        time.sleep(0.7)  # it looks twice a second
        assert service.workers() == before
        service.signal_all(signal.SIGCONT)
        with connected_to_each(service) as clients:
            assert sorted(clients) == sorted(before)
        assert service.workers() == before
        service.stop_cleanly()


def test_a_slow_start_is_not_taken_for_a_worker_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that takes longer to start than it may stand still later is given the time."""

    async def slowly(*_: object) -> None:
        time.sleep(3 * SETTINGS.hang_seconds)  # noqa: ASYNC251 - the loop is not to turn

    monkeypatch.setattr("service.processes.worker.warm_routes", slowly)
    with forked(SETTINGS) as service:
        assert "stands still" not in service.text
        service.stop_cleanly()


def test_a_worker_that_hangs_at_its_start_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that never comes to serve is replaced as well, and given up after as many attempts as any other."""

    def stand_still(*_: object) -> None:
        time.sleep(3600)

    monkeypatch.setattr("service.processes.supervisor.work", stand_still)
    monkeypatch.setattr("service.processes.supervisor.START_SECONDS", 0.5)
    service = Forked(replace(SETTINGS, workers=1))
    try:
        assert service.ended(60) == 1
        assert "giving up" in service.text
        assert service.text.count("stands still: killing it") == 5
    finally:
        service.end()


def test_the_age_of_each_workers_beat_is_in_the_metrics() -> None:
    """Workers beat several times a second; that of one that is stopped grows older until it is replaced."""
    name = "tenfold_worker_beat_age_seconds"
    with forked(replace(SETTINGS, hang_seconds=60.0)) as service, connected_to_each(service) as clients:
        ages = Scrape.through(next(iter(clients.values())))
        assert 0 <= ages.total(name, worker="0") < 30
        assert 0 <= ages.total(name, worker="1") < 30
        victim, other = clients
        os.kill(victim, signal.SIGSTOP)
        time.sleep(2.0)
        through = clients[other]
        stopped = [Scrape.through(through).total(name, worker=str(number)) for number in (0, 1)]
        assert max(stopped) >= 1.5
        os.kill(victim, signal.SIGCONT)
        until(lambda: max(Scrape.through(through).total(name, worker=str(n)) for n in (0, 1)) < 1.5, SOON)
        assert alive(victim)
