"""The door: what it remembers, and what happens in the middle of a request that it has taken."""

from __future__ import annotations

import mmap
import os
import signal
import ssl
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import fmean, pvariance
from typing import NoReturn

import httpx
import numpy as np
import pytest

from service.api.resources import Question, Resources
from service.http.door import MOST_BODY_BYTES, MOST_HEAD_BYTES, MOST_HEADS, RECEIVED, Door, Ticket
from service.http.framework import Framework
from service.settings import Settings
from tests.support.credentials import issue, token_file
from tests.support.load import CUT
from tests.support.process import Forked, forked, until
from tests.support.scrape import Scrape
from tests.support.sockets import Wire, post, request

GET = b"GET /stats?symbol=A&k=1 HTTP/1.1\r\nHost: test"
POST = b"POST /add_batch HTTP/1.1\r\nHost: test\r\nContent-Length: 35\r\nX-Length: 35"
BODY = b'{"symbol": "A", "values": [1, 2.5]}'
LARGE = b'{"symbol": "A", "values": [1]}'.ljust(200_000)
STATS = request("GET", "/stats?symbol=A&k=1")


def nothing(_question: Question, _body: bytes | bytearray) -> bytes:
    return b"{}"


TICKET = Ticket(nothing, Question("symbol=A&k=1"), 16)


def seen(door: Door, received: bytes) -> tuple[int, int] | None:
    """Where the door finds a body in what was received, and how long it is."""
    RECEIVED[: len(received)] = received
    found = door.look(len(received))
    assert found is None or found[0][:3] == TICKET[:3]
    return found and found[1:]


def knowing(method: str, head: bytes, *headers: str) -> Door:
    """A door that was shown a head."""
    door = Door(1 << 20)
    door.remember(head, method, ["host", *headers], TICKET)
    return door


def test_a_get_is_remembered_to_the_byte() -> None:
    """The same bytes are found again, and no others; what was received before does not count."""
    door = knowing("GET", GET)
    whole = GET + b"\r\n\r\n"
    assert seen(door, whole) == (len(whole), 0)
    for other in (whole[:-1], whole + b"G", whole.replace(b"test", b"tesT"), b"", b"\r\n" + whole):
        assert seen(door, other) is None


def test_a_post_is_remembered_but_for_its_content_length() -> None:
    """Only the first Content-Length may differ, in digits alone, and within the limit of a body."""
    door = knowing("POST", POST, "content-length")
    for length, body in ((b"35", b"x" * 35), (b"7", b""), (b"0", b""), (b"%d" % MOST_BODY_BYTES, b"")):
        head = POST.replace(b"t-Length: 35", b"t-Length: %b" % length) + b"\r\n\r\n"
        assert seen(door, head + body) == (len(head), int(length))
    for length in (b"", b"+5", b"5 ", b"1_0", b"-1", b"0x5", b"%d" % (MOST_BODY_BYTES + 1), b"9" * 30):
        assert seen(door, POST.replace(b"t-Length: 35", b"t-Length: %b" % length) + b"\r\n\r\n") is None
    assert seen(door, POST.replace(b"X-Length: 35", b"X-Length: 36") + b"\r\n\r\n") is None
    assert seen(Door(100), POST + b"\r\n\r\n") is None


AT = b"POST /add_batch?x=at=1&at=%b&symbol=A HTTP/1.1\r\nHost: test\r\nContent-Length: 8\r\nX: ?at=5&"


@pytest.mark.parametrize("remembered", [b"7", b"0", b"", b"9" * 19])
def test_a_post_is_remembered_but_for_the_position_in_its_query(remembered: bytes) -> None:
    """Its resource is told which position it is, whichever was remembered; nothing but digits may differ."""
    door = Door(1 << 20)
    question = Question((AT % remembered).split(b"?", 1)[1].split(b" ")[0].decode(), "application/octet-stream")
    door.remember(AT % remembered, "POST", ["host", "content-length"], Ticket(nothing, question, 16))

    def look(head: bytes) -> Ticket | None:
        whole = head + b"\r\n\r\n"
        RECEIVED[: len(whole)] = whole
        found = door.look(len(whole))
        assert found is None or found[1:] == (len(whole), 8)
        return found and found[0]

    for at in (b"0", b"1", b"12345", b"007", b"9" * 19):
        ticket = look(AT % at)
        assert ticket is not None
        assert ticket.question == question._replace(query=f"x=at=1&at={at.decode()}&symbol=A")
        assert ticket.request(b"12345678") == AT % at + b"\r\n\r\n12345678"
    for at in (b"\0", b"-1", b"+1", b"1 ", b"1&", b"1#", b"x", b"\xd9\xa1", b"1" * 20, b"%31"):
        assert look(AT % at) is None
    for other in ((b"=A ", b"=B "), (b"x=at=1", b"x=at=2"), (b"?at=5", b"?at=6"), (b"POST", b"PUT"), (b"?x", b"#x")):
        assert look((AT % b"7").replace(*other)) is None


