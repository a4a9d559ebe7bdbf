"""Over HTTP: tenfold beside what Sanic costs doing nothing, and beside a service written the ordinary way.

Fair, because all have one worker on the same core, uvloop, no access log, and get the same bytes from the same client.
The bare handlers answer with as many bytes as tenfold does. tenfold's symbols have gone around their rings, or are
asked before anything is posted, so every page is touched; the other service holds fewer prices and gets its own filled
in before it listens.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from statistics import median
from time import perf_counter, perf_counter_ns
from typing import Final

from . import truth
from .drive import CONNECTIONS, WRK, Cost, call, closed_loop, open_loop, post_all, saturated
from .effort import Effort
from .feed import feed, ragged
from .limits import too_much
from .pairs import median_ratio, percentile, take_turns
from .requests import (
    all_windows,
    batches_to_post,
    binary_batch,
    json_batch,
    read_all_windows,
    read_window,
    sizes_of_windows,
    stats,
)
from .rivals.rival import Window
from .servers import Cores, Server, running

LARGEST_BATCH: Final = 10_000
SHORT_K: Final = 3
"""A window that even the symbol with the fewest prices fills."""

MIDDLE_BATCH: Final = 100

NEW_HEADS: Final = 50_000
"""More than a worker remembers, so that none of them is remembered when its turn comes again."""

BUSY: Final = 0.95
"""Of its core: a server that used less was held up by the client, and its rate is the client's."""

RIVAL_SYMBOL: Final = "S"
RIVAL_HELD: Final = 1_000_000
"""Prices that the ordinary service holds where it is not the number of prices that is varied."""

TENFOLD: Final = "tenfold"
TENFOLD_ALL: Final = "tenfold, all windows at once"
TENFOLD_NEW: Final = "tenfold, a new head each time"
TENFOLD_SHUT: Final = "the same with --no-door"
TENFOLD_TWO: Final = "tenfold, two workers on the core"
BARE: Final = "bare Sanic, two arguments"
CONSTANT: Final = "uvloop, a constant"
FASTAPI: Final = "FastAPI, segment tree"
FASTAPI_ALL: Final = "FastAPI, all windows at once"
SINK: Final = "bare Sanic, JSON read"
PARSE: Final = "bare Sanic, JSON parsed"
JSON: Final = "tenfold, JSON"
BINARY_SINK: Final = "bare Sanic, binary read"
BINARY: Final = "tenfold, binary"
FASTAPI_JSON: Final = "FastAPI, JSON"


@dataclass
class Cell:
    """One contender at one task: a sample in every round, or why there is none.

    ``by_rate`` says that wrk asked, which keeps all servers busy but the very quickest.
    """

    contender: str
    held: int
    k: int = 0
    batch: int = 0
    connections: int = CONNECTIONS
    costs: list[Cost] = field(default_factory=list)
    limit: str = ""
    by_rate: bool = False

    @property
    def cpu_us(self) -> float:
        """Median CPU time of a request."""
        return median(cost.cpu_us for cost in self.costs)

    @property
    def per_second(self) -> float:
        """Median requests a second."""
        return median(cost.per_second for cost in self.costs)

    def times(self, other: Cell) -> float:
        """How many are served for one of the other's: in the same time if both servers were busy, else CPU time."""
        if all(cell.by_rate and cell.cpu_us * cell.per_second >= BUSY * 1e6 for cell in (self, other)):
            return median_ratio([one.per_second for one in self.costs], [one.per_second for one in other.costs])
        return other.cpu_ratio(self)

    def cpu_ratio(self, other: Cell) -> float:
        """CPU time a request, as a multiple of another's: the median over rounds."""
        return median_ratio([one.cpu_us for one in self.costs], [one.cpu_us for one in other.costs])


@dataclass
class Latency:
    """Latency at a rate: the p50 and p99 of every round, in µs."""

    contender: str
    rate: float
    p50: list[float]
    p99: list[float]


@dataclass
class OverHttp:
    """All that was measured over HTTP."""

    queries: list[Cell] = field(default_factory=list)
    batches: list[Cell] = field(default_factory=list)
    growth: list[Cell] = field(default_factory=list)
    latencies: list[Latency] = field(default_factory=list)
    fill_seconds: float = 0.0
    fill_prices: int = 0

    def query(self, contender: str, k: int = 0, connections: int = CONNECTIONS) -> Cell | None:
        """A cell of the queries, if there is one."""
        wanted = contender, k, connections
        return next((cell for cell in self.queries if (cell.contender, cell.k, cell.connections) == wanted), None)

    def posted(self, contender: str, batch: int, connections: int = CONNECTIONS) -> Cell | None:
        """A cell of the batches, if there is one."""
        wanted = contender, batch, connections
        return next((cell for cell in self.batches if (cell.contender, cell.batch, cell.connections) == wanted), None)

    def grown(self, contender: str, held: int, k: int) -> Cell | None:
        """A cell of the growth, if there is one."""
        wanted = contender, held, k
        return next((cell for cell in self.growth if (cell.contender, cell.held, cell.k) == wanted), None)


