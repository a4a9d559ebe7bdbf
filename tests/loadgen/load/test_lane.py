"""When what is due, and how late the generator is."""

from __future__ import annotations

from loadgen.load.lane import NEVER, SECOND, Lane, Pace, choose


def test_an_open_pace_keeps_to_the_clock() -> None:
    """Due times are the start, the phase and whole intervals, however late each is taken."""
    pace = Pace(4, start=1_000 * SECOND, phase=0.5, limit=3)
    due = [pace.take(now=10_000 * SECOND) for _ in range(3)]
    assert due == [1_000 * SECOND + SECOND // 8 + i * SECOND // 4 for i in range(3)]
    assert pace.due == NEVER


def test_a_closed_pace_is_due_at_once() -> None:
    """The closed model's next request is meant for now, until its limit."""
    pace = Pace(None, start=5, phase=0.0, limit=2)
    assert (pace.take(7), pace.take(9), pace.due) == (7, 9, NEVER)
    assert Pace(0, start=5, phase=0.0).due == NEVER


def test_what_has_been_due_longest_comes_first() -> None:
    """Among open paces the earliest is next; closed ones take turns when no open one is due."""
    early, late, closed, other = Pace(1, 10, 0), Pace(1, 20, 0), Pace(None, 0, 0), Pace(None, 0, 0)
    assert choose([late, early, closed], now=30, last=0) == 1
    assert choose([late, early, closed], now=5, last=0) == 2
    assert choose([late, early], now=5, last=0) is None
    assert choose([closed, other], now=5, last=0) == 1
    assert choose([closed, other], now=5, last=1) == 0


def lags(*requests: tuple[int, int, int]) -> list[int | None]:
    """Send lags of one lane; each request is (sent, answered, stood still meanwhile), meant for 0, 10, 20 and so on."""
    lane = Lane(0, [("stats", Pace(SECOND / 10, 0, 0.0))])
    found = []
    total = 0
    for sent, answered, gap in requests:
        lane.begin(0, sent)
        found.append(lane.depart(sent, total))
        total += gap
        lane.arrive(answered, total)
    return found


def test_a_stalled_service_is_not_the_generators_lag() -> None:
    """One slow answer makes the next requests late, but each is sent as soon as it can be: no lag."""
    assert lags((0, 35, 0), (35, 36, 0), (36, 37, 0), (37, 38, 0), (40, 41, 0)) == [0, 0, 0, 0, 0]


def test_a_stalled_generator_lags_until_it_has_caught_up() -> None:
    """A late start is in the lag of all requests that it delays, also when an answer was waited for meanwhile."""
    assert lags((33, 35, 0), (35, 37, 0), (37, 39, 0), (39, 41, 0), (41, 42, 0)) == [33, 25, 17, 9, 1]
    assert lags((0, 35, 34), (35, 36, 0), (36, 37, 0), (40, 41, 0)) == [0, 25, 16, 10]
