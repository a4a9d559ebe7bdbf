"""What the service holds, read from its very memory, beside what it should hold."""

from __future__ import annotations

from typing import Final

import numpy as np

from tests.service.fuzz.conversation import ask
from tests.service.fuzz.reader import Batch, Refusal
from tests.support.process import Forked
from tests.support.sockets import Answer, Wire

SENTINEL: Final = "A"
"""A symbol that is always there, under the name that most documents use."""


class State:
    """What a service should hold: every symbol's prices. It begins with the sentinel alone."""

    def __init__(self, service: Forked) -> None:
        self._service = service
        for symbol in list(service.symbols):
            service.symbols.delete(symbol)
        self.prices: dict[str, list[float]] = {}
        with Wire(service.port) as wire:
            receipt = ask(wire, "POST", "/add_batch/", [b'{"symbol":"A","values":[1.5,-2.5]}'])
            self.apply(receipt, Batch("A", (1.5, -2.5)))
        self.check()

    def expected(self, batch: Batch | Refusal) -> int:
        """The status that a batch gets as things stand."""
        if isinstance(batch, Refusal):
            return batch.status
        room = len(self.prices) < self._service.settings.max_symbols
        return 200 if batch.symbol in self.prices or room else 409

    def apply(self, receipt: Answer, batch: Batch) -> None:
        """A batch was accepted: its receipt must say so, and the prices be there."""
        prices = self.prices.setdefault(batch.symbol, [])
        prices += batch.prices
        assert receipt.document == {"symbol": batch.symbol, "added": len(batch.prices), "count": len(prices)}

    def check(self) -> None:
        """The service holds exactly these symbols and prices, to the bit."""
        symbols = self._service.symbols
        assert set(symbols) == set(self.prices)
        for symbol, prices in self.prices.items():
            series = symbols.series(symbol)
            assert series.count == len(prices)
            kept = prices[-series.geometry.retention :]
            assert series.prices(len(prices) - len(kept), len(kept)).tobytes() == np.array(kept).tobytes()

    def check_served(self, wire: Wire) -> None:
        """The next request is served, and its answer is of this state."""
        answer = ask(wire, "GET", f"/stats/?symbol={SENTINEL}&k=2")
        window = self.prices[SENTINEL][-100:]
        assert answer.status == 200
        assert [answer.document[name] for name in ("min", "max", "last")] == [min(window), max(window), window[-1]]
