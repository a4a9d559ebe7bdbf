from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Self

import httpx
import pytest

from service.settings import Settings
from tests.support.load import Client, batch, connected_to_each, count_of, numbers, together
from tests.support.process import Forked, Process, alive, forked, living_members, running, until

SETTINGS = Settings(workers=2, max_k=4)

SERVING_SECONDS = 5.0
"""A killed worker is to be replaced and serving within 2 s; what is above that is slack for a busy machine."""

GONE_SECONDS = 4.0
"""All processes are to end within 2 s of their parent's kill, which is the kernel's doing; the rest is slack."""

STOP_SECONDS = 15.0
"""A stop is to end within this, whatever clients do."""

Kill = Callable[[Forked], None]


@pytest.fixture
def shared_service() -> Iterator[Forked]:
    """Two workers over memory of this process."""
    with forked(SETTINGS) as service:
        yield service


class Wire:
    """A connection on which a request can be sent in parts, and its answer be read to the connection's end."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def wait_at_most(self, seconds: float) -> None:
        """How long ``receive`` waits before it fails; 0 takes only what is there."""
        self._socket.settimeout(seconds)

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self) -> bytes:
        """What has come, at least a byte unless the connection was closed."""
        return self._socket.recv(65536)

    def receive_all(self) -> bytes:
        """All that comes until the other side closes."""
        return b"".join(iter(self.receive, b""))


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: test\r\n\r\n".encode()


def post(symbol: str, size: int) -> bytes:
    body = batch(symbol, numbers(0, 0, size))
    return b"POST /add_batch/ HTTP/1.1\r\nhost: test\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def whole_answers(received: bytes) -> list[bytes]:
    """The bodies of the answers, each 200 and as long as it said."""
    bodies = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        assert lines[0] == b"HTTP/1.1 200 OK"
        (length,) = [int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length:")]
        assert len(rest) >= length, "cut short"
        bodies.append(rest[:length])
        received = rest[length:]
    return bodies


def seconds_until_replaced(service: Forked, victim: int) -> float:
    """Kill a worker and return how long it takes until a new one has answered a request."""
    before = service.workers()
    os.kill(victim, signal.SIGKILL)
    killed = time.monotonic()
    while True:
        assert time.monotonic() < killed + SERVING_SECONDS, "not replaced"
        with Client(service.url) as client:
            assert client.health().status == 200
            if service.worker_of(client.port) not in (None, *before):
                return time.monotonic() - killed


def wait_for_log(service: Forked, text: str) -> None:
    """See something in the log; a line may come a moment after what it tells of."""
    deadline = time.monotonic() + SERVING_SECONDS
    while text not in "".join(service.log):
        assert time.monotonic() < deadline, f"no {text!r} in {service.log}"
        time.sleep(0.01)


def test_a_killed_worker_is_replaced(shared_service: Forked) -> None:
    """A killed worker is replaced and serving within two seconds, what it was told is kept, and the log says it all."""
    with Client(shared_service.url) as client:
        assert client.add("A", numbers(0, 0, 1000)).status == 200
    for _ in range(3):
        victim = shared_service.workers()[0]
        seconds_until_replaced(shared_service, victim)
        assert len(shared_service.workers()) == 2
        wait_for_log(shared_service, f"(process {victim}) was killed by signal 9")
        wait_for_log(shared_service, f"is replaced by process {shared_service.workers()[-1]}")
    with connected_to_each(shared_service) as clients:
        for client in clients.values():
            assert count_of(client.stats("A", 3), 3) == 1000
    assert "Traceback" not in "".join(shared_service.log)


def test_all_workers_killed_at_once_are_replaced(shared_service: Forked) -> None:
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
    wires = [Wire(shared_service.port) for _ in range(40)]
    for number, wire in enumerate(wires):
        wire.send(post(f"S{number % 10}", 100 + number))
    time.sleep(0.5)
    for wire in wires:
        wire.wait_at_most(0)
    answered = []
    for wire in wires:
        try:
            answered.append(whole_answers(wire.receive()))
        except BlockingIOError:
            answered.append([])
    # Of 40 fair coins, none or all fall on one side once in 5 × 10^11 times.
    assert 0 < sum(map(bool, answered)) < 40
    os.kill(shared_service.pid, signal.SIGCONT)
    for wire, already in zip(wires, answered, strict=True):
        wire.wait_at_most(SERVING_SECONDS)
        assert already or whole_answers(wire.receive())
        wire.close()
    assert other in shared_service.workers()
    for symbol in range(10):
        assert shared_service.symbols.count(f"S{symbol}") == sum(100 + number for number in range(symbol, 40, 10))


def test_a_killed_parent_takes_its_workers_along() -> None:
    """After a kill -9 of the parent no process is left, and a new start works at once on the same port."""
    with running("--workers", "3", "--max-k", "3") as first:
        assert len(first.workers()) == 3
        with connected_to_each(first) as clients:
            for client in clients.values():
                assert client.add("A", [1.0]).status == 200
            os.kill(first.pid, signal.SIGKILL)
            until(lambda: not [pid for pid in living_members(first.pid) if pid != first.pid], GONE_SECONDS)
            first.wait(1)
            second = Process("--port", str(first.port), "--workers", "3", "--max-k", "3")
            try:
                assert second.url == first.url, second.log
                assert httpx.get(f"{second.url}/health/").json()["symbols"] == 0
            finally:
                second.end()


def test_nothing_is_left_behind() -> None:
    """After a stop there is no process, zombie or file of tenfold's, and while it runs there are only its workers."""
    files = set(Path("/dev/shm").iterdir())  # noqa: S108 - the place where shared memory with a name would be
    with running("--workers", "3", "--max-k", "3") as process:
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
    assert "Traceback" not in "".join(process.log)


