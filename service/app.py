"""The parts put together: routes, error handler, compactor. Wiring only."""

from __future__ import annotations

from typing import Any

from sanic import Sanic

from aggregation import Symbols

from .compactor import Compactor
from .limits import Sweeper
from .problems import ProblemHandler
from .routes.add_batch import add_batch_handler
from .routes.health import health_handler
from .routes.stats import stats_handler
from .routes.symbols import delete_symbol_handler, list_symbols_handler
from .routes.windows import windows_handler
from .settings import Settings
from .whole import WholeRequest

AnySanic = Sanic[Any, Any]
"""Sanic's type is generic in its configuration and its context; neither matters here."""

READ_AHEAD_BYTES = 256 * 1024
"""What is read of a body before reading pauses for the handler: enough for a largest batch at full precision."""


def create_app(settings: Settings, symbols: Symbols, name: str = "tenfold") -> AnySanic:
    """Make the Sanic application that serves these symbols. Its name must be unique in the process."""
    app: AnySanic = Sanic(name, error_handler=ProblemHandler(), request_class=WholeRequest, configure_logging=False)
    app.config.ACCESS_LOG = False
    app.config.REQUEST_MAX_SIZE = settings.max_body
    app.config.REQUEST_BUFFER_SIZE = READ_AHEAD_BYTES
    app.config.GRACEFUL_SHUTDOWN_TIMEOUT = settings.stop_seconds

    sweeper = app.ctx.sweeper = Sweeper(settings.limits)
    compactor = Compactor(symbols)
    app.add_route(add_batch_handler(symbols, compactor), "/add_batch", methods=["POST"], name="add_batch")
    app.add_route(stats_handler(symbols), "/stats", methods=["GET", "HEAD"], name="stats")
    app.add_route(windows_handler(symbols), "/stats/all", methods=["GET", "HEAD"], name="windows")
    app.add_route(list_symbols_handler(symbols), "/symbols", methods=["GET", "HEAD"], name="list_symbols")
    app.add_route(delete_symbol_handler(symbols), "/symbols/<segment:str>", methods=["DELETE"], name="delete_symbol")
    app.add_route(health_handler(symbols), "/health", methods=["GET", "HEAD"], name="health")

    @app.before_server_start
    async def sweep(_app: AnySanic) -> None:
        sweeper.start()

    @app.after_server_stop
    async def drain(_app: AnySanic) -> None:
        compactor.drain()

    return app
