"""Requests byte by byte over raw sockets: framing, limits and deadlines, against the real process."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import httpx
import pytest

from service.http.limits import LEAST_IDLE_SECONDS
from tests.support.framing import BAD, BODY, CHUNKED, END, GOOD, GOOD_HOSTS, LENGTH, START, head, health
from tests.support.load import Client
from tests.support.process import Process, running, until
from tests.support.sockets import CONTINUE, HEALTH, Wire, answers, ask_once, chunk, last, post, request

REQUEST_SECONDS = 1.0
MAX_CONNECTIONS = 40
LATEST = REQUEST_SECONDS + 4.0
"""When a deadline must have been kept: half a second for the sweep, the rest is slack for a busy machine."""

PAUSE = 0.05
"""Between two bytes of a slow client."""


@pytest.fixture(scope="module", params=[(), ("--no-door",)], ids=["at the door", "through the framework"])
def service(request: pytest.FixtureRequest) -> Iterator[Process]:
    """A service that remembers every head that is good, and one that remembers none: each test runs with both."""
    options = *request.param, "--request-seconds", str(REQUEST_SECONDS)
    with running(*options, workers=1, max_k=4, max_connections=MAX_CONNECTIONS) as process:
        with Wire(process.port) as wire:
            for one in (HEALTH, *GOOD.values()):
                assert wire.ask(one).status == 200
        yield process
        process.stop_cleanly()


def count(service: Process) -> int:
    """Prices of A, by adding one more."""
    with Client(service.url) as client:
        receipt = client.add("A", [1.0])
    assert receipt.status == 200
    return int(receipt.document["count"])


@pytest.mark.parametrize("name", GOOD)
def test_every_framing_of_a_batch_is_served_content_length_and_chunked(service: Process, name: str) -> None:
    """A batch is appended once, however HTTP frames it, on a connection that is kept and on one that is closed."""
    before = count(service)
    with Wire(service.port) as wire:
        told = [wire.ask(GOOD[name]).told, wire.ask(last(GOOD[name])).told]
    assert told == [(200, {"symbol": "A", "added": 1, "count": before + number}) for number in (1, 2)]


@pytest.mark.parametrize(
    "head",
    [
        b"GET /health HTTP/1.0\r\n\r\n",
        *(last(START + b"Host:" + host + b"\r\n\r\n") for host in GOOD_HOSTS),
    ],
)
def test_every_well_formed_host_is_served(service: Process, head: bytes) -> None:
    """A host may be a name or an address, with a port or without, or empty; only HTTP/1.0 may leave it out."""
    assert ask_once(service.port, head).status == 200


@pytest.mark.parametrize("target", ["http://a", "HTTP://a:80", "https://[::1]?x=1", "http://a/"])
def test_a_whole_url_without_a_path_is_the_root(service: Process, target: str) -> None:
    """A target in absolute form is served, as RFC 9112, section 3.2.2 wants it; where it has no path, as /."""
    with Wire(service.port) as wire:
        assert wire.ask(request("GET", target)).content == wire.ask(request("GET", "/")).content
        assert wire.ask(request("GET", "http://a/health")).status == 200


@pytest.mark.parametrize("pause", [0.0, 0.02])
def test_an_empty_line_before_a_request_is_passed_over(service: Process, pause: float) -> None:
    """One CRLF in front of a request, as some clients send after a body, is no part of it, however it arrives."""
    with Wire(service.port) as wire:
        received = wire.exchange([b"\r", b"\n" + HEALTH, b"\r\n", HEALTH + b"\r\n" + last(HEALTH)], pause)
    assert [answer.status for answer in answers(received)] == [200] * 3


@pytest.mark.parametrize(
    "headers",
    [
        ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"],
        ["Connection: te", "TE: trailers"],
        ["Connection: keep-alive, te"],
        ["Connection: keep-alive", "Connection: Upgrade", "Upgrade: websocket"],
    ],
)
def test_other_options_of_a_connection_keep_it_alive_upgrade_h2c(service: Process, headers: list[str]) -> None:
    """What is not served of HTTP/2 and the like is ignored: such a request is answered, and so is the next one."""
    with Wire(service.port) as wire:
        for one in (health(*headers), HEALTH, health(*headers)):
            answer = wire.ask(one)
            assert (answer.status, answer.closes) == (200, False)


@pytest.mark.parametrize(
    "headers", [[], ["Connection: te"], ["Connection: keep-alive, close"], ["Connection: keep-alive"]]
)
def test_http_1_0_is_kept_only_if_it_asks_for_it(service: Process, headers: list[str]) -> None:
    """Before HTTP/1.1 a connection ends with its answer, unless the client says keep-alive and does not say close."""
    with Wire(service.port) as wire:
        answer = wire.ask(health(*headers).replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert (answer.status, answer.closes) == (200, headers != ["Connection: keep-alive"])


@pytest.mark.parametrize("piece", [1, 3, 4, 7])
def test_a_head_that_comes_in_pieces_is_served(service: Process, piece: int) -> None:
    """Wherever a head is cut into packets, also between CR and LF, it is read as if it had come at once."""
    head = last(HEALTH)
    with Wire(service.port) as wire:
        for start in range(0, len(head), piece):
            wire.send(head[start : start + piece])
            time.sleep(0.001)  # so that the pieces arrive one by one
        assert wire.last_answer().status == 200


@pytest.mark.parametrize(
    "headers",
    [
        ["Connection: close", "Connection: keep-alive"],
        ["connection: keep-alive, Close"],
        ["Connection: close ,te"],
        ["Connection: keep-alive", "CONNECTION:close"],
    ],
)
def test_nothing_is_answered_after_a_close_also_where_pipelining(service: Process, headers: list[str]) -> None:
    """Whoever says close in any Connection header has sent the last request; what follows is not read as one."""
    with Wire(service.port) as wire:
        (answer,) = wire.converse(health(*headers) + HEALTH)
    assert (answer.status, answer.closes) == (200, True)


def test_bare_line_feeds_are_400_at_once_and_not_408(service: Process) -> None:
    """A head that ends its lines with bare line feeds is not waited for until the deadline: it gets 400, not 408."""
    head = b"GET /health HTTP/1.1\nHost: x\n"  # not even an empty line at its end
    assert ask_once(service.port, head).status == 400


@pytest.mark.parametrize("name", BAD)
def test_broken_framing_and_smuggling_are_refused_with_400_and_closed(service: Process, name: str) -> None:
    """What is not well-formed HTTP gets a problem document and a closed connection, and appends nothing."""
    request, status = BAD[name]
    before = count(service)
    answer = ask_once(service.port, request)
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.document["status"] == status
    assert count(service) == before + 1


@pytest.mark.parametrize(
    ("header", "body"),
    [
        ("Content-Type: text/xml", BODY),
        ("Content-Type: application/json; charset=latin-1", BODY),
        ("Content-Encoding: gzip", BODY),
        ("Content-Encoding: gzip", gzip.compress(BODY, mtime=0)),
    ],
)
def test_other_media_types_are_415_with_keep_alive(service: Process, header: str, body: bytes) -> None:
    """A body that is not plain JSON in UTF-8, or is compressed, is refused with 415, and the connection serves on."""
    before = count(service)
    with Wire(service.port) as wire:
        answer = wire.ask(post(body, header))
        assert (answer.status, answer.headers["content-type"]) == (415, "application/problem+json")
        assert wire.ask(GOOD["JSON"]).status == 200
    assert count(service) == before + 2


MILLION_KEYS = b"{" + b",".join(b'"%d":0' % number for number in range(1_000_000)) + b"}"


@pytest.mark.parametrize(
    "request_bytes",
    [request("GET", "/stats?symbol=A&k=" + "1" * 1_000_000), post(MILLION_KEYS)],
    ids=["k of a million digits", "a million keys"],
)
def test_what_is_far_too_large_is_cut_off_with_413(service: Process, request_bytes: bytes) -> None:
    """A request of many times the limit gets 413 and a closed connection before its end, and changes nothing."""
    before = count(service)
    with Wire(service.port) as wire:
        found = wire.converse(request_bytes)
    assert [answer.status for answer in found] == [413]
    assert count(service) == before + 1


def test_a_growing_chunked_body_is_cut_off_with_413(service: Process) -> None:
    """A chunked body that grows past the limit gets 413 and is not read to its end."""
    before = count(service)
    sent = 0
    with Wire(service.port) as wire:
        with suppress(OSError):
            wire.send(CHUNKED)
            for sent in range(2000):  # noqa: B007 - how far it came
                wire.send(chunk(b" " * 65536))
        found = wire.converse()
    assert [answer.status for answer in found] in ([], [413])  # who goes on sending for ever gets a reset
    assert sent < 1999
    assert count(service) == before + 1


@pytest.mark.parametrize(
    "start",
    [
        b"G",
        b"POST /add_ba",
        head()[:-2] + b"X-Slow: ",
        head("Content-Length: 1000"),
        CHUNKED + b"3e8\r\n",
        request("POST", "/nothing", "Content-Length: 1000"),
    ],
    ids=["nothing", "request line", "header", "body", "chunk", "body of a refused request"],
)
@pytest.mark.parametrize("dribble", [False, True], ids=["stalled", "a byte at a time"])
def test_a_request_that_never_ends_is_cut_off_with_408_at_its_deadline(
    service: Process, start: bytes, dribble: bool
) -> None:
    """However slowly a client goes on sending, its request is cut off at the total deadline, with 408 if unanswered."""
    before = count(service)
    began = time.monotonic()
    with Wire(service.port, seconds=LATEST) as wire:
        if dribble:
            received = wire.exchange([start, *[b" "] * int(LATEST / PAUSE)], PAUSE)
        else:
            wire.send(start)
            received = wire.rest()
    took = time.monotonic() - began
    assert REQUEST_SECONDS * 0.9 <= took < LATEST
    assert answers(received)[0].status == (404 if b"nothing" in start else 408)
    assert count(service) == before + 1


def test_a_client_that_leaves_in_mid_body_appends_nothing(service: Process) -> None:
    """A batch whose client disconnects before its end is not appended."""
    before = count(service)
    for _ in range(20):
        with Wire(service.port) as wire:
            wire.send(post(BODY)[:-1])
    assert count(service) == before + 1


def test_pipelining_is_answered_in_order(service: Process) -> None:
    """A thousand requests that are sent at once are answered one after the other, in their order."""
    before = count(service)
    requests = 1000
    with Wire(service.port) as wire:
        wire.send(GOOD["JSON"] * (requests - 1), last(GOOD["JSON"]))
        counts = [wire.answer().document["count"] for _ in range(requests)]
        assert wire.rest() == b""
    assert counts == list(range(before + 1, before + 1 + requests))


def test_a_client_that_never_reads_is_cut_off_at_its_deadline(service: Process) -> None:
    """A client that sends and never reads its answers is held back, and closed after the deadline."""
    with Wire(service.port) as wire:
        assert wire.flood(HEALTH, 2 * LATEST) < 64 * 1024 * 1024, "it was to be held back"


@pytest.mark.parametrize("requests", [0, 1], ids=["from the start", "after a request"])
def test_an_idle_keep_alive_connection_is_closed_without_a_word_at_its_timeout(requests: int) -> None:
    """A connection without a request is closed after its time, silently, and others are served."""
    with running(workers=1, max_k=1, idle_seconds=0.5) as process:
        with Wire(process.port, seconds=LATEST) as wire:
            for _ in range(requests):
                assert wire.ask(HEALTH).status == 200
            assert wire.rest() == b""
        assert count(process) == 1


@pytest.mark.parametrize("door", [(), ("--no-door",)], ids=["at the door", "through the framework"])
def test_connections_beyond_the_cap_are_refused_with_503_without_harm(door: tuple[str, ...]) -> None:
    """Where all are busy newcomers get 503 with Retry-After; those in place are served, others once some have left."""
    with running(*door, workers=1, max_k=1, max_connections=MAX_CONNECTIONS, request_seconds=60) as process:
        with ExitStack() as wires:
            in_place = [wires.enter_context(Wire(process.port)) for _ in range(MAX_CONNECTIONS)]
            for wire in in_place:
                assert wire.ask(HEALTH).status == 200
                wire.send(HEALTH[:10])
                until(lambda port=wire.port: process.has_read(port), 30)  # type: ignore[misc]
            newcomers = [wires.enter_context(Wire(process.port)) for _ in range(200)]
            for wire in newcomers:
                answer = wire.last_answer()
                assert answer.status == answer.document["status"] == 503
                assert "retry-after" in answer.headers
                assert answer.headers["content-type"] == "application/problem+json"
            for wire in in_place:
                assert wire.ask(HEALTH[10:]).status == 200
        until(lambda: httpx.get(f"{process.url}/health/").status_code != 503, LATEST)
        assert httpx.get(f"{process.url}/health/").status_code == 200


@pytest.mark.parametrize("door", [(), ("--no-door",)], ids=["at the door", "through the framework"])
@pytest.mark.parametrize("kept", [0, 1], ids=["silent", "idle"])
def test_connections_without_a_request_make_room_for_newcomers(door: tuple[str, ...], kept: int) -> None:
    """However many sockets are silent or idle, a newcomer is served, and one with a request under way stays."""
    with running(*door, workers=1, max_k=1, max_connections=500) as process, ExitStack() as wires:
        busy = wires.enter_context(Wire(process.port))
        busy.send(HEALTH[:-1])
        until(lambda: process.has_read(busy.port), 30)
        for _ in range(1_300):
            wire = wires.enter_context(Wire(process.port))
            assert not kept or wire.ask(HEALTH).status in {200, 503}
        time.sleep(2 * LEAST_IDLE_SECONDS)
        newcomers = [wires.enter_context(Wire(process.port)) for _ in range(100)]
        assert {wire.ask(HEALTH).status for wire in newcomers} == {200}
        assert busy.ask(HEALTH[-1:]).status == 200


def test_a_connection_that_never_asks_has_the_deadline_of_a_request() -> None:
    """A silent socket is closed without a word when a request would be late; one that has asked may be idle longer."""
    with running(workers=1, max_k=1, request_seconds=0.5, idle_seconds=60) as process, Wire(process.port) as asked:
        assert asked.ask(HEALTH).status == 200
        with Wire(process.port, seconds=LATEST) as silent:
            assert silent.rest() == b""
        assert asked.ask(HEALTH).status == 200


@pytest.mark.parametrize("method", [b"HEAD", b"GET"])
def test_a_malformed_head_400_is_the_same_however_it_arrives(service: Process, method: bytes) -> None:
    """Whether a refusal has a body depends on what was asked, not on how far the request had come."""
    begin, end = method + b"  HTTP/1.0\r\n\0\n", HEALTH
    with Wire(service.port) as at_once, Wire(service.port) as in_pieces:
        refused = at_once.exchange([begin + end])
        assert refused == in_pieces.exchange([begin, end], 0.05)
        assert refused.startswith(b"HTTP/1.1 400 ")
        assert refused.endswith(b"}") == (method == b"GET")


WAITING = "Expect: 100-continue"
WITHOUT_ASKING = {
    "405": (request("POST", "/health", WAITING, "Content-Length: 2"), 405),
    "404": (request("POST", "/nothing", WAITING, "Content-Length: 2"), 404),
    "413": (head(WAITING, "Content-Length: 2000000"), 413),
    "415": (head(WAITING, "Content-Length: 2", "Content-Type: text/xml"), 415),
    "415, compressed, in chunks": (head(WAITING, "Transfer-Encoding: chunked", "Content-Encoding: gzip"), 415),
    "400": (head(WAITING, "Content-Length: x"), 400),
    "417": (head("Expect: foo", "Content-Length: 2"), 417),
}


@pytest.mark.parametrize("name", WITHOUT_ASKING)
def test_nobody_is_told_100_continue_who_is_about_to_be_refused(service: Process, name: str) -> None:
    """Who asks before it sends is refused at once, and the connection ends: what came after it could be either."""
    refused, status = WITHOUT_ASKING[name]
    with Wire(service.port) as wire:
        received = wire.exchange([refused, b"{}", HEALTH], 0.05)
    assert b"100 Continue" not in received
    assert [(answer.status, answer.closes) for answer in answers(received)] == [(status, True)]


def test_100_continue_is_sent_to_http_1_1_alone(service: Process) -> None:
    """Who waits for it is told to send, also in chunks; HTTP/1.0 does not know of it, and is not told."""
    for start, rest in (
        (head(WAITING, LENGTH), BODY),
        (head(WAITING, "Transfer-Encoding: chunked"), chunk(BODY) + END),
    ):
        with Wire(service.port) as wire:
            wire.send(start)
            assert wire.socket.recv(1000) == CONTINUE
            assert wire.ask(rest).status == 200
    with Wire(service.port) as wire:
        received = wire.exchange([head(WAITING, LENGTH).replace(b"HTTP/1.1", b"HTTP/1.0"), BODY], 0.05)
    assert b"100 Continue" not in received
    assert [answer.status for answer in answers(received)] == [200]
