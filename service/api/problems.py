"""What errors look like: ``application/problem+json``, RFC 9457.

A ``Problem`` is a value. Whoever decides that something is wrong returns one; ``http`` turns it
into a response. None of them repeats what the client sent at length, and none shows the inside of the service.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson

PROBLEM_JSON = "application/problem+json"


@dataclass(frozen=True)
class Problem:
    """One refusal: the status, one sentence for a person, and where a place can be named, a JSON pointer to it."""

    status: HTTPStatus
    detail: str
    pointer: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> bytes:
        """The problem document."""
        document: dict[str, Any] = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
        }
        if self.pointer is not None:
            document["errors"] = [{"pointer": f"#{self.pointer}", "detail": self.detail}]
        return orjson.dumps(document)


def sentence(error: Exception) -> str:
    """What an exception says, as a sentence of its own."""
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


UNKNOWN_SYMBOL = Problem(HTTPStatus.NOT_FOUND, "No price of this symbol has been added.")

SATURATED = Problem(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "There are as many connections as this worker serves.",
    headers={"retry-after": "1"},
)

DEFECT = Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "This is a defect of tenfold, not of the request.")
