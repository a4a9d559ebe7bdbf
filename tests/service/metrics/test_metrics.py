from __future__ import annotations

import math
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from service import VERSION
from service.metrics.counters import BOUNDS, MOST_ROUTES, STATUS_OFFSET, STATUSES, SharedMetrics, first_cell
from service.metrics.exposition import Exposition
from service.settings import Settings
from tests.service.conftest import Api
from tests.support.load import CUT, Client, batch, connected_to_each, meanwhile, together
from tests.support.process import Forked, forked, until
from tests.support.scrape import Labelled, Scrape
from tests.support.sockets import HEALTH, Wire, last, request

CONNECTIONS = 20
REQUEST_SECONDS = 1.0
SOON = 5.0
"""Within which the service is to have noticed something; what is not a matter of milliseconds is slack."""

SETTINGS = Settings(
    workers=2, max_k=4, max_symbols=3, max_connections=CONNECTIONS, request_seconds=REQUEST_SECONDS, max_body=100_000
)

SYMBOL_ROUTE = "/symbols/<symbol>"


SCRAPED: Labelled = Counter({("/metrics", "200"): 1})
"""What a scrape adds for the next one to see; it does not see itself."""


@pytest.fixture(scope="module")
def service() -> Iterator[Forked]:
    with forked(SETTINGS) as process:
        yield process
        assert process.stop() == 0
        process.assert_no_defect()


class Ask(NamedTuple):
    """A request, byte by byte where need be, and how it is to be counted."""

    request: bytes
    route: str
    status: int


def ask(method: str, path: str, route: str, status: int, body: bytes | None = None, *headers: str) -> Ask:
    return Ask(last(request(method, path, *headers, body=body)), route, status)


ASKED = [
    ask("POST", "/add_batch/", "/add_batch", 200, batch("A", [1.0, 2.0])),
    ask("POST", "/add_batch", "/add_batch", 200, batch("A", [3.0])),
    ask("POST", "/add_batch", "/add_batch", 400, b"{"),
    ask("POST", "/add_batch", "/add_batch", 422, b"{}"),
    ask("POST", "/add_batch", "/add_batch", 415, b"{}", "content-type: text/plain"),
    ask("POST", "/add_batch", "/add_batch", 413, None, "content-length: 200000"),
    ask("POST", "/add_batch", "/add_batch", 408, None, "content-length: 10"),
    ask("GET", "/stats/?symbol=A&k=1", "/stats", 200),
    ask("HEAD", "/stats?symbol=A&k=1", "/stats", 200),
    ask("GET", "/stats/?symbol=A&k=0", "/stats", 400),
    ask("GET", "/stats/?symbol=nobody&k=1", "/stats", 404),
    ask("DELETE", "/symbols/A", SYMBOL_ROUTE, 204),
    ask("DELETE", "/symbols/A%2FB", SYMBOL_ROUTE, 404),
    ask("GET", "/health", "/health", 200),
    ask("PUT", "/health", "none", 405),
    ask("GET", "/unknown", "none", 404),
    Ask(b"GET /health HTTP/1.1\r\nhost : test\r\n\r\n", "none", 400),
    Ask(b"GET /healt", "none", 408),
    ask("GET", "/health", "none", 417, b"12345", "expect: something"),
    Ask(b"GET /health HTTP/1.1\r\nhost: test\r\nx: " + b"x" * 20_000 + b"\r\n\r\n", "none", 413),
]


def status_of(service: Forked, asked: Ask) -> int:
    """Send a request and read the status of its answer."""
    with Wire(service.port) as wire:
        status = wire.ask(asked.request).status
        wire.rest()
    return status


def test_every_answer_is_counted_once_in_the_metrics(service: Forked) -> None:
    """Whichever worker gave them, all answers are there, by the right route and status, and nothing else is."""
    rounds = 5
    before = Scrape.of(service.url).answers()
    late = [partial(status_of, service, one) for one in ASKED * rounds if one.status == 408]
    others = [one for one in ASKED * rounds if one.status != 408]
    *found, received = together(*late, lambda: [status_of(service, one) for one in others])
    expected: Labelled = Counter((one.route, str(one.status)) for one in ASKED * rounds)
    assert found == [408] * len(late)
    assert received == [one.status for one in others]
    assert Scrape.of(service.url).answers() - before == expected + SCRAPED


def test_all_workers_tell_the_same_metrics(service: Forked) -> None:
    """Whichever worker is asked, it tells of all of them."""
    with connected_to_each(service) as clients:
        assert len(clients) == 2
        for client in clients.values():
            client.add("A", [1.0])
        told = [Scrape.through(client) for client in clients.values()]
    assert told[1].answers() - told[0].answers() == SCRAPED
    assert told[0].by("tenfold_connections", "worker") == told[1].by("tenfold_connections", "worker")
    assert set(told[0].by("tenfold_connections", "worker")) == {("0",), ("1",)}