def stop_the_parent(service: Forked) -> None:
    """What `kill` and a container's runtime do."""
    os.kill(service.pid, signal.SIGTERM)


def stop_the_group(service: Forked) -> None:
    """What a service manager and a terminal do: every process is told."""
    os.killpg(service.pid, signal.SIGTERM)


@pytest.mark.parametrize("stop", [stop_the_parent, stop_the_group])
def test_what_was_sent_before_a_stop_is_answered(shared_service: Forked, stop: Kill) -> None:
    """A request that was sent whole before the signal is answered whole, even if nobody had read a byte of it."""
    wires = [Wire(shared_service.port) for _ in range(32)]
    for wire in wires:
        wire.send(get("/health/"))
        assert len(whole_answers(wire.receive())) == 1
    idle, busy = wires[::4], [wire for number, wire in enumerate(wires) if number % 4]
    workers = shared_service.workers()
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    for number, wire in enumerate(busy):
        wire.send(post(f"S{number % 8}", 1000) if number % 2 else get("/health/"))
    stop(shared_service)
    until(lambda: "stopping" in "".join(shared_service.log), 5)
    time.sleep(0.1)  # for the signal to be passed on; it waits for the workers together with the requests
    for worker in workers:
        os.kill(worker, signal.SIGCONT)
    for wire in busy:
        assert len(whole_answers(wire.receive_all())) == 1
    for wire in idle:
        assert wire.receive_all() == b""
    assert shared_service.wait(STOP_SECONDS) == 0
    assert sum(shared_service.symbols.count(name) for name in shared_service.symbols) == len(busy) // 2 * 1000
    for wire in wires:
        wire.close()


@pytest.mark.parametrize("stop", [stop_the_parent, stop_the_group])
def test_a_request_that_is_half_sent_at_a_stop_is_answered(shared_service: Forked, stop: Kill) -> None:
    """A worker that has begun to read a request when it is told to stop, however often, waits for the rest of it."""
    request = post("A", 10_000)
    with Wire(shared_service.port) as wire, Wire(shared_service.port) as idle:
        wire.send(request[:30_000])
        time.sleep(0.2)
        stop(shared_service)
        time.sleep(0.3)
        for worker in shared_service.workers():
            os.kill(worker, signal.SIGTERM)
        time.sleep(0.2)
        assert idle.receive_all() == b"", "a connection without a request is closed at once"
        with pytest.raises(ConnectionRefusedError):
            Wire(shared_service.port)
        wire.send(request[30_000:])
        (receipt,) = whole_answers(wire.receive())
        assert receipt == b'{"symbol":"A","added":10000,"count":10000}'
    assert shared_service.wait(STOP_SECONDS) == 0
    assert shared_service.symbols.count("A") == 10_000
    assert "Traceback" not in "".join(shared_service.log)


