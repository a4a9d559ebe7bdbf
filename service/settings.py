"""Every option: its name, its default and its bounds, on the command line and in the environment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from aggregation import Geometry

KIBIBYTE = 1024


@dataclass(frozen=True)
class Settings:
    """What one tenfold is told at its start; see ``options`` for what each means."""

    host: str = "127.0.0.1"
    port: int = 8000
    max_symbols: int = 10
    max_k: int = 8
    max_batch: int = 10_000
    max_body: int = 1024 * KIBIBYTE
    stop_seconds: float = 10.0

    @property
    def geometry(self) -> Geometry:
        """The shape of every symbol's memory."""
        return Geometry(max_k=self.max_k, max_batch=self.max_batch)


def options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a click command every option of ``Settings``, each with its default and its environment variable."""
    declared: list[tuple[str, Any, str]] = [
        ("host", str, "Address to listen on."),
        ("port", click.IntRange(0, 65535), "Port to listen on; 0 takes a free one and says which."),
        ("max-symbols", click.IntRange(1, 1000), "Symbols there may be; one more is refused."),
        ("max-k", click.IntRange(1, 8), "Longest window: the last 10^K prices. Bounds the memory."),
        ("max-batch", click.IntRange(1, 1_000_000), "Most prices in one batch."),
        (
            "max-body",
            click.IntRange(1 * KIBIBYTE),
            "Most bytes in one request body; a batch of 10,000 takes 60 to 250 KB.",
        ),
        ("stop-seconds", click.FloatRange(0.1), "How long requests in flight may take to finish at a stop."),
    ]
    for name, kind, text in reversed(declared):
        default = getattr(Settings, name.replace("-", "_"))
        command = click.option(f"--{name}", type=kind, default=default, help=text)(command)
    return command
