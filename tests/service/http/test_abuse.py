"""Thousands of clients that misbehave, and how much memory they can make a worker hold.

The bound is that of the README: what unfinished requests may hold in all, once as it stands and once more while it
arrives; an allowance for each connection; and room for the one request that is being handled.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack
from random import Random

import numpy as np
import pytest

from loadgen.launch import Footprint, footprint
from loadgen.plan import Target
from loadgen.soak.crowd import KINDS, Abuse, Crowd, Script
from loadgen.wire.requests import get, post
from service.http.door import MOST_BODY_BYTES
from tests.support.load import Client, connected_to_each, count_of, meanwhile, numbers
from tests.support.process import Process, running, until

log = logging.getLogger(__name__)

MEBIBYTE = 1 << 20
REQUEST_MEMORY = 16
CONNECTIONS = 1_000
BOUND = 2 * REQUEST_MEMORY * MEBIBYTE + CONNECTIONS * 96 * 1024 + 32 * MEBIBYTE
"""Bytes that a worker may grow by."""

SLACK = 32 * MEBIBYTE
"""Bytes that a worker may have more when all is over: the allocators keep some of what was freed."""

SECONDS = 3.0
LARGE = b'{"symbol": "NOBODY", "values": []}'.ljust(MEBIBYTE)


def written_at_once(target: Target, _random: Random) -> Script:
    """A thousand requests in one write, whose answers are not read."""
    yield get(target, "/stats/?symbol=A&k=1") * 1_000
    while True:
        yield b""


def nearly_whole(target: Target, _random: Random) -> Script:
    """A large body, all of it but the end."""
    yield post(target, "/add_batch/", b" " * 1_000_000)[:-100_000]
    while True:
        yield b""


def nearly_whole_at_the_door(target: Target, _random: Random) -> Script:
    """A head that was said before, and all of a body that the door takes but its end."""
    yield post(target, "/add_batch/", b"{")
    yield post(target, "/add_batch/", b" " * MOST_BODY_BYTES)[:-1_000]
    while True:
        yield b""


AT_ONCE = Abuse("a thousand requests in one write", written_at_once, reads=False)
NEARLY_WHOLE = Abuse("bodies without their ends", nearly_whole, pace=5.0)
AT_THE_DOOR = Abuse("bodies without their ends, at the door", nearly_whole_at_the_door, pace=0.5)
BY_NAME = {abuse.name: abuse for abuse in (*KINDS, AT_ONCE, NEARLY_WHOLE, AT_THE_DOOR)}

CROWDS: dict[str, dict[str, int]] = {
    "half-open": {"headers that never end": 900, "connected and silent": 900},
    "large bodies that never end": {NEARLY_WHOLE.name: 500, "bodies that never end": 500},
    "large bodies at the door": {AT_THE_DOOR.name: 1_800},
    "pipelined": {AT_ONCE.name: 50, "answers never read": 100},
    "large bodies, pipelined": {"large bodies, pipelined": 100},
}


@pytest.fixture(scope="module")
def service() -> Iterator[Process]:
    with running(workers=2, max_k=4, request_memory=REQUEST_MEMORY, max_connections=CONNECTIONS) as process:
        with connected_to_each(process) as clients:
            for client in clients.values():  # what a worker needs once, it has from here on
                assert client.request("POST", "/add_batch/", LARGE).status == 422
                assert client.add("WARM", np.arange(10_000.0)).status == 200
        until(lambda: process.connections() == 0, 20)  # each has answered, so it has all that it starts with by now
        yield process
        process.stop_cleanly()


def footprints(service: Process) -> list[Footprint]:
    return [footprint(worker) for worker in service.workers()]


def files(service: Process) -> list[int]:
    return [worker.files for worker in footprints(service)]


def growth(service: Process, before: list[Footprint]) -> int:
    """Bytes by which the worker has grown that has grown most."""
    return max(now.own_bytes - then.own_bytes for now, then in zip(footprints(service), before, strict=True))


@pytest.mark.parametrize("name", CROWDS)
def test_memory_is_bounded_and_given_back_slow_loris_and_pipelining(service: Process, name: str) -> None:
    """However many clients hold on to what they can, a worker stays within its bound and serves; then all is free."""
    before = footprints(service)
    most = 0
    served = [0]  # prices of a client that goes on as if nothing were amiss, and whose answers must all be right

    def normal(client: Client) -> None:
        assert client.add(name, numbers(0, served[-1], served[-1] + 1_000)).status == 200
        assert count_of(client.stats(name, 3), 3) == served[-1] + 1_000
        served.append(served[-1] + 1_000)
        time.sleep(0.01)

    with meanwhile(service.url, normal), Crowd(Target("127.0.0.1", service.port), Random(1)) as crowd:
        for kind, count in CROWDS[name].items():
            crowd.join(BY_NAME[kind], count)
        over = time.monotonic() + SECONDS
        while time.monotonic() < over or len(served) <= 5:
            assert time.monotonic() < over + 30, "the normal client is not served"
            crowd.play(time.monotonic() + 0.1)
            most = max(most, growth(service, before))
        held = sum(files(service))
    assert held > sum(then.files for then in before), "nobody was connected"
    assert most < BOUND
    until(lambda: files(service) == [then.files for then in before], 20)
    until(lambda: growth(service, before) < SLACK, 5)
    after = growth(service, before)
    log.info("%s: grew by %d MiB, %d after; %d files; %d served", name, most >> 20, after >> 20, held, len(served))


def test_an_idle_keep_alive_connection_does_not_hold_its_last_body(service: Process) -> None:
    """Clients that each sent a body of 1 MiB and keep their connections cost next to nothing until they send again."""
    with ExitStack() as clients:
        for number in range(250):
            if number == 50:  # what a worker needs once, and what its allocator keeps, it has from here on
                before = footprints(service)
            client = clients.enter_context(Client(service.url))
            assert client.request("POST", "/add_batch/", LARGE).status == 422
        assert growth(service, before) < SLACK
