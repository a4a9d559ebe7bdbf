"""Thousands of clients that misbehave, and how much memory they can make a worker hold.

The bound is that of the README: what unfinished requests may hold in all, once as it stands and once more while it
arrives; an allowance for each connection; and room for the one request that is being handled.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from random import Random
from typing import Self

import numpy as np
import pytest

from loadgen.abuse import KINDS, Abuse, Crowd, Script
from loadgen.launch import Footprint, footprint
from loadgen.plan import Target
from loadgen.wire import get, post
from tests.support.load import Client, connected_to_each, count_of, numbers
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


AT_ONCE = Abuse("a thousand requests in one write", written_at_once, reads=False)
NEARLY_WHOLE = Abuse("bodies without their ends", nearly_whole, pace=5.0)
BY_NAME = {abuse.name: abuse for abuse in (*KINDS, AT_ONCE, NEARLY_WHOLE)}

CROWDS: dict[str, dict[str, int]] = {
    "half-open": {"headers that never end": 900, "connected and silent": 900},
    "large bodies that never end": {NEARLY_WHOLE.name: 500, "bodies that never end": 500},
    "pipelined": {AT_ONCE.name: 50, "answers never read": 100},
    "large bodies, pipelined": {"large bodies, pipelined": 100},
}


@pytest.fixture(scope="module")
def service() -> Iterator[Process]:
    limits = ("--request-memory", str(REQUEST_MEMORY), "--max-connections", str(CONNECTIONS))
    with running("--workers", "2", "--max-k", "4", *limits) as process:
        before = footprints(process)
        with connected_to_each(process) as clients:
            for client in clients.values():  # what a worker needs once, it has from here on
                assert client.request("POST", "/add_batch/", LARGE).status == 422
                assert client.add("WARM", np.arange(10_000.0)).status == 200
        sockets = [worker.sockets for worker in before]  # not all files: a worker that has just started has one more
        until(lambda: [worker.sockets for worker in footprints(process)] == sockets, 20)
        yield process
        assert process.stop() == 0
        text = "".join(process.log)
        assert "Traceback" not in text
        assert "ERROR" not in text


def footprints(service: Process) -> list[Footprint]:
    return [footprint(worker) for worker in service.workers()]


def files(service: Process) -> list[int]:
    return [worker.files for worker in footprints(service)]


def growth(service: Process, before: list[Footprint]) -> int:
    """Bytes by which the worker has grown that has grown most."""
    return max(now.own_bytes - then.own_bytes for now, then in zip(footprints(service), before, strict=True))


class Normal:
    """A client that goes on as if nothing were amiss, and counts the answers, all of which must be right."""

    def __init__(self, service: Process, symbol: str) -> None:
        self._service = service
        self._symbol = symbol
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.answers = 0
        self.error: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(60)

    def _run(self) -> None:
        try:
            with Client(self._service.url) as client:
                count = 0
                while not self._over.wait(0.01):
                    assert client.add(self._symbol, numbers(0, count, count + 1_000)).status == 200
                    count += 1_000
                    assert count_of(client.stats(self._symbol, 3), 3) == count
                    self.answers += 2
        except BaseException as error:  # noqa: BLE001 - for the test to raise
            self.error = error


@pytest.mark.parametrize("name", CROWDS)
def test_memory_is_bounded_and_given_back(service: Process, name: str) -> None:
    """However many clients hold on to what they can, a worker stays within its bound and serves; then all is free."""
    before = footprints(service)
    most = 0
    target = Target("127.0.0.1", service.port)
    with Normal(service, name) as normal, Crowd(target, Random(1)) as crowd:
        for kind, count in CROWDS[name].items():
            crowd.join(BY_NAME[kind], count)
        over = time.monotonic() + SECONDS
        while time.monotonic() < over or (normal.answers < 10 and normal.error is None):
            assert time.monotonic() < over + 30, "the normal client is not served"
            crowd.play(time.monotonic() + 0.1)
            most = max(most, growth(service, before))
        held = sum(files(service))
        answers = normal.answers
    if normal.error is not None:
        raise normal.error
    assert held > sum(then.files for then in before), "nobody was connected"
    assert most < BOUND
    until(lambda: files(service) == [then.files for then in before], 20)
    until(lambda: growth(service, before) < SLACK, 5)
    log.info(
        "%s: grew by %d MiB, %d after; %d files; %d answers meanwhile",
        name,
        most >> 20,
        growth(service, before) >> 20,
        held,
        answers,
    )


def test_an_idle_connection_does_not_hold_its_last_body(service: Process) -> None:
    """Clients that each sent a body of 1 MiB and keep their connections cost next to nothing until they send again."""
    before = footprints(service)
    clients = [Client(service.url) for _ in range(200)]
    try:
        for client in clients:
            assert client.request("POST", "/add_batch/", LARGE).status == 422
        assert growth(service, before) < SLACK
    finally:
        for client in clients:
            client.close()
