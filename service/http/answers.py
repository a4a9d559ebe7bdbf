"""Answers as they go out: in one piece, and the same bytes whichever door they leave by.

The framework checks each header of an answer for characters that would break the framing. The headers here are always
the same few, and nothing of a request gets into them, so an answer is written with one format.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from sanic import HTTPResponse
from sanic.exceptions import SanicException

from service.api.documents import Variant
from service.api.problems import PROBLEM_JSON, Problem
from service.api.resources import Question, Resource, Said

_CONNECTION: Final = (b"connection: close\r\n", b"connection: keep-alive\r\n")
_OK: Final = tuple(
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n%bcontent-length: " % one for one in _CONNECTION
)
_NO_CONTENT: Final = tuple(b"HTTP/1.1 204 No Content\r\n%b" % one for one in _CONNECTION)


def written(answer: Said, *, keep_alive: bool, head_only: bool = False, lines: bytes = b"") -> bytes:
    """What a resource says, as the client receives it, with more lines of headers if there are any. O(len(answer))."""
    if isinstance(answer, bytes):
        if not answer:
            return b"%b%b\r\n" % (_NO_CONTENT[keep_alive], lines)
        return b"%b%d\r\n%b\r\n%b" % (_OK[keep_alive], len(answer), lines, b"" if head_only else answer)
    if isinstance(answer, Variant):
        status, kind, body = HTTPStatus.OK, answer.media_type, answer.content
    else:
        status, kind, body = answer.status, PROBLEM_JSON, answer.body()
    head = b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\n%b%b%bcontent-length: %d\r\n\r\n" % (
        status.value,
        status.phrase.encode(),
        kind.encode(),
        header_lines(answer.headers),
        lines,
        _CONNECTION[keep_alive],
        len(body),
    )
    return head if head_only else head + body


def header_lines(headers: Mapping[str, str]) -> bytes:
    """Headers as they are sent."""
    return "".join(f"{name.lower()}: {value}\r\n" for name, value in headers.items()).encode()


def status_of(answer: Said) -> int:
    """The status of what a resource says."""
    if isinstance(answer, bytes):  # nearly all are, and that is the quicker question
        return 200 if answer else 204
    return answer.status.value if isinstance(answer, Problem) else 200


class Answer(HTTPResponse):
    """What a resource says, on its way through the framework.

    Args:
        said: the document or the problem.
        asked: who said it, and to what, where the door may remember that.
    """

    def __init__(self, said: Said, asked: tuple[Resource, Question] | None = None) -> None:
        super().__init__(None, status_of(said))
        self.said = said
        self.asked = asked


class RefusalError(SanicException):
    """A refusal in our words, from where the framework expects its own."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(status_code=problem.status.value)
        self.problem = problem
