"""Clients that send real requests, and what they must be answered.

Streams of whole numbers make every answer speak for itself: price number p of a stream is base + p, so ``last`` tells
the count that an answer is of, and a different base for each symbol tells whose it is.
"""

from __future__ import annotations

import itertools
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from fractions import Fraction
from typing import Final, NamedTuple, Self, TypeVar
from urllib.parse import quote, urlsplit

import numpy as np
import numpy.typing as npt
import orjson

from aggregation import Statistics, Symbols, UnknownSymbolError
from service.settings import Settings
from tests.aggregation.oracle import Exact, History, assert_exact
from tests.support.process import Tenfold
from tests.support.sockets import Answer, BrokenOffError, Wire, request

T = TypeVar("T")

MAX_BATCH: Final = Settings.max_batch

CUT: Final = (ConnectionError, BrokenOffError)
"""What a client sees when its connection ends before its answer is there: whether the batch is in, it cannot know."""


class Client:
    """One connection, kept alive; after an error the next request makes a new one.

    ``sent_at`` is when the last request had been handed over to its last byte, if it was.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        self._port = urlsplit(url).port or 0
        self._headers = [f"Authorization: Bearer {token}"] if token else []
        self._wire: Wire | None = None
        self.sent_at = math.inf

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    @property
    def port(self) -> int:
        """This end's port, once connected."""
        assert self._wire is not None
        return self._wire.port

    def request(self, method: str, path: str, body: bytes | None = None) -> Answer:
        self.sent_at = math.inf
        try:
            if self._wire is None:
                self._wire = Wire(self._port)
            media_type = ["Content-Type: application/json"] if body else []
            self._wire.send(request(method, path, *self._headers, *media_type, body=body))
            self.sent_at = time.monotonic()
            answer = self._wire.answer(head=method == "HEAD")
        except BaseException:
            self.close()
            raise
        if answer.closes:
            self.close()
        return answer

    def add(self, symbol: str, prices: npt.ArrayLike) -> Answer:
        return self.request("POST", "/add_batch/", batch(symbol, prices))

    def stats(self, symbol: str, k: int) -> Answer:
        return self.request("GET", f"/stats/?symbol={quote(symbol)}&k={k}")

    def delete(self, symbol: str) -> Answer:
        return self.request("DELETE", f"/symbols/{quote(symbol, safe='')}")

    def health(self) -> Answer:
        return self.request("GET", "/health/")

    def fill(self, symbol: str, prices: Sequence[float] | npt.NDArray[np.float64]) -> None:
        """Add any number of prices, in as many batches as that takes."""
        for begin in range(0, len(prices), MAX_BATCH):
            assert self.add(symbol, prices[begin : begin + MAX_BATCH]).status == 200


def batch(symbol: str, prices: npt.ArrayLike) -> bytes:
    """The body that adds prices."""
    values = np.asarray(prices, dtype=np.float64)
    return orjson.dumps({"symbol": symbol, "values": values}, option=orjson.OPT_SERIALIZE_NUMPY)


def numbers(base: int, begin: int, end: int) -> npt.NDArray[np.float64]:
    """Prices number ``begin`` to ``end`` − 1 of the stream of whole numbers from ``base`` on."""
    return np.arange(base + begin, base + end, dtype=np.float64)


def exact_at(count: int, k: int, base: int = 0) -> Exact:
    """What window k of a stream of whole numbers is when it has ``count`` prices."""
    size = min(10**k, count)
    first, last = base + count - size, base + count - 1
    return Exact(size, float(first), float(last), float(last), Fraction(first + last, 2), Fraction(size * size - 1, 12))


def assert_answer(answer: Answer, exact: Exact) -> None:
    """An answer is 200 and as exact as the core's own."""
    assert answer.status == 200, answer
    numbers = [answer.document[name] for name in Statistics._fields[1:]]
    assert_exact(Statistics(exact.size, *numbers), exact)


def count_of(answer: Answer, k: int, base: int = 0) -> int:
    """The count that an answer about whole numbers is of, in all its parts; 0 if the symbol is unknown."""
    if answer.status == 404:
        return 0
    assert answer.status == 200, answer
    count = int(answer.document["last"]) - base + 1
    assert count > 0, answer
    assert_answer(answer, exact_at(count, k, base))
    return count


@contextmanager
def connected_to_each(service: Tenfold) -> Iterator[dict[int, Client]]:
    """A client for each worker, by the worker's process: connections are made until every worker has one."""
    clients: dict[int, Client] = {}
    spare: list[Client] = []
    try:
        for _ in itertools.repeat(None, 200):
            client = Client(service.url)
            spare.append(client)
            assert client.health().status == 200
            worker = service.worker_of(client.port)
            assert worker is not None
            clients.setdefault(worker, client)
            if sorted(clients) == sorted(service.workers()):
                break
        else:
            raise AssertionError(f"of {service.workers()} only {list(clients)} answer")
        for client in spare:
            if client not in clients.values():
                client.close()
        yield clients
    finally:
        for client in spare:
            client.close()


def together(*jobs: Callable[[], T]) -> list[T]:
    """Do all jobs at once, each in a thread of its own; what they return, or the first error."""
    start = threading.Barrier(len(jobs))

    def run(job: Callable[[], T]) -> T:
        start.wait(30)
        return job()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