def measure(cores: Cores, effort: Effort, say: Callable[[str], None]) -> OverHttp:
    """Everything over HTTP.

    Raises:
        DisagreementError: an answer is wrong.
        RefusedError: a request was refused.
    """
    results = OverHttp()
    with ExitStack() as stack:
        ours = stack.enter_context(_tenfold(cores, effort))
        for held in effort.held:
            say(f"HTTP: filling tenfold with {held:,} prices")
            results.fill_prices, results.fill_seconds = ragged(held), _fill(ours, held)
            _check_with_exact(ours, held, effort)
        floor = stack.enter_context(_floor(cores, ours, effort))
        constant = stack.enter_context(_constant(cores, ours, effort))
        shut = stack.enter_context(_tenfold(cores, effort, "--no-door"))
        _fill(shut, effort.held[0])
        two = stack.enter_context(_tenfold(cores, effort, workers=2))
        _fill(two, min(RIVAL_HELD, effort.most_held))
        say("HTTP: does the number of prices matter?")
        results.growth += _growth_of_tenfold(ours, floor, effort)
        for held in effort.held:
            say(f"HTTP: FastAPI with {held:,} prices")
            results.growth.append(_growth_of_rival(cores, ours, held, effort))
        rival = stack.enter_context(_fastapi(cores, min(RIVAL_HELD, effort.most_held)))
        say("HTTP: queries beside the bare handler")
        results.queries = _queries(Servers(ours, shut, two, constant, floor, rival), effort)
        say("HTTP: latency at half of the highest rate")
        results.latencies = _latencies(results, ours, floor, cores, effort)
        for size in effort.batches:
            say(f"HTTP: batches of {size:,}")
            _check_posting(ours, rival, size, effort)
            results.batches += _posts(ours, floor, rival, size, effort)
    return results


def symbol_of(held: int) -> str:
    """The symbol in tenfold that holds so many prices."""
    return f"H{held}"


def _tenfold(cores: Cores, effort: Effort, *options: str, workers: int = 1) -> AbstractContextManager[Server]:
    named = (
        "--workers",
        str(workers),
        "--max-k",
        str(effort.max_k),
        "--max-connections",
        str(2 * effort.connections[-1]),
    )
    return running("service", "--port", "0", *named, *options, core=cores.server)


def _fastapi(cores: Cores, held: int) -> AbstractContextManager[Server]:
    return running("loadgen.bench.beside.rivals.fastapi_service", "--held", str(held), core=cores.server)


def _floor(cores: Cores, ours: Server, effort: Effort) -> AbstractContextManager[Server]:
    """The bare handlers, which answer with what tenfold answers."""
    symbol = symbol_of(effort.most_held)
    answer = call(ours.target, stats(ours.target, symbol, effort.max_k)).body
    receipt = b'{"symbol":"%b","added":10000,"count":%d}' % (symbol.encode(), ragged(effort.most_held))
    arguments = ["--answer", answer.decode(), "--receipt", receipt.decode()]
    return running("loadgen.bench.beside.floor", *arguments, core=cores.server)


def _constant(cores: Cores, ours: Server, effort: Effort) -> AbstractContextManager[Server]:
    """What answers with the bytes that tenfold answers, and does nothing else."""
    answer = call(ours.target, stats(ours.target, symbol_of(effort.most_held), effort.max_k)).body
    return running("loadgen.bench.beside.constant", "--answer", answer.decode(), core=cores.server)


def _fill(ours: Server, held: int) -> float:
    """Post the stream in largest batches, one after the other over one connection; the seconds that it took."""
    prices = feed(ragged(held))
    begin = perf_counter()
    parts = (prices[start : start + LARGEST_BATCH] for start in range(0, len(prices), LARGEST_BATCH))
    post_all(ours.target, (binary_batch(ours.target, symbol_of(held), part) for part in parts))
    return perf_counter() - begin


def _windows(server: Server, symbol: str, held: int, max_k: int) -> list[Window]:
    """Every window as a server answers it."""
    sizes = sizes_of_windows(held, max_k)
    answers = [call(server.target, stats(server.target, symbol, k)).body for k in range(1, max_k + 1)]
    return [read_window(body, size) for body, size in zip(answers, sizes, strict=True)]


