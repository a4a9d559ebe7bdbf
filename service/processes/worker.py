"""One process that serves: an application, and the beat of its event loop."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable
from typing import Any, Final

from aggregation import Symbols
from service.api.access import TokenFileError
from service.app import AnySanic, create_app
from service.http.connection import Connection
from service.http.tls import Handshake, Handshakes
from service.logs import OWN
from service.metrics.counters import Counters
from service.settings import Settings

from .allocator import keep_memory
from .entrance import CertificateError, Entrance, open_entrance
from .listeners import BACKLOG
from .warm_up import warm_routes

log = logging.getLogger(OWN)

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
    orders: int,
) -> None:
    """Serve from ``listener`` until SIGTERM; call ``ready`` once it can.

    A byte that comes from the pipe ``orders`` has it read tokens and certificate again.
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
        asyncio.get_running_loop().add_reader(orders, read_again, orders, app, settings, entrance)
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


def read_again(orders: int, app: AnySanic, settings: Settings, entrance: Entrance) -> None:
    """Go by the files of tokens and certificate as they are now; connections stay, but nothing that was remembered."""
    os.read(orders, 64)
    try:
        read = open_entrance(settings)
    except (TokenFileError, CertificateError) as error:  # changed once more since the supervisor read them
        log.error("%s; what was read before stays in force", error)  # noqa: TRY400 - it says all there is to say
        return
    if entrance.guard is not None and read.guard is not None:
        entrance.guard.become(read.guard)
        app.ctx.door.forget()
    if read.tls is not None:
        app.ctx.handshakes.context = read.tls


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
