"""The side-by-side benchmark compares right answers, and reports what it measured; speed is not for a test to judge."""

from __future__ import annotations

import json
import os
import statistics
import time
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from loadgen.bench import __main__ as command
from loadgen.bench.beside import contender as processes
from loadgen.bench.beside import in_process as steps
from loadgen.bench.beside import limits, over_http, picture, truth
from loadgen.bench.beside import tables as report
from loadgen.bench.beside.drive import WRK, Cost, RefusedError, call, closed_loop, open_loop, saturated
from loadgen.bench.beside.effort import QUICK, Effort
from loadgen.bench.beside.feed import feed
from loadgen.bench.beside.in_process import Pair, Steps
from loadgen.bench.beside.machine import describe
from loadgen.bench.beside.over_http import (
    BARE,
    BINARY,
    BINARY_SINK,
    CONSTANT,
    JSON,
    PARSE,
    SINK,
    TENFOLD,
    TENFOLD_ALL,
    TENFOLD_NEW,
    TENFOLD_SHUT,
    TENFOLD_TWO,
    Cell,
    OverHttp,
)
from loadgen.bench.beside.over_http import Latency as Latencies
from loadgen.bench.beside.pairs import median_ratio, percentile, take_turns
from loadgen.bench.beside.rivals.raw_numpy import RawNumpy
from loadgen.bench.beside.rivals.rival import RIVALS, WINDOWS, Window, make, retained
from loadgen.bench.beside.rivals.running import Running
from loadgen.bench.beside.servers import Server, choose_cores, running
from loadgen.bench.beside.verdicts import verdicts
from loadgen.plan import Target
from loadgen.wire.requests import get

TINY = Effort(
    max_k=3,
    rounds=3,
    seconds=0.02,
    latency_seconds=0.05,
    batches=(100, 10_000),
    rivals=("numpy",),
    step_sizes=(4,),
    connections=(8,),
    judged=False,
)


@pytest.mark.parametrize("name", ["tenfold", *RIVALS])
def test_contender_is_exact_enough(name: str) -> None:
    """Every contender gives the windows of rational arithmetic, before and after its ring has gone around."""
    truth.check(name, make(name, truth.SAMPLE), retained(name, truth.SAMPLE))


@pytest.mark.parametrize("name", RIVALS)
def test_rival_with_few_prices(name: str) -> None:
    """Windows are cut to what is held, from the first price on, and to the retention, from a price beyond it on."""
    rival = make(name, 15)
    prices = feed(37)
    rival.load(prices[:1])
    truth.agree(name, rival.windows(), truth.exact_windows(prices[:1], 15))
    for begin, end in pairwise((1, 3, 14, 15, 16, 30, 37)):
        rival.append(prices[begin:end])
        truth.agree(name, rival.windows(), truth.exact_windows(prices[:end], 15))


def test_exact_windows_are_those_of_the_standard_library() -> None:
    """The oracle of all contenders agrees with ``statistics`` in fractions."""
    prices = feed(1_234)
    for size, window in zip(WINDOWS, truth.exact_windows(prices, 1_000), strict=True):
        newest = prices[-min(size, 1_000) :].tolist()
        exact = [Fraction(price) for price in newest]
        assert window[:4] == (len(newest), min(newest), max(newest), newest[-1])
        assert window[4:] == (float(statistics.mean(exact)), float(statistics.pvariance(exact)))


@pytest.mark.parametrize("place", range(6))
def test_every_number_is_compared(place: int) -> None:
    """A window that is off by a millionth in any of its numbers is a disagreement."""
    right = truth.exact_windows(feed(100), 100)
    wrong = [list(window) for window in right]
    wrong[3][place] *= 1 + 1e-6
    with pytest.raises(truth.DisagreementError, match="numpy answers"):
        truth.agree("numpy", [tuple(window) for window in wrong], right)  # type: ignore[misc]
    truth.agree("numpy", right, right)


def test_a_wrong_contender_is_found_out() -> None:
    """The check before the timing fails where a contender forgets its oldest price."""

    class Forgetful(RawNumpy):
        def windows(self) -> list[Window]:
            self._retention -= 1
            return super().windows()

    with pytest.raises(truth.DisagreementError):
        truth.check("forgetful", Forgetful(truth.SAMPLE), truth.SAMPLE)


def test_hard_prices_are_hard_for_running_sums() -> None:
    """The stream of small noise after a jump costs running sums every digit, numpy none of six."""
    assert truth.worst_variance(Running(truth.SAMPLE), truth.HARD[0]) > 1
    assert truth.worst_variance(RawNumpy(truth.SAMPLE), truth.HARD[0]) < 1e-6


