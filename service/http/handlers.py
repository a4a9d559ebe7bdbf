"""Sanic's side of the resources: handlers made of them, the token that is asked for first, and errors as problems."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from http import HTTPStatus
from typing import Any, Final

from sanic import HTTPResponse, Request
from sanic.exceptions import RequestCancelled, SanicException
from sanic.handlers import ErrorHandler

from aggregation import Symbols
from service.api.access import Guard, Scope
from service.api.problems import DEFECT, FRAMEWORK, Problem
from service.api.resources import Busy, Question, Resource, Said, ask
from service.logs import REQUESTS
from service.metrics.counters import SharedMetrics
from service.metrics.exposition import CONTENT_TYPE
from service.metrics.families import metrics_text
from service.settings import Settings

from .answers import Answer, RefusalError

log = logging.getLogger(REQUESTS)

Handler = Callable[..., Any]
"""What Sanic calls for a request; it returns a response, or a coroutine that does."""

MOST_PAUSE_SECONDS: Final = 0.016
"""Between two looks at a lock that another process has. Pauses grow up to this: whoever holds one for longer than some
microseconds stands still. A thousand requests that wait then cost less than a fifth of a core."""


def handler_of(resource: Resource) -> Handler:
    """Make the handler that asks a resource. Where that is busy it asks again, for ``app.ctx.patience`` seconds."""

    async def handle(request: Request, symbol: str = "") -> HTTPResponse:
        query, headers = request.query_string, request.headers
        if request.method == "POST":
            question = Question(query, headers.get("content-type"), headers.get("content-encoding"))
        else:
            question = Question(query, accept=",".join(headers.getall("accept", ())), segment=symbol)
        said = ask(resource, question, request.body)
        if isinstance(said, Busy):
            said = await _when_free(said, request.app.ctx.patience)
        return Answer(said, (resource, question))

    return handle


async def _when_free(said: Said, patience: float) -> Said:
    """What is said once the lock that is needed is free; 503 if it is not in time."""
    over, pause = time.monotonic() + patience, 0.0
    while isinstance(said, Busy) and time.monotonic() < over:
        await asyncio.sleep(pause)
        said = said.again()
        pause = min(MOST_PAUSE_SECONDS, 2 * pause + 0.001)
    return said


def metrics_handler(settings: Settings, symbols: Symbols, metrics: SharedMetrics) -> Handler:
    """Make the handler that writes all metrics down. It finds the names of the routes in ``app.ctx.route_names``."""

    async def handle(request: Request) -> HTTPResponse:
        text = metrics_text(settings, symbols, metrics, request.app.ctx.route_names)
        return HTTPResponse(text, content_type=CONTENT_TYPE)

    return handle


def guarded(handler: Handler, guard: Guard | None, needed: Scope) -> Handler:
    """The handler, for those whose token allows it; as it is where there is no guard or nothing is needed.

    The framework reads a body before it calls a handler, but for one that says it streams. This one says so, and reads
    the body itself once it is known who sends it. What nobody may send is received piece by piece and forgotten, up to
    the limit of a body, so that the next request on the connection can be served.
    """
    if guard is None or needed is Scope.NOTHING:
        return handler

    @wraps(handler)
    async def checked(request: Request, **places: str) -> HTTPResponse:
        refusal = guard.refuse(request.headers.getall("authorization", ()), needed)
        if refusal is not None:
            return Answer(refusal)
        stream = request.stream
        if stream is not None and stream.request_body and not (request.route and request.route.extra.ignore_body):
            stream.request_max_size = request.app.config.REQUEST_MAX_SIZE  # lifted for what streams
            await request.receive_body()
        response: HTTPResponse = await handler(request, **places)
        return response

    checked.is_stream = True  # type: ignore[attr-defined]  # where Sanic looks for it
    return checked


def problem_of(exception: SanicException) -> Problem:
    """What the framework refuses, and why, in our words."""
    status = HTTPStatus(exception.status_code)
    known = FRAMEWORK.get(status, Problem(status, status.description or status.phrase))
    headers = dict(exception.headers)
    if "Allow" in headers:  # a set of Sanic's, in an order that differs from one start to the next
        headers["Allow"] = ", ".join(sorted(headers["Allow"].split(", ")))
    return replace(known, headers=headers)


class ProblemHandler(ErrorHandler):
    """Answers whatever the routes did not answer themselves: what the framework refuses, and our own mistakes."""

    def default(self, request: Request, exception: Exception) -> HTTPResponse:
        """Turn an exception into a problem; one that we did not foresee is logged and becomes a plain 500."""
        if isinstance(exception, RequestCancelled):  # the client has gone; nobody will read this
            return HTTPResponse(status=HTTPStatus.BAD_REQUEST.value)
        if isinstance(exception, RefusalError):
            return Answer(exception.problem)
        if not isinstance(exception, SanicException):
            route = request.route.path if request is not None and request.route else "no route"
            log.error("failed at %s", route, exc_info=exception)
            return Answer(DEFECT)
        problem = problem_of(exception)
        methods = problem.headers.get("Allow", "")
        preflight = request.app.ctx.origins.preflight(request, methods) if methods else None
        return Answer(problem) if preflight is None else HTTPResponse(status=204, headers=preflight)
