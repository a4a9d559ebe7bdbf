"""One wrong answer again: the same batches of one symbol to a fresh service, one by one, and the same question."""

from __future__ import annotations

from typing import NamedTuple

from .client import Caller
from .ledger import Ledger, Mistake, Poll
from .plan import Plan
from .prices import Batches
from .wire import batch_request, stats_request


class Repeated(NamedTuple):
    """What came of it: the answer to the question, and the first thing that was wrong."""

    answer: str
    mistake: Mistake | None


def reproduce(plan: Plan, place: int, batches: int, k: int) -> Repeated:
    """Send ``batches`` batches of the symbol at ``place`` and ask for window ``k``. O(prices).

    Args:
        plan: with one symbol, whose name is free to choose.
        place: the place that the symbol had in the run; it seeds the prices.
        batches: how many to send.
        k: the window to ask for at the end.

    Raises:
        OSError, ProtocolError: the service does not answer.
    """
    (symbol,) = plan.symbols
    stream = Batches(plan.prices, plan.seed, place, plan.sizes)
    ledger = Ledger(symbol, batches * plan.sizes.most)
    caller = Caller(plan.target, plan.timeout)
    for seq in range(batches):
        prices = stream.take()
        ledger.prepared(seq, prices)
        response = caller.call(batch_request(plan.target, symbol, prices, plan.wire))
        ledger.ended(seq, seq + 1, response.status, response.body)
    response = caller.call(stats_request(plan.target, symbol, k))
    caller.close()
    ledger.answered(Poll(k, batches, batches, response.status, response.body))
    ledger.close()
    answer = f"{response.status} {response.body.decode(errors='replace')}"
    return Repeated(answer, ledger.mistakes[0] if ledger.mistakes else None)
