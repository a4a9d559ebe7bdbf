"""From settings to a running tenfold: sockets, memory, what to say about it, supervisor."""

from __future__ import annotations

import logging
import sys
from functools import partial

import click

from aggregation import SharedMemory
from service.api.access import TokenFileError
from service.logs import OWN, fields
from service.machine import available_bytes
from service.settings import MEBIBYTE, Settings

from .descriptors import provide_descriptors
from .entrance import CertificateError, open_entrance, warn_if_exposed
from .listeners import listen, url
from .supervisor import Supervisor

log = logging.getLogger(OWN)

STRETCH_BYTES = 64 * MEBIBYTE
"""What is touched between two looks at the machine and two steps of the progress bar."""


def serve(settings: Settings) -> int:
    """Listen and serve until SIGINT or SIGTERM; returns the exit code.

    Raises:
        click.UsageError: the address cannot be listened on, the memory not be mapped, or tokens or certificate not be
            used.
    """
    settings = provide_descriptors(settings)
    if (settings.cert is None) != (settings.key is None):
        raise click.UsageError("--cert and --key go together: one was given without the other")
    try:
        entrance = open_entrance(settings)
    except (TokenFileError, CertificateError) as error:
        raise click.UsageError(str(error)) from error
    try:
        listeners = listen(settings.host, settings.port, settings.workers)
    except OSError as error:
        reason = f"cannot listen on {settings.host} port {settings.port}: {error.strerror}"
        raise click.UsageError(reason) from error
    try:
        memory = SharedMemory(settings.layout)
    except OSError as error:
        reason = f"cannot map {settings.layout.total_bytes / 1e9:.1f} GB: {error.strerror}; try a smaller --max-k"
        raise click.UsageError(reason) from error
    warn_if_too_much(settings)
    warn_if_exposed(entrance, listeners[0].getsockname()[0])
    if settings.preallocate:
        preallocate(memory, settings.reserve_bytes)
    address = url(listeners[0], "http" if entrance.tls is None else "https")
    announced = fields(url=address, workers=settings.workers)
    announce = partial(log.info, "%s", welcome(settings, address), extra=announced)
    return Supervisor(settings, listeners, memory, announce, entrance).run()


def welcome(settings: Settings, address: str) -> str:
    """Where it listens, and what full retention takes."""
    return (
        f"tenfold listens on {address} with {settings.workers} worker{'s' * (settings.workers > 1)} and room for "
        f"{settings.max_symbols} symbols of {settings.geometry.retention:,} prices: up to "
        f"{settings.layout.typical_bytes / 1e9:.2f} GB if prices have few digits, "
        f"{settings.layout.total_bytes / 1e9:.2f} GB whatever they are"
    )


def warn_if_too_much(settings: Settings) -> None:
    """Say so if full retention of prices with few digits does not fit beside the reserve, and what helps."""
    needed, available = settings.layout.typical_bytes, available_bytes()
    if needed + settings.reserve_bytes > available:
        log.warning(
            "full retention takes up to %.2f GB if prices have few digits, "
            "but only %.2f GB are available, and %.2f GB of these are kept in reserve: "
            "batches will be refused when that is reached. A smaller --max-k or --max-symbols takes less",
            needed / 1e9,
            available / 1e9,
            settings.reserve_bytes / 1e9,
        )


def preallocate(memory: SharedMemory, reserve: int) -> None:
    """Touch all memory slot by slot, as far as the reserve allows, showing how far it is."""
    total = memory.layout.total_bytes
    slots = total - memory.layout.directory_bytes
    log.info("touching memory: %.2f GB", slots / 1e9)
    memory.touch(0, memory.layout.directory_bytes)
    hidden = not sys.stderr.isatty()  # it is for people, and no line of a log
    with click.progressbar(length=slots, label="touching memory", file=sys.stderr, hidden=hidden) as bar:
        for slot in range(memory.layout.max_symbols):
            begin = memory.layout.slot_offset(slot)
            end = begin + memory.layout.geometry.slot_bytes
            for start in range(begin, end, STRETCH_BYTES):
                if available_bytes() < reserve + STRETCH_BYTES:
                    log.warning("stopped touching memory at %.2f of %.2f GB", start / 1e9, total / 1e9)
                    return
                size = min(STRETCH_BYTES, end - start)
                memory.touch(start, size)
                bar.update(size)
            memory.series(slot).resident = True