def test_a_get_is_remembered_but_for_the_position_in_its_query() -> None:
    """Whoever reads prices piece by piece stays at the door, and no other digits may differ."""
    head = b"GET /prices?symbol=A&from=%b&size=9 HTTP/1.1\r\nHost: test\r\n\r\n"
    door = Door(1 << 20)
    door.remember(
        (head % b"0")[:-4], "GET", ["host"], Ticket(nothing, Question("symbol=A&from=0&size=9", accept="x"), 16)
    )
    for begin in (b"0", b"9", b"123456789", b"00"):
        whole = head % begin
        RECEIVED[: len(whole)] = whole
        found = door.look(len(whole))
        assert found is not None
        assert found[0].question == Question(f"symbol=A&from={begin.decode()}&size=9", accept="x")
        assert found[1:] == (len(whole), 0)
        for other in (whole + b"G", whole[:-1], whole.replace(b"size=9", b"size=8")):
            RECEIVED[: len(other)] = other
            assert door.look(len(other)) is None


def test_growing_positions_take_no_memory_at_the_door() -> None:
    """However many positions come, one head is remembered."""
    door = Door(1 << 20)
    door.remember(AT % b"0", "POST", ["content-length"], Ticket(nothing, Question("x=at=1&at=0&symbol=A"), 16))
    for at in range(3 * MOST_HEADS):
        whole = AT % b"%d" % at + b"\r\n\r\n"
        RECEIVED[: len(whole)] = whole
        assert door.look(len(whole)) is not None
    assert (len(door), len(door._with_length)) == (1, 0)


@pytest.mark.parametrize("header", ["expect", "transfer-encoding", "upgrade"])
def test_heads_that_are_never_remembered(header: str) -> None:
    """Not what needs more than an answer, nor other methods or versions, nor a GET with a body, nor a long head."""
    assert len(knowing("GET", GET, header)) == 0
    assert len(knowing("GET", GET.replace(b"/1.1", b"/1.0"))) == 0
    assert len(knowing("POST", POST, "content-length", header)) == 0
    assert len(knowing("GET", GET, "content-length")) == 0
    assert len(knowing("DELETE", GET)) == len(knowing("HEAD", GET)) == 0
    assert len(knowing("GET", GET.ljust(MOST_HEAD_BYTES, b"x"))) == 0
    assert len(knowing("POST", POST.replace(b"Content-Length: ", b"Content-Length:\t"), "content-length")) == 0


def test_memory_of_the_door_is_bounded_and_forgotten_at_a_stop() -> None:
    """There are never more heads than the limit, and a door that is shut remembers nothing more."""
    door = Door(1 << 20)
    for number in range(3 * MOST_HEADS):
        door.remember(GET + b"%d" % number, "GET", ["host"], TICKET)
        assert len(door) <= MOST_HEADS
    door.shut()
    door.remember(GET, "GET", ["host"], TICKET)
    assert len(door) == 0
    assert seen(door, GET + b"\r\n\r\n") is None


@pytest.fixture
def settings() -> Settings:
    return Settings(workers=1, max_symbols=2, max_k=2, request_seconds=30.0, request_memory=1)


def known(service: Forked, *requests: bytes) -> None:
    """Have requests answered twice: now their heads are remembered, and answered at the door."""
    with Wire(service.port) as wire:
        for one in requests * 2:
            assert wire.ask(one).status in {200, 422}


