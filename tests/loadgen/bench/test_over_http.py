"""The benchmark over HTTP, from its samples to its tables; speed is not for a test to judge."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from loadgen.bench import __main__ as command
from loadgen.bench.beside import contender, over_http, picture, tables, truth
from loadgen.bench.beside.drive import WRK, Cost, RefusedError, call, saturated
from loadgen.bench.beside.effort import QUICK, Effort
from loadgen.bench.beside.in_process import Pair, Steps
from loadgen.bench.beside.machine import describe
from loadgen.bench.beside.over_http import (
    BARE,
    CONSTANT,
    JSON,
    PARSE,
    SINK,
    TENFOLD,
    TENFOLD_NEW,
    TENFOLD_SHUT,
    Cell,
    OverHttp,
)
from loadgen.bench.beside.ratios import ratios
from loadgen.launch import Launched, choose_cores, launched
from loadgen.load.run import execute
from loadgen.plan import MAX, Plan, Rate, Sizes, Target
from loadgen.wire.requests import get

TINY = replace(
    QUICK, max_k=3, rounds=3, seconds=0.05, batches=(100, 10_000), rivals=("numpy",), step_sizes=(4,), connections=(8,)
)

needs_wrk = pytest.mark.skipif(WRK is None, reason="the client in C is not tested, for want of it: apt-get install wrk")


@pytest.fixture(scope="module")
def floor() -> Iterator[Launched]:
    with launched("loadgen.bench.beside.floor", ("--answer", '{"a": 1}'), choose_cores().server) as server:
        yield server


@needs_wrk
def test_wrk_measures_the_server(floor: Launched) -> None:
    """What it reports is of requests that were answered well; a query may count up."""
    asked = get(floor.target, "/stats?symbol=A&k=1")
    for counted in (False, True):
        cost = saturated(floor, asked, 0.3, 2, counted=counted)
        assert 1 < cost.cpu_us < 1e5
        assert cost.per_second > 10
        assert 0 < cost.client_share < 1.5
    with pytest.raises(RefusedError):
        saturated(floor, get(floor.target, "/stats"), 0.3)


@needs_wrk
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

    class Here(Launched):
        def __init__(self, target: Target) -> None:
            self.target = target

        def cpu_seconds(self) -> float:
            return time.process_time()

    with ThreadingHTTPServer(("127.0.0.1", 0), Listening) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        target = Target("127.0.0.1", server.server_port)
        for _ in range(2):
            saturated(Here(target), get(target, "/stats?symbol=A&k=1"), 0.5, 2, counted=True)
        server.shutdown()
    assert len(paths) == len(set(paths)) > 10
    assert lengths == {None}, "a GET that announces a body is not what is to be measured"


def test_cpu_time_is_that_of_who_answers(floor: Launched) -> None:
    """It grows with what is asked of the server."""
    before = floor.cpu_seconds()
    for _ in range(50):
        assert call(floor.target, get(floor.target, "/stats?symbol=A&k=1")).body == b'{"a": 1}'
    assert 0 < floor.cpu_seconds() - before < 5


def test_too_much_memory_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A contender that would not fit is reported with the reason, not left out."""
    monkeypatch.setattr(contender, "available_bytes", lambda: 10_000_000_000)
    assert contender.too_much("segment tree", 100_000_000) == "> 6.0 GB"
    assert not contender.too_much("numpy", 100_000_000)


def costs(*per_second: float) -> list[Cost]:
    return [Cost(1e6 / rate, rate, 0.5) for rate in per_second]


def test_rates_are_compared_where_both_were_busy() -> None:
    """Where the client holds a server up, it is the CPU time of the server instead."""
    quick, slow = Cell(TENFOLD, costs=[Cost(10, 96_000, 1)]), Cell(BARE, costs=[Cost(50, 20_000, 1)])
    assert quick.times(slow) == 4.8
    quick.costs = [Cost(10, 90_000, 1)]
    assert quick.times(slow) == 5


