"""How connections end: the last answer arrives, whatever the client is doing, and nobody holds on to one for ever."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import NamedTuple

import pytest

from service.http.connection import LINGER_BYTES, LINGER_SECONDS
from service.http.limits import MOST_LINGERING
from tests.support.credentials import issue, token_file
from tests.support.process import Process, running, until
from tests.support.sockets import HEALTH, Answer, Wire, answers, chunk, post, request

REQUEST_SECONDS = 2.0
MAX_CONNECTIONS = 20
LATEST = REQUEST_SECONDS + LINGER_SECONDS + 4.0
"""When a connection must have been closed; the slack is for a busy machine."""

MEBIBYTE = 1 << 20
BATCH = b'{"symbol": "A", "values": [1]}'
WRITE = f"Authorization: Bearer {'w' * 16}"
TOO_LONG = request("POST", "/add_batch", WRITE, "Content-Length: 9999999999")
CHUNKED = request("POST", "/add_batch", WRITE, "Transfer-Encoding: chunked")


class Service(NamedTuple):
    """A service that asks for tokens, and how to connect to it."""

    process: Process
    tls: ssl.SSLContext | None

    def wire(self, seconds: float = 30.0) -> Wire:
        return Wire(self.process.port, tls=self.tls, seconds=seconds)


@pytest.fixture(scope="module", params=["at the door", "through the framework", "tls"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("closing")
    options: tuple[str, ...] = ("--no-door",) if request.param == "through the framework" else ()
    options += token_file(folder, write="w" * 16)
    context = None
    if request.param == "tls":
        certificate = issue(folder)
        context, options = ssl.create_default_context(cafile=certificate.ca), options + certificate.options
    with running(
        *options, workers=1, max_k=2, max_connections=MAX_CONNECTIONS, request_seconds=REQUEST_SECONDS
    ) as process:
        found = Service(process, context)
        with found.wire() as wire:
            for _ in range(2):
                assert wire.ask(post(BATCH, WRITE)).status == 200
        yield found
        process.stop_cleanly()


def told_after(service: Service, *pieces: bytes) -> Answer:
    """The only answer to a client that reads nothing before it has sent all."""
    with service.wire() as wire:
        wire.send(*pieces)
        return wire.answer()


LARGE = bytes(20 * MEBIBYTE)
TOO_LARGE = {
    "413": (413, [post(LARGE, WRITE)]),
    "413 of chunks": (413, [CHUNKED, *[chunk(LARGE[:MEBIBYTE])] * 20, chunk(b"")]),
    "401": (401, [post(LARGE)]),
    "401, small": (401, [post(LARGE[: MEBIBYTE // 2])]),
    "404": (404, [request("POST", "/nothing", body=LARGE)]),
    "400": (400, [post(LARGE, WRITE).replace(b"Host", b"Host ")]),
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_a_refusal_413_401_400_arrives_although_the_client_sends_20_mb_first(service: Service, name: str) -> None:
    """Who sends a large body to its end, and only then reads, finds the answer there, every time."""
    status, pieces = TOO_LARGE[name]
    for _ in range(8):
        assert told_after(service, *pieces).status == status


def test_the_503_at_the_cap_arrives_although_the_client_sends_its_request_first(service: Service) -> None:
    """Clients beyond the cap that send their requests when they were turned away already all get to their 503."""
    until(lambda: service.process.connections() == 0, LATEST)
    with ExitStack() as wires:
        for _ in range(MAX_CONNECTIONS):
            busy = wires.enter_context(service.wire())
            busy.send(post(BATCH, WRITE)[:-1])
        until(lambda: service.process.connections() == MAX_CONNECTIONS, 5)
        newcomers = [wires.enter_context(service.wire()) for _ in range(MAX_CONNECTIONS)]
        for wire in newcomers:
            assert wire.has_answer(5)
        for _ in range(2):
            for wire in newcomers:
                wire.send(post(LARGE[:10_000], WRITE))
        assert {wire.answer().status for wire in newcomers} == {503}


def test_a_408_arrives_although_the_client_goes_on_sending(service: Service) -> None:
    """A client that is past its deadline learns so, though it sends and sends, whichever door has its request."""
    with service.wire() as wire:
        wire.send(post(LARGE[: MEBIBYTE // 4], WRITE)[:1000])
        over = time.monotonic() + REQUEST_SECONDS + 0.8
        while time.monotonic() < over:
            wire.send(b" ")
            time.sleep(0.001)
        assert wire.answer().status == 408


@pytest.mark.parametrize("dribble", [False, True], ids=["silent", "a byte at a time"])
def test_after_the_last_answer_a_connection_ends_silent_or_not(service: Service, dribble: bool) -> None:
    """A client that does not close is closed: soon if it is silent, else at the deadline of an answer."""
    began = time.monotonic()
    with service.wire() as wire:
        assert wire.ask(TOO_LONG).status == 413
        with suppress(ConnectionError, ssl.SSLError):
            while time.monotonic() < began + 2 * LATEST:
                if dribble:
                    wire.send(b" ")
                    time.sleep(0.01)
                elif wire.rest() == b"":
                    break
        took = time.monotonic() - began
    assert took < LATEST
    assert not dribble or took > REQUEST_SECONDS
    until(lambda: service.process.connections() == 0, LATEST)


def test_after_the_last_answer_only_so_much_is_read(service: Service) -> None:
    """A client that goes on and on is cut off after an amount, before its deadline."""
    with service.wire() as wire:
        wire.send(TOO_LONG)
        sent = wire.flood(LARGE[:MEBIBYTE], 60)
    assert sent < LINGER_BYTES + 32 * MEBIBYTE, "what the kernels hold is all that may come on top"


def test_many_that_linger_keep_nobody_out(service: Service) -> None:
    """Clients that were answered and do not close are not among those served, and no more of them than a limit stay."""
    with ExitStack() as wires:
        for _ in range(MOST_LINGERING + MAX_CONNECTIONS):
            wire = wires.enter_context(service.wire())
            assert wire.ask(TOO_LONG).status == 413
        until(lambda: service.process.connections() <= MOST_LINGERING, 5)
        with service.wire() as wire:
            assert wire.ask(HEALTH).status == 200


LARGE_BATCH = post(BATCH.ljust(200_000), WRITE)
HALF_CLOSED = {
    "GET": [HEALTH],
    "POST": [post(BATCH, WRITE)],
    "POST, large": [LARGE_BATCH],
    "POST, in two pieces": [LARGE_BATCH[:1000], LARGE_BATCH[1000:]],
    "POST, in chunks": [CHUNKED + chunk(BATCH) + chunk(b"")],
    "three at once": [HEALTH + post(BATCH, WRITE) + HEALTH],
    "no end": [HEALTH + post(BATCH, WRITE)[:-1]],
    "no end of a head": [HEALTH[:-1]],
    "no end of a large body": [LARGE_BATCH[:-1]],
}


@pytest.mark.parametrize("name", HALF_CLOSED)
def test_what_came_whole_before_a_half_close_is_answered_and_nothing_else(service: Service, name: str) -> None:
    """A client that asks, says that it sends nothing more, and reads on, gets all of its answers and then the end."""
    if service.tls is not None:
        pytest.skip("the event loop closes a connection over TLS when its client does")
    whole = 0 if name.startswith("no end of") else 3 if name == "three at once" else 1
    for _ in range(10):
        with service.wire() as wire:
            wire.send(*HALF_CLOSED[name])
            wire.socket.shutdown(socket.SHUT_WR)
            assert [answer.status for answer in answers(wire.rest())] == [200] * whole
