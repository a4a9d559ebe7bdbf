"""HTTP as it is written and read."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from loadgen.load.messages import Bodies
from loadgen.plan import MOST_TOKEN, Plan, Sizes, Target
from loadgen.prices import Batches
from loadgen.wire.client import ProtocolError, parse
from loadgen.wire.requests import batch_body, batch_request, stats_path, write_batch

HERE = Target("127.0.0.1", 8000)


@pytest.mark.parametrize(
    "prices",
    [
        [100.0, 999.99, 123.4, 500.05],
        [99.99, 100.0],
        [999.99, 1000.0],
        [123.456],
        [math.nextafter(123.45, 0)],
        [5e-324, 1e100, -123.45, -0.0],
    ],
)
def test_a_body_reads_back_as_its_prices(prices: list[float]) -> None:
    """Whichever way prices are written, JSON gives them back to the bit."""
    body = json.loads(batch_body('quote " and 日', np.array(prices)))
    assert body["symbol"] == 'quote " and 日'
    assert [value.hex() for value in body["values"]] == [price.hex() for price in prices]


def test_an_answer_is_read_when_it_is_whole() -> None:
    """Whatever the pieces, the answer is there with its last byte and not before."""
    whole = b"HTTP/1.1 404 Not Found\r\nContent-type: x\r\ncontent-LENGTH: 5\r\nConnection: close\r\n\r\nhello"
    assert all(parse(whole[:cut]) is None for cut in range(len(whole)))
    response = parse(whole)
    assert response is not None
    assert (response.status, response.body, response.last) == (404, b"hello", True)
    head = parse(whole.removesuffix(b"hello"), head_only=True)
    assert head is not None
    assert head.body == b""
    gone = parse(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert gone is not None
    assert (gone.status, gone.body) == (204, b"")


@pytest.mark.parametrize(
    "bad",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"SSH-2.0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
    ],
)
def test_what_is_no_answer_is_said(bad: bytes) -> None:
    """Without a length, or with more bytes than it says, nothing is guessed."""
    with pytest.raises(ProtocolError):
        parse(bad)


def test_the_largest_batch_has_room() -> None:
    """The longest symbol and the longest prices fit into the memory for one request."""
    target = Target("a" * 253, 65535, token="a" * MOST_TOKEN)
    plan = Plan(target, ("\U0001f4b0" * 16,), sizes=Sizes(100, 100))
    request = batch_request(target, plan.symbols[0], np.full(100, -1.2345678901234567e-100))
    assert len(request) <= len(Bodies(plan, 1).room(0, 0))


def test_symbols_are_escaped_in_a_query() -> None:
    """Letters with a meaning in a URL are escaped."""
    assert stats_path("EUR/USD &+日", 3) == "/stats/?symbol=EUR%2FUSD%20%26%2B%E6%97%A5&k=3"


@pytest.mark.parametrize("wire", ["json", "binary"])
@pytest.mark.parametrize("kind", ["walk", "jump"])
@pytest.mark.parametrize("size", [1, 7, 1_000])
@pytest.mark.parametrize("exactly_once", [False, True])
def test_a_request_is_written_in_its_place(wire: str, kind: str, size: int, exactly_once: bool) -> None:
    """What stands in the room is one whole request for these very prices, whichever way it was written.

    It says where they begin if it is to be in exactly once.
    """
    plan = Plan(HERE, ("A",), sizes=Sizes(size, size), wire=wire, exactly_once=exactly_once)
    bodies = Bodies(plan, 1)
    stream = Batches(kind, 1, 0, plan.sizes)
    stream.take()
    batch = stream.take()
    for seq in range(bodies.slots + 1):
        bodies.publish(0, seq, *write_batch(bodies.room(0, seq), plan, 'a "b" 日', batch), size)
        made = bodies.made(0, seq)
        head, _, body = bytes(made.request).partition(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}".encode() in head
        assert (f"at={size} ".encode() in head) == exactly_once
        written = np.frombuffer(body, "<f8") if wire == "binary" else np.array(json.loads(body)["values"])
        assert written.tobytes() == batch.prices.tobytes()
        assert (made.prices, bodies.ready(0)) == (size, seq + 1)