@contextmanager
def meanwhile(url: str, *jobs: Callable[[Client], object], token: str | None = None) -> Iterator[None]:
    """Do each job over and over, in a thread and with a client of its own, until all that is inside is done.

    What goes wrong in a job is raised in the end: it says more than what it led to.
    """
    over = threading.Event()

    def keep_on(job: Callable[[Client], object]) -> None:
        with Client(url, token) as client:
            while not over.is_set():
                job(client)

    with ThreadPoolExecutor(len(jobs)) as pool:
        begun = [pool.submit(keep_on, job) for job in jobs]
        try:
            yield
        finally:
            over.set()
            for one in begun:
                one.result()


def seconds_until_replaced(
    service: Tenfold, victim: int, within: float, *forgiven: type[Exception], blow: signal.Signals = signal.SIGKILL
) -> float:
    """Kill a worker and return how long it takes until a new one has answered a request; what is asked may fail so."""
    before = service.workers()
    os.kill(victim, blow)
    killed = time.monotonic()
    while time.monotonic() < killed + within:
        with suppress(*forgiven), Client(service.url) as client:
            assert client.health().status == 200
            if service.worker_of(client.port) not in {None, *before}:
                return time.monotonic() - killed
    raise AssertionError(f"not replaced within {within} s")


class Added(NamedTuple):
    """A batch that was acknowledged: sent at ``begin``, answered at ``end`` with ``total`` prices."""

    begin: float
    end: float
    first: int
    size: int
    total: int

    @property
    def last(self) -> int:
        return self.first + self.size - 1


class Asked(NamedTuple):
    """A question and its answer, with the times of both."""

    begin: float
    end: float
    k: int
    answer: Answer


class Removed(NamedTuple):
    """A deletion that found something to delete."""

    begin: float
    end: float


class Recording:
    """All that was sent about one symbol, by any number of threads, and when; ``check`` says whether it can be.

    No price comes twice, so the last price of a window tells which batch was the newest.
    """

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.added: list[Added] = []
        self.asked: list[Asked] = []
        self.removed: list[Removed] = []
        self._first = itertools.count(0, 1_000_000)

    def add(self, client: Client, size: int) -> None:
        first = next(self._first)
        begin = time.monotonic()
        status, receipt = client.add(self.symbol, numbers(first, 0, size)).told
        assert (status, receipt["symbol"], receipt["added"]) == (200, self.symbol, size)
        self.added.append(Added(begin, time.monotonic(), first, size, receipt["count"]))

    def ask(self, client: Client, k: int) -> None:
        begin = time.monotonic()
        answer = client.stats(self.symbol, k)
        assert answer.status in (200, 404), answer
        self.asked.append(Asked(begin, time.monotonic(), k, answer))

    def look(self, symbols: Symbols, k: int) -> None:
        """Ask as a worker does, a hundred times as often as a client can."""
        begin = time.monotonic()
        try:
            document = symbols.statistics(self.symbol, k)._asdict()
        except UnknownSymbolError:
            return
        del document["size"]
        self.asked.append(Asked(begin, time.monotonic(), k, Answer(200, {}, orjson.dumps(document))))

    def remove(self, client: Client) -> None:
        begin = time.monotonic()
        answer = client.delete(self.symbol)
        assert answer.status in (204, 404), answer
        if answer.status == 204:
            self.removed.append(Removed(begin, time.monotonic()))

    def check(self) -> None:
        """There is one order of all requests that gives each its answer and keeps what was done before what was sent.

        Batches may overlap, or deletions may come in between, but not both: then only one client may add.
        """
        answers: dict[int, list[Asked]] = {}
        for one in self.asked:
            if one.answer.status == 200:
                answers.setdefault(int(one.answer.document["last"]), []).append(one)
        lives = self._lives()
        assert len(lives) - len(self.removed) in (0, 1), "each deletion ends one life"
        for batches, removed in itertools.zip_longest(lives, self.removed):
            self._check_life(batches, math.inf if removed is None else removed.end, answers)
        assert not answers, "an answer is of no boundary between batches"

    def _lives(self) -> list[list[Added]]:
        """The batches in their order, from one creation of the symbol to the next."""
        ordered = self.added if self.removed else sorted(self.added, key=lambda one: one.total)
        lives: list[list[Added]] = []
        for one in ordered:
            if one.total == one.size:
                lives.append([])
            lives[-1].append(one)
        return lives

    def _check_life(self, batches: list[Added], removed: float, answers: dict[int, list[Asked]]) -> None:
        totals = list(itertools.accumulate(one.size for one in batches))
        assert [one.total for one in batches] == totals, "the receipts are the boundaries, each once"
        first_end_of_later = [
            *reversed(list(itertools.accumulate((one.end for one in reversed(batches)), min))),
            math.inf,
        ]
        history = History()
        for number, added in enumerate(batches):
            history.append(numbers(added.first, 0, added.size))
            assert added.begin <= removed, "a batch went to a series that had been deleted"
            assert added.begin <= first_end_of_later[number + 1], "a batch that was sent later came earlier"
            right: set[tuple[float, ...]] = set()
            for one in answers.pop(added.last, []):
                if (found := (one.k, *one.answer.document.values())) not in right:
                    assert_answer(one.answer, history.newest(10**one.k))
                    right.add(found)
                assert added.begin <= one.end, "an answer knew a batch that had not been sent"
                assert one.begin <= removed, "an answer is of a series that had been deleted"
                assert one.begin <= first_end_of_later[number + 1], "an answer missed a batch that was acknowledged"
