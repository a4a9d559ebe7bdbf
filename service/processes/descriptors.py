"""How many files and sockets a process may have open, and how many connections that is enough for."""

from __future__ import annotations

import logging
import resource
from dataclasses import replace
from typing import Final

import click

from service.http.limits import MOST_LINGERING
from service.logs import OWN, fields
from service.settings import Settings

log = logging.getLogger(OWN)

OPEN_ANYWAY: Final = 64
"""Two or three dozen files, pipes and sockets of a process, and what it opens for a moment."""

OPEN_FOR_A_WORKER: Final = 4
"""In the supervisor, and in workers, which inherit them: a socket, two pipes, a pidfd."""


def provide_descriptors(settings: Settings) -> Settings:
    """Raise the limit of this process, and of those that it forks, to what the connections need.

    Where that may not be, there are fewer connections, and a warning. So there is always a descriptor to accept one
    with, and to say 503 to one too many.

    Raises:
        click.UsageError: there are too few for so many workers.
    """
    others = OPEN_ANYWAY + OPEN_FOR_A_WORKER * settings.workers
    each = 1 if settings.cert is None else 2  # as many as there are connections may be in their handshakes
    wanted = settings.max_connections
    needed = others + each * wanted + min(MOST_LINGERING, wanted)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most == needed:
        return settings
    left = most - others
    connections = max((left - MOST_LINGERING) // each, min(MOST_LINGERING, left // (each + 1)))
    if connections < 1:
        raise click.UsageError(f"{settings.workers} workers need more file descriptors than {hard} (ulimit -Hn)")
    log.warning(
        "only %d file descriptors may be had (ulimit -Hn): a worker serves %d connections at once, not %d",
        *(hard, connections, wanted),
        extra=fields(connections=connections),
    )
    return replace(settings, max_connections=connections)
