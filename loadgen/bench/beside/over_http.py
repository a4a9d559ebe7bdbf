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
from time import perf_counter
from typing import Final, NamedTuple

import orjson

from loadgen.launch import Cores, Launched, launched
from loadgen.plan import Target
from loadgen.wire.requests import BINARY as OCTETS
from loadgen.wire.requests import batch_body, get, post, stats_path

from . import truth
from .contender import too_much
from .drive import CONNECTIONS, Cost, call, post_all, saturated
from .effort import Effort
from .feed import Prices, feed, ragged
from .pairs import median_ratio, take_turns
from .rivals.rival import WINDOWS, Window

LARGEST_BATCH: Final = 10_000
MIDDLE_BATCH: Final = 100

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
    """One contender at one task: a sample in every round, or why there is none."""

    contender: str
    held: int = 0
    k: int = 0
    batch: int = 0
    connections: int = CONNECTIONS
    costs: list[Cost] = field(default_factory=list)
    limit: str = ""

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
        if all(cell.cpu_us * cell.per_second >= BUSY * 1e6 for cell in (self, other)):
            return median_ratio([one.per_second for one in self.costs], [one.per_second for one in other.costs])
        return other.cpu_ratio(self)

    def cpu_ratio(self, other: Cell) -> float:
        """CPU time a request, as a multiple of another's: the median over rounds."""
        return median_ratio([one.cpu_us for one in self.costs], [one.cpu_us for one in other.costs])


class Asked(NamedTuple):
    """A cell, whom it asks and what."""

    cell: Cell
    server: Launched
    request: bytes


@dataclass
class OverHttp:
    """All that was measured over HTTP."""

    queries: list[Cell] = field(default_factory=list)
    batches: list[Cell] = field(default_factory=list)
    growth: list[Cell] = field(default_factory=list)
    fill_seconds: float = 0.0
    fill_prices: int = 0


def find(cells: list[Cell], contender: str, **wanted: int) -> Cell | None:
    """The first cell of a contender with these numbers that has samples, if there is one."""
    return next(
        (
            cell
            for cell in cells
            if cell.contender == contender
            and cell.costs
            and all(getattr(cell, name) == number for name, number in wanted.items())
        ),
        None,
    )


def measure(cores: Cores, effort: Effort, say: Callable[[str], None]) -> OverHttp:
    """Everything over HTTP.

    Raises:
        DisagreementError: an answer is wrong.
        RefusedError: a request was refused.
    """
    results, most = OverHttp(), effort.held[-1]
    with ExitStack() as stack:
        ours = stack.enter_context(_tenfold(cores, effort))
        for held in effort.held:
            say(f"HTTP: filling tenfold with {held:,} prices")
            results.fill_prices, results.fill_seconds = ragged(held), _fill(ours, held)
            _check_with_exact(ours, held, effort)
        answer = call(ours.target, stats(ours.target, symbol_of(most), effort.max_k)).body.decode()
        receipt = f'{{"symbol":"{symbol_of(most)}","added":10000,"count":{ragged(most)}}}'
        beside = "loadgen.bench.beside"
        floor = stack.enter_context(
            launched(f"{beside}.floor", ("--answer", answer, "--receipt", receipt), cores.server)
        )
        constant = stack.enter_context(launched(f"{beside}.constant", ("--answer", answer), cores.server))
        shut = stack.enter_context(_tenfold(cores, effort, "--no-door"))
        _fill(shut, effort.held[0])
        two = stack.enter_context(_tenfold(cores, effort, workers=2))
        _fill(two, min(RIVAL_HELD, most))
        say("HTTP: does the number of prices matter?")
        results.growth += _growth_of_tenfold(ours, floor, effort)
        for held in effort.held:
            say(f"HTTP: FastAPI with {held:,} prices")
            results.growth.append(_growth_of_rival(cores, ours, held, effort))
        rival = stack.enter_context(_fastapi(cores, min(RIVAL_HELD, most)))
        say("HTTP: queries beside the bare handler")
        _check_all_windows(ours, effort)
        results.queries = _fill_cells(_queries(Servers(ours, shut, two, constant, floor, rival), effort), effort)
        for size in effort.batches:
            say(f"HTTP: batches of {size:,}")
            _check_posting(ours, rival, size, effort)
            results.batches += _fill_cells(_posts(ours, floor, rival, size, effort), effort)
    return results


def symbol_of(held: int) -> str:
    """The symbol in tenfold that holds so many prices."""
    return f"H{held}"


