"""One wrong answer again: the same batches of one symbol to a fresh service, one by one, and the same question."""

from __future__ import annotations

from contextlib import closing
from typing import NamedTuple

from loadgen.load.run import fit, look
from loadgen.plan import Plan
from loadgen.prices import Batches
from loadgen.truth.ledger import Mistake
from loadgen.truth.witness import Witness


class Repeated(NamedTuple):
    """What came of it: the answer to the question, the first thing that was wrong, and the first refusal."""

    answer: str
    mistake: Mistake | None
    refused: str | None


def reproduce(plan: Plan, place: int, batches: int, k: int) -> Repeated:
    """Send ``batches`` batches of the symbol at ``place`` and ask for window ``k``. O(prices).

    Args:
        plan: with one symbol, whose name is free to choose.
        place: the place that the symbol had in the run; it seeds the prices.
        batches: how many to send.
        k: the window to ask for at the end.

    Raises:
        OSError, ProtocolError: the service does not answer.
        ServiceError: it is no tenfold, or lets nobody in without a token.
        UsageError: it has no room for the symbol, or knows it.
    """
    stream = Batches(plan.prices, plan.seed, place, plan.sizes)
    with closing(Witness(plan.target, plan.symbols[0], batches * plan.sizes.most)) as witness:
        fit(plan, look(plan.target, witness.caller))
        for _ in range(batches):
            witness.add(stream.take().prices, plan.wire)
        response = witness.ask(k)
    answer = f"{response.status} {response.body.decode(errors='replace')}"
    refused = f"{witness.refused[0].status} {witness.refused[0].body[:200]!r}" if witness.refused else None
    return Repeated(answer, next(iter(witness.ledger.mistakes), None), refused)
