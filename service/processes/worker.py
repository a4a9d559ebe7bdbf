"""One process that serves: an application, and the beat of its event loop."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import signal
import socket
from collections.abc import Callable
from typing import Any, Final

from aggregation import Symbols
from service.app import AnySanic, create_app
from service.http.connection import Connection
from service.http.tls import Handshake, Handshakes
from service.metrics.counters import Counters
from service.settings import Settings

from .allocator import keep_memory
from .entrance import Entrance
from .listeners import BACKLOG
from .warm_up import warm_routes

PR_SET_PDEATHSIG: Final = 1

BEAT_SECONDS: Final = 0.25
"""Between two beats: a few for each of the seconds that a worker may stand still."""


def work(  # noqa: PLR0913, PLR0917 - what was made before the fork, each part by its own maker
    settings: Settings,
    symbols: Symbols,
    counters: Counters,
    listener: socket.socket,
    ready: Callable[[], None],
    entrance: Entrance,
) -> None:
    """Serve from ``listener`` until SIGTERM; call ``ready`` once it can.

    SIGINT is the supervisor's: a terminal sends it to all processes at once, and the supervisor passes it on.
    """
    keep_memory()
    app = create_app(settings, symbols, guard=entrance.guard, counters=counters)
    protocol: Any = Connection  # Sanic asks for less than the event loop takes
    if entrance.tls is not None:
        protocol = Handshake
        app.ctx.handshakes = Handshakes(entrance.tls, settings.limits)

    @app.after_server_start
    async def serving(_app: AnySanic) -> None:
        beat(counters)
        await warm_routes(app, entrance.guard)
        gc.freeze()  # what lives as long as the worker need not be looked at again: some percent of a request
        asyncio.get_running_loop().call_soon(serves)

    def serves() -> None:
        # Not in the hook itself: the loop runs only for the hook then, and cannot be stopped in good order. A signal
        # that comes before is ignored here, and sent again by the supervisor once it hears that this worker serves.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop, app)
        ready()

    app.run(
        sock=listener,
        protocol=protocol,
        backlog=BACKLOG,
        single_process=True,
        register_sys_signals=False,
        access_log=False,
        motd=False,
    )


def beat(counters: Counters) -> None:
    """Have the event loop say, now and from now on, that it turns; one that stands still does not."""
    counters.beat()
    asyncio.get_running_loop().call_later(BEAT_SECONDS, beat, counters)


def stop(app: AnySanic) -> None:
    """Answer what has been accepted, close each connection with its next answer, and end.

    Only the first call counts: a service manager may signal every process besides the supervisor, and stopping the loop
    once more would end it in the middle of an answer.
    """
    if app.config.KEEP_ALIVE:
        app.config.KEEP_ALIVE = False
        app.ctx.door.shut()
        app.stop(terminate=False)


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process as soon as its parent is gone, so that none lingers."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was gone before
        os._exit(1)
