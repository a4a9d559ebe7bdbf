"""What reaches the log: one short line an event, which no client can forge, stretch or multiply.

Every record of every logger in the process, the framework's and the event loop's too, goes through the one handler that
``configure`` installs, and that handler keeps three rules:

* **A line is a line.** Whatever a message holds, control characters, line ends, terminal escapes and all that would
  change the direction of the text are written as escapes.
* **It is short.** Messages are cut; an exception is named with its place in the line, and its traceback follows only
  the first time that it comes from there.
* **It is rare.** What requests cause is logged by the loggers ``REQUESTS`` and ``CHANGES`` or by one that is not
  tenfold's. Each place in the code that logs so gets one line, or a few, in ``QUIET_SECONDS``; the next one says how
  many were left out, or a line of its own does if none comes.

Nothing is logged for a request that goes well, but for one that creates or deletes a symbol.

**Nobody waits for stderr**: see ``relay``.
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import time
import traceback
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .relay import Relay, open_standard_files

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

OWN: Final = "tenfold"
"""The logger of what happens to the service itself. Every record of it counts, and none is left out."""

REQUESTS: Final = "tenfold.requests"
"""The logger of what a request can cause, over and over."""

CHANGES: Final = "tenfold.symbols"
"""The logger of symbols that come and go. Each is worth a line, but clients can make any number of them."""

AT_ONCE: Final = {CHANGES: 20}
"""Lines that a place of a logger gets in ``QUIET_SECONDS``, where it is not one: all symbols may come at once."""

QUIET_SECONDS: Final = 5.0
"""How long a place in the code stays quiet after a line: a defect that every request meets is soon seen, and the log
of a day has at most some 17,000 lines of it."""

MESSAGE_CHARACTERS: Final = 300
"""Longer than any message of ours; a URL in one of the framework's may have 8 KiB."""

VALUE_CHARACTERS: Final = 100
"""The longest field: a symbol has at most 64 bytes."""

TRACEBACK_LINES: Final = 40
"""From the innermost call outwards."""

FRAME_LINES: Final = 3
"""Of a frame: the place, the code, and marks below it."""

RIGHT_TO_LEFT: Final = ("R", "AL", "AN")
"""Letters and digits that run from right to left carry neutral characters beside them along."""


class _Handler(logging.Handler):
    """Puts all that is logged on its way."""

    def __init__(self, log_format: str) -> None:
        super().__init__()
        self.throttle = Throttle()
        self.addFilter(self.throttle)
        self.setFormatter(JsonLines() if log_format == "json" else TextLines())
        self.relay = Relay(self._about_dropped)

    def emit(self, record: logging.LogRecord) -> None:
        """Put a record on its way."""
        try:
            self.relay.put(self._written(record))
        except Exception:  # noqa: BLE001 - as all handlers do: whoever logs something does not fail for it
            self.handleError(record)

    def _written(self, record: logging.LogRecord) -> bytes:
        return f"{self.format(record)}\n".encode()

    def _about_dropped(self, lines: int) -> bytes:
        message = "dropped %d lines of this log, which nobody read in time"
        said = {"name": OWN, "levelno": logging.WARNING, "levelname": "WARNING", "msg": message, "args": (lines,)}
        return self._written(logging.makeLogRecord({**said, **fields(dropped=lines)}))


_handler: _Handler | None = None
"""Of this process, and of all that it forks."""


def configure(log_format: str) -> None:
    """Send all logging of this process, and of those that it forks, to stderr as ``text`` or as ``json``."""
    global _handler  # noqa: PLW0603 - logging itself is global
    open_standard_files()
    _handler = _Handler(log_format)
    logging.basicConfig(handlers=[_handler], level=logging.INFO, force=True)
    logging.getLogger("sanic").setLevel(logging.WARNING)
    os.environ["SANIC_IGNORE_PRODUCTION_WARNING"] = "true"  # advice for developers, from each worker on a terminal
    logging.captureWarnings(capture=True)
    logging.raiseExceptions = False  # what cannot be formatted would be printed as it is
    sys.unraisablehook = _log_unraisable


def count_as_worker(number: int) -> None:
    """Count what this process drops in a place of its own; its predecessor's count goes on."""
    if _handler is not None:
        _handler.relay.place = 2 + number


def dropped_lines() -> int:
    """Lines that this process, those that it forked and those beside it had to drop."""
    return 0 if _handler is None else _handler.relay.dropped()


def report_left_out(*, all_of_it: bool = False) -> None:
    """Log how many records were left out at places that are quiet by now, or at all places."""
    if _handler is not None:
        _handler.throttle.report(all_of_it=all_of_it)


def wait_for_room() -> None:
    """Do not have the next record dropped if somebody reads soon. For the last words of all."""
    if _handler is not None:
        _handler.relay.wait_for_room()


def finish() -> None:
    """Write the last lines, if somebody reads them soon. Call it in the first process, at its end."""
    if _handler is not None:
        _handler.relay.finish()


def fields(**values: str | int) -> dict[str, dict[str, str | int]]:
    """What a record has besides its message: ``log.info("…", extra=fields(symbol=symbol))``; keys of the JSON line."""
    return {"fields": values}


