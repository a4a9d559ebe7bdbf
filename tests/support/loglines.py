"""What a log may hold, and what should not get into it: written down here by itself, not derived from the code."""

from __future__ import annotations

import re
from typing import Final

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
