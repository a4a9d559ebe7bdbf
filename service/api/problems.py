"""What errors look like: ``application/problem+json``, RFC 9457.

A ``Problem`` is a value. Whoever decides that something is wrong returns one; ``http`` turns it into a response. None
of them repeats what the client sent at length, and none shows the inside of the service.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import orjson

from aggregation import NotHeldError, PositionError

from . import documents

PROBLEM_JSON = "application/problem+json"

MOST_POSITION: Final = 2**63 - 1
"""A price cannot have a larger one: counts are kept in 64 bits."""


@dataclass(frozen=True)
class Problem:
    """One refusal: the status, one sentence for a person, and where a place can be named, a JSON pointer to it.

    Where a program can go on from it, it has the count of the symbol's prices, and the oldest position that is held.
    """

    status: HTTPStatus
    detail: str
    pointer: str | None = None
    count: int | None = None
    oldest: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> bytes:
        """The problem document."""
        document: documents.Problem = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
        }
        if self.count is not None:
            document["count"] = self.count
        if self.oldest is not None:
            document["oldest"] = self.oldest
        if self.pointer is not None:
            document["errors"] = [{"pointer": f"#{self.pointer}", "detail": self.detail}]
        return orjson.dumps(document)


def sentence(error: Exception) -> str:
    """What an exception says, as a sentence of its own."""
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


def wrong_k(max_k: int) -> Problem:
    """There is no such window."""
    return Problem(HTTPStatus.BAD_REQUEST, f"k must be a whole number from 1 to {max_k}.")


def wrong_position(name: str) -> Problem:
    """What is said in this field is no position."""
    return Problem(HTTPStatus.BAD_REQUEST, f"{name} must be a whole number from 0 to {MOST_POSITION}.")


def wrong_place(error: PositionError) -> Problem:
    """A batch does not begin where the symbol's prices end."""
    return Problem(HTTPStatus.PRECONDITION_FAILED, sentence(error), count=error.count)


def not_held(error: NotHeldError) -> Problem:
    """Prices are no more, or not yet. 404, since the address names them; 416 would answer a Range header."""
    return Problem(HTTPStatus.NOT_FOUND, sentence(error), count=error.count, oldest=error.oldest)


def not_a_number(index: int) -> Problem:
    """What stands at this index is no price."""
    detail = "Every one of values must be a number."
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, pointer=f"/values/{index}")


UNKNOWN_SYMBOL: Final = Problem(HTTPStatus.NOT_FOUND, "No price of this symbol has been added.")
SATURATED: Final = Problem(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "There are as many connections as this worker serves.",
    headers={"retry-after": "1"},
)
DEFECT: Final = Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "This is a defect of tenfold, not of the request.")

FRAMEWORK: Final = {
    problem.status: problem
    for problem in (
        Problem(HTTPStatus.BAD_REQUEST, "This is not a well-formed HTTP request."),
        Problem(HTTPStatus.NOT_FOUND, "There is nothing at this path."),
        Problem(HTTPStatus.METHOD_NOT_ALLOWED, "This path does not serve that method."),
        Problem(HTTPStatus.REQUEST_TIMEOUT, "The request did not arrive in time."),
        Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The request is larger than the limit."),
        Problem(HTTPStatus.EXPECTATION_FAILED, "Only 100-continue can be expected."),
        Problem(HTTPStatus.SERVICE_UNAVAILABLE, "The request could not be served in time."),
    )
}
"""What the framework refuses by itself, in our words."""
