"""The states of a connection: one table, which everything else asks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from service.http.connection import Connection
from service.http.states import TABLE, State


def test_the_table_has_every_state_and_each_may_end() -> None:
    """Each state has its row, can be reached from an idle connection, and may be followed by the end."""
    assert set(TABLE) == set(State)
    reached, fresh = set(), {State.IDLE}
    while fresh:
        reached |= fresh
        fresh = set().union(*(TABLE[state].followed_by for state in fresh)) - reached
    assert reached == set(State)
    assert all(State.CLOSED in row.followed_by for state, row in TABLE.items() if state is not State.CLOSED)


@pytest.mark.parametrize("before", State)
@pytest.mark.parametrize("after", State)
def test_a_connection_becomes_only_what_may_follow(before: State, after: State) -> None:
    """What may follow does; what may not is a defect."""
    ctx = SimpleNamespace(sweeper=SimpleNamespace(), counters=None, door=None)
    options: dict[str, Any] = {
        "app": SimpleNamespace(ctx=ctx),
        "framework": lambda *_, **__: None,
        "connections": set(),
    }
    connection = Connection(**options)
    connection.state = before
    if after in TABLE[before].followed_by:
        connection.become(after)
        assert connection.state is after
    else:
        with pytest.raises(RuntimeError, match=f"from {before.name} to {after.name}"):
            connection.become(after)
