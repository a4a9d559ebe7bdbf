"""Nothing that a client sends can forge a line of the log, stretch it or multiply it."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import signal
import time
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import quote

import httpx
import pytest

from service.logs import (
    CHANGES,
    OWN,
    QUIET_SECONDS,
    REQUESTS,
    TRACEBACK_LINES,
    JsonLines,
    TextLines,
    Throttle,
    escape,
    fields,
)
from service.settings import Settings
from tests.service.http.test_http import BAD
from tests.support.process import Forked, Process, forked, running, until
from tests.support.sockets import Wire, last, post, request

NASTY: Final = {
    "line end": "a\nb",
    "carriage return": "a\rb",
    "both": "a\r\n2026-11-22T16:00:00.000Z INFO 1 forged",
    "vertical tab": "a\x0bb",
    "nul": "a\x00b",
    "backspace": "a\x08\x08b",
    "bell": "\x07",
    "terminal colour": "\x1b[31mred\x1b[0m",
    "terminal title": "\x1b]0;title\x07",
    "8-bit control sequence": "\x9b31m",
    "delete": "a\x7fb",
    "next line": "a\x85b",
    "line separator": "a\u2028b",
    "paragraph separator": "a\u2029b",
    "override": "a\u202etxt.exe",
    "isolate": "\u2066a\u2069",
    "mark": "a\u200fb",
    "Hebrew letters": "אבג 1",
    "Arabic digits": "a ١٢ b",
    "zero width": "a\u200bb\u200dc\ufeff",
    "no-break space": "a\u00a0b",
    "lone surrogate": "a\udc80b",
    "private use": "\ue000",
    "backslash": "a\\nb",
}

FORBIDDEN: Final = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\u0590-\u08ff\ud800-\udfff]"
)
"""What must not be in a log, between its line ends: written down here by itself, not derived from the code."""

LINE: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO|WARNING|ERROR) \d+ \S.*")
MARKED: Final = "  | "
SHORT: Final = 700
"""Bytes of a short line: 300 characters of message, most of them ASCII, and what stands before it."""


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def logger_to(stream: io.StringIO, formatter: logging.Formatter, name: str, throttle: Throttle) -> logging.Logger:
    """A logger that nothing else hears."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    handler.addFilter(throttle)
    logger = logging.Logger(name)  # noqa: LOG001 - not the one of that name that everybody has
    logger.addHandler(handler)
    return logger


@pytest.mark.parametrize("name", NASTY)
def test_escaped_text_is_one_printable_line(name: str) -> None:
    """Whatever the text, its escaped form has nothing that a terminal or a reader of lines would act on."""
    escaped = escape(NASTY[name])
    assert not FORBIDDEN.search(escaped)
    assert "\n" not in escaped
    assert escaped != NASTY[name]


def test_escaping_is_unambiguous_and_leaves_ordinary_text_alone() -> None:
    """Two different texts never look the same, and a name in any script that runs from left to right is readable."""
    assert len({escape(text) for text in NASTY.values()}) == len(NASTY)
    assert escape("a\nb") == "a\\nb"
    assert escape("a\\nb") == "a\\\\nb"
    for ordinary in ("EUR/USD", "日経225", "Ελλάδα", "ES 03-26", "🚀", "^GSPC", '"q"'):
        assert escape(ordinary) == ordinary


@pytest.mark.parametrize("logger", [OWN, REQUESTS, "sanic.error", "sanic.root", "asyncio"])
@pytest.mark.parametrize("name", NASTY)
def test_every_logger_writes_lines_of_text(stream: io.StringIO, logger: str, name: str) -> None:
    """In a message, in its arguments and in an exception, of any logger: no control character gets through."""
    log = logger_to(stream, TextLines(), logger, Throttle())
    log.error(NASTY[name])
    log.error("about %s", NASTY[name])
    try:
        fail(NASTY[name])
    except ValueError:
        log.exception("failed")
    lines = stream.getvalue().split("\n")
    assert lines.pop() == ""
    assert not FORBIDDEN.search("".join(lines))
    assert all(LINE.fullmatch(line) for line in lines[:3])
    assert f"failed: ValueError at tests/service/test_logs.py:{line_of('raise ValueError(message)')}: " in lines[2]
    assert all(line.startswith(MARKED) for line in lines[3:])
    assert lines[3] == f"{MARKED}Traceback (most recent call last):"


def fail(message: str) -> NoReturn:
    raise ValueError(message)


