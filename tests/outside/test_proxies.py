"""nginx and HAProxy in front, both keeping their connections to the service: what their clients see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.support.load import Client, count_of, numbers, together
from tests.support.process import Process, running
from tests.support.programs import NGINX, free_port, serving
from tests.support.scrape import Scrape
from tests.support.sockets import Wire, post

BEFORE_ONE: Final = """
    client_max_body_size 0;
    upstream tenfold {{ server 127.0.0.1:{service}; keepalive 16; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://tenfold;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_request_buffering BUFFERING;
        }}
    }}
"""

HAPROXY: Final = """
defaults
    mode http
    timeout connect 10s
    timeout client 60s
    timeout server 60s
    option http-keep-alive
    http-reuse always
frontend clients
    bind 127.0.0.1:{port}
    default_backend tenfold
backend tenfold
    server one 127.0.0.1:{service}
"""


def nginx(buffering: str) -> str:
    """Its configuration, with room for both ports."""
    return NGINX.replace("{http}", BEFORE_ONE.replace("BUFFERING", buffering))


PROXIES: Final = {
    "nginx": ("nginx", nginx("on"), ("-p", "{folder}", "-c", "{configuration}")),
    "nginx that passes on as it comes": (
        "nginx",
        nginx("off"),
        ("-p", "{folder}", "-c", "{configuration}"),
    ),
    "HAProxy": ("haproxy", HAPROXY, ("-f", "{configuration}")),
}

CLIENTS: Final = 8
TURNS: Final = 60
"""Requests of each kind that a client makes; without keep-alive each would need a connection."""

MAX_BODY: Final = 1 << 20
GOOD: Final = b'{"symbol": "A", "values": [1]}'

BODIES: Final = {
    "1 byte": (b"{", 400),
    "30 bytes": (GOOD, 200),
    "8 KiB": (GOOD.ljust(8 << 10), 200),
    "100 KB": (GOOD.ljust(100_000), 200),
    "as much as may be": (GOOD.ljust(MAX_BODY), 200),
    "a byte more": (GOOD.ljust(MAX_BODY + 1), 413),
    "2 MB": (GOOD.ljust(2_000_000), 413),
    "20 MB": (GOOD.ljust(20_000_000), 413),
}
"""Bodies, and what each gets."""


class Proxied:
    """A service, and the address of a proxy before it."""

    def __init__(self, service: Process, port: int) -> None:
        self.service = service
        self.port = port
        self.url = f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def service() -> Iterator[Process]:
    with running(workers=2, max_k=4) as process:
        yield process
        process.stop_cleanly()


@pytest.fixture(params=PROXIES)
def proxied(request: pytest.FixtureRequest, service: Process, tmp_path: Path) -> Iterator[Proxied]:
    program, text, arguments = PROXIES[request.param]
    port, configuration = free_port(), tmp_path / "configuration"
    configuration.write_text(text.format(port=port, service=service.port))
    told = [argument.format(folder=tmp_path, configuration=configuration) for argument in arguments]
    with serving(port, tmp_path, program, *told):
        yield Proxied(service, port)


def accepted(service: Process) -> float:
    """How many connections it has served so far."""
    return Scrape.of(service.url)["tenfold_connections_accepted_total"]


def converse(url: str, number: int) -> None:
    """Add and ask in turn about a symbol of one's own: each answer is the one to its request."""
    symbol, base = f"S{number}", number * 1_000_000
    with Client(url) as client:
        for turn in range(TURNS):
            receipt = client.add(symbol, numbers(base, turn, turn + 1))
            assert receipt.told == (200, {"symbol": symbol, "added": 1, "count": turn + 1})
            assert count_of(client.stats(symbol, 1 + turn % 4), 1 + turn % 4, base) == turn + 1
        assert client.delete(symbol).status == 204


def test_each_answer_through_a_proxy_is_the_one_to_its_request(proxied: Proxied) -> None:
    """Eight clients share the few connections that the proxy keeps: no answer lost, none at the wrong request."""
    before = accepted(proxied.service)
    together(*(partial(converse, proxied.url, number) for number in range(CLIENTS)))
    assert accepted(proxied.service) - before < TURNS


def answered(port: int, body: bytes, times: int) -> Counter[int]:
    """The statuses of a body that is sent over and over, each time on a new connection; 0 is none."""
    statuses = Counter[int]()
    for _ in range(times):
        with Wire(port) as wire:
            with suppress(ConnectionError):  # refused before its end: the answer must be there all the same
                wire.send(post(body))
            try:
                statuses[wire.answer().status] += 1
            except ConnectionError:
                statuses[0] += 1
    return statuses


@pytest.mark.parametrize("name", BODIES)
def test_a_body_of_any_size_is_answered_through_a_proxy(proxied: Proxied, name: str) -> None:
    """From one byte to 20 MB: each client has its answer, no 502, and no reset before it; others go on meanwhile."""
    body, status = BODIES[name]
    statuses = together(*(partial(answered, proxied.port, body, 5) for _ in range(4)))
    assert sum(statuses, Counter[int]()) == {status: 20}
    converse(proxied.url, 9)


def abort(port: int, times: int) -> None:
    """Go away in the middle of a body, or without waiting for the answer."""
    request = post(b'{"symbol": "GONE", "values": [1, 2]}'.ljust(200_000))
    for turn in range(times):
        with Wire(port) as wire:
            wire.send(request[: (1000, 100_000, len(request))[turn % 3]])


def test_clients_that_abort_behind_a_proxy_spoil_no_answer(proxied: Proxied) -> None:
    """Beside clients that leave, in the middle of a body or of waiting, all others have their own answers."""
    aborting = [partial(abort, proxied.port, 60) for _ in range(2)]
    together(*(partial(converse, proxied.url, number) for number in range(4)), *aborting)
    with Client(proxied.url) as client:
        counts = {one["symbol"]: one["count"] for one in client.request("GET", "/symbols/").document["symbols"]}
        assert counts.get("GONE", 0) in range(0, 2 * 2 * 20 + 1, 2)
        assert client.delete("GONE").status in {204, 404}