def stats(target: Target, symbol: str, k: int) -> bytes:
    """Ask for one window."""
    return get(target, stats_path(symbol, k))


def all_windows(target: Target, symbol: str) -> bytes:
    """Ask for the eight windows at once."""
    return get(target, f"/stats/all/?symbol={symbol}")


def json_batch(target: Target, symbol: str, prices: Prices, path: str = "/add_batch/") -> bytes:
    """Post a batch as JSON, with as many digits as the prices have."""
    return post(target, path, batch_body(symbol, prices))


def binary_batch(target: Target, symbol: str, prices: Prices, path: str = "/add_batch/") -> bytes:
    """Post a batch as little-endian float64."""
    return post(target, f"{path}?symbol={symbol}", prices.astype("<f8").tobytes(), OCTETS)


def _tenfold(cores: Cores, effort: Effort, *options: str, workers: int = 1) -> AbstractContextManager[Launched]:
    numbers = {"port": 0, "workers": workers, "max-k": effort.max_k, "max-connections": 2 * effort.connections[-1]}
    named = [text for name, number in numbers.items() for text in (f"--{name}", str(number))]
    return launched("service", [*named, *options], cores.server)


def _fastapi(cores: Cores, held: int) -> AbstractContextManager[Launched]:
    return launched("loadgen.bench.beside.rivals.fastapi_service", ("--held", str(held)), cores.server)


def _fill(ours: Launched, held: int) -> float:
    """Post the stream in largest batches, one after the other over one connection; the seconds that it took."""
    prices = feed(ragged(held))
    begin = perf_counter()
    parts = (prices[start : start + LARGEST_BATCH] for start in range(0, len(prices), LARGEST_BATCH))
    post_all(ours.target, (binary_batch(ours.target, symbol_of(held), part) for part in parts))
    return perf_counter() - begin


def _windows(server: Launched, symbol: str, held: int, max_k: int) -> list[Window]:
    """Every window as a server answers it, with the number of prices that it must be over."""
    found: list[Window] = []
    for k, size in enumerate(WINDOWS[:max_k], 1):
        one = orjson.loads(call(server.target, stats(server.target, symbol, k)).body)
        found.append((min(size, held), one["min"], one["max"], one["last"], one["avg"], one["var"]))
    return found


def _check_with_exact(ours: Launched, held: int, effort: Effort) -> None:
    """Compare the windows that exact arithmetic can compute in time with what it says."""
    total = ragged(held)
    size = min(total, LARGEST_BATCH)
    count = sum(min(window, total) <= LARGEST_BATCH for window in WINDOWS[: effort.max_k])
    exact = truth.exact_windows(feed(size, total - size), total)[:count]
    truth.agree(TENFOLD, _windows(ours, symbol_of(held), total, count), exact)


def _check_all_windows(ours: Launched, effort: Effort) -> None:
    """All windows at once must be what each of them is."""
    held = effort.held[-1]
    single = _windows(ours, symbol_of(held), ragged(held), effort.max_k)
    answer = orjson.loads(call(ours.target, all_windows(ours.target, symbol_of(held))).body)
    together = [
        (one["count"], one["min"], one["max"], answer["last"], one["avg"], one["var"])
        for one in answer["windows"].values()
    ]
    truth.agree(TENFOLD_ALL, together, single)


def _growth_of_tenfold(ours: Launched, floor: Launched, effort: Effort) -> list[Cell]:
    """The longest window of every symbol, and the bare handler."""
    k = effort.max_k
    asked = [Asked(Cell(TENFOLD, held, k), ours, stats(ours.target, symbol_of(held), k)) for held in effort.held]
    asked.append(Asked(Cell(BARE, 0, k), floor, stats(floor.target, symbol_of(effort.held[-1]), k)))
    return _fill_cells(asked, effort)


def _growth_of_rival(cores: Cores, ours: Launched, held: int, effort: Effort) -> Cell:
    """The longest window of the ordinary service with so many prices, its answers compared with tenfold's first."""
    cell = Cell(FASTAPI, held, effort.max_k, limit=too_much("segment tree", held))
    if not cell.limit:
        with _fastapi(cores, held) as rival:
            same = sum(size <= held for size in WINDOWS[: effort.max_k])
            theirs = _windows(rival, RIVAL_SYMBOL, held, same)
            truth.agree(FASTAPI, theirs, _windows(ours, symbol_of(held), held, same))
            _fill_cells([Asked(cell, rival, stats(rival.target, RIVAL_SYMBOL, cell.k))], effort)
    return cell


