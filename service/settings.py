"""Every option: its name, its default and its bounds, on the command line and in the environment."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from service.commands import Number
from service.http.limits import Limits

if TYPE_CHECKING:
    from aggregation import Geometry, Layout

KIBIBYTE: Final = 1024
MEBIBYTE: Final = 1024 * KIBIBYTE

USABLE_CORES: Final = len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Settings:
    """What one tenfold is told at its start; see ``options`` for what each means."""

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = USABLE_CORES
    max_symbols: int = 10
    max_k: int = 8
    max_batch: int = 10_000
    max_body: int = 1 * MEBIBYTE
    preallocate: bool = False
    memory_reserve: int = 512
    max_connections: int = 1000
    request_memory: int = 64
    request_seconds: float = 10.0
    idle_seconds: float = 75.0
    stop_seconds: float = 10.0
    token_file: str | None = None
    cert: str | None = None
    key: str | None = None
    log_format: str = "text"

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
    """Give a click command every option of ``Settings``, each with its default and its environment variable."""
    declared: list[tuple[str, Any, str]] = [
        ("host", str, "Address to listen on."),
        ("port", Number(0, 65535), "Port to listen on; 0 takes a free one and says which."),
        ("workers", Number(1, 1024), "Processes that serve; by default one for each usable core."),
        ("max-symbols", Number(1, 1000), "Symbols there may be; one more is refused."),
        ("max-k", Number(1, 8), "Longest window: the last 10^K prices. Bounds the memory."),
        ("max-batch", Number(1, 1_000_000), "Most prices in one batch."),
        (
            "max-body",
            Number(1 * KIBIBYTE),
            "Most bytes in one request body; a batch of 10,000 takes 60 to 250 KB.",
        ),
        ("preallocate", bool, "Touch all memory at the start, so that no batch waits for a page."),
        ("memory-reserve", Number(0), "MiB of the machine to leave free: new memory is refused below that."),
        ("max-connections", Number(1), "Connections that a worker serves at once; one more is refused."),
        (
            "request-memory",
            Number(1),
            "MiB that unfinished requests of a worker may hold in all; the oldest is refused beyond.",
        ),
        (
            "request-seconds",
            Number(0.1, whole=False),
            "How long a request may take to arrive, and its answer to be taken.",
        ),
        ("idle-seconds", Number(0.1, whole=False), "How long a connection may be idle between requests."),
        ("stop-seconds", Number(0.1, whole=False), "How long requests in flight may take to finish at a stop."),
        ("token-file", str, 'Who may come in: lines "read TOKEN" and "write TOKEN". Without it, everybody.'),
        ("cert", str, "Serve HTTPS with this certificate and its chain, a PEM file; needs --key."),
        ("key", str, "The certificate's private key, a PEM file that is not encrypted."),
        ("log-format", click.Choice(["text", "json"]), "Lines for people, or an object a line for machines."),
    ]
    for name, kind, text in reversed(declared):
        default = getattr(Settings, name.replace("-", "_"))
        flag = kind is bool
        command = click.option(f"--{name}", type=kind, is_flag=flag, default=default, help=text)(command)
    return command