def _check_with_exact(ours: Server, held: int, effort: Effort) -> None:
    """Compare the windows that exact arithmetic can compute in time with what it says."""
    total = ragged(held)
    sizes = [size for size in sizes_of_windows(total, effort.max_k) if size <= LARGEST_BATCH]
    newest = feed(min(total, LARGEST_BATCH), total - min(total, LARGEST_BATCH))
    truth.agree(
        TENFOLD, _windows(ours, symbol_of(held), total, len(sizes)), truth.exact_windows(newest, total)[: len(sizes)]
    )


def _growth_of_tenfold(ours: Server, floor: Server, effort: Effort) -> list[Cell]:
    """The bare handler, the longest window of every symbol, and a short one of the smallest and the largest."""
    cells = [Cell(TENFOLD, held, effort.max_k) for held in effort.held]
    ends = (effort.held[0], effort.most_held)
    cells += [Cell(TENFOLD, held, SHORT_K) for held in ends if effort.max_k > SHORT_K]
    requests = [[stats(ours.target, symbol_of(cell.held), cell.k)] for cell in cells]
    bare = stats(floor.target, symbol_of(effort.most_held), effort.max_k)
    cells.append(Cell(BARE, 0, effort.max_k))
    return _fill_cells(cells, [ours] * len(requests) + [floor], [*requests, [bare]], effort)


def _growth_of_rival(cores: Cores, ours: Server, held: int, effort: Effort) -> Cell:
    """The longest window of the ordinary service with so many prices, its answers compared with tenfold's first."""
    cell = Cell(FASTAPI, held, effort.max_k, limit=too_much("segment tree", held))
    if not cell.limit:
        with _fastapi(cores, held) as rival:
            sizes = sizes_of_windows(held, effort.max_k)
            same = sum(size < held or size == 10**k for k, size in enumerate(sizes, 1))
            theirs = _windows(rival, RIVAL_SYMBOL, held, same)
            truth.agree(FASTAPI, theirs, _windows(ours, symbol_of(held), held, same))
            _fill_cells([cell], [rival], [[stats(rival.target, RIVAL_SYMBOL, cell.k)]], effort)
    return cell


@dataclass(frozen=True)
class Servers:
    """Who is asked."""

    ours: Server
    shut: Server
    two: Server
    constant: Server
    floor: Server
    rival: Server


def _queries(servers: Servers, effort: Effort) -> list[Cell]:
    """GET: the floors, tenfold with all prices held, heads that never come twice, two workers, the ordinary service."""
    held, symbol, k = effort.most_held, symbol_of(effort.most_held), effort.middle_k
    few, rival_held = effort.held[0], min(RIVAL_HELD, held)  # where it does not matter how many, few
    most, two = effort.connections[-1], servers.two  # few connections might all be one worker's
    _check_all_windows(servers.ours, effort)
    asked: list[tuple[Cell, Server, bytes]] = [
        (Cell(TENFOLD_ALL, held), servers.ours, all_windows(servers.ours.target, symbol)),
        (Cell(TENFOLD_NEW, few), servers.ours, stats(servers.ours.target, symbol_of(few), k)),
        (Cell(TENFOLD_SHUT, few), servers.shut, stats(servers.shut.target, symbol_of(few), k)),
        (Cell(TENFOLD_TWO, rival_held, k, connections=most), two, stats(two.target, symbol_of(rival_held), k)),
        (Cell(FASTAPI, rival_held, k), servers.rival, stats(servers.rival.target, RIVAL_SYMBOL, k)),
        (Cell(FASTAPI_ALL, rival_held), servers.rival, all_windows(servers.rival.target, RIVAL_SYMBOL)),
    ]
    for number in effort.connections:
        asked += [
            (Cell(CONSTANT, 0, connections=number), servers.constant, stats(servers.constant.target, symbol, k)),
            (Cell(BARE, 0, connections=number), servers.floor, stats(servers.floor.target, symbol, k)),
            (Cell(TENFOLD, held, k, connections=number), servers.ours, stats(servers.ours.target, symbol, k)),
        ]
    cells, answering, requests = zip(*asked, strict=True)
    return _fill_cells(list(cells), list(answering), [[request] for request in requests], effort, wrk=effort.judged)


def _check_all_windows(ours: Server, effort: Effort) -> None:
    """All windows at once must be what each of them is."""
    symbol, sizes = symbol_of(effort.most_held), sizes_of_windows(ragged(effort.most_held), effort.max_k)
    single = _windows(ours, symbol, ragged(effort.most_held), effort.max_k)
    answer = call(ours.target, all_windows(ours.target, symbol))
    if answer.status == HTTPStatus.OK:
        truth.agree(TENFOLD_ALL, read_all_windows(answer.body, sizes, single[0][3]), single)


