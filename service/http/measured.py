"""Where answers are counted and timed: at the one place that each of them passes, whoever gives it.

That is the head of the answer, formatted and about to be sent. Handlers know nothing of it, and what never reaches a
handler is seen as well: broken framing, unknown paths, bodies that are too large, deadlines.

What is timed is what tenfold can answer for: from its last reading of the connection before the answer, which is when
the request was whole, or the answer before if requests came together. A client that takes its time to send is not in
it, nor is one that takes its time to read. Sanic notes that moment anyway, so one look at the clock is enough.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Coroutine
from time import monotonic
from typing import Any

from sanic import Sanic

from service.metrics.counters import BOUNDS, BUCKETS, STATUS_OFFSET, first_cell

from .whole import WholeHttp

NO_ROUTE = "none"
"""The route of a request that matches none. Paths begin with a slash, so it is none of them."""

_NO_ROUTE_CELL = first_cell(0)


def number_routes(app: Sanic[Any, Any]) -> list[str]:
    """Give each route of an application, which must be complete, its cells; return what the routes are called.

    The templates are the names, so no client can make new ones. All workers number alike, as they add alike.

    Raises:
        ValueError: there are more routes than there is room for.
    """
    names = [NO_ROUTE]
    for route in app.router.routes:
        template = "/" + re.sub(r"<(\w+)[^>]*>", r"<\1>", route.path)
        if template not in names:
            names.append(template)
        route.ctx.first_cell = first_cell(names.index(template))
    return names


class MeasuredHttp(WholeHttp):
    """HTTP/1.1, counted. Finds the ``Counters`` in ``app.ctx.counters``."""

    __slots__ = ("_counts", "_seconds")

    def __init__(self, protocol: Any) -> None:  # noqa: ANN401 - Sanic's protocols are untyped
        super().__init__(protocol)
        counters = protocol.app.ctx.counters
        self._counts: memoryview[int] = counters.counts
        self._seconds: memoryview[float] = counters.seconds

    def http1_response_header(self, data: bytes, end_stream: bool) -> Coroutine[Any, Any, None]:
        """Count an answer that has somebody to go to, then send it. No coroutine of its own, which would cost more."""
        protocol = self.protocol
        transport = protocol.transport
        if transport is not None and not transport.is_closing():
            seconds = monotonic() - protocol._time  # noqa: SLF001 - when Sanic last read or wrote; nothing public tells
            route = self.request.route
            row = (_NO_ROUTE_CELL if route is None else route.ctx.first_cell) + STATUS_OFFSET[self.response.status]
            self._counts[row + bisect_left(BOUNDS, seconds)] += 1
            self._seconds[row + BUCKETS] += seconds
        return WholeHttp.http1_response_header(self, data, end_stream)  # super() would take a tenth of a µs
