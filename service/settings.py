"""Every option: its name, its default and its bounds, on the command line and in the environment."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

import click

from service.commands import Number, Origin

if TYPE_CHECKING:
    from aggregation import Geometry, Layout

KIBIBYTE: Final = 1024
MEBIBYTE: Final = 1024 * KIBIBYTE


@dataclass(frozen=True)
class Limits:
    """What a client may take of a worker.

    Args:
        connections: served at once; one more takes the place of one that is idle, or is refused.
        request_seconds: from the first byte of a request to its last, and for its answer to be taken.
        idle_seconds: between two requests.
        request_bytes: that all unfinished requests of the worker may hold together.
    """

    connections: int
    request_seconds: float
    idle_seconds: float
    request_bytes: int


def _option(default: Any, kind: Any, meaning: str) -> Any:  # noqa: ANN401 - a field of whatever type
    """A setting and the option that it is given with."""
    return field(default=default, metadata={"kind": kind, "meaning": meaning})


@dataclass(frozen=True)
class Settings:
    """What one tenfold is told at its start, each with its default, its bounds and what it means."""

    host: str = _option("127.0.0.1", str, "Address to listen on.")
    port: int = _option(8000, Number(0, 65535), "Port to listen on; 0 takes a free one and says which.")
    workers: int = _option(
        len(os.sched_getaffinity(0)), Number(1, 1024), "Processes that serve; by default one for each usable core."
    )
    max_symbols: int = _option(10, Number(1, 1000), "Symbols there may be; one more is refused.")
    max_k: int = _option(8, Number(1, 8), "Longest window: the last 10^K prices. Bounds the memory.")
    max_batch: int = _option(10_000, Number(1, 1_000_000), "Most prices in one batch.")
    max_body: int = _option(
        1 * MEBIBYTE, Number(1 * KIBIBYTE), "Most bytes in one request body; a batch of 10,000 takes 60 to 250 KB."
    )
    preallocate: bool = _option(False, bool, "Touch all memory at the start, so that no batch waits for a page.")
    memory_reserve: int = _option(512, Number(0), "MiB of the machine to leave free: new memory is refused below that.")
    max_connections: int = _option(
        1000, Number(1), "Connections that a worker serves at once; one more replaces an idle one, or is refused."
    )
    request_memory: int = _option(
        64, Number(1), "MiB that unfinished requests of a worker may hold in all; the oldest is refused beyond."
    )
    request_seconds: float = _option(
        10.0, Number(0.1, whole=False), "How long a request may take to arrive, and its answer to be taken."
    )
    lock_seconds: float = _option(
        2.0, Number(0, whole=False), "How long a batch or a deletion waits for another of its symbol; then it is 503."
    )
    idle_seconds: float = _option(75.0, Number(0.1, whole=False), "How long a connection may be idle between requests.")
    hang_seconds: float = _option(
        8.0, Number(1, whole=False), "How long a worker's event loop may stand still before it is killed and replaced."
    )
    stop_seconds: float = _option(
        5.0, Number(0.1, whole=False), "How long requests in flight may take to finish at a stop."
    )
    token_file: str | None = _option(
        None, str, 'Who may come in: lines "read TOKEN" and "write TOKEN". Without it, everybody.'
    )
    allow_origin: tuple[str, ...] = _option(
        (), Origin(), "Have browsers let pages of this origin read answers; may be given several times."
    )
    cert: str | None = _option(None, str, "Serve HTTPS with this certificate and its chain, a PEM file; needs --key.")
    key: str | None = _option(None, str, "The certificate's private key, a PEM file that is not encrypted.")
    no_door: bool = _option(
        False, bool, "Have the framework answer everything, also what came before; for whoever suspects the door."
    )
    log_format: str = _option(
        "text", click.Choice(["text", "json"]), "Lines for people, or an object a line for machines."
    )

    @property
    def geometry(self) -> Geometry:
        """The shape of every symbol's memory."""
        from aggregation import Geometry  # noqa: PLC0415 - compiles the kernels, which --help does not need

        return Geometry(max_k=self.max_k, max_batch=self.max_batch)

    @property
    def layout(self) -> Layout:
        """What lies where in the memory that the workers share."""
        from aggregation import Layout  # noqa: PLC0415 - likewise

        return Layout(self.geometry, self.max_symbols)

    @property
    def limits(self) -> Limits:
        """What a client may take of a worker."""
        return Limits(self.max_connections, self.request_seconds, self.idle_seconds, self.request_memory * MEBIBYTE)

    @property
    def reserve_bytes(self) -> int:
        """Memory of the machine that is left alone."""
        return self.memory_reserve * MEBIBYTE


def options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a click command every option of ``Settings``; each may come from the environment as well."""
    for one in reversed(fields(Settings)):
        kind, several = one.metadata["kind"], isinstance(one.default, tuple)
        name = f"--{one.name.replace('_', '-')}"
        command = click.option(
            name,
            type=kind,
            is_flag=kind is bool,
            multiple=several,
            default=one.default,
            help=one.metadata["meaning"],
        )(command)
    return command
