"""One symbol, its batches and its questions one after the other: each answer must be that of the state before it."""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus

from loadgen.plan import Target
from loadgen.prices import Prices
from loadgen.wire.client import Caller, ProtocolError, Response
from loadgen.wire.requests import batch_request, delete, stats_request

from .ledger import Ledger, Poll


class Witness:
    """Sends, asks, and has the ledger judge.

    Args:
        target: where to.
        symbol: that holds no prices yet.
        capacity: prices that are kept for judging.

    Raises:
        OSError, ProtocolError: from ``add`` and ``ask``: the service does not answer.
    """

    def __init__(self, target: Target, symbol: str, capacity: int) -> None:
        self.symbol = symbol
        self.caller = Caller(target)
        self.ledger = Ledger(symbol, capacity)
        self.refused: list[Response] = []
        self._target = target
        self._sent = 0

    def add(self, prices: Prices, wire: str = "json") -> None:
        """Send a batch; a refusal is kept in ``refused``."""
        self.ledger.prepared(self._sent, prices)
        response = self.caller.call(batch_request(self._target, self.symbol, prices, wire))
        self.ledger.ended(self._sent, self._sent + 1, response.status, response.body)
        self._sent += 1
        if response.status != HTTPStatus.OK:
            self.refused.append(response)

    def ask(self, k: int) -> Response:
        """Ask for a window."""
        response = self.caller.call(stats_request(self._target, self.symbol, k))
        self.ledger.answered(Poll(k, self._sent, self._sent, response.status, response.body))
        return response

    def close(self) -> None:
        """Remove the symbol, if it was made, and give the socket back."""
        if self._sent > len(self.refused):
            with suppress(OSError, ProtocolError):
                self.caller.call(delete(self._target, self.symbol))
        self.caller.close()
