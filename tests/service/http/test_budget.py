from __future__ import annotations

from service.http.limits import Budget


class Request:
    """A request that holds what it is told to, until it gives way."""

    def __init__(self, bytes_held: int = 0) -> None:
        self.bytes_held = bytes_held
        self.gave_way = False

    idle_since = None

    def make_room(self) -> None:
        raise AssertionError

    def sweep(self, now: float) -> bool:
        return now < 0

    def held(self) -> int:
        return self.bytes_held

    def give_way(self) -> None:
        self.bytes_held = 0
        self.gave_way = True

    def abort(self) -> None:
        self.give_way()


def fill(budget: Budget, *sizes: int) -> list[Request]:
    requests = [Request(size) for size in sizes]
    for request in requests:
        budget.note(request)
    return requests


def test_the_oldest_unfinished_request_gives_way() -> None:
    """Beyond the budget the request that began first is refused, and no more of them than must be."""
    oldest, *others = fill(Budget(100), 40, 30, 30, 20)
    assert oldest.gave_way
    assert not any(other.gave_way for other in others)


def test_what_grows_keeps_its_age() -> None:
    """A request that goes on arriving does not become young by it."""
    budget = Budget(100)
    slow, other = fill(budget, 10, 50)
    slow.bytes_held = 30
    budget.note(slow)
    fill(budget, 40)
    assert (slow.gave_way, other.gave_way) == (True, False)


def test_what_was_answered_is_not_counted() -> None:
    """Requests that hold nothing any more make room without anybody giving way."""
    budget = Budget(100)
    answered, forgotten, kept = fill(budget, 40, 40, 20)
    answered.bytes_held = 0
    budget.forget(forgotten)
    fill(budget, 70)
    assert budget.total == 90
    assert not any(request.gave_way for request in (answered, forgotten, kept))


def test_one_request_may_always_hold_what_it_needs() -> None:
    """A body larger than the budget is taken as long as it is the only one."""
    budget = Budget(100)
    (large,) = fill(budget, 500)
    assert not large.gave_way
    fill(budget, 1)
    assert large.gave_way
