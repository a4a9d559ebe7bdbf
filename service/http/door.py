"""The door: heads that the framework has answered, and what they asked for.

The framework is most of what a request costs. But clients say the same again and again, and a head that came once, was
held to the whole grammar, was routed, and was let in by its token, means the same when the same bytes come again. So
they are remembered, with a ``Ticket``: the resource that they led to, and what it was asked. Whoever comes with a
remembered head is answered by that resource in the very call of the event loop that received it; all others are handed
to the framework as if nobody stood before it.

**What is the same.** Every byte of the head, but for digits that differ from each request of a client to the next:
those of Content-Length, which are checked one by one, and those of a position in the query (``at=1``, ``from=1``). A
head is remembered as if the position were blank, and the resource is told what it really is. Never remembered are
heads with Expect, Transfer-Encoding or Upgrade, of HTTP/1.0, of other methods than GET and POST, a GET with a body, and
what closes the connection. A refusal of the framework is not remembered either: only what a resource said, which is
asked anew each time.

**What is taken.** One whole request at a time. Where another follows in the same bytes, or a head comes in pieces, the
framework takes it all: pipelined requests have their turns there. A body that has not come whole is put together here,
and takes no more memory than has come of it, whatever its head announced.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final, NamedTuple

from service.api.batch import Body
from service.api.resources import Question, Resource

from .heads import HEAD_END

MOST_HEADS: Final = 1024
MOST_HEAD_BYTES: Final = 2048
"""So the door remembers at most 4 MiB. Ten symbols have 80 windows, and clients of a kind have one head in common."""

MOST_BODY_BYTES: Final = 256 * 1024
"""Enough for a largest batch at full precision."""

RECEIVED: Final = bytearray(MOST_BODY_BYTES)
"""What the event loop has just received, from whichever connection: it is looked at before the loop goes on."""

VIEW: Final = memoryview(RECEIVED)

_LENGTH: Final = b"ength: "
_LENGTH_LINE: Final = b"\r\ncontent-length: "
MOST_DIGITS: Final = 9
"""Of a Content-Length that is looked at here: more than any body has, and no number that takes long to read."""

_POSITION: Final = re.compile(rb"[A-Z]+ [^ ?#]*\?((?:[^ #]*&)?(?:at|from)=)([0-9]{1,19})[&# ]")
"""The beginning of a head with a position in its query: what stands before it there, and its digits."""

_POST: Final = ord("P")
_HOLE: Final = b"\0"
"""Stands for the digits of Content-Length. No head that is well-formed has it."""

_NEVER: Final = frozenset({"expect", "transfer-encoding", "upgrade"})


class Ticket(NamedTuple):
    """What a head asks for.

    Args:
        resource: who is asked.
        question: what the head says to it.
        cell: where its answers are counted.
        lines: of headers that all its answers have besides.
        head: by which it was remembered.
    """

    resource: Resource
    question: Question
    cell: int
    lines: bytes = b""
    head: bytes = b""

    def request(self, body: Body) -> bytes:
        """The whole request, for the framework to answer after all."""
        return b"".join((self.head.replace(_HOLE, b"%d" % len(body)), body))


Found = tuple[Ticket, int, int]
"""The ticket of a head, where the body begins, and its length."""


class Arriving(NamedTuple):
    """A request whose body has not come whole.

    Args:
        ticket: what its head asks for.
        length: bytes that its body will have.
        body: what has come of it.
    """

    ticket: Ticket
    length: int
    body: bytearray


class Door:
    """The heads that one worker remembers. When there are too many all are forgotten, and those in use come back.

    Args:
        max_body: bytes of the longest body that is served.
        is_open: whether anything is remembered at all.
    """

    def __init__(self, max_body: int, *, is_open: bool = True) -> None:
        self.is_open = is_open
        self.edition = 0  # of what is remembered; a head is to be remembered in the one that it was let in by
        self._max_body = min(max_body, MOST_BODY_BYTES)
        self._tickets: dict[bytes, Found] = {}
        self._with_length: dict[bytes, Found] = {}  # heads of requests with a body, as they came

    def __len__(self) -> int:
        """Heads that are remembered."""
        return len(self._tickets)

    def shut(self) -> None:
        """Forget all heads, and remember no more."""
        self.is_open = False
        self.forget()

    def forget(self) -> None:
        """Forget all heads, because who may come in has changed; those that were let in before are no longer so."""
        self._tickets.clear()
        self._with_length.clear()
        self.edition += 1

    def remember(self, head: bytes, method: str, headers: Collection[str], ticket: Ticket) -> None:
        """Remember a well-formed head of HTTP/1.1 that led to a resource and keeps the connection, if it may be.

        Args:
            head: its bytes, without the empty line at its end.
            method: of the request.
            headers: their names, in small letters.
            ticket: what it asks for.
        """
        key = head + HEAD_END
        if not self.is_open or len(key) > MOST_HEAD_BYTES or not _NEVER.isdisjoint(headers):
            return
        if not key[: key.index(b"\r")].endswith(b"1.1"):  # 1.0 can ask to be kept, too
            return
        if method == "POST":
            at = key.find(_LENGTH) + len(_LENGTH)
            if not key[:at].lower().endswith(_LENGTH_LINE):
                return
            key = key[:at] + _HOLE + key[key.index(b"\r", at) :]
        elif method != "GET" or "content-length" in headers:
            return
        key, query = _without_position(key, ticket.question.query)
        if len(self._tickets) >= MOST_HEADS:
            self._tickets.clear()
        question = ticket.question._replace(query=query)
        self._tickets[key] = ticket._replace(head=key, question=question), len(key), 0

    def look(self, size: int) -> Found | None:
        """What the first ``size`` bytes of ``RECEIVED`` ask for, if they begin with a remembered head. O(len(head))."""
        if RECEIVED[0] != _POST:
            head = bytes(VIEW[:size]) if size <= MOST_HEAD_BYTES else b""
            return self._tickets.get(head) or self._look_around_position(head)
        end = RECEIVED.find(HEAD_END, 0, min(size, MOST_HEAD_BYTES)) + len(HEAD_END)
        head = bytes(VIEW[:end])
        return self._with_length.get(head) or self._look_around_length(head)

    def _look_around_length(self, head: bytes) -> Found | None:
        """What a head asks for that is remembered with another Content-Length, or with this one. O(len(head))."""
        name = head.find(_LENGTH)
        if name < 0:  # nor where the head has no end
            return None
        at = name + len(_LENGTH)
        stop = head.find(b"\r", at)
        digits = head[at:stop]
        if not digits.isdigit() or len(digits) > MOST_DIGITS or (length := int(digits)) > self._max_body:
            return None
        key = head[:at] + _HOLE + head[stop:]
        found = self._tickets.get(key)
        if found is None:
            found = self._look_around_position(key)
            return found and (found[0], len(head), length)  # another position each time: not to be remembered
        if len(self._with_length) >= MOST_HEADS:
            self._with_length.clear()
        self._with_length[head] = found = found[0], len(head), length
        return found

    def _look_around_position(self, head: bytes) -> Found | None:
        """What a head asks for that is remembered with a blank position in its query. O(len(head))."""
        place = _POSITION.match(head)
        if place is None:
            return None
        begin, end = place.span(2)
        found = self._tickets.get(head[:begin] + head[end:])
        if found is None:
            return None
        ticket, at = found[0], len(place[1])
        query = ticket.question.query
        question = ticket.question._replace(query=f"{query[:at]}{place[2].decode()}{query[at:]}")
        return ticket._replace(question=question, head=head), len(head), 0


def _without_position(head: bytes, query: str) -> tuple[bytes, str]:
    """A head and its query, both without the digits of a position, if there is one: as they are where it is blank."""
    place = _POSITION.match(head)
    if place is None or not query.startswith((place[1] + place[2]).decode()):
        return head, query
    begin, end = place.span(2)
    at = len(place[1])
    return head[:begin] + head[end:], query[:at] + query[at + end - begin :]