def test_bodies_of_several_clients_do_not_mix(shared_service: Forked) -> None:
    """Bodies that arrive at the same time, through the one buffer that all connections share, stay apart."""
    known(shared_service, post(BODY))
    wires = [Wire(shared_service.port) for _ in range(8)]
    bodies = [post(BODY.replace(b"2.5", b"%d.5" % number)) for number in range(8)]
    for at in range(0, len(bodies[0]), 20):
        for wire, whole in zip(wires, bodies, strict=True):
            wire.send(whole[at : at + 20])
        time.sleep(0.002)
    for wire in wires:
        assert wire.answer().document["added"] == 2
        wire.close()
    prices = [1, 2.5] * 2 + [price for number in range(8) for price in (1, number + 0.5)]
    held = shared_service.symbols.statistics("A", 2)
    assert (held.size, held.avg, held.var) == pytest.approx((len(prices), fmean(prices), pvariance(prices)), rel=1e-14)


def test_a_client_that_leaves_in_the_middle_of_a_remembered_body(shared_service: Forked) -> None:
    """Nothing of its batch is appended, nothing is held any more, and others are served."""
    zeros = request("POST", "/add_batch?symbol=A", "Content-Type: application/octet-stream", body=bytes(24))
    known(shared_service, post(BODY), post(LARGE), zeros)
    before = shared_service.symbols.count("A")
    for whole in (post(BODY), post(LARGE), zeros):  # what is missing of the last would be prices
        with Wire(shared_service.port) as wire:
            wire.send(whole[:-5])
            until(lambda port=wire.port: shared_service.has_read(port), 5)  # type: ignore[misc]
    until(lambda: Scrape.of(shared_service.url).total("tenfold_connections") == 1, 5)
    assert shared_service.symbols.count("A") == before
    known(shared_service, post(BODY))


def test_a_full_budget_503_in_the_middle_of_remembered_bodies(shared_service: Forked) -> None:
    """What has come of bodies counts for as much as it is, and makes the oldest give way, with Retry-After."""
    known(shared_service, post(LARGE))
    with ExitStack() as stack:
        refused = stalled(stack, shared_service, 1)
        served = [refused.pop() for _ in range(5)]  # a budget of 1 MiB has room for these
        for wire in refused:
            answer = wire.last_answer()
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        for wire in served:
            assert wire.ask(LARGE[-1:]).status == 200


def test_heads_that_announce_large_bodies_do_not_crowd_out_who_sends_one(shared_service: Forked) -> None:
    """A hundred remembered heads whose bodies never come take no room: the oldest of them is served when it sends."""
    known(shared_service, post(LARGE))
    with ExitStack() as stack:
        wires = stalled(stack, shared_service, len(LARGE), 100)
        assert wires[0].ask(LARGE).status == 200
        known(shared_service, post(LARGE))
        assert wires[-1].ask(LARGE).status == 200


def stalled(stack: ExitStack, service: Forked, missing: int, clients: int = 12) -> list[Wire]:
    """Clients, one after the other, whose large batches want for their ends."""
    wires = [stack.enter_context(Wire(service.port)) for _ in range(clients)]
    for wire in wires:
        wire.send(post(LARGE)[:-missing])
        until(lambda port=wire.port: service.has_read(port), 5)  # type: ignore[misc]
    return wires


def test_the_503_of_a_full_budget_is_the_same_through_either_door(settings: Settings) -> None:
    """Whoever gives way is told so with the same bytes, whether the framework has the request or the door."""
    told = set()
    for no_door in (False, True):
        with forked(replace(settings, no_door=no_door)) as service, ExitStack() as stack:
            known(service, post(LARGE))
            told.add(stalled(stack, service, 1)[0].rest())
    assert len(told) == 1
    assert told.pop().startswith(b"HTTP/1.1 503 ")


