"""The parts put together: routes, error handler, compactor. Wiring only."""

from __future__ import annotations

from typing import Any

from sanic import Sanic

from aggregation import Symbols
from service.api.access import Guard, unchecked
from service.api.compactor import Compactor
from service.api.problems import ProblemHandler
from service.api.routes.add_batch import add_batch_handler
from service.api.routes.health import health_handler
from service.api.routes.stats import stats_handler
from service.api.routes.symbols import delete_symbol_handler, list_symbols_handler
from service.api.routes.windows import windows_handler
from service.http.limits import Sweeper
from service.http.measured import number_routes
from service.http.turns import Turns
from service.http.whole import WholeRequest
from service.metrics.counters import Counters, SharedMetrics
from service.metrics.families import metrics_handler
from service.pages.dashboard import dashboard_handlers
from service.pages.docs import docs_handlers, openapi_handler

from .settings import Settings

AnySanic = Sanic[Any, Any]
"""Sanic's type is generic in its configuration and its context; neither matters here."""


def create_app(
    settings: Settings,
    symbols: Symbols,
    name: str = "tenfold",
    guard: Guard | None = None,
    counters: Counters | None = None,
) -> AnySanic:
    """Make the Sanic application that serves these symbols. Its name must be unique in the process.

    With a guard, whoever reads or writes prices needs a token; without one there is no check on the way of a request.
    It counts for itself if it is not told with whom.
    """
    counters = counters or SharedMetrics(1).of_worker(0)
    app: AnySanic = Sanic(name, error_handler=ProblemHandler(), request_class=WholeRequest, configure_logging=False)
    app.config.ACCESS_LOG = False
    app.config.REQUEST_MAX_SIZE = settings.max_body
    app.config.GRACEFUL_SHUTDOWN_TIMEOUT = settings.stop_seconds

    sweeper = app.ctx.sweeper = Sweeper(settings.limits)
    app.ctx.counters = counters
    app.ctx.turns = Turns()
    compactor = Compactor(symbols, counters)
    reading, writing = (guard.reading, guard.writing) if guard else (unchecked, unchecked)
    app.add_route(writing(add_batch_handler(symbols, compactor)), "/add_batch", methods=["POST"], name="add_batch")
    app.add_route(reading(stats_handler(symbols)), "/stats", methods=["GET", "HEAD"], name="stats")
    app.add_route(reading(windows_handler(symbols)), "/stats/all", methods=["GET", "HEAD"], name="windows")
    app.add_route(reading(list_symbols_handler(symbols)), "/symbols", methods=["GET", "HEAD"], name="list_symbols")
    app.add_route(
        writing(delete_symbol_handler(symbols)), "/symbols/<symbol:str>", methods=["DELETE"], name="delete_symbol"
    )
    app.add_route(health_handler(symbols), "/health", methods=["GET", "HEAD"], name="health")
    metrics = reading(metrics_handler(settings, symbols, counters.shared))
    app.add_route(metrics, "/metrics", methods=["GET", "HEAD"], name="metrics")
    app.add_route(openapi_handler(settings), "/openapi.json", methods=["GET", "HEAD"], name="openapi")
    for path, handler in (dashboard_handlers() | docs_handlers(settings)).items():
        app.add_route(handler, path, methods=["GET", "HEAD"], name=f"page {path}")
    app.ctx.route_names = number_routes(app)  # after the last route

    @app.before_server_start
    async def sweep(_app: AnySanic) -> None:
        sweeper.start()

    @app.after_server_stop
    async def drain(_app: AnySanic) -> None:
        compactor.drain()
        sweeper.report()

    return app