def test_a_connection_that_falls_idle_does_not_hold_up_a_stop(shared_service: Forked) -> None:
    """Once its last request is answered, a connection that its client keeps open is closed, and the stop is over."""
    request = post("A", 10_000)
    with Wire(shared_service.port) as wire:
        wire.send(request[:30_000])
        time.sleep(0.2)
        stop_the_parent(shared_service)
        time.sleep(0.3)
        wire.send(request[30_000:])
        whole_answers(wire.receive())
        assert shared_service.wait(shared_service.settings.stop_seconds / 2) == 0


def test_a_stop_under_load(shared_service: Forked) -> None:
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
                assert answer == (200, {"symbol": f"S{number}", "added": 1000, "count": end})
                counts[number] = end

    def stop() -> None:
        time.sleep(0.7)
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
    assert "Traceback" not in "".join(shared_service.log)


def test_a_second_signal_stops_at_once(shared_service: Forked) -> None:
    """Whoever cannot wait for requests in flight sends the signal again."""
    with Wire(shared_service.port) as wire:
        wire.send(post("A", 1000)[:-10])
        time.sleep(0.2)
        os.kill(shared_service.pid, signal.SIGTERM)
        time.sleep(0.5)
        assert alive(shared_service.pid), "it waits for the request"
        os.kill(shared_service.pid, signal.SIGTERM)
        shared_service.wait(3)  # at once; the rest is slack
    assert living_members(shared_service.pid) == []
    assert "A" not in shared_service.symbols


def test_a_client_that_never_finishes_does_not_hold_up_a_stop() -> None:
    """A request that does not arrive whole within the time given to it is given up, and the exit code is 0."""
    with forked(Settings(workers=2, max_k=2, stop_seconds=0.5)) as service, Wire(service.port) as wire:
        wire.send(post("A", 1000)[:-10])
        time.sleep(0.2)
        os.kill(service.pid, signal.SIGTERM)
        assert service.wait(STOP_SECONDS) == 0
        service.join_log()
        assert "A" not in service.symbols
        assert "Traceback" not in "".join(service.log)


def test_a_worker_that_hangs_does_not_hold_up_a_stop() -> None:
    """A worker that does not follow the signal is killed after its time, and the log says so."""
    with forked(Settings(workers=2, max_k=2, stop_seconds=0.1)) as service:
        os.kill(service.workers()[0], signal.SIGSTOP)
        os.kill(service.pid, signal.SIGTERM)
        assert service.wait(STOP_SECONDS) == 0
        service.join_log()
        assert "killing workers that would not stop" in "".join(service.log)


def test_workers_that_cannot_start_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After five failed starts of a worker in a row the service ends with exit code 1 and says why."""

    def fail(*_: object) -> None:
        raise RuntimeError("the reason")

    monkeypatch.setattr("service.processes.supervisor.work", fail)
    service = Forked(SETTINGS)
    try:
        assert service.wait(STOP_SECONDS) == 1
        service.join_log()
        assert service.url == "", "it said that it listens"
        log = "".join(service.log)
        assert log.count("failed to start 5 times in a row: giving up") == 1
        assert "RuntimeError: the reason" in log
        # Five deaths of the one, and at most as many of the other.
        assert 5 <= log.count("ended with exit code 1") <= 9
        assert living_members(service.pid) == []
    finally:
        service.end()


def test_deaths_between_good_starts_are_not_held_against_a_worker(shared_service: Forked) -> None:
    """A worker may be killed any number of times after it has served; only failed starts in a row are counted."""
    for _ in range(7):
        seconds_until_replaced(shared_service, min(shared_service.workers()))
    assert shared_service.stop() == 0
