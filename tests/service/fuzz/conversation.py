"""Requests to the service, each for itself or as any bytes, and what every answer to them must be."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from tests.service.fuzz.effort import done
from tests.support.sockets import Answer, Wire, answers, chunk, request

LATEST: Final = 10.0
"""When an answer, or the end of the connection, must have come: far more than any of it takes."""

STATUSES: Final = frozenset({200, 204, 400, 404, 405, 408, 409, 413, 414, 415, 417, 422, 431})
"""What a client may be told whatever it sends: nothing from 500 on is among it."""


def ask(
    wire: Wire, method: str, target: str, pieces: Iterable[bytes] | None = None, *, in_chunks: bool = False
) -> Answer:
    """Send a request, its body in these pieces, each for itself; return the answer to it."""
    done["requests"] += 1
    body = None if pieces is None else list(pieces)
    if body is None:
        parts = [request(method, target)]
    elif in_chunks:
        parts = [request(method, target, "Transfer-Encoding: chunked"), *map(chunk, (*body, b""))]
    else:
        parts = [request(method, target, f"Content-Length: {sum(map(len, body))}"), *body]
    with suppress(ConnectionError):  # refused before its end: the answer is there all the same
        wire.send(*parts)
    return checked(wire.answer())


PAGES = {"text/html; charset=utf-8", "text/plain; version=0.0.4; charset=utf-8"}
"""What the dashboard, the documentation and the metrics are sent as; their content has tests of its own."""


def checked(answer: Answer) -> Answer:
    """What every answer must be: a status that a client may get, and a document of the right type."""
    status, headers, content = answer
    assert status in STATUSES, (status, content)
    if status == 204:
        assert content == b""
        return answer
    media_type = headers["content-type"]
    if status == 200 and media_type in PAGES:
        return answer._replace(content=b"")
    assert media_type == ("application/json" if status == 200 else "application/problem+json")
    if status == 405:
        assert headers["allow"]
    document = answer.document  # none where only the head was asked for
    if status != 200 and document is not None:
        assert set(document) - {"errors"} == {"type", "title", "status", "detail"}
        assert document["status"] == status
        assert len(content) < 1000
    return answer


def exchange(port: int, pieces: Iterable[bytes], *, heads: bool) -> list[Answer]:
    """The answers to a stream of bytes, which may be anything, among it requests for heads."""
    done["streams"] += 1
    with Wire(port, seconds=LATEST) as wire:
        return [checked(answer) for answer in answers(wire.exchange(pieces), heads=heads)]