def test_histograms_of_the_metrics_agree_with_the_counts(service: Forked) -> None:
    """A histogram's buckets grow up to +Inf, which is its count, which is the sum of the answers of its class."""
    for one in ASKED:
        if one.status != 408:
            status_of(service, one)
    scrape = Scrape.of(service.url)
    samples = scrape.families["tenfold_http_request_seconds"].samples
    buckets: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for sample in samples:
        if sample.name.endswith("_bucket"):
            key = sample.labels["route"], sample.labels["class"]
            buckets.setdefault(key, []).append((float(sample.labels["le"]), sample.value))
    classes: Labelled = Counter()
    for (route, status), count in scrape.answers().items():
        classes[route, f"{status[0]}xx"] += count
    assert set(buckets) == {one for one, count in classes.items() if count or one[1] == "2xx"}
    for (route, kind), found in buckets.items():
        edges, counts = zip(*found, strict=True)
        assert list(edges) == [*BOUNDS, math.inf]
        assert list(counts) == sorted(counts)
        number = scrape.total("tenfold_http_request_seconds_count", route=route, **{"class": kind})
        assert counts[-1] == number == classes[route, kind]
        # The sum lies within what the buckets say: each answer between the bounds of its own.
        seconds = scrape.total("tenfold_http_request_seconds_sum", route=route, **{"class": kind})
        each = [high - low for low, high in zip((0.0, *counts), counts, strict=False)]
        assert seconds >= math.fsum(n * bound for n, bound in zip(each, (0.0, *BOUNDS), strict=True)) * (1 - 1e-9)
        if each[-1] == 0:
            assert seconds <= math.fsum(n * bound for n, bound in zip(each, BOUNDS, strict=False)) * (1 + 1e-9)


def test_a_slow_client_is_not_in_the_latency_metrics(service: Forked) -> None:
    """What is timed lies between a client's sending of its last bytes and its answer, however slow it was before."""
    body = batch("A", [1.0])
    before = Scrape.of(service.url)
    with Wire(service.port) as wire:
        wire.send(request("POST", "/add_batch", f"Content-Length: {len(body)}"))
        time.sleep(0.5)
        wire.send(body[:-1])
        time.sleep(0.2)
        sent = time.monotonic()
        assert wire.ask(body[-1:]).status == 200
        took = time.monotonic() - sent
    after = Scrape.of(service.url)
    name, labels = "tenfold_http_request_seconds_sum", {"route": "/add_batch", "class": "2xx"}
    assert 0 < after.total(name, **labels) - before.total(name, **labels) < took


def test_clients_cannot_make_labels_of_metrics(service: Forked) -> None:
    """Paths, methods and symbols that a client thinks up leave no trace but a count."""
    with httpx.Client(base_url=service.url) as client:
        client.get("/unknown")
        client.delete("/symbols/nobody")
        client.get("/stats", params={"symbol": "nobody", "k": 1})
        client.request("BREW", "/health")
        before = Scrape.of(service.url)
        for number in range(30):
            assert client.get(f"/x{number}/y").status_code == 404
            assert client.delete(f"/symbols/x{number}").status_code == 404
            assert client.get("/stats", params={"symbol": f"x{number}", "k": 1}).status_code == 404
            assert client.request(f"M{number}", "/health").status_code == 405
    after = Scrape.of(service.url)
    assert set(after._samples) - set(before._samples) <= set(Scrape.of(service.url)._samples)
    added = after.answers() - before.answers() - SCRAPED
    assert added == {("none", "404"): 30, ("none", "405"): 30, (SYMBOL_ROUTE, "404"): 30, ("/stats", "404"): 30}
    assert len(after._samples) == len(before._samples)


def restarted(url: str, times: int) -> bool:
    """Whether workers were replaced so many times; who asks may itself have come to the one that was killed."""
    with suppress(*CUT):
        return Scrape.of(url).total("tenfold_worker_restarts_total") == times
    return False