def test_running_sums_are_loaded_as_if_appended() -> None:
    """What numpy computes at loading is the state that appending price by price arrives at."""
    loaded, appended = Running(1_000), Running(1_000)
    prices = np.round(feed(3_000), 1)  # repeats many a price
    loaded.load(prices[:900])
    appended.load(prices[:1])
    appended.append(prices[1:900])
    for begin in range(900, 3_000, 300):
        for one in (loaded, appended):
            one.append(prices[begin : begin + 300])
        truth.agree("loaded", loaded.windows(), truth.exact_windows(prices[: begin + 300], 1_000))
        truth.agree("appended", appended.windows(), truth.exact_windows(prices[: begin + 300], 1_000))


def test_ratios_are_taken_within_rounds() -> None:
    """The median of ratios is not the ratio of medians, and a ratio needs a partner."""
    assert median_ratio([1, 20, 300], [1, 10, 100]) == 2
    assert median_ratio([1, 9, 5], [9, 1, 5]) == 1
    for numerators in ([1.0], []):
        with pytest.raises(ValueError, match="pairs"):
            median_ratio(numerators, [])


def test_percentile_is_a_value_that_was_measured() -> None:
    """Nearest rank: at least that share of the values is not larger."""
    hundred = list(range(100, 0, -1))
    assert [percentile(hundred, share) for share in (0.0, 0.5, 0.99, 0.991, 1.0)] == [1, 50, 99, 100, 100]
    assert percentile([7], 0.99) == 7
    with pytest.raises(ValueError, match="values"):
        percentile([], 0.5)


def test_everybody_takes_turns() -> None:
    """Each contender gives one sample a round, and nobody always comes first."""
    order: list[str] = []
    samples = take_turns([lambda: order.append("a"), lambda: order.append("b")], rounds=9)
    assert [len(one) for one in samples] == [9, 9]
    rounds = {"".join(order[begin : begin + 2]) for begin in range(0, 18, 2)}
    assert rounds == {"ab", "ba"}


@pytest.fixture(scope="module")
def floor() -> Any:
    with running("loadgen.bench.beside.floor", "--answer", '{"a": 1}', core=choose_cores().server) as server:
        yield server


def test_closed_loop_measures_the_server(floor: Server) -> None:
    """CPU time, rate and the client's own share are those of the requests that were answered."""
    cost = closed_loop(floor, [get(floor.target, "/stats?symbol=A&k=1")], 0.1)
    assert 1 < cost.cpu_us < 1e5
    assert cost.per_second > 10
    assert 0 < cost.client_share < 1.5
    assert cost.cpu_us * cost.per_second < 1.5e6, "one core gives a second of CPU time a second"
    assert call(floor.target, get(floor.target, "/stats/?symbol=S&k=1")).body == b'{"a": 1}'


def test_closed_loop_refuses_errors(floor: Server) -> None:
    """An error is not timed as if it were an answer."""
    with pytest.raises(RefusedError, match="400"):
        closed_loop(floor, [get(floor.target, "/stats")], 0.1)


@pytest.mark.skipif(WRK is None, reason="the client in C is not tested, for want of it: apt-get install wrk")
def test_wrk_measures_the_server(floor: Server) -> None:
    """What it reports is of requests that were answered; a query that counts up is another one each time."""
    asked = get(floor.target, "/stats?symbol=A&k=1")
    for counted in (False, True):
        cost = saturated(floor, asked, 2, counted=counted)
        assert 1 < cost.cpu_us < 1e5
        assert cost.per_second > 10
        assert 0 < cost.client_share < 1.5
    with pytest.raises(RefusedError):
        saturated(floor, get(floor.target, "/stats"))


