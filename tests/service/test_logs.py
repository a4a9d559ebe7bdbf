"""Nothing that a client sends can forge a line of the log, stretch it or multiply it."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Any, Final, NoReturn
from urllib.parse import quote

import httpx
import pytest

from service.logs import (
    QUIET_SECONDS,
    TRACEBACK_LINES,
    escape,
)
from service.settings import Settings
from tests.support.framing import BAD
from tests.support.loglines import FORBIDDEN, LINE, MARKED, NASTY, SHORT
from tests.support.process import Forked, Process, forked, running, until
from tests.support.sockets import Wire, last, post, request


class Growth:
    """The log of a running service and by how much it has grown."""

    def __init__(self, service: Forked | Process) -> None:
        self._service = service
        self._begin = len(service.log)

    def lines(self) -> list[str]:
        """What has come since, once it has been quiet for a moment."""
        before = -1
        while before != len(self._service.log):
            before = len(self._service.log)
            time.sleep(0.15)
        return self._service.log[self._begin :]


def assert_clean(lines: list[str], log_format: str) -> None:
    """Every line is one that the service wrote, with nothing raw in it."""
    for line in lines:
        assert line.endswith("\n")
        assert not FORBIDDEN.search(line), line
        if log_format == "json":
            assert {"time", "level", "message", "process"} <= set(json.loads(line))
        else:
            assert LINE.fullmatch(line[:-1]) or line.startswith(MARKED), line


def get(target: str | bytes, *headers: str | bytes) -> bytes:
    return last(request("GET", target, *headers))


QUIET_REQUESTS: Final = {
    **{name: request for name, (request, _) in BAD.items()},
    **{f"path of {name}": get(b"/" + text.encode(errors="surrogatepass")) for name, text in NASTY.items()},
    **{
        f"query of {name}": get(
            b"/stats?k=1&symbol=" + b"".join(b"%%%02X" % byte for byte in text.encode(errors="replace"))
        )
        for name, text in NASTY.items()
    },
    **{f"header of {name}": get("/health", b"X: " + text.encode(errors="replace")) for name, text in NASTY.items()},
    "long path": get("/" + "x" * 7000),
    "long header": get("/health", "X: " + "\x1b" * 7000),
    "body with a GET": get("/health", "Content-Length: 5") + b"hello",
    "unfinished body": request("POST", "/add_batch", "Content-Length: 500") + b"{",
    "terminal escapes as JSON": post(b"\x1b[2J!"),
    "websocket": get("/health", "Upgrade: websocket", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13"),
    "nothing": b"",
    "half a head": b"GET /stats?symbol=\x1b[31m",
}


FORMATS: Final = pytest.mark.parametrize("log_format", ["text", "json"])


@FORMATS
def test_requests_leave_nothing_in_the_log(log_format: str) -> None:
    """Bad and malicious requests, all of them together, do not add a byte to the log."""
    with forked(Settings(workers=1, max_k=3, max_body=4096, log_format=log_format)) as service:
        assert_clean(service.log, log_format)
        growth = Growth(service)
        for _ in range(2):
            for sent in QUIET_REQUESTS.values():
                with Wire(service.port) as wire:
                    wire.exchange([sent])
        assert httpx.get(f"{service.url}/health/").status_code == 200
        assert growth.lines() == []


def failing_handler(*_: object) -> NoReturn:
    """A mistake of ours that repeats what a client sent."""
    raise ValueError("\r\n".join(NASTY.values()) + "x" * 10_000)


def failing_callback(*_: object) -> NoReturn:
    """Another one, where only the event loop sees it."""
    raise ValueError("\x1b[2J\n" * 1000)


@FORMATS
def test_our_own_defects_are_500_and_bounded_in_the_log(monkeypatch: pytest.MonkeyPatch, log_format: str) -> None:
    """A handler and a callback that fail at every request: a line and a traceback each, now and then another line."""
    monkeypatch.setattr("service.api.resources.write_statistics", failing_handler)
    monkeypatch.setattr("service.api.compactor.Compactor.catch_up", lambda _: None)
    monkeypatch.setattr("service.api.compactor.Compactor._turn", failing_callback)
    with forked(Settings(workers=1, max_k=3, log_format=log_format)) as service:
        growth = Growth(service)
        begin = time.monotonic()
        with httpx.Client(base_url=service.url) as client:
            for _ in range(60):
                assert client.post("/add_batch/", json={"symbol": "A", "values": [1] * 1000}).status_code == 200
                assert client.get("/stats/", params={"symbol": "A", "k": 1}).status_code == 500
        quiet_times = (time.monotonic() - begin) // QUIET_SECONDS + 1
        lines = growth.lines()
    assert_clean(lines, log_format)
    log = "".join(lines)
    assert "symbol A created" in log
    assert "failed at stats" in log
    assert "Exception in callback" in log
    assert log.count("Traceback") == 2
    first_lines = [line for line in lines if not line.startswith(MARKED)]
    assert 3 <= len(first_lines) <= 1 + 2 * quiet_times
    if log_format == "text":
        assert max(len(line) for line in lines) < SHORT
        assert len(lines) - len(first_lines) <= 2 * TRACEBACK_LINES


@FORMATS
def test_symbols_that_come_and_go_are_a_short_line_each(log_format: str) -> None:
    """Creation and deletion are logged with the name, escaped where it could mislead; a second batch is not logged."""
    symbols = ["EUR/USD", "אבג 1", "a\u200db", "a\\nb", '"a" b=c', "🚀" * 16]
    with forked(Settings(workers=1, max_k=1, log_format=log_format)) as service:
        growth = Growth(service)
        with httpx.Client(base_url=service.url) as client:
            for symbol in symbols:
                for _ in range(2):
                    assert client.post("/add_batch/", json={"symbol": symbol, "values": [1, 2]}).status_code == 200
                assert client.delete(f"/symbols/{quote(symbol, safe='')}").status_code == 204
        lines = growth.lines()
    assert_clean(lines, log_format)
    assert max(len(line.encode()) for line in lines) < SHORT
    events = [(symbol, event) for symbol in symbols for event in ("created", "deleted")]
    for line, (symbol, event) in zip(lines, events, strict=True):
        if log_format == "json":
            document = json.loads(line)
            assert (document["message"], document["symbol"]) == (f"symbol {symbol} {event}", symbol)
        else:
            assert line.endswith(f" symbol {escape(symbol)} {event}\n")


def total(lines: list[str], name: str) -> int:
    """The sum of a field over lines of JSON."""
    return sum(json.loads(line).get(name, 0) for line in lines)


def test_connections_refused_with_503_or_past_their_deadline_are_counted_not_listed() -> None:
    """However many connections are refused or closed at a deadline, there is a line now and then, with their number."""
    settings = Settings(workers=1, max_k=1, max_connections=5, request_seconds=0.3, stop_seconds=1, log_format="json")
    with forked(settings) as service, ExitStack() as wires:
        growth = Growth(service)
        for number in range(45):
            wire = wires.enter_context(Wire(service.port))
            if number < 5:
                wire.send(b"GET /health HTTP/1.1\r\n")
                until(lambda port=wire.port: service.has_read(port), 5)  # type: ignore[misc]
            else:
                assert wire.answer().status == 503
        until(lambda: total(growth.lines(), "late") > 0, 10)
        assert service.stop() == 0
        lines = growth.lines()
    assert_clean(lines, "json")
    assert total(lines, "refused") == 40
    assert total(lines, "late") == 5
    assert len([line for line in lines if "refused" in line]) <= 3
    assert len([line for line in lines if "late" in line]) <= 3


def test_batches_that_are_507_are_a_line_now_and_then() -> None:
    """A producer that goes on while memory is at its reserve does not fill the disk, too."""
    with forked(Settings(workers=1, max_k=1, memory_reserve=1 << 40)) as service:
        growth = Growth(service)
        begin = time.monotonic()
        with httpx.Client(base_url=service.url) as client:
            for _ in range(60):
                assert client.post("/add_batch/", json={"symbol": "A", "values": [1] * 1000}).status_code == 507
        quiet_times = (time.monotonic() - begin) // QUIET_SECONDS + 1
        lines = growth.lines()
    assert_clean(lines, "text")
    assert 1 <= len(lines) <= quiet_times
    assert "the reserve is reached" in lines[0]


def kill_one_and_stop(service: Process | Forked) -> int:
    """Kill a worker, wait for its replacement, stop the service; returns the victim."""
    victim = service.workers()[0]
    os.kill(victim, signal.SIGKILL)
    service.wait_for_log("is replaced by")
    assert service.stop() == 0
    return victim


def test_start_sigkill_replacement_and_sigterm_in_text() -> None:
    """What happens to the processes is in the log: where it listens, which worker died of what, the end."""
    with forked(Settings(workers=2, max_k=1)) as service:
        victim = kill_one_and_stop(service)
    assert_clean(service.log, "text")
    log = service.text
    assert f"(process {victim}) was killed by signal 9" in log
    assert log.index("listens on") < log.index("was killed") < log.index("is replaced") < log.index("stopping")
    assert service.log[-1].endswith(f" INFO {service.pid} stopped\n")


def test_start_sigkill_replacement_and_sigterm_in_json() -> None:
    """The same in JSON, with numbers under keys, from the command with the option in the environment."""
    with running("--workers", "2", "--max-k", "1", "--preallocate", env={"TENFOLD_LOG_FORMAT": "json"}) as process:
        victim = kill_one_and_stop(process)
    assert_clean(process.log, "json")
    documents = [json.loads(line) for line in process.log]
    times = [datetime.fromisoformat(document["time"]) for document in documents]
    assert times == sorted(times)
    assert all(moment.utcoffset() == timedelta(0) for moment in times)

    def that_says(text: str) -> dict[str, Any]:
        (document,) = [document for document in documents if text in document["message"]]
        assert document["process"] == process.pid
        return dict(document)

    started, died, replaced = that_says("listens on"), that_says("was killed"), that_says("is replaced by")
    assert (started["url"], started["workers"], started["level"]) == (process.url, 2, "info")
    assert (died["pid"], died["signal"], died["level"]) == (victim, 9, "warning")
    assert (replaced["worker"], replaced["pid"] != victim) == (died["worker"], True)
    assert documents[-1]["message"] == "stopped"
    assert documents[-1]["exit_code"] == 0
