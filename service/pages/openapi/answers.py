"""What comes back: the good answers of an operation, and the refusals, which many operations share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import orjson

from aggregation import MemoryReserveError, TooManySymbolsError
from service.api.access import NO_TOKEN, READ_ONLY
from service.api.batch import UNSERVED_TYPE
from service.api.problems import PROBLEM_JSON, UNKNOWN_SYMBOL, Problem, sentence
from service.settings import KIBIBYTE, Settings

from .schemas import Json, ref

HEAD_LIMIT: Final = 8 * KIBIBYTE
"""The framework's limit for a URL and headers together."""


@dataclass(frozen=True)
class Refusal:
    """A refusal that operations refer to by its status: its name in the document, when it comes, and an example."""

    name: str
    when: str
    example: Problem
    headers: Mapping[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """The status code."""
        return self.example.status.value


def _header(description: str, schema: Json, example: str) -> Json:
    return {"description": description, "required": True, "schema": schema, "example": example}


def refusals(settings: Settings) -> list[Refusal]:
    """Every refusal that there is, by rising status."""
    return [
        Refusal(
            "BadRequest",
            "The body is not JSON, a parameter is missing, given twice or wrong, or this is not well-formed HTTP.",
            Problem(HTTPStatus.BAD_REQUEST, f"k must be a whole number from 1 to {settings.max_k}."),
        ),
        Refusal(
            "Unauthorized",
            "The service asks for tokens, and this request has none or an unknown one.",
            NO_TOKEN,
            {"WWW-Authenticate": _header("How to prove who you are.", {"type": "string"}, "Bearer")},
        ),
        Refusal(
            "Forbidden",
            "The token may read, but not write.",
            READ_ONLY,
            {
                "WWW-Authenticate": _header(
                    "What is missing.", {"type": "string"}, 'Bearer error="insufficient_scope", scope="write"'
                )
            },
        ),
        Refusal("NotFound", "No price of this symbol was added, or nothing is at this path.", UNKNOWN_SYMBOL),
        Refusal(
            "MethodNotAllowed",
            "The path does not serve that method.",
            Problem(HTTPStatus.METHOD_NOT_ALLOWED, "This path does not serve that method."),
            {"Allow": _header("The methods that it does serve.", {"type": "string"}, "GET, HEAD")},
        ),
        Refusal(
            "RequestTimeout",
            f"The request did not arrive whole within {settings.request_seconds:g} s. The connection is closed.",
            Problem(HTTPStatus.REQUEST_TIMEOUT, "The request did not arrive in time."),
        ),
        Refusal(
            "TooManySymbols",
            f"The symbol would be one more than {settings.max_symbols}. Delete one, or raise `--max-symbols`.",
            Problem(HTTPStatus.CONFLICT, sentence(TooManySymbolsError(settings.max_symbols))),
        ),
        Refusal(
            "TooLarge",
            f"The body is larger than {settings.max_body:,} bytes, or URL and headers together than {HEAD_LIMIT:,}.",
            Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The request is larger than the limit."),
        ),
        Refusal(
            "UnsupportedMediaType",
            "`Content-Type` is neither absent nor one that is listed, or there is a `Content-Encoding`.",
            UNSERVED_TYPE,
        ),
        Refusal(
            "ExpectationFailed",
            "`Expect` asks for anything but `100-continue`.",
            Problem(HTTPStatus.EXPECTATION_FAILED, "Only 100-continue can be expected."),
        ),
        Refusal(
            "NotABatch",
            "The body is JSON, but not a batch; `errors[0].pointer` names the place. Nothing was appended.",
            Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "Every one of values must be a number.", pointer="/values/17"),
        ),
        Refusal(
            "Defect",
            "A defect of tenfold, never the request's fault. Its log says more.",
            Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "This is a defect of tenfold, not of the request."),
        ),
        Refusal(
            "Saturated",
            f"The worker has {settings.max_connections:,} connections, as many as it may. This one is closed.",
            Problem(HTTPStatus.SERVICE_UNAVAILABLE, "There are as many connections as this worker serves."),
            {"Retry-After": _header("Seconds to wait.", {"type": "integer", "minimum": 0}, "1")},
        ),
        Refusal(
            "OutOfMemory",
            "The batch needs new memory, and the machine is nearly out of it. Nothing was appended.",
            Problem(HTTPStatus.INSUFFICIENT_STORAGE, sentence(MemoryReserveError())),
        ),
    ]


def responses(settings: Settings) -> Json:
    """Every refusal as a component: its description, headers, schema and example."""
    return {refusal.name: _response(refusal) for refusal in refusals(settings)}


def _response(refusal: Refusal) -> Json:
    required = {"required": ["errors"]} if refusal.example.pointer is not None else {}
    narrowed = {"properties": {"status": {"const": refusal.status}}, **required}
    content = {"schema": {"allOf": [ref("Problem"), narrowed]}, "example": orjson.loads(refusal.example.body())}
    response: Json = {"description": refusal.when, "content": {PROBLEM_JSON: content}}
    if refusal.headers:
        response["headers"] = dict(refusal.headers)
    return response


ANY_REQUEST: Final = frozenset({400, 408, 413, 417, 500, 503})
"""What any request may get, whatever it asks for."""


def answers(settings: Settings, good: Json, *statuses: int) -> Json:
    """The answers of an operation: the good ones, those that any request may get, and these.

    405 is none of them: it is what a path answers to a method that is not an operation of it.
    """
    expected = ANY_REQUEST.union(statuses)
    refused = {str(refusal.status): ref(refusal.name, "responses") for refusal in refusals(settings)}
    return good | {status: answer for status, answer in refused.items() if int(status) in expected}


def ok(description: str, schema: str, example: object) -> Json:
    """A 200 with a JSON body."""
    content = {"application/json": {"schema": ref(schema), "example": example}}
    return {"200": {"description": description, "content": content}}


def without_bodies(operation_answers: Json, components: Json) -> Json:
    """The answers of HEAD: those of GET, with their headers, without what is in them."""
    bare: Json = {}
    for status, answer in operation_answers.items():
        whole = components[answer["$ref"].rpartition("/")[2]] if "$ref" in answer else answer
        bare[status] = {name: part for name, part in whole.items() if name != "content"}
    return bare
