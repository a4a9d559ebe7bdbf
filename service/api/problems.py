"""What errors look like: ``application/problem+json``, RFC 9457.

A ``Problem`` is a value. Whoever decides that something is wrong returns one; a route or the error handler turns it
into a response. None of them repeats what the client sent at length, and none shows the inside of the service.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Final

import orjson
from sanic import HTTPResponse, Request
from sanic.exceptions import RequestCancelled, SanicException
from sanic.handlers import ErrorHandler

from service.logs import REQUESTS

from . import documents

log = logging.getLogger(REQUESTS)

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
        document: documents.Problem = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
        }
        if self.pointer is not None:
            document["errors"] = [{"pointer": f"#{self.pointer}", "detail": self.detail}]
        return orjson.dumps(document)

    def response(self) -> HTTPResponse:
        """The answer that carries it."""
        return HTTPResponse(self.body(), self.status.value, dict(self.headers), PROBLEM_JSON)


def sentence(error: Exception) -> str:
    """What an exception says, as a sentence of its own."""
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


def wrong_k(max_k: int) -> Problem:
    """There is no such window."""
    return Problem(HTTPStatus.BAD_REQUEST, f"k must be a whole number from 1 to {max_k}.")


def not_a_number(index: int) -> Problem:
    """What stands at this index is no price."""
    detail = "Every one of values must be a number."
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, pointer=f"/values/{index}")


UNKNOWN_SYMBOL: Final = Problem(HTTPStatus.NOT_FOUND, "No price of this symbol has been added.")
TOO_MANY_CONNECTIONS: Final = Problem(
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


class ProblemHandler(ErrorHandler):
    """Answers whatever the routes did not answer themselves: what the framework refuses, and our own mistakes."""

    def default(self, request: Request, exception: Exception) -> HTTPResponse:
        """Turn an exception into a problem; one that we did not foresee is logged and becomes a plain 500."""
        if isinstance(exception, RequestCancelled):  # the client has gone; nobody will read this
            return HTTPResponse(status=HTTPStatus.BAD_REQUEST.value)
        if not isinstance(exception, SanicException):
            route = request.route.path if request is not None and request.route else "no route"
            log.error("failed at %s", route, exc_info=exception)
            return DEFECT.response()
        status = HTTPStatus(exception.status_code)
        known = FRAMEWORK.get(status, Problem(status, status.description or status.phrase))
        return replace(known, headers=exception.headers).response()