@pytest.mark.parametrize("no_door", [False, True], ids=["at the door", "through the framework"])
@pytest.mark.parametrize("way", ["plain", "tls", "tokens"])
def test_what_is_remembered_never_reaches_the_framework(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str, no_door: bool
) -> None:
    """The door answers what comes again, its body in one piece or in two; a door that is shut answers nothing."""
    certificate, token = issue(tmp_path), "w" * 16
    entrance: dict[str, dict[str, str]] = {
        "plain": {},
        "tls": {"cert": str(certificate.cert), "key": str(certificate.key)},
        "tokens": {"token_file": token_file(tmp_path, write=token)[1]},
    }
    context = ssl.create_default_context(cafile=certificate.ca) if way == "tls" else None
    bearer = f"Authorization: Bearer {token}"
    batch, large, read = post(BODY, bearer), post(LARGE, bearer), request("GET", "/stats?symbol=A&k=1", bearer)
    binary = request("POST", "/add_batch?symbol=A", bearer, "Content-Type: application/octet-stream", body=bytes(24))
    take = Framework.take
    with mmap.mmap(-1, 1) as taken:  # of the worker, too

        def noticed(framework: Framework, data: bytes, now: float) -> None:
            taken[0] = True
            take(framework, data, now)

        monkeypatch.setattr(Framework, "take", noticed)
        settings = replace(settings, no_door=no_door, **entrance[way])  # type: ignore[arg-type]
        with forked(settings) as service, Wire(service.port, tls=context) as wire:
            for one in (batch, large, binary, read):
                assert wire.ask(one).status == 200
                for pieces in ([one], [one[:-5], one[-5:]])[: 1 if one is read else 2]:
                    taken[0] = False
                    assert wire.ask(*pieces).status == 200
                    assert taken[0] == no_door
            for at in range(8):
                taken[0] = False
                target = f"/add_batch?symbol=B&at={3 * at}"
                octets = request("POST", target, bearer, "Content-Type: application/octet-stream", body=bytes(24))
                assert wire.ask(octets).document["count"] == 3 * at + 3
                assert taken[0] == (no_door or at == 0)


def test_a_large_batch_does_not_make_the_next_one_on_its_connection_old(shared_service: Forked) -> None:
    """A request is as old as its first byte, whatever its connection has sent before; the oldest gets 503."""
    known(shared_service, post(LARGE))
    served, *others, newest = wires = [Wire(shared_service.port) for _ in range(6)]
    with Wire(shared_service.port) as marker:
        assert served.ask(post(LARGE, "X: a stranger")).status == 200
        for wire in (*others, served, newest):
            wire.send(post(LARGE)[:-1])
            for _ in range(3):
                assert marker.ask(STATS).status == 200
    assert others[0].last_answer().status == 503
    for wire in (*others[1:], served, newest):
        assert wire.ask(b" ").status == 200
    for wire in wires:
        wire.close()


@pytest.mark.parametrize("no_door", [False, True], ids=["at the door", "through the framework"])
def test_answers_that_are_not_taken_count_for_the_budget(settings: Settings, no_door: bool) -> None:
    """Of clients that ask for prices and do not read them the first are cut off, and the last is served."""
    ask = request("GET", "/prices?symbol=A&last=200000")  # more than the kernel keeps for a connection
    prices = np.random.default_rng(1).normal(0.0, 1.0, 200_000)
    settings = replace(settings, no_door=no_door, max_k=6, max_batch=len(prices), request_seconds=60.0)
    with forked(settings) as service, ExitStack() as stack:
        service.symbols.append("A", prices)
        known(service, ask)
        wires = [stack.enter_context(Wire(service.port, receive_buffer=4096)) for _ in range(8)]
        for wire in wires:
            wire.send(ask)
            until(lambda port=wire.port: service.has_read(port), 10)  # type: ignore[misc]
        answer = wires[-1].answer()
        assert (answer.status, answer.document["prices"]) == (200, prices.tolist())
        with pytest.raises(CUT):
            wires[0].answer()
        known(service, ask)


@pytest.mark.parametrize("no_door", [False, True])
def test_a_full_budget_503_counts_bodies_behind_pipelined_requests(settings: Settings, no_door: bool) -> None:
    """What came along with the request before it is held as well, and counted, whichever door that one left by."""
    with forked(replace(settings, no_door=no_door)) as service, ExitStack() as stack:
        known(service, post(BODY), STATS)
        wires = [stack.enter_context(Wire(service.port)) for _ in range(12)]
        for wire in wires:
            wire.send(STATS + post(LARGE)[:-1])
            assert wire.answer().status == 200
            until(lambda port=wire.port: service.has_read(port), 5)  # type: ignore[misc]
        refused = [wire.last_answer().status for wire in wires[:6]]
        assert refused == [503] * 6


