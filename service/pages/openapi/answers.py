"""What comes back: the good answers of an operation, and the refusals, which many operations share."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import Final

import orjson

from aggregation import MemoryReserveError, PositionError, TooManySymbolsError
from service.api.access import NO_TOKEN, READ_ONLY
from service.api.batch import UNSERVED_TYPE
from service.api.problems import (
    DEFECT,
    FRAMEWORK,
    PROBLEM_JSON,
    SATURATED,
    UNKNOWN_SYMBOL,
    Problem,
    sentence,
    wrong_k,
    wrong_place,
)
from service.settings import KIBIBYTE, Settings

from .schemas import BATCH, NOT_A_BATCH, Json, examples, ref

HEAD_LIMIT: Final = 8 * KIBIBYTE
"""The framework's limit for a URL and headers together."""

ANY_REQUEST: Final = frozenset({400, 408, 413, 417, 500, 503})
"""What any request may get, whatever it asks for."""

HEADERS: Final = {
    "WWW-Authenticate": ("How to prove who you are, or what is missing.", {"type": "string"}),
    "Allow": ("The methods that it does serve.", {"type": "string"}),
    "Retry-After": ("Seconds to wait.", {"type": "integer", "minimum": 0}),
}
"""What the headers of refusals say, and how."""


def responses(settings: Settings) -> Json:
    """Every refusal as a component, under its status: when it comes, its headers, schema and an example."""
    problems = {problem.status.value: problem for problem in _problems(settings)}
    return {str(status): _response(problems[status], reason) for status, reason in _reasons(settings).items()}


def _reasons(settings: Settings) -> dict[int, str]:
    """When each refusal comes."""
    return {
        400: "The body is not JSON, a parameter is missing, given twice or wrong, or this is not well-formed HTTP.",
        401: "The service asks for tokens, and this request has none or an unknown one.",
        403: "The token may read, but not write.",
        404: "No price of this symbol was added, or nothing is at this path. Or prices at these positions are not "
        "held: then `oldest` and `count` say which are.",
        405: "The path does not serve that method.",
        408: f"The request did not arrive whole within {settings.request_seconds:g} s. The connection is closed.",
        409: f"The symbol would be one more than {settings.max_symbols}. Delete one, or raise `--max-symbols`.",
        412: "The symbol does not have as many prices as `at` says, but `count`. If the batch ends there, it had "
        "arrived before. Nothing was appended.",
        413: f"The body is larger than {settings.max_body:,} bytes, or URL and headers together than {HEAD_LIMIT:,}.",
        415: "`Content-Type` is neither absent nor one that is listed, or there is a `Content-Encoding`.",
        417: "`Expect` asks for anything but `100-continue`.",
        422: "The body is JSON, but not a batch; `errors[0].pointer` names the place. Nothing was appended.",
        500: "A defect of tenfold, never the request's fault. Its log says more.",
        503: f"The worker has {settings.max_connections:,} connections, as many as it may, and this one is closed. Or "
        f"another worker kept the symbol for longer than {settings.lock_seconds:g} s: nothing was done.",
        507: "The batch needs new memory, and the machine is nearly out of it. Nothing was appended.",
    }


def _problems(settings: Settings) -> list[Problem]:
    """One of each, as an example; of equal statuses the last."""
    return [
        *FRAMEWORK.values(),
        replace(FRAMEWORK[HTTPStatus.METHOD_NOT_ALLOWED], headers={"allow": "GET, HEAD"}),
        wrong_k(settings.max_k),
        NO_TOKEN,
        READ_ONLY,
        UNKNOWN_SYMBOL,
        Problem(HTTPStatus.CONFLICT, sentence(TooManySymbolsError(settings.max_symbols))),
        wrong_place(PositionError(0, len(BATCH["values"]))),
        UNSERVED_TYPE,
        NOT_A_BATCH,
        DEFECT,
        SATURATED,
        Problem(HTTPStatus.INSUFFICIENT_STORAGE, sentence(MemoryReserveError())),
    ]


def _response(problem: Problem, reason: str) -> Json:
    narrowed: Json = {"properties": {"status": {"const": problem.status.value}}}
    if problem.pointer is not None:
        narrowed["required"] = ["errors"]
    content = {"schema": {"allOf": [ref("Problem"), narrowed]}, "example": orjson.loads(problem.body())}
    headers = {
        name: {"description": description, "required": True, "schema": schema, "example": problem.headers[name.lower()]}
        for name, (description, schema) in HEADERS.items()
        if name.lower() in problem.headers
    }
    return {"description": reason, "content": {PROBLEM_JSON: content}, **({"headers": headers} if headers else {})}


def answers(good: Json, *statuses: int) -> Json:
    """The answers of an operation: the good ones, those that any request may get, and these.

    405 is none of them: it is what a path answers to a method that is not an operation of it.
    """
    return good | {str(status): ref(str(status), "responses") for status in sorted(ANY_REQUEST.union(statuses))}


def ok(settings: Settings, document: type, description: str) -> Json:
    """A 200 with a JSON document, and the example of its schema."""
    content = {"schema": ref(document.__name__), "example": examples(settings)[document]}
    return {"200": {"description": description, "content": {"application/json": content}}}


def html_page(description: str) -> Json:
    """A 200 with a page, and a 304 for whoever has it already."""
    tag = {"ETag": {"description": "Send it back in `If-None-Match`.", "required": True, "schema": {"type": "string"}}}
    content = {"text/html; charset=utf-8": {"schema": {"type": "string"}}}
    return {
        "200": {"description": description, "headers": tag, "content": content},
        "304": {"description": "It has not changed since the `ETag` of `If-None-Match`.", "headers": tag},
    }
