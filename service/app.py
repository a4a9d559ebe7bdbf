"""The parts put together: routes, error handler, compactor. Wiring only."""

from __future__ import annotations

from typing import Any, Final

from sanic import Sanic

from aggregation import Symbols
from service.api.access import Guard, Scope
from service.api.compactor import Compactor
from service.api.resources import Resources
from service.http.door import Door
from service.http.exchange import OneSlash, WholeRequest, number_routes
from service.http.handlers import ProblemHandler, guarded, handler_of, metrics_handler
from service.http.limits import Sweeper, Turns
from service.http.origins import Origins
from service.logs import report_left_out
from service.metrics.counters import Counters, SharedMetrics
from service.pages.dashboard import dashboard_handlers
from service.pages.docs import docs_handlers, openapi_handler

from .settings import Settings

READ: Final = ("GET", "HEAD")

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
    app: AnySanic = Sanic(
        name,
        router=OneSlash(),
        error_handler=ProblemHandler(),
        request_class=WholeRequest,
        configure_logging=False,
    )
    app.config.ACCESS_LOG = False
    app.config.REQUEST_MAX_SIZE = settings.max_body
    app.config.GRACEFUL_SHUTDOWN_TIMEOUT = settings.stop_seconds

    sweeper = app.ctx.sweeper = Sweeper(settings.limits)
    app.ctx.counters = counters
    app.ctx.turns = Turns()
    app.ctx.patience = min(settings.lock_seconds, settings.request_seconds)
    app.ctx.origins = Origins(settings.allow_origin)
    app.ctx.door = Door(settings.max_body, is_open=not settings.no_door)
    compactor = Compactor(symbols, counters)
    ask = Resources(symbols, compactor)
    metrics = metrics_handler(settings, symbols, counters.shared)
    pages = dashboard_handlers() | docs_handlers(settings) | {"/openapi.json": openapi_handler(settings)}
    for path, methods, needed, handler in (
        ("/add_batch", ("POST",), Scope.WRITE, handler_of(ask.add_batch)),
        ("/stats", READ, Scope.READ, handler_of(ask.stats)),
        ("/stats/all", READ, Scope.READ, handler_of(ask.all_stats)),
        ("/prices", READ, Scope.READ, handler_of(ask.prices)),
        ("/symbols", READ, Scope.READ, handler_of(ask.list_symbols)),
        ("/symbols/<symbol:str>", ("DELETE",), Scope.WRITE, handler_of(ask.delete_symbol)),
        ("/health", READ, Scope.NOTHING, handler_of(ask.health)),
        ("/metrics", READ, Scope.READ, metrics),
        *((path, READ, Scope.NOTHING, handler) for path, handler in pages.items()),
    ):
        app.add_route(guarded(handler, guard, needed), path, methods=methods, name=f"{methods[0]} {path}")
    app.ctx.route_names = number_routes(app)  # after the last route

    @app.before_server_start
    async def begin(_app: AnySanic) -> None:
        sweeper.start()
        compactor.catch_up()

    @app.after_server_stop
    async def drain(_app: AnySanic) -> None:
        compactor.drain()
        sweeper.report()
        report_left_out(all_of_it=True)

    return app