def test_a_client_that_never_reads_what_it_remembered_is_cut_off(settings: Settings) -> None:
    """Requests of one that takes no answers wait, and it is cut off at its deadline; others are served."""
    with forked(replace(settings, request_seconds=1.0)) as service:
        known(service, post(BODY), STATS)
        with Wire(service.port, receive_buffer=4096) as deaf:
            assert deaf.flood(STATS, 30) > 0
        known(service, STATS)
        assert Scrape.of(service.url).total("tenfold_connections_timed_out_total", reason="answer") == 1


def test_backpressure_at_the_door() -> None:
    """Who asks one by one and reads nothing gets no more answers than buffers hold, and all of them once it reads."""
    windows = request("GET", "/stats/all?symbol=A")
    settings = Settings(workers=1, request_seconds=60.0)
    with forked(settings) as service, Wire(service.port, receive_buffer=4096) as deaf:
        known(service, post(BODY), windows)
        asked = 1_000
        for _ in range(asked):
            deaf.send(windows)
            time.sleep(0.001)  # so that most are received one by one, as the door wants them
        assert Scrape.of(service.url).answers()["/stats/all", "200"] < asked // 2
        assert {deaf.answer().status for _ in range(asked)} == {200}


@pytest.mark.parametrize("no_door", [False, True], ids=["at the door", "through the framework"])
def test_sigterm_in_the_middle_of_a_remembered_body(settings: Settings, no_door: bool) -> None:
    """A batch that has begun to arrive is taken in, and answered with Connection: close; the next is nobody's."""
    with forked(replace(settings, no_door=no_door)) as service:
        known(service, post(BODY))
        with Wire(service.port) as wire:
            wire.send(post(BODY)[:-5])
            until(lambda: service.has_read(wire.port), 5)
            os.kill(service.pid, signal.SIGTERM)
            until(lambda: not service.listens(), 5)
            wire.send(BODY[-5:])
            answer = wire.last_answer()
            assert (answer.status, answer.closes, answer.document["count"]) == (200, True, 6)
        assert service.ended() == 0
        service.assert_no_defect()


def test_a_defect_500_is_the_same_through_either_door(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resource that fails is logged and answered with 500 by either door, and the connection goes on."""

    def fail(*_: object) -> NoReturn:
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr(Resources, "stats", fail)
    with forked(Settings(workers=1, max_k=1)) as service, Wire(service.port) as wire:
        first, second = wire.ask(STATS), wire.ask(STATS)
        assert first == second
        assert (first.status, first.closes) == (500, False)
        assert wire.ask(request("GET", "/health")).status == 200
        assert sum("failed at fail: ZeroDivisionError" in line for line in service.log) == 1


def test_metrics_count_what_either_door_answers(shared_service: Forked) -> None:
    """Every answer is counted once, by route and status, whichever door it leaves by; also after a SIGKILL."""
    for killed in (False, True):
        with httpx.Client(base_url=shared_service.url) as client:
            for _ in range(50):
                assert client.post("/add_batch/", content=BODY).status_code == 200
                assert client.get("/stats/", params={"symbol": "A", "k": 1}).status_code == 200
                assert client.get("/stats/", params={"symbol": "NO", "k": 1}).status_code == 404
        counted = Scrape.of(shared_service.url).answers()
        for route, status in (("/add_batch", "200"), ("/stats", "200"), ("/stats", "404")):
            assert counted[route, status] == 50 + 50 * killed
        victim = shared_service.workers()[0]
        os.kill(victim, signal.SIGKILL)
        until(lambda victim=victim: shared_service.workers() not in ([], [victim]), 10)  # type: ignore[misc]


@pytest.mark.parametrize("no_door", [False, True], ids=["at the door", "through the framework"])
def test_a_slow_client_that_gets_408_is_not_in_the_latency_metrics(settings: Settings, no_door: bool) -> None:
    """What is timed of a refusal begins with the last bytes that came, not with the first, through either door."""
    with forked(replace(settings, no_door=no_door, request_seconds=2.0)) as service:
        known(service, post(BODY))
        with Wire(service.port) as wire:
            wire.send(post(BODY)[:-2])
            time.sleep(0.5)
            sent = time.monotonic()
            wire.send(BODY[-2:-1])
            assert wire.last_answer().status == 408
            took = time.monotonic() - sent
        labels = {"route": "/add_batch", "class": "4xx"}
        assert Scrape.of(service.url).total("tenfold_http_request_seconds_sum", **labels) < took