@pytest.mark.parametrize("no_door", [False, True], ids=["at the door", "through the framework"])
def test_no_answer_is_lost_from_the_metrics_with_a_worker_at_sigkill(no_door: bool) -> None:
    """Through a kill -9 under load, every answer that was given stays counted, and none is invented.

    A request that was cut off may have been counted, as the kill may have come after the counting.
    """
    answered, cut = [0] * 4, [0] * 4
    kills = 3

    def load(number: int, client: Client) -> None:
        try:
            assert client.stats("A", 1).status == 200
            answered[number] += 1
        except CUT:
            cut[number] += 1

    with forked(replace(SETTINGS, no_door=no_door)) as service:
        with Client(service.url) as client:
            client.add("A", [1.0])
        with meanwhile(service.url, *(partial(load, number) for number in range(4))):
            for kill in range(1, kills + 1):
                least = sum(answered) + 100
                until(partial(lambda least: sum(answered) > least, least), 20)
                os.kill(service.workers()[0], signal.SIGKILL)
                until(partial(restarted, service.url, kill), SOON)
                assert Scrape.of(service.url).answers()["/stats", "200"] > least
        after = Scrape.of(service.url)
        counted = after.answers()["/stats", "200"]
        assert sum(cut) > 0, "the kills were to hit somebody"
        assert sum(answered) <= counted <= sum(answered) + sum(cut)
        assert after.total("tenfold_worker_restarts_total") == kills
        until(lambda: Scrape.of(service.url).total("tenfold_connections") == 1, SOON)  # the scrape's own


def test_connections_refused_with_503_are_counted_in_the_metrics(service: Forked) -> None:
    """Refused connections are counted, and not as requests; no connection is told to be open once all have left."""
    before = Scrape.of(service.url)
    served = refused = 0
    with ExitStack() as wires:
        for _ in range(4 * CONNECTIONS):
            wire = wires.enter_context(Wire(service.port))
            try:
                status = wire.ask(HEALTH).status
            except ConnectionError:  # closed before the request was there
                status = 503
            if status == 200:
                wire.send(HEALTH[:1])  # who is idle would make room
            served += status == 200
            refused += status == 503
    assert served + refused == 4 * CONNECTIONS
    assert 0 < served <= 2 * CONNECTIONS
    after: Scrape | None = None
    while after is None:
        try:
            after = Scrape.of(service.url)
        except (AssertionError, *CUT):  # it has yet to see that they have left
            refused += 1
    assert after["tenfold_connections_refused_total"] - before["tenfold_connections_refused_total"] == refused
    assert after.answers() - before.answers() == SCRAPED + Counter({("/health", "200"): served})
    assert after["tenfold_connections_accepted_total"] - before["tenfold_connections_accepted_total"] == served + 1
    until(lambda: Scrape.of(service.url).total("tenfold_connections") == 1, SOON)  # the scrape's own


def test_connections_past_a_timeout_or_deadline_are_counted_in_the_metrics() -> None:
    """Who asks nothing, does not finish asking, or does not take its answers is closed and counted, each for itself."""
    settings = Settings(workers=1, max_k=1, request_seconds=1.5, idle_seconds=0.5)
    with forked(settings) as service, ExitStack() as wires:
        idle, asking, deaf = (wires.enter_context(Wire(service.port, receive_buffer=4096)) for _ in range(3))
        asking.send(b"GET /hea")
        deaf.send(request("GET", "/metrics") * 2000)  # more answers than any buffer holds
        assert asking.answer().status == 408
        assert idle.ends()
        until(lambda: Scrape.of(service.url).total("tenfold_connections_timed_out_total") == 3, SOON)
        scrape = Scrape.of(service.url)
    reasons = scrape.by("tenfold_connections_timed_out_total", "reason")
    assert reasons == {("idle",): 1, ("request",): 1, ("answer",): 1}
    assert scrape.answers()["none", "408"] == 1


def test_metrics_tell_of_symbols_while_they_exist(service: Forked) -> None:
    """Prices and batches of a symbol are those appended since it was created; at rest less than a block lags behind."""
    name = 'a"b\\n日本'
    with Client(service.url) as client:
        client.delete("A")
        roll_ups = Scrape.of(service.url)
        for size in (1000, 500, 7):
            assert client.add(name, [1.0] * size).status == 200
        told = Scrape.of(service.url)
        assert told.by("tenfold_prices_total", "symbol") == {(name,): 1507}
        assert told.by("tenfold_batches_total", "symbol") == {(name,): 3}
        until(lambda: Scrape.of(service.url).total("tenfold_roll_up_lag_prices", symbol=name) < 1000, SOON)
        told = Scrape.of(service.url)
        assert told.by("tenfold_roll_up_lag_prices", "symbol") == {(name,): 507}
        done = told["tenfold_roll_up_seconds_count"] - roll_ups["tenfold_roll_up_seconds_count"]
        assert done == 1
        assert told["tenfold_roll_up_seconds_sum"] > roll_ups["tenfold_roll_up_seconds_sum"]
        (holding,) = service.symbols.overview()
        assert told.total("tenfold_symbol_memory_bytes", symbol=name) == holding.held_bytes
        assert told["tenfold_memory_bytes"] == holding.held_bytes + SETTINGS.layout.directory_bytes
        assert told["tenfold_symbols"] == 1
        assert client.delete(name).status == 204
        told = Scrape.of(service.url)
        assert told["tenfold_symbols"] == 0
        assert not told.by("tenfold_prices_total", "symbol")
        client.add(name, [1.0])
        assert Scrape.of(service.url).by("tenfold_prices_total", "symbol") == {(name,): 1}


