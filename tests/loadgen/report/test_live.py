from __future__ import annotations

from array import array
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from loadgen.load.messages import ClerkState, SenderState
from loadgen.load.outcome import Outcome
from loadgen.load.recorder import Latencies, Second, sparse
from loadgen.plan import Plan, Target
from loadgen.report.live import View, progress
from loadgen.report.tables import latency, print_summary
from loadgen.truth.ledger import Mistake

NOTHING = Latencies(sparse(array("q")), sparse(array("q")))


def second(number: int, *milliseconds: int, status: int = 200) -> Second:
    """Polls with these latencies, and no batch."""
    taken = sparse(array("q", [latency * 1_000_000 for latency in milliseconds]))
    latencies = {"add_batch": NOTHING, "stats": Latencies(taken, taken)}
    return Second(number, latencies, {"add_batch": {}, "stats": {status: len(milliseconds)}}, 10_000)


def outcome() -> Outcome:
    """After two processes' first second of ten, and a warm-up before it."""
    made = Outcome(Plan(Target("127.0.0.1", 8000), ("A", "B"), seconds=10, processes=2))
    made.add_second([second(-1, 500), second(-1, 500)])
    made.add_second([second(0, 1, 1, 1), second(0, 9)])
    made.clerks[0] = ClerkState(right=3, unchecked=1, wrong=0, backlog=7, cpu=0.5)
    made.clerks[1] = ClerkState(right=4, unchecked=0, wrong=0, backlog=0, cpu=0.5)
    return made


def shown(*, terminal: bool, found: Outcome) -> str:
    text = StringIO()
    with View(Console(file=text, force_terminal=terminal, width=100, color_system=None)) as view:
        view.second(found)
    return text.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_the_last_second_of_all_processes_is_shown(terminal: bool) -> None:
    """Rate, p50 and p99 of the last second, failures and what was checked, added up over processes."""
    text = shown(terminal=terminal, found=outcome())
    for part in ("4", "1 ms", "9 ms", "right 7", "wrong 0", "unchecked 1", "to check 7"):
        assert part in text
    assert "500 ms" not in text  # the warm-up
    assert terminal or len(text.splitlines()) == 1


@pytest.mark.parametrize("terminal", [False, True])
def test_a_warm_up_says_that_it_is_one(terminal: bool) -> None:
    """Before anything is measured there are no figures to show."""
    found = Outcome(Plan(Target("127.0.0.1", 8000), ("A",)))
    found.add_second([second(-1, 500)])
    assert "warming up" in shown(terminal=terminal, found=found)


def test_progress_is_that_of_what_ends_first() -> None:
    """A tenth of the time has passed; with as many batches sent as there were to send, all is done."""
    found = outcome()
    assert progress(found) == pytest.approx(0.1)
    found.plan = replace(found.plan, batches=2)
    found.endpoints["add_batch"].statuses[200] = 3
    assert progress(found) == pytest.approx(0.75)


def test_the_summary_says_everything() -> None:
    """Counts, rates, percentiles, statuses, the oracle's findings with a way to see them again, and the generator."""
    found = outcome()
    found.add_second([second(1, 2, 2, status=503)])
    for cpu in (0.5, 1.9):
        found.add_sender(SenderState(NOTHING, 0.0, 1, 2.0, cpu, 0.1, 4, {"reset": 1}))
    mistake = Mistake("GET /stats/?symbol=B&k=2", 300, 3, "min 1.0", "min 2.0", ("min",), k=2, newest=(1.5, 2.5))
    found.clerks[1] = ClerkState(4, 0, 1, 0, 0.5, [(1, mistake)], final=True)
    shown = StringIO()
    print_summary(found, Console(file=shown, width=100))
    text = shown.getvalue()
    for part in (
        *("stats", "3/s", "p99.99", "15,000/s"),
        *("6 × 200", "2 × 503", "2 × 'reset'"),
        *("7 right, 1 wrong, 1 unchecked", "25% of a core", "95% of a core"),
        *("WRONG ANSWER (min)", "300 prices of B, from its first 3 batches", "min 1.0", "min 2.0", "1.5, 2.5"),
        "reproduce --url http://127.0.0.1:8000 --seed 1 --prices walk --wire json --batch-size 10000 --place 1 ",
        "--batches 3 --k 2",
        "exit code 3",
    ):
        assert part in text, text


def test_latencies_are_written_with_three_digits() -> None:
    """From a microsecond to a minute, in the unit that suits."""
    assert [latency(us) for us in (1.0, 12.34, 999.4, 1_234.0, 56_789.0, 2e6, 6e7, float("nan"))] == [
        *("1 µs", "12.3 µs", "999 µs", "1.23 ms", "56.8 ms", "2 s", "60 s", "–")
    ]
