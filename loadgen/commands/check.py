"""A quick pass over a running service: does it keep its contract, refuse what it must, and answer exactly?

It takes one symbol of its own, with a name that nobody has, for a second or two. Every check says in a line what it
expects; what is not so is listed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import numpy as np
import orjson

from loadgen.load.run import look, require_room
from loadgen.plan import WINDOWS, Sizes, Target
from loadgen.prices import Batches, Prices
from loadgen.truth.witness import Witness
from loadgen.wire.client import ProtocolError, Response
from loadgen.wire.requests import Overview, batch_request, get, post, stats_path

BATCHES: Final = 12
"""Of up to 10,000 prices: so windows of 10 to 10,000 slide, and those beyond hold all prices."""

LARGEST_BATCH: Final = 10_000

PROBLEM: Final = b"application/problem+json"


class Finding(NamedTuple):
    """One check: what is expected, and what was found instead; nothing if it is so."""

    expected: str
    instead: str | None


class Checker:
    """The checks of one service.

    Args:
        target: where it is.
        symbol: that holds no prices yet; it is removed in the end.
    """

    def __init__(self, target: Target, symbol: str | None = None) -> None:
        self._target = target
        self._symbol = symbol or f"CHECK-{os.getpid():x}-{os.urandom(3).hex()}"
        self._witness = Witness(target, self._symbol, 1_000_000)
        self._caller = self._witness.caller

    def run(self) -> Iterator[Finding]:
        """Every finding, as it is made. Ends early where nothing further could be learnt.

        Raises:
            OSError, ProtocolError, ServiceError: it does not answer, is no tenfold, or wants a token.
            UsageError: it has no room for another symbol.
        """
        with closing(self._witness):
            found = look(self._target, self._caller)
            require_room(found, 1)
            try:
                yield from self._findings(found)
            except (OSError, ProtocolError) as error:
                yield Finding("the service answers every request", str(error))

    def _findings(self, found: Overview) -> Iterator[Finding]:
        unknown = self._get(stats_path(self._symbol, 1))
        yield self._refusal("a symbol without prices", unknown, 404)
        if unknown.status != HTTPStatus.NOT_FOUND:
            return
        yield from self._refusals()
        yield self._refusal("a refused batch has not made the symbol", self._get(stats_path(self._symbol, 1)), 404)
        offered = [k for k in WINDOWS if self._get(stats_path(self._symbol, k)).status != HTTPStatus.BAD_REQUEST]
        yield Finding(
            f"windows are k = 1 … {found.max_k} and no others",
            None if offered == list(range(1, found.max_k + 1)) else str(offered),
        )
        yield from self._exactness(offered, found.max_batch)
        yield from self._queries()
        yield from self._methods()

    def _refusals(self) -> Iterator[Finding]:
        """Batches that are none."""
        name = orjson.dumps(self._symbol)
        start = b'{"symbol":' + name + b',"values":'
        bodies: list[tuple[str, int, bytes]] = [
            ("an empty body", 400, b""),
            ("a truncated body", 400, start + b"[1.0,"),
            ("NaN", 400, start + b"[NaN]}"),
            ("a number beyond float64", 400, start + b"[1e999]}"),
            ("two documents", 400, start + b"[1.0]}{}"),
            ("an array instead of an object", 422, b"[1.0]"),
            ("no values", 422, b'{"symbol":' + name + b"}"),
            ("no symbol", 422, b'{"values":[1.0]}'),
            ("an empty symbol", 422, b'{"symbol":"","values":[1.0]}'),
            ("an empty batch", 422, start + b"[]}"),
            ("null among the prices", 422, start + b"[1.0,null]}"),
            ("a string among the prices", 422, start + b'["1.0"]}'),
            ("nested prices", 422, start + b"[[1.0]]}"),
            ("a price beyond 1e100", 422, start + b"[1.0,1e101]}"),
            ("symbol given twice", 422, b'{"symbol":"A","symbol":' + name + b',"values":[1.0]}'),
        ]
        for what, status, body in bodies:
            yield self._refusal(what, self._caller.call(post(self._target, "/add_batch/", body)), status)

    def _exactness(self, offered: list[int], limit: int) -> Iterator[Finding]:
        """Batches of all sizes that the service takes; after each, every window."""
        most = min(limit, LARGEST_BATCH)
        stream = Batches("jump", seed=4, place=0, sizes=Sizes(1, most))
        ramp = np.arange(3 * most, dtype=np.float64) / 7  # a minimum that has to leave every window in turn
        batches: list[Prices] = [np.array([0.1]), np.full(min(25, most), 0.1)]
        batches += [*(stream.take().prices for _ in range(BATCHES)), *np.split(ramp, 3)]
        for prices in batches:
            self._witness.add(prices)
            for k in offered:
                self._witness.ask(k)
        refused = self._witness.refused
        yield Finding(
            f"{len(batches)} batches of 1 to {most:,} prices are taken",
            f"{len(refused)} refused, first {refused[0].status} {refused[0].body[:200]!r}" if refused else None,
        )
        ledger, asked = self._witness.ledger, len(batches) * len(offered)
        wrong = None if ledger.tally.right == asked else f"{ledger.tally.right} right, {ledger.tally.wrong} wrong"
        if ledger.mistakes:
            first = ledger.mistakes[0]
            wrong = f"{ledger.tally.wrong} wrong, first {first.request} with {first.count:,} prices: "
            wrong += f"expected {first.expected}; got {first.got}"
        yield Finding(f"{asked} answers about them are exact", wrong)
        if limit == most:  # a longer batch might be more bytes than a body may have
            too_many = batch_request(self._target, self._symbol, np.ones(limit + 1))
            yield self._refusal(f"{limit + 1:,} prices", self._caller.call(too_many), 422)

    def _queries(self) -> Iterator[Finding]:
        """Questions that are none."""
        symbol = stats_path(self._symbol, 1).removesuffix("&k=1")
        for k in ("", "0", "9", "-1", "1.5", "01", "%2B1", "1e0", "%EF%BC%91"):
            yield self._refusal(f"k={k}", self._get(f"{symbol}&k={k}"), 400)
        yield self._refusal("k missing", self._get(symbol), 400)
        yield self._refusal("k given twice", self._get(f"{symbol}&k=1&k=2"), 400)
        yield self._refusal("symbol missing", self._get("/stats/?k=1"), 400)
        yield self._refusal("a path that is not there", self._get("/statistics/"), 404)

    def _methods(self) -> Iterator[Finding]:
        """Methods, and paths without their slash."""
        path = stats_path(self._symbol, 1)
        yield self._refusal("GET of /add_batch/", self._get("/add_batch/"), 405)
        yield self._refusal("POST to /stats/", self._caller.call(post(self._target, "/stats/", b"{}")), 405)
        slashless = self._get(path.replace("/stats/", "/stats"))
        yield _expect("/stats answers as /stats/ does", slashless, lambda r: (r.status, r.body), self._answer(path))
        head = self._caller.call(get(self._target, path).replace(b"GET", b"HEAD", 1))
        yield _expect("HEAD works where GET does", head, lambda r: r.status, 200)

    def _answer(self, path: str) -> tuple[int, bytes]:
        response = self._get(path)
        return response.status, response.body

    def _get(self, path: str) -> Response:
        return self._caller.call(get(self._target, path))

    def _refusal(self, what: str, response: Response, status: int) -> Finding:
        """A refusal has its status and a problem document that says the same."""
        expected = f"{what}: {status} and a problem document"
        if response.status != status:
            return Finding(expected, f"{response.status} {response.body[:200]!r}")
        if PROBLEM not in response.head.lower():
            return Finding(expected, f"headers {response.head!r}")
        try:
            document = orjson.loads(response.body)
        except orjson.JSONDecodeError:
            return Finding(expected, f"a body that is not JSON: {response.body[:200]!r}")
        said = document.get("status") if isinstance(document, dict) else None
        return Finding(expected, None if said == status else f"a document that says {said}")


def _expect(expected: str, response: Response, of: Callable[[Response], Any], wanted: object) -> Finding:
    found = of(response)
    return Finding(expected, None if found == wanted else repr(found))