@pytest.mark.skipif(WRK is None, reason="the client in C is not tested, for want of it: apt-get install wrk")
def test_wrk_never_asks_the_same_when_it_counts() -> None:
    """What is to be a new head each time is one: no two requests of two samples are alike."""
    paths: list[str] = []
    lengths = set()

    class Listening(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            paths.append(self.path)
            lengths.add(self.headers["Content-Length"])
            self.send_response_only(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Listening) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        target = Target("127.0.0.1", server.server_port)
        for _ in range(2):
            saturated(Server(target, (os.getpid(),)), get(target, "/stats?symbol=A&k=1"), 2, counted=True)
        server.shutdown()
    assert len(paths) == len(set(paths)) > 10
    assert lengths == {None}, "a GET that announces a body is not what is to be measured"


def test_cpu_time_counts_threads_that_ended(floor: Server) -> None:
    """A thread that ends while it is counted neither stops the benchmark nor takes what it spent with it."""
    own = Server(floor.target, (os.getpid(),))
    counted, spent = own.cpu_seconds(), time.process_time()
    busy = Thread(target=sum, args=(range(10**6),))
    busy.start()
    busy.join()
    assert own.cpu_seconds() - counted == pytest.approx(time.process_time() - spent, abs=0.002)


def test_open_loop_counts_from_the_intended_moment(floor: Server) -> None:
    """Far beyond what a server can do, latency grows with the backlog instead of the rate falling silently."""
    request = get(floor.target, "/stats?symbol=A&k=1")
    calm = open_loop(floor, request, rate=50, seconds=0.2, spin=False)
    rushed = open_loop(floor, request, rate=1e6, seconds=0.003, spin=False)
    assert len(calm) == 10
    assert len(rushed) == 3_000
    assert min(calm) > 0
    assert percentile(rushed, 0.99) > 10 * percentile(rushed, 0.01)


def test_too_much_memory_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A contender that would not fit is reported with the reason, not left out."""
    monkeypatch.setattr(limits, "available_bytes", lambda: 10_000_000_000)
    assert limits.too_much("segment tree", 100_000_000) == "> 6.0 GB"
    assert not limits.too_much("numpy", 100_000_000)


def test_too_slow_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rival that takes too long is ended, and the pair says so instead of a figure."""
    monkeypatch.setattr(processes, "LOAD_LIMIT_SECONDS", 0.0)
    pairs = [Pair("numpy", 1_000, 10)]
    core = choose_cores().server
    with processes.contender("numpy", core) as stand_in:
        stand_in.name = TENFOLD
        steps.fill_all(pairs, stand_in, [], Steps(), rounds=3)
    assert [pair.limit for pair in pairs] == ["> 0 s"]
    assert not pairs[0].theirs


def costs(*per_second: float) -> list[Cost]:
    return [Cost(1e6 / rate, rate, 0.5) for rate in per_second]


def test_rates_are_compared_where_wrk_took_them() -> None:
    """Where the client holds a server up, it is the CPU time of the server instead."""
    quick, slow = Cell(TENFOLD, 1, costs=[Cost(10, 96_000, 1)]), Cell(BARE, 0, costs=[Cost(50, 20_000, 1)])
    assert quick.times(slow) == 5
    quick.by_rate = slow.by_rate = True
    assert quick.times(slow) == 4.8
    quick.costs = [Cost(10, 90_000, 1)]
    assert quick.times(slow) == 5


def test_verdicts_are_computed_from_the_samples() -> None:
    """Each target is held against the right pair of cells."""
    effort = Effort(connections=(8, 64))
    http = OverHttp(
        queries=[
            Cell(BARE, 0, costs=costs(100, 200, 300)),
            Cell(CONSTANT, 0, costs=costs(1_000, 2_000, 3_000)),
            Cell(TENFOLD, 10**8, 5, costs=costs(510, 1_020, 1_530)),
            Cell(BARE, 0, connections=64, costs=costs(100)),
            Cell(CONSTANT, 0, connections=64, costs=costs(1_000)),
            Cell(TENFOLD, 10**8, 5, connections=64, costs=costs(430)),
            Cell(TENFOLD_TWO, 10**6, 5, connections=64, costs=costs(400)),
            Cell(TENFOLD_ALL, 10**8, costs=costs(290, 580, 870)),
            Cell(TENFOLD_NEW, 10**4, costs=costs(80)),
            Cell(TENFOLD_SHUT, 10**4, costs=costs(100)),
        ],
        batches=[
            Cell(PARSE, 0, batch=10_000, costs=costs(100)),
            Cell(BINARY_SINK, 0, batch=10_000, costs=costs(400)),
            Cell(JSON, 1, batch=10_000, costs=costs(116)),
            Cell(BINARY, 1, batch=10_000, costs=costs(440)),
            Cell(SINK, 0, batch=100, costs=costs(100)),
            Cell(JSON, 1, batch=100, costs=costs(250)),
            Cell(SINK, 0, batch=100, connections=64, costs=costs(100)),
            Cell(JSON, 1, batch=100, connections=64, costs=costs(250)),
            Cell(over_http.FASTAPI_JSON, 1, batch=10_000, costs=costs(8)),
            Cell(over_http.FASTAPI_JSON, 1, batch=100, costs=costs(125)),
        ],
        growth=[Cell(TENFOLD, 10**3, 8, costs=costs(100)), Cell(TENFOLD, 10**8, 8, costs=costs(80))],
        latencies=[Latencies(TENFOLD, 50, [1], [30, 10]), Latencies(BARE, 50, [1], [10, 10])],
    )
    quick, slow = processes.Step(10, 10), processes.Step(1_000, 3_000)
    pairs = [Pair("numpy", 10**6, 100, [slow], [quick]), Pair("pure Python", 10**7, 1, [quick], [quick])]
    rows = verdicts(http, Steps(pairs=pairs), effort)
    assert [(round(row.value, 3), row.target, row.verdict) for row in rows] == [
        (5.1, "≥ 5 ×", "reached"),
        (0.51, "≥ 0.55 ×", "missed"),
        (4.3, "≥ 4.25 ×", "reached"),
        (0.43, "≥ 0.4675 ×", "missed"),
        (2.9, "≥ 3 ×", "missed"),
        (1.25, "≤ 1.1 ×", "missed"),
        (1.075, "", ""),
        (2.5, "≥ 2.6 ×", "missed"),
        (2.5, "≥ 2.21 ×", "reached"),
        (1.16, "≥ 1.15 ×", "reached"),
        (1.1, "≥ 1.2 ×", "missed"),
        (2.0, "≥ 10 ×", "missed"),
        (1.0, "≥ 10 ×", "missed"),
        (200.0, "≥ 10 ×", "reached"),
        (300.0, "≥ 100 ×", "reached"),
        (1.0, "≥ 100 ×", "missed"),
        (2.0, "≤ 1 ×", "missed"),
        (1.25, "≤ 1.1 ×", "missed"),
    ]
    assert verdicts(http, Steps(pairs=pairs), QUICK) == [], "a quick run judges nothing"


@pytest.mark.timeout(300)  # a dozen processes start one after the other, on a machine that may be busy
def test_tiny_run_writes_all_it_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One run through everything: tables, every sample as JSON, and a picture; exit code 0 whatever the verdicts."""
    monkeypatch.setattr(command, "QUICK", TINY)
    document, plot = tmp_path / "new" / "bench.json", tmp_path / "bench.png"
    done = CliRunner().invoke(command.main, ["--quick", "--json", str(document), "--plot", str(plot)])
    assert done.exit_code == 0, done.output
    assert "…" not in done.stdout, "nothing is cut"
    tables, _, _ = done.stdout.partition("every sample:")
    assert max(map(len, tables.splitlines())) <= 80
    for said in (
        "GET over HTTP",
        "POST over HTTP",
        "In process",
        "Latency of GET",
        f"numpy {np.__version__}",
    ):
        assert said in done.output
    assert plot.read_bytes().startswith(b"\x89PNG")

    written = json.loads(document.read_text())
    http = written["over_http"]
    asked = {cell["contender"] for cell in http["queries"] if cell["costs"]}
    assert asked >= {BARE, CONSTANT, TENFOLD, TENFOLD_ALL, TENFOLD_NEW, TENFOLD_SHUT, TENFOLD_TWO}
    for cell in (*http["queries"], *http["batches"], *http["growth"]):
        assert cell["limit"] or len(cell["costs"]) == TINY.rounds, cell
        assert all(cost["cpu_us"] > 0 and cost["per_second"] > 0 for cost in cell["costs"])
    posted = {(cell["contender"], cell["batch"]) for cell in http["batches"] if cell["costs"]}
    kinds = (SINK, PARSE, JSON, BINARY_SINK, BINARY, over_http.FASTAPI_JSON)
    assert posted == {(kind, batch) for kind in kinds for batch in TINY.batches}
    assert [latency["contender"] for latency in http["latencies"]] == [TENFOLD, BARE]
    (pair,) = written["in_process"]["pairs"]
    assert (pair["rival"], pair["held"], pair["batch"]) == ("numpy", 10_000, 10_000)
    assert len(pair["ours"]) == len(pair["theirs"]) == TINY.rounds
    assert written["in_process"]["worst_variance"]["tenfold"][0] < 1e-12
    assert written["must_reach"] == []
    assert written["machine"]["python"]


def test_disagreement_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where answers differ nothing is reported, and the exit code and the message say so."""

    def disagree(*_: object) -> OverHttp:
        raise truth.DisagreementError("numpy answers 1, but it is 2")

    monkeypatch.setattr(over_http, "measure", disagree)
    done = CliRunner().invoke(command.main, ["--quick"])
    assert done.exit_code == 1
    assert "numpy answers 1, but it is 2" in done.output


def test_limits_stand_in_the_tables(tmp_path: Path) -> None:
    """What was not measured is named in the table, and the picture does without it."""
    http = OverHttp(growth=[Cell(over_http.FASTAPI, 10**8, 8, limit="> 6.0 GB")])
    in_process = Steps(pairs=[Pair("pandas", 10**8, 10_000, limit="> 20 s")], worst_variance={"pandas": [0.0, 1e-9]})
    whole = report.Report(describe(choose_cores()), QUICK, 1.0, http, in_process, [])
    console = Console(record=True, width=150)
    report.print_report(whole, console)
    text = console.export_text()
    assert "> 6.0 GB" in text
    assert "> 20 s" in text
    picture.draw(whole, tmp_path / "plot.svg")
    assert "<svg" in (tmp_path / "plot.svg").read_text()
