"""What a run has left, read back and compared with what it sent, bit by bit: a seed repeats every price."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from http import HTTPStatus
from typing import NamedTuple

import numpy as np

from loadgen.load.run import look
from loadgen.plan import Plan
from loadgen.prices import Batches, Prices
from loadgen.wire.client import Caller, Response
from loadgen.wire.requests import Overview, prices_request


class Audited(NamedTuple):
    """A symbol: the batches that its prices are, how many prices were read back, and the first thing that is wrong."""

    symbol: str
    batches: int
    prices: int
    wrong: str | None


def audit(plan: Plan) -> Iterator[Audited]:
    """Read back all that is retained of each symbol. O(prices ever sent) for the streams.

    Every batch of a symbol must be in, once and in order, from the first on, and nothing else: what a run leaves that
    is told ``exactly_once`` and ``keep``, and what any other leaves that lost no batch.

    Args:
        plan: the run's; of it count symbols, sizes, prices and seed. With ``fewer``, symbols at its end may be missing.

    Raises:
        OSError, ProtocolError: the service does not answer.
        ServiceError: it is no tenfold, or lets nobody in without a token.
    """
    with closing(Caller(plan.target)) as caller:
        found = look(plan.target, caller)
        held = [place for place, name in enumerate(plan.symbols) if name in found.counts]
        for place in range(max([0, *held]) + 1 if plan.fewer else len(plan.symbols)):
            yield _audit(plan, caller, found, place)


def _audit(plan: Plan, caller: Caller, found: Overview, place: int) -> Audited:
    name = plan.symbols[place]
    count = found.counts.get(name, 0)
    oldest = max(0, count - 10**found.max_k)
    stream = Batches(plan.prices, plan.seed, place, plan.sizes)
    end = batches = compared = 0
    wrong = None if count else "it holds no prices"
    while end < count and wrong is None:
        begin, parts = end, []
        while end < min(count, begin + found.max_batch):
            parts.append(stream.take().prices)
            end += len(parts[-1])
            batches += 1
        wanted = np.concatenate(parts)[: count - begin]
        for at in range(max(begin, oldest), begin + len(wanted), found.max_batch):
            part = wanted[at - begin :][: found.max_batch]
            response = caller.call(prices_request(plan.target, name, at, len(part)))
            wrong = wrong or _difference(response, at, part)
            compared += len(part)
    if wrong is None and end != count:
        wrong = f"{count:,} prices end within batch {batches - 1}, which ends at {end:,}"
    return Audited(name, batches, compared, wrong)


def _difference(response: Response, begin: int, wanted: Prices) -> str | None:
    """The first price, or the answer, that is not what was sent; nothing if every bit is."""
    sent = wanted.astype("<f8", copy=False).tobytes()
    if response.status == HTTPStatus.OK and response.body == sent:
        return None
    if response.status != HTTPStatus.OK or len(response.body) != len(sent):
        said = f"{len(response.body)} bytes" if response.status == HTTPStatus.OK else repr(response.body[:200])
        return f"{len(wanted):,} prices from position {begin:,}: {response.status}, {said}"
    got, bits = np.frombuffer(response.body, "<f8"), np.frombuffer(response.body, "<i8")
    first = int(np.argmax(bits != np.frombuffer(sent, "<i8")))
    return f"position {begin + first:,}: expected {float(wanted[first])!r}, got {float(got[first])!r}"