@dataclass(frozen=True)
class Servers:
    """Who is asked."""

    ours: Launched
    shut: Launched
    two: Launched
    constant: Launched
    floor: Launched
    rival: Launched


def _queries(servers: Servers, effort: Effort) -> list[Asked]:
    """GET: the floors, tenfold with all prices held, heads that never come twice, two workers, the ordinary service."""
    held, k, few = effort.held[-1], effort.middle_k, effort.held[0]  # where it does not matter how many, few
    symbol, rival_held, most = symbol_of(held), min(RIVAL_HELD, held), effort.connections[-1]

    def window(name: str, server: Launched, of: str, held: int = 0, connections: int = CONNECTIONS) -> Asked:
        return Asked(Cell(name, held, k, connections=connections), server, stats(server.target, of, k))

    def all_of(name: str, server: Launched, of: str, held: int) -> Asked:
        return Asked(Cell(name, held), server, all_windows(server.target, of))

    asked = [
        all_of(TENFOLD_ALL, servers.ours, symbol, held),
        window(TENFOLD_NEW, servers.ours, symbol_of(few), few),
        window(TENFOLD_SHUT, servers.shut, symbol_of(few), few),
        window(TENFOLD_TWO, servers.two, symbol_of(rival_held), rival_held, most),  # few might all be one worker's
        window(FASTAPI, servers.rival, RIVAL_SYMBOL, rival_held),
        all_of(FASTAPI_ALL, servers.rival, RIVAL_SYMBOL, rival_held),
    ]
    for number in effort.connections:
        asked += [
            window(CONSTANT, servers.constant, symbol, connections=number),
            window(BARE, servers.floor, symbol, connections=number),
            window(TENFOLD, servers.ours, symbol, held, number),
        ]
    return asked


def _check_posting(ours: Launched, rival: Launched, size: int, effort: Effort) -> None:
    """Post a batch in every way, and compare the windows that it fills with exact arithmetic."""
    symbol, prices = symbol_of(effort.held[-1]), feed(size, 12_345)
    full = sum(10**k <= size for k in range(1, effort.max_k + 1))
    exact = truth.exact_windows(prices, size)[:full]
    for name, server, asked, write in (
        (JSON, ours, symbol, json_batch),
        (BINARY, ours, symbol, binary_batch),
        (FASTAPI_JSON, rival, RIVAL_SYMBOL, json_batch),
    ):
        post_all(server.target, [write(server.target, asked, prices)])
        truth.agree(name, _windows(server, asked, size, full), exact)


def _posts(ours: Launched, floor: Launched, rival: Launched, size: int, effort: Effort) -> list[Asked]:
    """POST: bodies thrown away, bodies parsed, batches appended; as JSON and as binary.

    All connections post to the one symbol that holds most prices. Batches then overlap, which one worker serialises;
    in which order they are appended does not matter to what they cost.
    """
    held, prices = effort.held[-1], feed(size)
    symbol = symbol_of(held)
    asked = [
        Asked(Cell(PARSE, batch=size), floor, json_batch(floor.target, symbol, prices, "/parse")),
        Asked(Cell(BINARY_SINK, batch=size), floor, binary_batch(floor.target, symbol, prices, "/sink")),
        Asked(Cell(BINARY, held, batch=size), ours, binary_batch(ours.target, symbol, prices)),
        Asked(
            Cell(FASTAPI_JSON, min(RIVAL_HELD, held), batch=size),
            rival,
            json_batch(rival.target, RIVAL_SYMBOL, prices),
        ),
    ]
    for number in effort.connections if size == MIDDLE_BATCH else effort.connections[:1]:
        sink, sent = Cell(SINK, batch=size, connections=number), Cell(JSON, held, batch=size, connections=number)
        asked += [
            Asked(sink, floor, json_batch(floor.target, symbol, prices, "/sink")),
            Asked(sent, ours, json_batch(ours.target, symbol, prices)),
        ]
    return asked


def _fill_cells(asked: list[Asked], effort: Effort) -> list[Cell]:
    """Take turns with all cells; what is not served says so instead."""
    for cell, server, request in asked:
        status = call(server.target, request).status
        cell.limit = "" if status == HTTPStatus.OK else f"not served: {status}"
    served = [one for one in asked if not one.cell.limit]
    counted = {TENFOLD_NEW, TENFOLD_SHUT}
    takers = [
        partial(saturated, server, request, effort.seconds, cell.connections, counted=cell.contender in counted)
        for cell, server, request in served
    ]
    for one, costs in zip(served, take_turns(takers, effort.rounds), strict=True):
        one.cell.costs = costs
    return [one.cell for one in asked]