def escape(text: str) -> str:
    """The text as one printable line that reads from left to right. A backslash is doubled, so nothing is ambiguous."""
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text
    return "".join(
        character
        if character.isprintable() and character != "\\" and unicodedata.bidirectional(character) not in RIGHT_TO_LEFT
        else character.encode("unicode_escape").decode()
        for character in text
    )


@dataclass
class _Place:
    """A line of code that logs what requests cause, and how much it has logged."""

    level: int
    message: str
    until: float = -math.inf
    room: int = 0
    left_out: int = 0


class Throttle(logging.Filter):
    """Lets few records of a place through in ``QUIET_SECONDS``, except ``OWN``, and one traceback of each place ever.

    Places are lines of code, so there are only so many to remember.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._places: dict[tuple[str, ...], _Place] = {}
        self._shown: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is logged; what the formatter should know is noted in it."""
        exception = _exception(record)
        raised_at = "" if exception is None else f"{type(exception).__name__} at {_place(exception)}"
        if record.name != OWN:
            key = (record.name, record.pathname, str(record.lineno), raised_at)
            place = self._places.setdefault(key, _Place(record.levelno, str(record.msg)))
            now = self._clock()
            if now >= place.until:
                place.until, place.room = now + QUIET_SECONDS, AT_ONCE.get(record.name, 1)
                record.left_out, place.left_out = place.left_out, 0
            if not place.room:
                place.left_out += 1
                return False
            place.room -= 1
        record.with_traceback = exception is not None and raised_at not in self._shown
        self._shown.add(raised_at)
        return True

    def report(self, *, all_of_it: bool = False) -> None:
        """Log what was left out at each place that has had nothing to say since, or at every place."""
        silent_since = math.inf if all_of_it else self._clock() - QUIET_SECONDS
        for place in list(self._places.values()):
            left_out = place.left_out
            if left_out and place.until <= silent_since:
                place.left_out = 0
                what, log = fields(left_out=left_out), logging.getLogger(OWN)
                log.log(place.level, 'left out %d lines like "%s"', left_out, place.message, extra=what)


class TextLines(logging.Formatter):
    """``time level process message``, for people; the lines of a traceback follow it, each marked as such."""

    def format(self, record: logging.LogRecord) -> str:
        """The record in one line, and its traceback below if it has one that is to be shown."""
        message = _message(record)
        exception = _exception(record)
        if exception is not None:
            message = f"{message}: {_summary(exception)}"
        line = f"{_time(record)} {record.levelname} {record.process} {_cut(escape(message), MESSAGE_CHARACTERS)}"
        if left_out := getattr(record, "left_out", 0):
            line += f" (and {left_out} more since the last)"
        return "\n  | ".join([line, *map(escape, _traceback(record))])


class JsonLines(logging.Formatter):
    """One object a line, for machines. Reading it back gives every character as it was; in the file all are ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one object."""
        document: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "message": _cut(_message(record), MESSAGE_CHARACTERS),
            "process": record.process,
        }
        for name, value in getattr(record, "fields", {}).items():
            document[name] = _cut(value, VALUE_CHARACTERS) if isinstance(value, str) else value
        exception = _exception(record)
        if exception is not None:
            document["error"] = _cut(_summary(exception), MESSAGE_CHARACTERS)
        if left_out := getattr(record, "left_out", 0):
            document["left_out"] = left_out
        if lines := _traceback(record):
            document["traceback"] = "\n".join(lines)
        return json.dumps(document, ensure_ascii=True).replace("\x7f", "\\u007f")  # a control character, and ASCII


def _time(record: logging.LogRecord) -> str:
    """RFC 3339, UTC, to the millisecond."""
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else f"{text[: characters - 1]}…"


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):  # the arguments do not fit the message, which is all there is then
        return str(record.msg)


def _exception(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if record.exc_info else None


def _place(exception: BaseException) -> str:
    """Where an exception was raised: the end of the path, and the line."""
    frames = list(traceback.walk_tb(exception.__traceback__))
    if not frames:
        return "no line"
    frame, line = frames[-1]
    return f"{'/'.join(Path(frame.f_code.co_filename).parts[-3:])}:{line}"


def _summary(exception: BaseException) -> str:
    return f"{type(exception).__name__} at {_place(exception)}: {exception}"


def _traceback(record: logging.LogRecord) -> list[str]:
    """The lines of the traceback, if the record is the first with it."""
    exception = _exception(record)
    if exception is None or not getattr(record, "with_traceback", False):
        return []
    parts = traceback.format_exception(exception)  # a frame each; then the message, which may have any number of lines
    lines = [line for part in parts for line in part.splitlines()[:FRAME_LINES]]
    return [_cut(line, MESSAGE_CHARACTERS) for line in lines[-TRACEBACK_LINES:]]


def _log_unraisable(unraisable: UnraisableHookArgs) -> None:
    """What Python would print itself: an exception where nobody can catch it."""
    exception = unraisable.exc_value
    if exception is not None:
        log = logging.getLogger(REQUESTS)
        log.error("%s", unraisable.err_msg or "exception ignored", exc_info=exception)
