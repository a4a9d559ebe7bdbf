"""Everything that a run is told, and how the options that need reading are read. Nothing here acts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple
from urllib.parse import urlsplit

WINDOWS: Final = tuple(range(1, 9))
"""Every k that a tenfold can answer."""

MOST_TOKEN: Final = 512
"""Characters, as the service has it: there is room for them in front of a body."""

_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_RATE: Final = re.compile(r"(\d+(?:\.\d+)?)(?:/s)?")
_RANGE: Final = re.compile(r"(\d+)(?:-(\d+))?")


@dataclass(frozen=True)
class Target:
    """Where the service listens, and how to be let in.

    Args:
        host: name or address; with ``tls`` the certificate must be for it.
        port: where it listens.
        tls: speak HTTPS.
        ca: a file with the authorities to trust, in PEM; ``None`` for those of the system.
        token: sent with every request, and shown nowhere.
    """

    host: str
    port: int
    tls: bool = False
    ca: str | None = None
    token: str | None = field(default=None, repr=False)

    @cached_property
    def authority(self) -> str:
        """Host and port as they stand in a URL and in the ``Host`` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """What ``read_target`` reads."""
        return f"{'https' if self.tls else 'http'}://{self.authority}"


class Sizes(NamedTuple):
    """Prices in a batch: from ``least`` to ``most``, both included."""

    least: int
    most: int

    def __str__(self) -> str:
        return str(self.most) if self.least == self.most else f"{self.least}-{self.most}"


class Rate(NamedTuple):
    """Requests a second for each symbol. ``None`` is the closed model: the next one as soon as the last is answered."""

    per_second: float | None

    @property
    def closed(self) -> bool:
        """Whether answers, not the clock, decide when the next request is sent."""
        return self.per_second is None

    def __str__(self) -> str:
        return "max" if self.per_second is None else f"{self.per_second:g}/s"


MAX: Final = Rate(None)
"""The closed model."""


@dataclass(frozen=True)
class Plan:
    """One run, completely: two runs of one plan send the same bodies.

    Args:
        target: where to.
        symbols: their names; a name's place in this tuple seeds its prices.
        sizes: prices in a batch.
        wire: how a batch is written, ``json`` or ``binary``.
        prices: ``walk``, ``jump``, ``constant`` or ``file:PATH``, with ``#COLUMN`` where it is not plain which.
        seed: all prices and sizes derive from it and the symbol's place.
        rate: batches a second and symbol; 0 sends none.
        poll_rate: polls a second and symbol; 0 sends none.
        seconds: when to stop sending, after the warm-up.
        batches: when to stop, in batches a symbol; ``None`` for no such end.
        warmup: seconds at the start that are checked but not measured.
        processes: senders, each with a clerk; symbols are dealt among them.
        connections: in all processes together; ``None`` for one to each request that may be in flight.
        overlap: break the promise: two producers and two dashboards a symbol that do not wait for one another.
        exactly_once: batches say at which position they begin, and are sent again until they are in.
        verify: compare every answer with the oracle.
        append: accept symbols that hold prices already.
        oracle_bytes: memory for the prices that the oracle keeps, over all symbols.
        timeout: seconds after which a request is given up.
        gone: seconds without any answer, with connections broken, after which the service counts as gone.
        once: prices from a file end with its last, instead of starting over.
        windows: the k that dashboards ask for, in turn.
        strict: end as soon as a rate is missed.
        fewer: take the first of the symbols where there is not room for all.
        keep: leave the symbols that the run has made.
        endings: tell at the end what each symbol may hold by then, which copies all prices that are kept.
    """

    target: Target
    symbols: tuple[str, ...]
    sizes: Sizes = field(default=Sizes(10_000, 10_000))
    wire: str = "json"
    prices: str = "walk"
    seed: int = 1
    rate: Rate = MAX
    poll_rate: Rate = MAX
    seconds: float = 10.0
    batches: int | None = None
    warmup: float = 0.0
    processes: int = 1
    connections: int | None = None
    overlap: bool = False
    exactly_once: bool = False
    verify: bool = True
    append: bool = False
    oracle_bytes: int = 2 << 30
    timeout: float = 10.0
    gone: float = 3.0
    once: bool = False
    windows: tuple[int, ...] = WINDOWS
    strict: bool = False
    fewer: bool = False
    keep: bool = False
    endings: bool = False

    @property
    def produces(self) -> bool:
        """Whether batches are sent at all."""
        return self.rate.per_second != 0

    @property
    def polls(self) -> bool:
        """Whether statistics are asked for at all."""
        return self.poll_rate.per_second != 0

    @property
    def open_model(self) -> bool:
        """Whether the clock decides when anything is sent."""
        return any(rate.per_second for rate in (self.rate, self.poll_rate))

    def shares(self) -> list[list[int]]:
        """The places of the symbols, dealt to the processes; never an empty share."""
        count = min(self.processes, len(self.symbols))
        return [list(range(first, len(self.symbols), count)) for first in range(count)]


def read_target(url: str) -> Target:
    """Read ``http://host[:port][/]`` or the same with ``https``.

    Raises:
        ValueError: it is something else, in words for the user.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"}:
        raise ValueError(f"{url!r} does not start with http:// or https://")
    if not parts.hostname or parts.path not in {"", "/"} or parts.query or parts.fragment or parts.username:
        raise ValueError(f"{url!r} is not of the form http://host:port")
    tls = parts.scheme == "https"
    return Target(parts.hostname, parts.port or (443 if tls else 80), tls)


def read_token(text: str) -> str:
    """Read a token: what a header can carry, RFC 6750, section 2.1.

    Raises:
        ValueError: it is something else, in words that do not repeat it.
    """
    if len(text) > MOST_TOKEN or not _TOKEN.fullmatch(text):
        raise ValueError(f"a token has up to {MOST_TOKEN} letters, digits and -._~+/ and may end with =")
    return text


def read_rate(text: str) -> Rate:
    """Read ``max``, ``200/s`` or ``0``.

    Raises:
        ValueError: it is something else, in words for the user.
    """
    if text == "max":
        return MAX
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not max, 0, or a rate such as 200/s")
    return Rate(float(match[1]))


def read_sizes(text: str) -> Sizes:
    """Read ``10000`` or ``1-10000``.

    Raises:
        ValueError: it is something else, in words for the user.
    """
    match = _RANGE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a size such as 10000 or a range such as 1-10000")
    least, most = int(match[1]), int(match[2] or match[1])
    if not 1 <= least <= most:
        raise ValueError(f"{text!r} is not a range of batch sizes from 1 on")
    return Sizes(least, most)
