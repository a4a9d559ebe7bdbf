"""What errors look like: ``application/problem+json``, RFC 9457.

A ``Problem`` is a value. Whoever decides that something is wrong returns one; a route or the error handler turns it
into a response. None of them repeats what the client sent at length, and none shows the inside of the service.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson
from sanic import HTTPResponse, Request
from sanic.exceptions import RequestCancelled, SanicException
from sanic.handlers import ErrorHandler

from service.logs import REQUESTS

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
        document: dict[str, Any] = {
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


UNKNOWN_SYMBOL = Problem(HTTPStatus.NOT_FOUND, "No price of this symbol has been added.")

_DETAILS = {
    HTTPStatus.NOT_FOUND: "There is nothing at this path.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This path does not serve that method.",
    HTTPStatus.REQUEST_TIMEOUT: "The request did not arrive in time.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The request is larger than the limit.",
    HTTPStatus.BAD_REQUEST: "This is not a well-formed HTTP request.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The request could not be served in time.",
    HTTPStatus.EXPECTATION_FAILED: "Only 100-continue can be expected.",
}


class ProblemHandler(ErrorHandler):
    """Answers whatever the routes did not answer themselves: what the framework refuses, and our own mistakes."""

    def default(self, request: Request, exception: Exception) -> HTTPResponse:
        """Turn an exception into a problem; one that we did not foresee is logged and becomes a plain 500."""
        if isinstance(exception, RequestCancelled):  # the client has gone; nobody will read this
            return HTTPResponse(status=HTTPStatus.BAD_REQUEST.value)
        if not isinstance(exception, SanicException):
            route = request.route.path if request is not None and request.route else "no route"
            log.error("failed at %s", route, exc_info=exception)
            return Problem(
                HTTPStatus.INTERNAL_SERVER_ERROR, "This is a defect of tenfold, not of the request."
            ).response()
        status = HTTPStatus(exception.status_code)
        detail = _DETAILS.get(status, status.description or status.phrase)
        return Problem(status, detail, headers=exception.headers).response()
