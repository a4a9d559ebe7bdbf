from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from service.settings import Settings
from tests.support.load import (
    Client,
    batch,
    connected_to_each,
    count_of,
    numbers,
    seconds_until_replaced,
    together,
)
from tests.support.process import Forked, alive, forked, living_members, running, until
from tests.support.sockets import HEALTH, Wire, post

SETTINGS = Settings(workers=2, max_k=4)

SERVING_SECONDS = 5.0
"""A killed worker is to be replaced and serving within 2 s; what is above that is slack for a busy machine."""

GONE_SECONDS = 4.0
"""All processes are to end within 2 s of their parent's kill, which is the kernel's doing; the rest is slack."""

STOP_SECONDS = 15.0
"""A stop is to end within this, whatever clients do."""

Kill = Callable[[Forked], None]


@pytest.fixture
def settings() -> Settings:
    return SETTINGS


def added(symbol: str, size: int) -> bytes:
    """The request that adds so many prices."""
    return post(batch(symbol, numbers(0, 0, size)))


def half_sent(service: Forked, wire: Wire, symbol: str, size: int) -> bytes:
    """Send half of a batch, and see a worker read it; return the other half."""
    whole = added(symbol, size)
    wire.send(whole[: len(whole) // 2])
    until(lambda: service.has_read(wire.port), SERVING_SECONDS)
    return whole[len(whole) // 2 :]


def told_to_stop(service: Forked) -> None:
    """See that all workers have followed the signal: nobody takes new connections any more."""
    until(lambda: not service.listens(), SERVING_SECONDS)


def test_a_worker_is_replaced_after_sigkill(shared_service: Forked) -> None:
    """A killed worker is replaced and serving within two seconds, what it was told is kept, and the log says it all."""
    with Client(shared_service.url) as client:
        assert client.add("A", numbers(0, 0, 1000)).status == 200
    for _ in range(3):
        victim = shared_service.workers()[0]
        seconds_until_replaced(shared_service, victim, SERVING_SECONDS)
        assert len(shared_service.workers()) == 2
        shared_service.wait_for_log(f"(process {victim}) was killed by signal 9")
        shared_service.wait_for_log(f"is replaced by process {shared_service.workers()[-1]}")
    with connected_to_each(shared_service) as clients:
        for client in clients.values():
            assert count_of(client.stats("A", 3), 3) == 1000
    shared_service.assert_no_defect()


def test_all_workers_are_replaced_after_sigkill_at_once(shared_service: Forked) -> None:
    """The prices are the parent's to keep: they outlive all workers."""
    with Client(shared_service.url) as client:
        assert client.add("A", numbers(0, 0, 1000)).status == 200
    before = shared_service.workers()
    for worker in before:
        os.kill(worker, signal.SIGKILL)
    with connected_to_each(shared_service) as clients:
        assert set(clients).isdisjoint(before)
        for client in clients.values():
            assert count_of(client.stats("A", 4), 4) == 1000


def test_requests_to_a_dead_workers_socket_wait_for_its_replacement(shared_service: Forked) -> None:
    """While a worker is dead and not yet replaced, its connections wait; none is refused, and no batch is lost."""
    os.kill(shared_service.pid, signal.SIGSTOP)  # so that nobody replaces it
    victim, other = shared_service.workers()
    os.kill(victim, signal.SIGKILL)
    wires = [Wire(shared_service.port, seconds=SERVING_SECONDS) for _ in range(40)]
    for number, wire in enumerate(wires):
        wire.send(added(f"S{number % 10}", 100 + number))
    # Of 40 fair coins, none or all fall on one side once in 5 × 10^11 times.
    until(lambda: any(wire.has_answer() for wire in wires), SERVING_SECONDS)
    time.sleep(0.5)  # the longer, the more could go wrong
    assert not all(wire.has_answer() for wire in wires)
    os.kill(shared_service.pid, signal.SIGCONT)
    for wire in wires:
        assert wire.answer().status == 200
        wire.close()
    assert other in shared_service.workers()
    for symbol in range(10):
        assert shared_service.symbols.count(f"S{symbol}") == sum(100 + number for number in range(symbol, 40, 10))


def test_a_parent_takes_its_workers_along_at_sigkill() -> None:
    """After a kill -9 of the parent no process is left, and a new start works at once on the same port."""
    with running(workers=3, max_k=3) as first:
        assert len(first.workers()) == 3
        with connected_to_each(first) as clients:
            for client in clients.values():
                assert client.add("A", [1.0]).status == 200
            os.kill(first.pid, signal.SIGKILL)
            until(lambda: not [pid for pid in living_members(first.pid) if pid != first.pid], GONE_SECONDS)
            first.wait(1)
            with running(port=first.port, workers=3, max_k=3) as second, Client(first.url) as client:
                assert second.url == first.url
                assert client.health().document["symbols"] == 0


def test_nothing_is_left_behind_after_sigkill_and_sigterm() -> None:
    """After a stop there is no process, zombie or file of tenfold's, and while it runs there are only its workers."""
    files = set(Path("/dev/shm").iterdir())  # noqa: S108 - the place where shared memory with a name would be
    with running(workers=3, max_k=3) as process:
        assert sorted(living_members(process.pid)) == sorted([process.pid, *process.workers()])
        assert len(process.workers()) == 3
        os.kill(process.workers()[0], signal.SIGKILL)
        until(lambda: len(process.workers()) == 3, SERVING_SECONDS)
        assert set(Path("/dev/shm").iterdir()) == files  # noqa: S108
        workers = process.workers()
        assert process.stop() == 0
        assert not any(alive(worker) for worker in workers)
        assert living_members(process.pid) == []
    assert set(Path("/dev/shm").iterdir()) == files  # noqa: S108
    process.assert_no_defect()


def stop_the_parent(service: Forked) -> None:
    """What `kill` and a container's runtime do."""
    os.kill(service.pid, signal.SIGTERM)


def stop_the_group(service: Forked) -> None:
    """What a service manager and a terminal do: every process is told."""
    service.signal_all(signal.SIGTERM)


@pytest.mark.parametrize("stop", [stop_the_parent, stop_the_group])
def test_what_was_sent_before_sigterm_is_answered(shared_service: Forked, stop: Kill) -> None:
    """A request that was sent whole before the signal is answered whole, even if nobody had read a byte of it."""
    wires = [Wire(shared_service.port) for _ in range(32)]
    for wire in wires:
        assert wire.ask(HEALTH).status == 200
    busy = [wire for number, wire in enumerate(wires) if number % 4]
    workers = shared_service.workers()
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    for number, wire in enumerate(busy):
        wire.send(added(f"S{number % 8}", 1000) if number % 2 else HEALTH)
    stop(shared_service)
    shared_service.wait_for_log("stopping")
    time.sleep(0.1)  # for the signal to be passed on; it waits for the workers together with the requests
    for worker in workers:
        os.kill(worker, signal.SIGCONT)
    for wire in busy:
        assert wire.answer().status == 200
    for wire in wires:
        assert wire.ends()
    assert shared_service.wait(STOP_SECONDS) == 0
    assert sum(shared_service.symbols.count(name) for name in shared_service.symbols) == len(busy) // 2 * 1000
    for wire in wires:
        wire.close()


@pytest.mark.parametrize("stop", [stop_the_parent, stop_the_group])
def test_a_request_that_is_half_sent_at_sigterm_is_answered(shared_service: Forked, stop: Kill) -> None:
    """A worker that has begun to read a request when it is told to stop, however often, waits for the rest of it."""
    with Wire(shared_service.port) as idle, Wire(shared_service.port) as wire:
        half = half_sent(shared_service, wire, "A", 10_000)
        until(lambda: shared_service.has_read(idle.port), SERVING_SECONDS)
        stop(shared_service)
        told_to_stop(shared_service)
        for worker in shared_service.workers():
            os.kill(worker, signal.SIGTERM)
        assert idle.ends(), "a connection without a request is closed at once"
        with pytest.raises(ConnectionRefusedError):
            Wire(shared_service.port)
        assert wire.ask(half).told == (200, {"symbol": "A", "added": 10_000, "count": 10_000})
    assert shared_service.wait(STOP_SECONDS) == 0
    assert shared_service.symbols.count("A") == 10_000
    shared_service.assert_no_defect()


def test_a_keep_alive_connection_that_falls_idle_does_not_hold_up_sigterm(shared_service: Forked) -> None:
    """Once its last request is answered, a connection that its client keeps open is closed, and the stop is over."""
    with Wire(shared_service.port) as wire:
        half = half_sent(shared_service, wire, "A", 10_000)
        stop_the_parent(shared_service)
        told_to_stop(shared_service)
        assert wire.ask(half).status == 200
        assert shared_service.wait(shared_service.settings.stop_seconds / 2) == 0


def test_sigterm_under_load(shared_service: Forked) -> None:
    """Whoever sent a request before the signal gets its answer, whoever sent one later gets it whole or not at all."""
    counts = [0] * 8
    unanswered: dict[int, float] = {}

    def produce(number: int) -> None:
        with Client(shared_service.url) as client:
            while True:
                end = counts[number] + 1000
                try:
                    answer = client.add(f"S{number}", numbers(0, counts[number], end))
                except ConnectionError:  # an answer that breaks off would be another error
                    unanswered[number] = client.sent_at
                    return
                assert answer.told == (200, {"symbol": f"S{number}", "added": 1000, "count": end})
                counts[number] = end

    def stop() -> None:
        until(lambda: min(counts) > 0, 20)
        unanswered[-1] = time.monotonic()
        os.kill(shared_service.pid, signal.SIGTERM)

    with Client(shared_service.url) as idle:
        idle.health()
        together(stop, *(partial(produce, number) for number in range(8)))
        stopped = unanswered.pop(-1)
        assert shared_service.wait(stopped + STOP_SECONDS - time.monotonic()) == 0
    assert min(unanswered.values()) > stopped, "a request was sent before the signal, but not answered"
    assert sorted(unanswered) == list(range(8))
    for number, count in enumerate(counts):
        assert count > 0
        series = shared_service.symbols.series(f"S{number}")
        assert series.count in (count, count + 1000)
        series.check()
    assert shared_service.workers() == []
    shared_service.assert_no_defect()


def test_sigterm_in_the_first_moments_is_an_orderly_stop() -> None:
    """A SIGTERM to all processes ends them without a traceback, whenever it comes in the first moments of a worker."""
    for moment in range(12):
        with forked(Settings(workers=2, max_k=2)) as service:
            os.kill(service.workers()[0], signal.SIGKILL)
            time.sleep(moment * 0.005)  # its replacement is anywhere between its fork and its first request
            service.signal_all(signal.SIGTERM)
            assert service.ended() == 0
            service.assert_no_defect("ERROR", "killing")


def test_a_second_sigterm_stops_at_once(shared_service: Forked) -> None:
    """Whoever cannot wait for requests in flight sends the signal again."""
    with Wire(shared_service.port) as wire:
        half_sent(shared_service, wire, "A", 1000)
        stop_the_parent(shared_service)
        told_to_stop(shared_service)
        time.sleep(0.5)  # the longer, the more could go wrong
        assert alive(shared_service.pid), "it waits for the request"
        stop_the_parent(shared_service)
        shared_service.wait(shared_service.settings.stop_seconds / 2)
    assert living_members(shared_service.pid) == []
    assert "A" not in shared_service.symbols


def test_a_client_that_never_finishes_does_not_hold_up_sigterm_past_its_deadline() -> None:
    """A request that does not arrive whole within the time given to it is given up, and the exit code is 0."""
    with forked(Settings(workers=2, max_k=2, stop_seconds=0.5)) as service, Wire(service.port) as wire:
        half_sent(service, wire, "A", 1000)
        stop_the_parent(service)
        assert service.ended(STOP_SECONDS) == 0
        assert "A" not in service.symbols
        service.assert_no_defect()


def test_a_worker_that_hangs_gets_sigkill_at_the_deadline_of_a_stop() -> None:
    """A worker that does not follow the signal is killed after its time, and the log says so."""
    with forked(Settings(workers=2, max_k=2, stop_seconds=0.1)) as service:
        os.kill(service.workers()[0], signal.SIGSTOP)
        stop_the_parent(service)
        assert service.ended(STOP_SECONDS) == 0
        assert "killing workers that would not stop" in service.text


def test_workers_that_cannot_start_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After five failed starts of a worker in a row the service ends with exit code 1 and says why."""

    def fail(*_: object) -> None:
        raise RuntimeError("the reason")

    monkeypatch.setattr("service.processes.supervisor.work", fail)
    service = Forked(SETTINGS)
    try:
        assert service.ended(STOP_SECONDS) == 1
        assert service.url == "", "it said that it listens"
        log = service.text
        assert log.count("failed to start 5 times in a row: giving up") == 1
        assert "RuntimeError: the reason" in log
        # Five deaths of the one, and at most as many of the other.
        assert 5 <= log.count("ended with exit code 1") <= 9
        assert living_members(service.pid) == []
    finally:
        service.end()


def test_sigkill_between_good_starts_is_not_held_against_a_worker(shared_service: Forked) -> None:
    """A worker may be killed any number of times after it has served; only failed starts in a row are counted."""
    for _ in range(7):
        seconds_until_replaced(shared_service, min(shared_service.workers()), SERVING_SECONDS)
    assert shared_service.stop() == 0
