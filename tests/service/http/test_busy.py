"""Another process has a symbol's lock: batches wait for it, through either door, and hold up nobody else."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from struct import pack

import pytest

from service.settings import Settings
from tests.aggregation.killing import begin_in_child
from tests.support.load import batch, count_of, numbers
from tests.support.process import Forked, forked, until
from tests.support.sockets import HEALTH, Answer, Wire, post, request

QUICK = 0.3
"""Seconds until a batch that waits is refused, where that is to be seen."""

DELETION = request("DELETE", "/symbols/A")


@pytest.fixture(params=[False, True], ids=["at the door", "through the framework"])
def settings(request: pytest.FixtureRequest) -> Settings:
    """One worker, which may wait for as long as a request may take."""
    return Settings(workers=1, max_k=4, max_symbols=3, no_door=request.param, lock_seconds=60.0, request_seconds=60.0)


@pytest.fixture
def service(settings: Settings) -> Iterator[Forked]:
    with forked(settings) as service:
        yield service
        service.stop_cleanly()


@pytest.fixture
def wire(service: Forked) -> Iterator[Wire]:
    """A connection over which A was added to before, so that its head may be remembered."""
    with Wire(service.port) as wire:
        assert wire.ask(added("A", 0, 10)).status == 200
        yield wire


def added(symbol: str, begin: int, end: int) -> bytes:
    """The request that adds these prices of a stream of whole numbers."""
    return post(batch(symbol, numbers(0, begin, end)))


def stats(symbol: str) -> bytes:
    return request("GET", f"/stats?symbol={symbol}&k=4")


@contextmanager
def locked(service: Forked, slot: int = 0) -> Iterator[None]:
    """Inside, this process has the lock of a slot."""
    with service.shared.slot_locks[slot]:
        yield


def served(service: Forked) -> Answer:
    """What a newcomer is told, who must not wait."""
    with Wire(service.port, seconds=10) as other:
        return other.ask(HEALTH)


def see_it_wait(service: Forked, wire: Wire) -> None:
    """A request that was sent is read, and not answered while others are."""
    until(lambda: service.has_read(wire.port), 10)
    for _ in range(5):
        assert served(service).status == 200
    assert not wire.has_answer(0.05)


def test_a_batch_waits_for_the_lock_and_nobody_waits_for_it(service: Forked, wire: Wire) -> None:
    """While another process writes a symbol its next batch waits, all others are served, and then it is appended."""
    with locked(service):
        wire.send(added("A", 10, 30))
        see_it_wait(service, wire)
        with Wire(service.port) as other:
            assert count_of(other.ask(stats("A")), 4) == 10
            assert other.ask(added("B", 0, 5)).document["count"] == 5
            assert other.ask(added("B", 5, 7)).document["count"] == 7
    assert wire.answer().document["count"] == 30
    assert count_of(wire.ask(stats("A")), 4) == 30


def test_a_batch_with_a_position_that_waits_for_the_lock_is_412_if_another_comes_first(
    service: Forked, wire: Wire
) -> None:
    """Where a batch belongs is looked at when the lock is there: of two that wait for one position, one is in."""
    one = request("POST", "/add_batch?at=10", body=batch("A", numbers(0, 10, 30)))
    with locked(service), Wire(service.port) as other:
        wire.send(one)
        see_it_wait(service, wire)
        other.send(one)
        see_it_wait(service, other)
        service.shared.slot_locks[0].release()
        told = [wire.answer(), other.answer()]
        service.shared.slot_locks[0].acquire()
    assert sorted(answer.status for answer in told) == [200, 412]
    assert {answer.document["count"] for answer in told} == {30}
    assert count_of(wire.ask(stats("A")), 4) == 30


def test_a_large_batch_that_comes_in_pieces_waits_for_the_lock(service: Forked, wire: Wire) -> None:
    """The same where the body was received at the door, piece by piece: it is appended whole, once."""
    whole = added("A", 10, 10_010)
    wire.send(whole[:20_000])
    until(lambda: service.has_read(wire.port), 10)
    with locked(service):
        wire.send(whole[20_000:])
        see_it_wait(service, wire)
    assert wire.answer().document["count"] == 10_010
    assert count_of(wire.ask(stats("A")), 4) == 10_010


def test_pipelined_requests_behind_a_batch_that_waits_are_answered_in_order(service: Forked, wire: Wire) -> None:
    """What follows a batch that waits, in the same bytes or later, is answered after it, and knows it."""
    with locked(service):
        wire.send(added("A", 10, 20), stats("A") + added("B", 0, 3))
        see_it_wait(service, wire)
        wire.send(added("A", 20, 25))
        assert not wire.has_answer(0.05)
    assert wire.answer().document == {"symbol": "A", "added": 10, "count": 20}
    assert count_of(wire.answer(), 4) == 20
    assert wire.answer().document == {"symbol": "B", "added": 3, "count": 3}
    assert wire.answer().document == {"symbol": "A", "added": 5, "count": 25}


@pytest.mark.parametrize("seconds", [QUICK, 0.0])
@pytest.mark.parametrize("no_door", [False, True], ids=["at the door", "through the framework"])
def test_a_batch_or_deletion_that_waits_too_long_for_the_lock_is_503(no_door: bool, seconds: float) -> None:
    """When its time is up it is 503 with Retry-After, nothing has changed, and the connection goes on."""
    settings = Settings(workers=1, max_k=4, no_door=no_door, lock_seconds=seconds)
    with forked(settings) as service, Wire(service.port) as wire:
        assert wire.ask(added("A", 0, 10)).status == 200
        with locked(service):
            for refused in (added("A", 10, 20), DELETION, added("A", 10, 20)):
                sent = time.monotonic()
                answer = wire.ask(refused)
                assert time.monotonic() - sent >= seconds
                assert (answer.status, answer.headers["retry-after"]) == (503, "1")
                assert answer.headers["content-type"] == "application/problem+json"
            assert wire.ask(HEALTH).status == 200
        assert service.symbols.count("A") == 10
        assert wire.ask(added("A", 10, 20)).document["count"] == 20
        assert wire.ask(DELETION).status == 204
        service.stop_cleanly()


def test_a_deletion_waits_for_the_lock(service: Forked, wire: Wire) -> None:
    """A symbol that another process is writing to is deleted once that is done."""
    with locked(service):
        wire.send(DELETION)
        see_it_wait(service, wire)
        assert "A" in service.symbols
    assert wire.answer().status == 204
    assert "A" not in service.symbols


def test_a_client_that_only_says_that_nothing_follows_while_its_batch_waits_for_the_lock(
    service: Forked, wire: Wire
) -> None:
    """A half-closed connection is one that still reads: its batch came whole, so it is appended and answered."""
    with locked(service):
        wire.send(added("A", 10, 20))
        see_it_wait(service, wire)
        wire.socket.shutdown(socket.SHUT_WR)
    assert wire.answer().status == 200
    assert wire.ends()


def test_a_client_that_leaves_while_its_batch_waits_for_the_lock(service: Forked, wire: Wire) -> None:
    """Nothing is appended for a client that has broken its connection off by the time that the lock is free."""
    with locked(service):
        wire.send(added("A", 10, 20))
        see_it_wait(service, wire)
        port = wire.port
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))  # a reset, not a half-close
        wire.close()
        until(lambda: service.worker_of(port) is None, 10)
    time.sleep(0.1)  # the longer, the more could go wrong
    assert service.symbols.count("A") == 10


@pytest.mark.parametrize("no_door", [False, True], ids=["at the door", "through the framework"])
def test_batches_that_wait_for_the_lock_are_in_the_budget_of_unfinished_requests(no_door: bool) -> None:
    """What waits holds memory: beyond the budget the oldest gives way with 503, and the others are appended."""
    settings = Settings(workers=1, max_k=5, no_door=no_door, lock_seconds=60.0, request_seconds=60.0, request_memory=1)
    with forked(settings) as service, ExitStack() as wires:
        clients = [wires.enter_context(Wire(service.port)) for _ in range(30)]
        assert clients[0].ask(added("A", 0, 10)).status == 200
        with locked(service):
            for number, client in enumerate(clients):
                client.send(added("A", 10_000 * number, 10_000 * (number + 1)))
                until(partial(service.has_read, client.port), 10)
            until(lambda: any(client.has_answer() for client in clients), 10)
            assert served(service).status == 200
        statuses = [client.answer().status for client in clients]
        refused = statuses.count(503)
        assert statuses == [503] * refused + [200] * (len(clients) - refused)
        assert 0 < refused < len(clients)
        assert service.symbols.count("A") == 10 + 10_000 * (len(clients) - refused)
        service.stop_cleanly()


def test_a_batch_that_waits_for_the_lock_is_answered_before_sigterm_ends_the_worker(settings: Settings) -> None:
    """A request that was accepted is answered, though the service is told to stop while it waits."""
    with forked(settings) as service, Wire(service.port) as wire:
        assert wire.ask(added("A", 0, 10)).status == 200
        with locked(service):
            wire.send(added("A", 10, 20))
            see_it_wait(service, wire)
            os.kill(service.pid, signal.SIGTERM)
            until(lambda: not service.listens(), 10)
        answer = wire.last_answer()
        assert (answer.document["count"], answer.closes) == (20, True)
        assert service.ended() == 0
        service.assert_no_defect("ERROR")


def test_the_lock_of_a_killed_process_is_taken_over_at_once(service: Forked, wire: Wire) -> None:
    """A batch that waits for a process which stands still is appended as soon as that is killed."""

    def hold() -> None:
        service.shared.slot_locks[0].acquire()
        os.write(ready, b"!")
        signal.pause()

    read, ready = os.pipe()
    holder = begin_in_child(hold)
    try:
        os.read(read, 1)
        wire.send(added("A", 10, 20))
        see_it_wait(service, wire)
    finally:
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)
        for end in (read, ready):
            os.close(end)
    killed = time.monotonic()
    assert wire.answer().document["count"] == 20
    assert time.monotonic() - killed < 5.0


def test_a_new_symbol_waits_for_a_place_that_another_process_works_on(service: Forked, wire: Wire) -> None:
    """Where the only free place is taken by a process that stands still, a new symbol waits; the others do not."""
    assert wire.ask(added("B", 0, 1)).status == 200
    with locked(service, 2):
        wire.send(added("C", 0, 4))
        see_it_wait(service, wire)
        with Wire(service.port) as other:
            assert other.ask(added("A", 10, 20)).document["count"] == 20
    assert wire.answer().document == {"symbol": "C", "added": 4, "count": 4}