def _latencies(results: OverHttp, ours: Server, floor: Server, cores: Cores, effort: Effort) -> list[Latency]:
    """The longest window beside the bare handler, both at half of the highest rate that the bare handler reaches."""
    symbol = symbol_of(effort.most_held)
    highest = results.query(BARE)
    if highest is None:
        return []
    rate = highest.per_second / 2
    asked = [
        (name, server, stats(server.target, symbol, effort.max_k)) for name, server in ((TENFOLD, ours), (BARE, floor))
    ]
    latencies = [Latency(name, rate, [], []) for name, _, _ in asked]
    takers = [
        partial(open_loop, server, request, rate, effort.latency_seconds, spin=cores.apart)
        for _, server, request in asked
    ]
    for latency, rounds in zip(latencies, take_turns(takers, effort.rounds), strict=True):
        latency.p50 = [percentile(one, 0.5) for one in rounds]
        latency.p99 = [percentile(one, 0.99) for one in rounds]
    return latencies


def _check_posting(ours: Server, rival: Server, size: int, effort: Effort) -> None:
    """Post a batch in every way, and compare the windows that it fills with exact arithmetic."""
    symbol, prices = symbol_of(effort.most_held), feed(size, 12_345)
    full = [k for k in range(1, effort.max_k + 1) if 10**k <= size]
    exact = truth.exact_windows(prices, size)[: len(full)]
    for name, server, request in (
        (JSON, ours, json_batch(ours.target, symbol, prices)),
        (BINARY, ours, binary_batch(ours.target, symbol, prices)),
        (FASTAPI_JSON, rival, json_batch(rival.target, RIVAL_SYMBOL, prices)),
    ):
        post_all(server.target, [request])
        asked = symbol if server is ours else RIVAL_SYMBOL
        truth.agree(name, _windows(server, asked, size, len(full)), exact)


def _posts(ours: Server, floor: Server, rival: Server, size: int, effort: Effort) -> list[Cell]:
    """POST: bodies thrown away, bodies parsed, batches appended; as JSON and as binary.

    All connections post to the one symbol that holds most prices. Batches then overlap, which one worker serialises;
    in which order they are appended does not matter to what they cost.
    """
    held, symbol, prices = effort.most_held, symbol_of(effort.most_held), batches_to_post(size)

    def as_json(server: Server, path: str = "/add_batch/") -> list[bytes]:
        return [json_batch(server.target, RIVAL_SYMBOL if server is rival else symbol, one, path) for one in prices]

    def as_binary(server: Server, path: str = "/add_batch/") -> list[bytes]:
        return [binary_batch(server.target, symbol, one, path) for one in prices]

    asked = [
        (Cell(PARSE, 0, batch=size), floor, as_json(floor, "/parse")),
        (Cell(BINARY_SINK, 0, batch=size), floor, as_binary(floor, "/sink")),
        (Cell(BINARY, held, batch=size), ours, as_binary(ours)),
        (Cell(FASTAPI_JSON, min(RIVAL_HELD, held), batch=size), rival, as_json(rival)),
    ]
    for number in effort.connections if size == MIDDLE_BATCH else effort.connections[:1]:
        asked += [
            (Cell(SINK, 0, batch=size, connections=number), floor, as_json(floor, "/sink")),
            (Cell(JSON, held, batch=size, connections=number), ours, as_json(ours)),
        ]
    cells, servers, requests = zip(*asked, strict=True)
    return _fill_cells(list(cells), list(servers), list(requests), effort, wrk=effort.judged)


def _fill_cells(
    cells: list[Cell], servers: list[Server], requests: list[list[bytes]], effort: Effort, *, wrk: bool = False
) -> list[Cell]:
    """Take turns with all cells, with wrk where that is wanted and installed; what is not served says so instead."""
    for cell, server, asked in zip(cells, servers, requests, strict=True):
        status = call(server.target, asked[0]).status
        cell.limit = "" if status == HTTPStatus.OK else f"not served: {status}"
        cell.by_rate = wrk and WRK is not None
    takers = [
        partial(_sample, cell, server, asked, effort)
        for cell, server, asked in zip(cells, servers, requests, strict=True)
        if not cell.limit
    ]
    served = [cell for cell in cells if not cell.limit]
    for cell, costs in zip(served, take_turns(takers, effort.rounds), strict=True):
        cell.costs = costs
    return cells


def _sample(cell: Cell, server: Server, requests: list[bytes], effort: Effort) -> Cost:
    """What a request costs."""
    counted = cell.contender in {TENFOLD_NEW, TENFOLD_SHUT}
    if cell.by_rate:
        return saturated(server, requests[0], cell.connections, counted=counted)
    if counted:
        begin = perf_counter_ns()  # an earlier sample's heads may be remembered
        new = (b"&n=%d HTTP/1.1" % number for number in range(begin, begin + NEW_HEADS))
        requests = [requests[0].replace(b" HTTP/1.1", one) for one in new]
    return closed_loop(server, requests, effort.seconds, cell.connections)
