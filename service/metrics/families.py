"""``GET /metrics``: what Prometheus asks for, over all workers whichever of them is asked."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator, Sequence

import sanic

from aggregation import Symbols
from service import VERSION
from service.logs import dropped_lines
from service.machine import anonymous_bytes, available_bytes
from service.settings import Settings

from .counters import BOUNDS, BUCKETS, OTHER_STATUS, STATUSES, Cell, SharedMetrics
from .exposition import Exposition, Labels


def metrics_text(settings: Settings, symbols: Symbols, metrics: SharedMetrics, route_names: Sequence[str]) -> bytes:
    """Write all metrics down."""
    out = Exposition()
    _requests(out, metrics, route_names)
    _connections(out, metrics, settings)
    _symbols(out, symbols, settings)
    _memory(out, symbols, settings)
    _processes(out, metrics)
    return out.text()


def _requests(out: Exposition, metrics: SharedMetrics, names: Sequence[str]) -> None:
    """Answers by route and status, 0 from the start: to Prometheus a counter that begins at 50 has never risen."""
    statuses = [*map(str, STATUSES), OTHER_STATUS]
    counts: list[tuple[Labels, int]] = []
    histograms: list[tuple[Labels, list[int], float]] = []
    for route, name in enumerate(names):
        rows, seconds = metrics.answers(route)
        classes: dict[str, tuple[list[int], float]] = {"2xx": ([0] * BUCKETS, 0.0)}
        for status, row, total in zip(statuses, rows.tolist(), seconds.tolist(), strict=True):
            counts.append(({"route": name, "status": status}, sum(row)))
            if any(row):
                kind = OTHER_STATUS if status == OTHER_STATUS else f"{status[0]}xx"
                before, total_before = classes.get(kind, ([0] * BUCKETS, 0.0))
                classes[kind] = [a + b for a, b in zip(before, row, strict=True)], total_before + total
        histograms += [({"route": name, "class": kind}, *rest) for kind, rest in classes.items()]
    out.counter(
        "tenfold_http_requests_total",
        "Requests answered, by route (none: path or method match none) and status.",
        counts,
    )
    out.histogram(
        "tenfold_http_request_seconds",
        "Time from reading the last bytes of a request to its answer, by route and class of status. "
        "Waiting for a client to send or to read is not in it.",
        BOUNDS,
        histograms,
    )


def _connections(out: Exposition, metrics: SharedMetrics, settings: Settings) -> None:
    out.gauge("tenfold_connections", "Connections open now.", _by_worker(metrics, Cell.CONNECTIONS))
    out.gauge("tenfold_connections_limit", "Connections that each worker serves at once.", settings.max_connections)
    out.counter("tenfold_connections_accepted_total", "Connections served.", metrics.total(Cell.ACCEPTED))
    out.counter(
        "tenfold_connections_refused_total",
        "Connections turned away with 503 because their worker had as many as it may. They are not among the requests.",
        metrics.total(Cell.REFUSED),
    )
    reasons = {"idle": Cell.IDLE_TIMEOUT, "request": Cell.REQUEST_TIMEOUT, "answer": Cell.ANSWER_TIMEOUT}
    out.counter(
        "tenfold_connections_timed_out_total",
        "Connections closed because nothing was asked (idle), a request was not whole in time (request), or an answer "
        "was not taken in time (answer).",
        [({"reason": reason}, metrics.total(cell)) for reason, cell in reasons.items()],
    )


def _symbols(out: Exposition, symbols: Symbols, settings: Settings) -> None:
    seen = symbols.overview()
    out.gauge("tenfold_symbols", "Symbols that exist.", len(seen))
    out.gauge("tenfold_symbols_limit", "Symbols that there may be.", settings.max_symbols)
    for kind, name, meaning, field in (
        (out.counter, "prices_total", "Prices appended to a symbol since it was created.", "appended"),
        (out.counter, "batches_total", "Batches appended to a symbol since it was created.", "batches"),
        (out.gauge, "roll_up_lag_prices", "Prices of a symbol not rolled up yet; fewer than 1,000 at rest.", "lag"),
        (out.gauge, "symbol_memory_bytes", "Memory that a symbol's prices and summaries take.", "held_bytes"),
    ):
        kind(f"tenfold_{name}", meaning, [({"symbol": one.symbol}, getattr(one, field)) for one in seen])
    held = symbols.layout.directory_bytes + sum(one.held_bytes for one in seen)
    out.gauge("tenfold_memory_bytes", "Memory that all symbols and their directory take.", held)
    out.gauge("tenfold_batch_limit_prices", "Prices that a batch may have.", settings.max_batch)
    out.gauge("tenfold_body_limit_bytes", "Bytes that a request body may have.", settings.max_body)
    out.gauge("tenfold_retention_prices", "Newest prices of a symbol that are kept.", settings.geometry.retention)


def _memory(out: Exposition, symbols: Symbols, settings: Settings) -> None:
    out.gauge(
        "tenfold_memory_limit_bytes",
        "Memory that as many symbols as may be take at most: full, of prices that do not compress.",
        symbols.layout.total_bytes,
    )
    out.gauge(
        "tenfold_memory_reserve_bytes",
        "Memory of the machine that is left free: batches that would need it are refused.",
        settings.reserve_bytes,
    )
    out.gauge(
        "tenfold_memory_available_bytes",
        "Memory that the machine, or the control group, has left.",
        available_bytes(),
    )


def _processes(out: Exposition, metrics: SharedMetrics) -> None:
    out.summary(
        "tenfold_roll_up_seconds",
        "Time spent on rolling up after answers were sent.",
        metrics.total(Cell.ROLL_UPS),
        metrics.total_seconds(Cell.ROLL_UP_SECONDS),
    )
    out.counter(
        "tenfold_roll_up_failures_total",
        "Times that rolling up, or giving memory back, failed, to be tried again.",
        metrics.total(Cell.ROLL_UP_FAILURES),
    )
    out.gauge("tenfold_workers", "Processes that serve.", metrics.workers)
    restarts = [({"worker": str(worker)}, max(0, starts - 1)) for worker, starts in _places(metrics, Cell.STARTS)]
    out.counter("tenfold_worker_restarts_total", "Times that a worker had died and was replaced.", restarts)
    now = time.monotonic()
    ages = [({"worker": str(worker)}, max(0.0, now - beat)) for worker, beat in enumerate(metrics.beats())]
    out.gauge("tenfold_worker_beat_age_seconds", "Time since the event loop of a worker last turned.", ages)
    memory = [({"worker": str(worker)}, anonymous_bytes(pid)) for worker, pid in _places(metrics, Cell.PID)]
    out.gauge("tenfold_worker_memory_bytes", "Memory of a worker besides the symbols and what it runs.", memory)
    out.counter(
        "tenfold_log_lines_dropped_total",
        "Lines of the log that were dropped because nobody read them in time, or they could not be written.",
        dropped_lines(),
    )
    out.gauge("tenfold_start_time_seconds", "When tenfold was started, in Unix time.", metrics.started_at)
    versions = {"version": VERSION, "python": platform.python_version(), "sanic": sanic.__version__}
    out.gauge("tenfold_build_info", "What is running; always 1.", [(versions, 1)])


def _places(metrics: SharedMetrics, cell: int) -> Iterator[tuple[int, int]]:
    return enumerate(metrics.by_worker(cell))


def _by_worker(metrics: SharedMetrics, cell: int) -> list[tuple[Labels, int]]:
    return [({"worker": str(worker)}, value) for worker, value in _places(metrics, cell)]
