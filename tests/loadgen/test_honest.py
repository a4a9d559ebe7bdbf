"""What a newcomer does first, and what it must be told: limits, places, names, refusals."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from loadgen.prices import Walk
from tests.support.commands import loadgen, serving, within
from tests.support.load import Client
from tests.support.process import ROOT, Process, running
from tests.support.readme import blocks, commands, paste

EURUSD = ROOT / "tests" / "data" / "prices" / "eurusd_ticks.csv"
SMALL = ("--batches", "3", "--batch-size", "100", "--duration", "5")


@pytest.fixture(scope="module")
def service() -> Iterator[Process]:
    """With room for three symbols, of which one is taken, and for a hundred prices in a batch."""
    with running("--workers", "1", "--max-symbols", "3", "--max-batch", "100", "--max-k", "5") as process:
        with Client(process.url) as client:
            client.add("EURUSD", [1.25, 1.5])
        yield process


def symbols(service: Process) -> list[str]:
    with Client(service.url) as client:
        return [one["symbol"] for one in client.request("GET", "/symbols/").document["symbols"]]


def test_a_run_takes_the_places_that_are_free_and_gives_them_back(service: Process) -> None:
    """Without --symbols as many as there is room for, at most ten; afterwards all that it made are gone again."""
    for _ in range(2):
        done = loadgen("run", "--url", service.url, *SMALL)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "6 × 200" in done.stdout
        assert symbols(service) == ["EURUSD"]


def test_a_run_that_is_told_to_keeps_its_symbols(service: Process) -> None:
    """With --keep they stay, and the next run says which names are taken and what to do."""
    with Client(service.url) as client:
        try:
            assert loadgen("run", "--url", service.url, "--keep", "--symbols", "1", *SMALL).returncode == 0
            assert symbols(service) == ["EURUSD", "LOAD-0"]
            again = within("run", "--url", service.url, *SMALL)
            assert again.exit_code == 2
            assert "LOAD-0 holds prices already: choose another --prefix" in again.output
        finally:
            client.delete("LOAD-0")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--symbols", "3", *SMALL), "there is room for 2 more symbols of 3, not for 3: --symbols 2"),
        (("--batches", "3"), "a batch may have 100 prices at most, not 10,000: --batch-size 100"),
    ],
)
def test_what_a_service_will_not_take_is_not_sent(service: Process, options: tuple[str, ...], said: str) -> None:
    """The limits are read first: exit code 2 and a line that says what to do."""
    done = within("run", "--url", service.url, *options)
    assert (done.exit_code, said in done.output) == (2, True), done.output
    assert symbols(service) == ["EURUSD"]


def test_a_full_service_is_said_to_be_full(service: Process) -> None:
    """Run and check: exit code 2, for there is no place for a symbol more; nothing is called wrong."""
    with Client(service.url) as client:
        for name in ("A", "B"):
            client.add(name, [1.0])
        try:
            for command in (("run", *SMALL), ("check",), ("replay", str(EURUSD), "--batch-size", "100")):
                done = within(*command, "--url", service.url)
                assert done.exit_code == 2, done.output
                assert "there is no room for another symbol: it has 3 of 3" in done.output
        finally:
            for name in ("A", "B"):
                client.delete(name)


def test_a_check_keeps_to_the_limits_and_leaves_nothing(service: Process) -> None:
    """Against small limits all batches are taken, every answer is judged, and the symbol is gone in the end."""
    done = within("check", "--url", service.url)
    assert done.exit_code == 0, done.output
    assert re.search(r"(\d+) of \1 checks passed", done.output)
    assert symbols(service) == ["EURUSD"]


@pytest.mark.parametrize("kind", ["right", "most"])
def test_a_check_fails_where_batches_are_refused(kind: str) -> None:
    """A service that refuses all batches, or nine of ten, that it should have taken is not passed."""
    with serving(kind, "503") as refusing:
        done = within("check", "--url", refusing.url)
        assert done.exit_code == 3, done.output
        assert "are taken\n   found" in done.output


def test_most_batches_refused_are_exit_code_4() -> None:
    """A run says how many, and what the status means."""
    with serving("most", "409") as refusing:
        done = loadgen("run", "--url", refusing.url, "--symbols", "2", "--batches", "20", "--batch-size", "10")
        assert done.returncode == 4, done.stdout + done.stderr
        assert "36 × 409" in done.stdout
        assert "409 is what it answers where there is no room for another symbol" in done.stdout
        again = within("reproduce", "--url", refusing.url, "--place", "0", "--batches", "20", "--k", "1")
        assert again.exit_code == 4, again.output
        assert "a batch was refused: 409" in again.output


def test_one_more_key_is_not_wrong() -> None:
    """An answer may say more than was asked: run and check judge what they know."""
    with serving("one-more-key") as generous:
        done = loadgen("run", "--url", generous.url, "--symbols", "2", *SMALL)
        assert done.returncode == 0, done.stdout + done.stderr
        checked = within("check", "--url", generous.url)
        assert checked.exit_code == 0, checked.output


def test_a_walk_does_not_drift() -> None:
    """The mean step is nothing but noise: five standard errors of a walk of steps from −3 to 3 ticks, at most."""
    steps = 0.0
    for seed in range(100):
        walk = Walk(np.random.default_rng(seed))
        walk._level = 50_000
        steps += walk.take(10_000).prices[-1] - 500.0
        for _ in range(9):
            before = walk._level
            steps += (walk.take(10_000).prices[-1] * 100 - before) / 100
    assert abs(steps) < 5 * 0.02 * 1_000_000**0.5


def test_a_rate_alone_is_the_rate_of_polls_too(service: Process, tmp_path: Path) -> None:
    """Where the clock sends the batches it sends the polls as well, unless told otherwise; a replay the same."""
    path = tmp_path / "run.json"
    common = ("--url", service.url, "--rate", "20/s", "--report", str(path))
    ticks = tmp_path / "ticks.csv"
    ticks.write_text("price\n" + "1.25\n" * 1_000)
    for command in (("run", "--duration", "1", "--batch-size", "10"), ("replay", str(ticks), "--batch-size", "100")):
        done = loadgen(*command, *common)
        assert done.returncode in {0, 5}, done.stdout + done.stderr
        assert json.loads(path.read_bytes())["plan"]["poll_rate"] == "20/s"


def test_nobody_there_is_told_what_to_do() -> None:
    """Where nothing answers, the line names the option and the command that help."""
    for command in (("run",), ("check",), ("reproduce", "--place", "0", "--batches", "1", "--k", "1")):
        done = within(*command, "--url", "http://127.0.0.1:9")
        assert done.exit_code == 4
        assert "does not answer" in done.output
        assert "make serve" in done.output
        assert "--url" in done.output


def test_the_way_of_the_readme(tmp_path: Path) -> None:
    """What is pasted from "Try it" on, then load, check and replay, in order on a fresh service: all succeed."""
    pasted = [command for command, _ in commands() if "Bearer" not in command]
    loads = [
        line.split("#")[0].split() for block in blocks() for line in block.text.splitlines() if "-m loadgen" in line
    ]
    assert [words[3] for words in loads] == ["check", "replay"]
    with running("--workers", "1") as fresh:
        for command in pasted:
            paste(command, fresh.url, tmp_path)
        for words in (["run", "--duration", "1"], *(words[3:] for words in loads)):
            done = loadgen(*words, "--url", fresh.url)
            assert done.returncode == 0, done.stdout + done.stderr
        assert symbols(fresh) == ["EURUSD"]
