"""The states of a connection, what each may be followed by, and which deadline holds in it: all in one table.

A request begins with its first byte and has until its deadline to arrive whole. One that is whole is answered in the
same turn of the event loop, unless another process has the lock of its symbol, which is waited for; its answer may take
longer to leave, if the client does not take it. A body that nobody wanted (a refusal came before it) is read on and
forgotten, within the deadline of its request, so that the next request on the connection can be served.

There is one way to close. A client that is still sending when its connection is closed gets a reset, and the last
answer, if it has not been read, is lost with it. So nothing more is said, what still comes is read and forgotten, and
the connection is closed once the client closes it, is silent, or goes on beyond a deadline or an amount.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

from service.metrics.counters import Cell


class State(IntEnum):
    """Where a connection is between two requests."""

    IDLE = 0
    HEAD = 1
    BODY = 2
    HANDLING = 3
    ANSWERING = 4
    DRAINING = 5
    REFUSING = 6
    LINGERING = 7
    CLOSED = 8


class Row(NamedTuple):
    """What holds in a state.

    Args:
        meaning: where the connection is.
        late: what is counted when the deadline is missed, and so which deadline it is.
        followed_by: the states that may come next.
    """

    meaning: str
    late: Cell
    followed_by: frozenset[State]


def _row(meaning: str, *followed_by: State, late: Cell = Cell.REQUEST_TIMEOUT) -> Row:
    return Row(meaning, late, frozenset({*followed_by, State.LINGERING, State.CLOSED}))


TABLE: Final = {
    State.IDLE: _row("Nothing of a request is here.", State.HEAD, State.BODY, late=Cell.IDLE_TIMEOUT),
    State.HEAD: _row("A request has begun.", State.BODY, State.HANDLING, State.ANSWERING, State.REFUSING),
    State.BODY: _row("Its head is whole, its body is not.", State.HANDLING, State.ANSWERING, State.REFUSING),
    State.HANDLING: _row("It is whole, and is being handled.", State.ANSWERING, State.REFUSING),
    State.ANSWERING: _row(
        "Its answer waits to be taken.", State.IDLE, State.HEAD, State.DRAINING, late=Cell.ANSWER_TIMEOUT
    ),
    State.DRAINING: _row("It is answered; what is left of its body is read and forgotten.", State.IDLE, State.HEAD),
    State.REFUSING: _row("It came too late, or held too much: nothing more of it is wanted.", State.ANSWERING),
    State.LINGERING: Row(
        "All is said; what still comes is read and forgotten.", Cell.ANSWER_TIMEOUT, frozenset({State.CLOSED})
    ),
    State.CLOSED: Row("It is gone.", Cell.ANSWER_TIMEOUT, frozenset()),
}
"""Whatever the state, the end may follow, in two steps or in one."""

FOLLOWED_BY: Final = [TABLE[state].followed_by for state in State]
"""The same by number, for who asks at every step."""