def test_ratios_are_computed_from_the_samples() -> None:
    """Each is of the right pair of cells; only what is claimed is judged, and a quick run judges nothing."""
    http = OverHttp(
        queries=[
            Cell(BARE, k=5, costs=costs(100, 200, 300)),
            Cell(CONSTANT, k=5, costs=costs(1_000, 2_000, 3_000)),
            Cell(TENFOLD, 10**8, 5, costs=costs(510, 1_020, 1_530)),
            Cell(TENFOLD_NEW, costs=costs(80)),
            Cell(TENFOLD_SHUT, costs=costs(100)),
        ],
        batches=[
            Cell(PARSE, batch=10_000, costs=costs(100)),
            Cell(JSON, batch=10_000, costs=costs(116)),
            Cell(SINK, batch=100, costs=costs(100)),
            Cell(JSON, batch=100, costs=costs(240)),
        ],
        growth=[Cell(TENFOLD, 10**3, 8, costs=costs(100)), Cell(TENFOLD, 10**8, 8, costs=costs(80))],
    )
    quick, slow = contender.Step(10, 10), contender.Step(1_000, 3_000)
    steps = Steps([Pair("numpy", 10**6, 100, [slow], [quick]), Pair("pure Python", 10**6, 1, [quick], [quick])])
    effort = Effort(connections=(8,))
    rows = ratios(http, steps, effort)
    assert [(round(row.value, 3), row.target, row.verdict) for row in rows] == [
        (1.25, "≤ 1.1 ×", "missed"),
        (300.0, "≥ 100 ×", "reached"),
        (1.0, "", ""),
        (1.0, "", ""),
        (5.1, "≥ 5 ×", "reached"),
        (0.51, "", ""),
        (1.25, "", ""),
        (2.4, "≥ 2.5 ×", "missed"),
        (1.16, "≥ 1.15 ×", "reached"),
    ]
    again = ratios(http, steps, replace(effort, judged=False))
    assert [row.value for row in again] == [row.value for row in rows]
    assert {row.verdict for row in again} == {""}


@needs_wrk
@pytest.mark.timeout(300)  # a dozen processes start one after the other, on a machine that may be busy
def test_tiny_run_writes_all_it_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One run through everything: ratios first, tables of 80 columns, every sample as JSON; nothing is judged."""
    monkeypatch.setattr(command, "QUICK", TINY)
    document, plot = tmp_path / "new" / "bench.json", tmp_path / "bench.png"
    done = CliRunner().invoke(command.main, ["--quick", "--json", str(document), "--plot", str(plot)])
    assert done.exit_code == 0, done.output
    assert "…" not in done.stdout, "nothing is cut"
    shown, _, _ = done.stdout.partition("every sample:")
    assert max(map(len, shown.splitlines())) <= 80
    said = ("A quick run: too few", "tenfold beside others", f"numpy {np.__version__}", "GET over HTTP", "In process")
    places = [shown.index(part) for part in said]
    assert places == sorted(places)
    assert "missed" not in shown
    assert not plot.exists()

    written = json.loads(document.read_text())
    http = written["over_http"]
    asked = {cell["contender"] for cell in http["queries"] if cell["costs"]}
    assert asked >= {BARE, CONSTANT, TENFOLD, TENFOLD_NEW, TENFOLD_SHUT, over_http.TENFOLD_ALL, over_http.TENFOLD_TWO}
    for cell in (*http["queries"], *http["batches"], *http["growth"]):
        assert cell["limit"] or len(cell["costs"]) == TINY.rounds, cell
        assert all(cost["cpu_us"] > 0 and cost["per_second"] > 0 for cost in cell["costs"])
    posted = {(cell["contender"], cell["batch"]) for cell in http["batches"] if cell["costs"]}
    kinds = (SINK, PARSE, JSON, over_http.BINARY_SINK, over_http.BINARY, over_http.FASTAPI_JSON)
    assert posted == {(kind, batch) for kind in kinds for batch in TINY.batches}
    (pair,) = written["in_process"]["pairs"]
    assert (pair["rival"], pair["held"], pair["batch"]) == ("numpy", 10_000, 10_000)
    assert written["in_process"]["worst_variance"]["tenfold"][0] < 1e-12
    assert written["ratios"]


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
    whole = tables.Report(describe(choose_cores()), QUICK, 1.0, http, in_process, [])
    console = Console(record=True, width=150)
    tables.print_report(whole, console)
    text = console.export_text()
    assert "> 6.0 GB" in text
    assert "> 20 s" in text
    picture.draw(whole, tmp_path / "plot.svg")
    assert "<svg" in (tmp_path / "plot.svg").read_text()


def test_a_sender_keeps_up_with_a_constant(tmp_path: Path) -> None:
    """Against the lowest floor every poll is right and every batch in binary has its receipt."""
    prices = tmp_path / "constant.csv"
    prices.write_text("price\n" + "1.25\n" * 100)
    with launched("loadgen.bench.beside.constant", ("--careful",)) as sink:
        plan = Plan(sink.target, ("A", "B"), sizes=Sizes(10, 10), wire="binary", rate=Rate(20.0), seconds=1.0)
        polled = execute(replace(plan, prices=f"file:{prices}"))
        posted = execute(replace(plan, sizes=Sizes(10_000, 10_000), rate=MAX, poll_rate=Rate(0.0)))
    for outcome in (polled, posted):
        assert (outcome.wrong, outcome.unchecked, outcome.failed) == (0, 0, 0), outcome.mistakes
    assert polled.right > 100
    assert posted.prices > 100_000
