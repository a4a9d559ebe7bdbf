"""How a record becomes a line: on one line, short, and rare."""

from __future__ import annotations

import io
import json
import logging
import os
import re
from pathlib import Path
from typing import NoReturn

import pytest

from service.logs import (
    CHANGES,
    OWN,
    QUIET_SECONDS,
    REQUESTS,
    JsonLines,
    TextLines,
    Throttle,
    escape,
    fields,
)
from tests.support.loglines import FORBIDDEN, LINE, MARKED, NASTY, SHORT


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
    assert f"failed: ValueError at tests/service/test_log_lines.py:{line_of('raise ValueError(message)')}: " in lines[2]
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