def line_of(text: str) -> int:
    """Where the first line of this file is that begins with a text."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, start=1) if line.strip().startswith(text))


@pytest.mark.parametrize("logger", [OWN, REQUESTS, "sanic.error", "sanic.root", "asyncio"])
@pytest.mark.parametrize("name", NASTY)
def test_every_logger_writes_objects_that_read_back(stream: io.StringIO, logger: str, name: str) -> None:
    """A JSON line is ASCII without control characters, and what was logged comes back from it to the character."""
    log = logger_to(stream, JsonLines(), logger, Throttle())
    log.warning("about %s", NASTY[name], extra=fields(symbol=NASTY[name], bytes=12))
    (line,) = stream.getvalue().splitlines()
    assert re.fullmatch("[ -~]+", line)
    document = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", document.pop("time"))
    assert document == {
        "level": "warning",
        "message": f"about {NASTY[name]}",
        "process": os.getpid(),
        "symbol": NASTY[name],
        "bytes": 12,
    }


@pytest.mark.parametrize("formatter", [TextLines(), JsonLines()], ids=["text", "json"])
def test_a_record_is_bounded(stream: io.StringIO, formatter: logging.Formatter) -> None:
    """A megabyte of message, field or exception makes a short line; a deep traceback is cut to its inner end."""
    log = logger_to(stream, formatter, "sanic.error", Throttle())
    log.error("x" * 1_000_000, extra=fields(symbol="y" * 1_000_000))
    assert len(stream.getvalue()) < SHORT

    def deep(left: int) -> None:
        if left:
            deep(left - 1)
        else:
            raise ValueError("z" * 1_000_000)

    try:
        deep(500)
    except ValueError:
        log.exception("deep")
    assert len(stream.getvalue()) < 20_000
    assert 'raise ValueError("z"' in stream.getvalue().replace("\\", "")


def test_arguments_that_do_not_fit_are_no_disaster(stream: io.StringIO) -> None:
    """A record that cannot be formatted is logged as it stands, in one line."""
    log = logger_to(stream, TextLines(), "sanic.error", Throttle())
    log.error("%d things", "many\n")
    (line,) = stream.getvalue().splitlines()
    assert line.endswith("%d things")


def test_a_place_is_quiet_after_a_line_and_then_says_how_much_was_left_out(stream: io.StringIO) -> None:
    """Of a thousand records of one place one is logged; after the pause the next says, once, how many were not."""
    now = [0.0]
    log = logger_to(stream, TextLines(), REQUESTS, Throttle(lambda: now[0]))
    for at in [0.0] * 1000 + [QUIET_SECONDS - 0.001, QUIET_SECONDS, 2 * QUIET_SECONDS]:
        now[0] = at
        log.warning("refused at %g", at)
    log.warning("another place")
    assert [line.split(" ", 3)[3] for line in stream.getvalue().splitlines()] == [
        "refused at 0",
        "refused at 5 (and 1000 more since the last)",
        "refused at 10",
        "another place",
    ]


def test_what_was_left_out_of_a_place_that_fell_silent_is_a_line(
    stream: io.StringIO, caplog: pytest.LogCaptureFixture
) -> None:
    """Twenty symbols a place are a line each; the rest is one line, when the place has been silent, or at the end."""
    now = [0.0]
    throttle = Throttle(lambda: now[0])
    log = logger_to(stream, TextLines(), CHANGES, throttle)
    for number in range(25):
        log.info("symbol %s created", number)
    assert len(stream.getvalue().splitlines()) == 20
    for at, told in ((2 * QUIET_SECONDS - 0.1, 0), (2 * QUIET_SECONDS, 1), (9 * QUIET_SECONDS, 1)):
        now[0] = at
        with caplog.at_level(logging.INFO, OWN):
            throttle.report()
        assert caplog.messages == ['left out 5 lines like "symbol %s created"'] * told
    for number in range(23):
        log.info("symbol %s created", number)
    with caplog.at_level(logging.INFO, OWN):
        throttle.report(all_of_it=True)
    assert caplog.messages[1:] == ['left out 3 lines like "symbol %s created"']


def test_what_was_left_out_is_a_number_in_json(stream: io.StringIO) -> None:
    """A machine finds the number that was left out under a key of its own."""
    now = [0.0]
    log = logger_to(stream, JsonLines(), "asyncio", Throttle(lambda: now[0]))
    for at in (0.0, 1.0, 2.0, QUIET_SECONDS, 2 * QUIET_SECONDS):
        now[0] = at
        log.warning("refused")
    assert [json.loads(line).get("left_out", 0) for line in stream.getvalue().splitlines()] == [0, 2, 0]


def test_what_happens_to_the_service_is_never_left_out(stream: io.StringIO) -> None:
    """Two workers that die within a second are two lines."""
    log = logger_to(stream, TextLines(), OWN, Throttle(lambda: 0.0))
    for worker in range(5):
        log.warning("worker %d was killed", worker)
    assert len(stream.getvalue().splitlines()) == 5


def test_a_traceback_is_shown_once_for_each_place(stream: io.StringIO) -> None:
    """The first exception of a place comes with its traceback, later ones are a line each; other places have theirs."""
    now = [0.0]
    log = logger_to(stream, TextLines(), REQUESTS, Throttle(lambda: now[0]))

    def fail_elsewhere(message: str) -> NoReturn:
        raise ValueError(message)

    for failing in (fail, fail, fail_elsewhere, fail):
        now[0] += QUIET_SECONDS
        try:
            failing("at it")
        except ValueError:
            log.exception("failed")
    shown = stream.getvalue()
    assert shown.count(" ERROR ") == 4
    assert shown.count("Traceback") == 2


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
                assert client.post("/add_batch/", json={"symbol": "A", "values": [1]}).status_code == 200
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
                assert client.post("/add_batch/", json={"symbol": "A", "values": [1]}).status_code == 507
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