def test_what_is_constant_in_the_metrics(service: Forked) -> None:
    """The limits are those of the settings, the versions those that run, and the workers take memory of their own."""
    scrape = Scrape.of(service.url)
    assert scrape["tenfold_symbols_limit"] == SETTINGS.max_symbols
    assert scrape["tenfold_connections_limit"] == CONNECTIONS
    assert scrape["tenfold_batch_limit_prices"] == SETTINGS.max_batch
    assert scrape["tenfold_body_limit_bytes"] == SETTINGS.max_body
    assert scrape["tenfold_retention_prices"] == 10**SETTINGS.max_k
    assert scrape["tenfold_memory_limit_bytes"] == SETTINGS.layout.total_bytes
    assert scrape["tenfold_memory_reserve_bytes"] == SETTINGS.memory_reserve << 20
    assert scrape["tenfold_memory_available_bytes"] > 0
    assert scrape["tenfold_workers"] == len(service.workers()) == 2
    assert time.time() - 3600 < scrape["tenfold_start_time_seconds"] < time.time()
    memory = scrape.by("tenfold_worker_memory_bytes", "worker")
    assert set(memory) == {("0",), ("1",)}
    assert min(memory.values()) > 1 << 20
    assert scrape.total("tenfold_build_info", version=VERSION) == 1


def test_the_text_of_the_metrics_is_as_prometheus_wants_it(api: Api) -> None:
    """Type and version are in the header; every family is described; names and kinds follow the conventions."""
    api.add("A", [1.0])
    response = api.get("/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert response.text.endswith("\n")
    for name, family in Scrape(response.text).families.items():
        assert name.startswith("tenfold_")
        assert family.documentation.endswith(".")
        assert family.type in {"counter", "gauge", "histogram", "summary"}
        written = f"{name}_total" if family.type == "counter" else name
        assert response.text.count(f"# TYPE {written} {family.type}\n") == 1
        assert not name.endswith("_total")
        assert re.search(r"_(?:milli|micro|nano)?(?:ms|millis|kb|mb|kib|mib)(?:_|$)", name) is None, "base units"


@pytest.mark.parametrize("path", ["/metrics", "/metrics/"])
def test_head_of_the_metrics(api: Api, path: str) -> None:
    """HEAD gives the headers of GET and no body."""
    head, get = api.request("HEAD", path), api.get(path)
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["content-type"] == get.headers["content-type"]


@pytest.mark.parametrize("text", ["\\", '"', "\n", "\\n", '\\"', "日経225", "a,b={c}", "", " ", '"} 1\n#'])
def test_labels_of_metrics_come_back_as_they_were(text: str) -> None:
    """Whatever a label says, the official parser reads it as it was, and reads the sample after it, too."""
    out = Exposition()
    out.gauge("metric", "Of \\ and \n.", [({"label": text, "other": text}, 1.5), ({"label": "last", "other": ""}, 2)])
    (family,) = text_string_to_metric_families(out.text().decode())
    assert family.documentation == "Of \\ and \n."
    assert [(sample.labels, sample.value) for sample in family.samples] == [
        ({"label": text, "other": text}, 1.5),
        ({"label": "last", "other": ""}, 2.0),
    ]


def test_every_worker_has_cells_of_its_own_for_its_metrics() -> None:
    """Two workers, two routes or two statuses never share a cell, whatever status there may be."""
    metrics = SharedMetrics(3)
    counters = [metrics.of_worker(number) for number in range(3)]
    last = first_cell(MOST_ROUTES - 1) + STATUS_OFFSET[599]
    for number, one in enumerate(counters):
        one.counts[last] = 10**number
        one.seconds[last + len(BOUNDS) + 1] = 0.5
    counts, seconds = metrics.answers(MOST_ROUTES - 1)
    assert counts[len(STATUSES)].tolist() == [111, *[0] * len(BOUNDS)]
    assert seconds[len(STATUSES)] == 1.5
    assert counts.sum() == 111
    assert [counts.sum() for counts, _ in map(metrics.answers, range(MOST_ROUTES - 1))] == [0] * (MOST_ROUTES - 1)
    assert len({STATUS_OFFSET[status] for status in (*STATUSES, 599)}) == len(STATUSES) + 1
    with pytest.raises(ValueError, match="room"):
        first_cell(MOST_ROUTES)
